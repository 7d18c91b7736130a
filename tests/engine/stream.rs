//! What the application submits: entities, the distinct bodies that write them, and the order in which they arrive.
//!
//! A body starts with its own number, `{"n":17,`, so that the simulated server knows it again without parsing it. Nothing here knows
//! the engine's rules: references are kept as the server sees them, by collection and name.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use openmetadata_bulksink::engine::{Fqn, Kind, Payload, Record};
use rustc_hash::FxHashMap;
use serde_json::{json, Value};

/// What the server makes of a body, whatever the weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temper {
    #[default]
    Good,
    /// Refused for good, with a text of its own.
    Refused,
    /// Refused for good, with the text that all such bodies get.
    RefusedAlike,
    /// Refused for good, without a text.
    RefusedMutely,
    /// The row answers 500, always.
    RowError,
    /// The row answers 503 so many times.
    Shy(u8),
    /// The row meets a deadlock so many times.
    Deadlock(u8),
    /// The answer says nothing of it, so many times.
    Silent(u8),
    /// Every request that holds it answers 500.
    Toxic,
    /// Every request that holds it answers 400 (a firewall that dislikes its text).
    Offensive,
    /// The server has it already in another form.
    Duplicate,
    /// Refused for good, with a text that holds its own name.
    Named,
    /// Every request that holds it is answered so by a firewall.
    Poison(Poison),
}

/// What a firewall does with a text that it dislikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// The connection is reset once the request is out.
    Reset,
    /// A page, with status 200.
    Page,
    /// A page, with status 502.
    BadGateway,
    /// A redirection to a page that says so.
    Redirect,
    /// A reset or a page with status 502, by turns.
    Fickle,
    /// No answer within the read time-out.
    Hang,
}

/// An entity, known by its collection and canonical name.
#[derive(Debug)]
pub struct Entity {
    pub collection: Arc<str>,
    /// The server's word for it in error texts.
    pub word: &'static str,
    pub key: Fqn,
    /// An earlier run has left it on the server.
    pub there_before: bool,
}

/// One distinct body.
#[derive(Debug)]
pub struct Spec {
    pub entity: usize,
    pub spelled: Arc<str>,
    pub parent: Option<Fqn>,
    pub needs: Vec<Fqn>,
    /// Entities that the server wants to see first.
    pub refers: Vec<usize>,
    /// Those of them that the record can do without (foreign keys).
    pub keys: Vec<usize>,
    pub first_wins: bool,
    pub once: bool,
    /// The body that must be written first.
    pub first: Option<usize>,
    pub temper: Temper,
    pub kind: Kind,
    pub body: Bytes,
}

impl Spec {
    /// Which of its keys refers to that entity.
    pub fn keys_to(&self, entity: usize) -> Option<usize> {
        self.keys.iter().position(|key| *key == entity)
    }
}

/// What to make a body of.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub collection: &'static str,
    pub fqn: String,
    /// How the source spells the name, where it differs.
    pub spelled: Option<String>,
    pub parent: Option<(&'static str, String)>,
    pub needs: Vec<(&'static str, String)>,
    /// References that the engine is not told of.
    pub hidden: Vec<(&'static str, String)>,
    /// References that it needs, and can do without: foreign keys.
    pub keys: Vec<(&'static str, String)>,
    pub size: usize,
    pub first_wins: bool,
    pub once: bool,
    pub first: Option<usize>,
    pub temper: Temper,
    /// No `sourceHash` in the body.
    pub unhashed: bool,
}

/// All entities, bodies and arrivals of one run.
#[derive(Debug, Default)]
pub struct Stream {
    pub entities: Vec<Entity>,
    pub specs: Vec<Spec>,
    /// Numbers of bodies, in the order of submission.
    pub arrivals: Vec<usize>,
    by_name: FxHashMap<(Arc<str>, Fqn), usize>,
}

const WORDS: [(&str, &str); 15] = [
    ("databases", "database"),
    ("databaseSchemas", "databaseSchema"),
    ("tables", "table"),
    ("storedProcedures", "storedProcedure"),
    ("queries", "query"),
    ("charts", "chart"),
    ("dashboards", "dashboard"),
    ("dashboard/datamodels", "dashboardDataModel"),
    ("drives/directories", "directory"),
    ("drives/files", "file"),
    ("users", "user"),
    ("topics", "topic"),
    ("classifications", "classification"),
    ("tags", "tag"),
    ("domains", "domain"),
];

impl Stream {
    /// Which key of a body refers to something of that name.
    pub fn key_named(&self, spec: usize, name: &Fqn) -> Option<usize> {
        let keys = &self.specs[spec].keys;
        keys.iter().position(|key| self.entities[*key].key == *name)
    }

    /// The entity of that name; a new one if it was never named.
    pub fn entity(&mut self, collection: &'static str, fqn: &str) -> usize {
        let key = if collection == "users" {
            Fqn::canonical(&fqn.to_lowercase())
        } else {
            Fqn::canonical(fqn)
        };
        let slot = (Arc::<str>::from(collection), key);
        if let Some(known) = self.by_name.get(&slot) {
            return *known;
        }
        let word = WORDS
            .iter()
            .find(|(path, _)| *path == collection)
            .map_or("entity", |(_, word)| word);
        self.entities.push(Entity {
            collection: slot.0.clone(),
            word,
            key: slot.1.clone(),
            there_before: false,
        });
        self.by_name.insert(slot, self.entities.len() - 1);
        self.entities.len() - 1
    }

    pub fn find(&self, collection: &str, fqn: &str) -> Option<usize> {
        self.by_name
            .get(&(Arc::<str>::from(collection), Fqn::canonical(fqn)))
            .copied()
    }

    /// A new body; it arrives where `arrivals` says.
    pub fn create(&mut self, draft: Draft) -> usize {
        let entity = self.entity(draft.collection, &draft.fqn);
        let number = self.specs.len();
        let key = self.entities[entity].key.clone();
        let mut body = format!("{{\"n\":{number},");
        if draft.collection == "queries" {
            // A query has no name of its own.
            let _ = write!(body, "\"query\":\"select {number}\",");
        } else {
            let _ = write!(body, "\"name\":\"{}\",", key.name());
        }
        if let Some((_, parent)) = &draft.parent {
            let _ = write!(body, "\"parent\":\"{}\",", parent.replace('"', "\\\""));
        }
        if !draft.unhashed {
            let _ = write!(body, "\"sourceHash\":\"h{number}\",");
        }
        if !draft.keys.is_empty() {
            let key = |(_, fqn): &(&str, String)| json!({"columns": ["c"], "referredColumns": [format!("{fqn}.c")]});
            let keys: Vec<Value> = draft.keys.iter().map(key).collect();
            let _ = write!(body, "\"tableConstraints\":{},", Value::from(keys));
        }
        body.push_str("\"pad\":\"");
        while body.len() + 2 < draft.size {
            body.push('x');
        }
        body.push_str("\"}");
        let mut refers = Vec::new();
        for (collection, fqn) in draft.parent.iter().chain(&draft.needs).chain(&draft.hidden) {
            refers.push(self.entity(collection, fqn));
        }
        let keys: Vec<usize> = draft.keys.iter().map(|(path, fqn)| self.entity(path, fqn)).collect();
        refers.extend(&keys);
        refers.retain(|other| *other != entity);
        self.specs.push(Spec {
            entity,
            spelled: draft.spelled.as_deref().unwrap_or(&draft.fqn).into(),
            parent: draft.parent.as_ref().map(|(_, fqn)| Fqn::canonical(fqn)),
            needs: draft
                .needs
                .iter()
                .chain(&draft.keys)
                .map(|(_, fqn)| Fqn::canonical(fqn))
                .collect(),
            refers,
            keys,
            first_wins: draft.first_wins,
            once: draft.once,
            first: draft.first,
            temper: draft.temper,
            kind: Kind::Create,
            body: body.into(),
        });
        number
    }

    /// A new life cycle for an entity.
    pub fn life_cycle(&mut self, entity: usize, temper: Temper) -> usize {
        let number = self.specs.len();
        self.specs.push(Spec {
            entity,
            spelled: self.entities[entity].key.as_str().into(),
            parent: None,
            needs: Vec::new(),
            refers: Vec::new(),
            keys: Vec::new(),
            first_wins: false,
            once: false,
            first: None,
            temper,
            kind: Kind::LifeCycle,
            body: format!("{{\"n\":{number}}}").into(),
        });
        number
    }

    /// What is submitted for a body.
    pub fn record(&self, number: usize) -> Record {
        let spec = &self.specs[number];
        let payload = match spec.kind {
            Kind::Create => Payload::Create(spec.body.clone()),
            Kind::LifeCycle => Payload::LifeCycle(spec.body.clone()),
        };
        Record {
            collection: self.entities[spec.entity].collection.clone(),
            fqn: spec.spelled.clone(),
            parent: spec.parent.clone(),
            needs: spec.needs.clone(),
            payload,
            first_wins: spec.first_wins,
            once: spec.once,
            first: spec.first.map(|first| Box::new(self.record(first))),
            label: spec.once.then(|| number.to_string().into()),
        }
    }
}

/// The number with which a body starts.
pub fn number_of(body: &[u8]) -> Option<usize> {
    let digits = body.strip_prefix(b"{\"n\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// What a body came without.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Which of its keys, one bit each.
    pub without: u32,
    /// Its hash, which may stand for a life cycle, too; none where keys are missing.
    pub hash: Option<String>,
}

/// Which part of a table was sent; None where it differs from what was submitted in anything but keys, life cycle and hash.
pub fn part_of(sent: &[u8], submitted: &[u8]) -> Option<Part> {
    let mut sent: Value = serde_json::from_slice(sent).ok()?;
    let mut expected: Value = serde_json::from_slice(submitted).ok()?;
    let sent_keys = sent.get("tableConstraints")?.as_array()?.clone();
    let all = expected.get("tableConstraints")?.as_array()?.clone();
    let mut without = 0;
    let mut kept = Vec::new();
    for (at, key) in all.into_iter().enumerate() {
        if sent_keys.contains(&key) {
            kept.push(key);
        } else {
            without |= 1 << at;
        }
    }
    expected["tableConstraints"] = kept.into();
    sent.as_object_mut()?.remove("lifeCycle");
    let hash = sent.as_object_mut()?.remove("sourceHash");
    let was_hashed = expected.as_object_mut()?.remove("sourceHash").is_some();
    let hash = hash.and_then(|hash| hash.as_str().map(str::to_owned));
    let rightly = hash.is_some() == (was_hashed && without == 0);
    (sent == expected && rightly).then_some(Part { without, hash })
}

/// What a create request holds beside what was submitted.
pub struct Embedded {
    /// The number of the create request.
    pub number: usize,
    pub life_cycle: usize,
    pub hash: Option<String>,
}

/// Reads a create request in which a life cycle rides.
pub fn embedded(body: &[u8]) -> Option<Embedded> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let number = |value: &Value| value.get("n")?.as_u64().and_then(|number| usize::try_from(number).ok());
    Some(Embedded {
        number: number(&body)?,
        life_cycle: number(body.get("lifeCycle")?)?,
        hash: body.get("sourceHash").and_then(Value::as_str).map(str::to_owned),
    })
}
