//! What the server knows: entities by collection and FQN, what is attached to them, and lineage.
//!
//! Plain data behind one lock (`Shared::store`), held for microseconds. No rule of the API is decided here.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use md5::{Digest, Md5};
use serde_json::{json, Value};

use crate::catalogue::KINDS;
use crate::config::Profile;
use crate::entity::{Content, Entity, Id, Version};
use crate::fqn;
use crate::kinds::{self, KindId};

/// Which entities a lookup may give.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Include {
    /// Those that are not deleted.
    #[default]
    Live,
    /// Those that are soft-deleted.
    Deleted,
    /// Both.
    All,
}

impl Include {
    /// Whether this lookup may give an entity.
    pub fn admits(self, entity: &Entity) -> bool {
        match self {
            Include::Live => !entity.deleted,
            Include::Deleted => entity.deleted,
            Include::All => true,
        }
    }
}

/// The entities of one collection.
#[derive(Default)]
pub struct Collection {
    /// By canonical FQN.
    pub entities: BTreeMap<Arc<str>, Entity>,
    /// FQN by id.
    pub ids: HashMap<Id, Arc<str>>,
}

/// The collection and the FQN of an entity.
pub type Node = (KindId, Arc<str>);

/// One line of lineage.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The collection and FQN that it comes from.
    pub from: Node,
    /// The collection and FQN that it goes to.
    pub to: Node,
    /// Its details, as sent.
    pub details: Value,
    /// Its description.
    pub description: Option<String>,
}

/// What is attached to an entity: collection, FQN, and the name of the attachment.
pub type AttachmentKey = (KindId, Arc<str>, String);

/// Everything the server knows.
pub struct Store {
    /// One for each of [`KINDS`].
    pub collections: Vec<Collection>,
    /// Sample data, status reports and the like.
    pub attachments: BTreeMap<AttachmentKey, Value>,
    /// Lineage.
    pub edges: BTreeMap<(Node, Node), Edge>,
    /// FQN of the query with this text.
    pub checksums: HashMap<[u8; 16], Arc<str>>,
    /// Custom properties by entity type.
    pub custom_properties: BTreeMap<String, Vec<Value>>,
    /// Settings by type.
    pub settings: BTreeMap<String, Value>,
    /// Earlier versions, by collection and FQN, oldest first.
    pub history: HashMap<Node, Vec<Value>>,
    /// The release line, where the form of an answer depends on it.
    pub line: Profile,
    keep_bodies: bool,
    principals: Vec<Arc<str>>,
    ids_given: u64,
    nonce: u64,
}

/// The MD5 sum of a text, as the server uses it for query checksums.
pub fn md5(text: &str) -> [u8; 16] {
    Md5::digest(text.as_bytes()).into()
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Store {
    /// A store with what a fresh server has: three users, roles and the system classifications.
    pub fn new(keep_bodies: bool, nonce: u64) -> Self {
        let mut store = Store {
            collections: KINDS.iter().map(|_| Collection::default()).collect(),
            attachments: BTreeMap::new(),
            edges: BTreeMap::new(),
            checksums: HashMap::new(),
            custom_properties: BTreeMap::new(),
            settings: BTreeMap::new(),
            history: HashMap::new(),
            line: Profile::default(),
            keep_bodies,
            principals: Vec::new(),
            ids_given: 0,
            nonce,
        };
        crate::seed::fill(&mut store);
        store
    }

    /// Whether rows of this collection leave only a name and a hash.
    pub fn is_slim(&self, kind: KindId) -> bool {
        !self.keep_bodies && KINDS[kind].bulk && !matches!(KINDS[kind].path, "databases" | "databaseSchemas")
    }

    /// The number under which a principal's name is kept.
    pub fn principal(&mut self, name: &str) -> u8 {
        let at = self
            .principals
            .iter()
            .position(|known| &**known == name)
            .unwrap_or_else(|| {
                self.principals.push(Arc::from(name));
                self.principals.len() - 1
            });
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    /// A principal's name.
    pub fn principal_name(&self, number: u8) -> &str {
        self.principals.get(usize::from(number)).map_or("admin", |name| name)
    }

    /// An entity, whatever its state.
    pub fn entity(&self, kind: KindId, fqn: &str) -> Option<&Entity> {
        self.collections[kind].entities.get(fqn)
    }

    /// An entity by the name a client uses for it, with its key.
    pub fn find(&self, kind: KindId, name: &str, include: Include) -> Option<(&Arc<str>, &Entity)> {
        let key = self.key(kind, name);
        self.collections[kind]
            .entities
            .get_key_value(&*key)
            .filter(|(_, entity)| include.admits(entity))
    }

    /// The key under which a name is stored: a collection without parents takes the whole name as one part.
    pub fn key<'a>(&self, kind: KindId, name: &'a str) -> std::borrow::Cow<'a, str> {
        if KINDS[kind].path == "users" {
            return fqn::quote(name).to_lowercase().into();
        }
        if kinds::single_part(kind) {
            fqn::quote(name)
        } else {
            fqn::canonical(name)
        }
    }

    /// An entity by id, with its key.
    pub fn find_id(&self, kind: KindId, id: Id, include: Include) -> Option<(&Arc<str>, &Entity)> {
        let fqn = self.collections[kind].ids.get(&id)?;
        self.collections[kind]
            .entities
            .get_key_value(&**fqn)
            .filter(|(_, entity)| include.admits(entity))
    }

    /// A fresh id. Where bodies are not kept it follows from the name, so that it need not be kept either.
    pub fn new_id(&mut self, kind: KindId, fqn: &str) -> Id {
        let mut hash = Md5::new();
        if self.is_slim(kind) {
            hash.update(KINDS[kind].path);
            hash.update(fqn);
        } else {
            self.ids_given += 1;
            hash.update(self.nonce.to_le_bytes());
            hash.update(self.ids_given.to_le_bytes());
        }
        Id::from_hash(hash.finalize().into())
    }

    /// Adds a new entity.
    pub fn insert(&mut self, kind: KindId, fqn: Arc<str>, entity: Entity) {
        if !self.is_slim(kind) {
            self.collections[kind].ids.insert(entity.id, fqn.clone());
        }
        self.collections[kind].entities.insert(fqn, entity);
    }

    /// Adds an entity of the server's own.
    pub fn insert_system(&mut self, path: &'static str, fqn: &str, attributes: Value) -> Id {
        let kind = kinds::at(path);
        let id = self.new_id(kind, fqn);
        let updated_by = self.principal("admin");
        let Value::Object(mut attributes) = attributes else {
            unreachable!("attributes are an object")
        };
        attributes
            .entry("name")
            .or_insert_with(|| json!(fqn::unquote(fqn::split(fqn).last().copied().unwrap_or(fqn))));
        let entity = Entity {
            id,
            updated_at: 0,
            content: Content::Parsed(Box::new(attributes)),
            source_hash: None,
            change: None,
            version: Version::FIRST,
            updated_by,
            deleted: false,
        };
        self.insert(kind, Arc::from(fqn), entity);
        id
    }

    /// Takes an entity away for good, with what is attached to it.
    pub fn remove(&mut self, kind: KindId, fqn: &str) -> Option<Entity> {
        let (key, entity) = self.collections[kind].entities.remove_entry(fqn)?;
        self.collections[kind].ids.remove(&entity.id);
        let node = (kind, key.clone());
        self.attachments.retain(|(k, f, _), _| (*k, f) != (kind, &key));
        self.edges.retain(|(from, to), _| *from != node && *to != node);
        self.history.remove(&node);
        if KINDS[kind].path == "queries" {
            self.checksums.retain(|_, held| *held != key);
        }
        Some(entity)
    }

    /// The entities of a collection at or below a scope.
    pub fn within<'a>(&'a self, kind: KindId, scope: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Entity)> + 'a {
        self.collections[kind]
            .entities
            .range::<str, _>((Bound::Included(scope), Bound::Unbounded))
            .take_while(move |(fqn, _)| fqn.starts_with(scope))
            .filter(move |(fqn, _)| fqn::within(fqn, scope))
    }

    /// Everything at or below a name, in any collection that hangs below the given one.
    pub fn subtree(&self, kind: KindId, scope: &str) -> Vec<(KindId, Arc<str>)> {
        let mut found = vec![(kind, Arc::<str>::from(scope))];
        for child in descendants(kind) {
            for (fqn, _) in self.within(child, scope) {
                if (child, &**fqn) != (kind, scope) {
                    found.push((child, fqn.clone()));
                }
            }
        }
        found
    }

    /// A reference to an entity, as answers show it.
    pub fn reference(&self, kind: KindId, fqn: &str, entity: &Entity) -> Value {
        let name = fqn::split(fqn)
            .last()
            .map_or_else(String::new, |part| fqn::unquote(part).into_owned());
        json!({
            "id": entity.id.to_string(),
            "type": KINDS[kind].entity_type,
            "name": name,
            "fullyQualifiedName": fqn,
            "deleted": entity.deleted,
        })
    }
}

/// The collections that hang below one, directly or not, itself included where it nests.
pub fn descendants(kind: KindId) -> Vec<KindId> {
    let mut found = Vec::new();
    let mut open = vec![kind];
    while let Some(parent) = open.pop() {
        for (id, candidate) in KINDS.iter().enumerate() {
            let below = candidate
                .parents
                .iter()
                .any(|entry| kinds::by_path(entry.path) == Some(parent));
            if below && !found.contains(&id) {
                found.push(id);
                open.push(id);
            }
        }
    }
    found
}
