//! Puts a resolved create request into the store: as a new entity, or onto the one that is there.

use std::sync::Arc;

use serde_json::json;

use crate::auth::{Principal, Role};
use crate::catalogue::KINDS;
use crate::config::Profile;
use crate::deletion;
use crate::entity::{Content, Entity, Version};
use crate::expand::{expand, Fields};
use crate::fqn;
use crate::kinds::{self, KindId};
use crate::mapping::{self, Draft};
use crate::merge::{self, Rules};
use crate::reply::Refusal;
use crate::row::Row;
use crate::store::{md5, now_ms, Store};

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// A new entity.
    Created,
    /// The entity was there; it may have changed.
    Updated,
}

/// The rules for one caller.
pub fn rules(who: &Principal, overriding: bool, profile: Profile) -> Rules {
    Rules {
        bot: who.role == Role::Bot,
        overriding,
        profile,
    }
}

/// Writes one row.
pub fn write(
    store: &mut Store,
    kind: KindId,
    row: &Row,
    draft: &Draft,
    who: &Principal,
    rules: Rules,
) -> Result<Written, Refusal> {
    if KINDS[kind].path == "queries" && holds_checksum(store, row, draft, rules.profile)? {
        return Ok(Written::Updated);
    }
    if store.entity(kind, &draft.fqn).is_some() {
        update(store, kind, row, draft, who, rules);
        return Ok(Written::Updated);
    }
    let id = store.new_id(kind, &draft.fqn);
    let updated_by = store.principal(&who.name);
    let slim = store.is_slim(kind);
    let content = if slim {
        Content::Hash(row.hash)
    } else {
        Content::Request(Box::new(row.text.clone()))
    };
    let entity = Entity {
        id,
        updated_at: now_ms(),
        content,
        source_hash: draft.source_hash.clone().filter(|_| !slim),
        change: None,
        version: Version::FIRST,
        updated_by,
        deleted: false,
    };
    store.insert(kind, draft.fqn.clone(), entity);
    if KINDS[kind].path == "dataQuality/testCases" {
        add_basic_suite(store, row)?;
    }
    Ok(Written::Created)
}

/// The first test case of a table brings the table's own test suite.
fn add_basic_suite(store: &mut Store, row: &Row) -> Result<(), Refusal> {
    let link = row.string("entityLink")?.unwrap_or_default();
    let Some((_, table, _)) = mapping::link_parts(&link) else {
        return Ok(());
    };
    let (suites, name) = (kinds::at("dataQuality/testSuites"), basic_suite(table));
    if store.entity(suites, &name).is_none() {
        let attributes = json!({"name": name, "basic": true, "basicEntityReference": table});
        store.insert_system("dataQuality/testSuites", &name, attributes);
    }
    Ok(())
}

/// The name of a table's own test suite.
pub fn basic_suite(table: &str) -> String {
    format!("{table}.testSuite")
}

/// The text of a query is unique over all services. Returns whether the row is to be taken as written already.
fn holds_checksum(store: &mut Store, row: &Row, draft: &Draft, profile: Profile) -> Result<bool, Refusal> {
    let text = row.string("query")?.unwrap_or_default();
    let sum = md5(&text);
    match store.checksums.get(&sum) {
        None => {
            store.checksums.insert(sum, draft.fqn.clone());
            Ok(false)
        }
        Some(held) if *held == draft.fqn => Ok(false),
        // From 1.13 on a repeated text within one service is no error.
        Some(held) if profile >= Profile::V1_13 && fqn::prefix(held, 1) == fqn::prefix(&draft.fqn, 1) => Ok(true),
        Some(_) => Err(Refusal::new(
            409,
            format!(
                "org.postgresql.util.PSQLException: ERROR: duplicate key value violates unique constraint \"unique_query_checksum\"\n  \
                 Detail: Key (checksum)=({}) already exists.",
                crate::store::hex(&sum)
            ),
        )
        .while_storing()),
    }
}

fn update(store: &mut Store, kind: KindId, row: &Row, draft: &Draft, who: &Principal, rules: Rules) {
    if store.entity(kind, &draft.fqn).is_some_and(|entity| entity.deleted) {
        deletion::restore(store, kind, &draft.fqn, who);
    }
    let Some(entity) = store.entity(kind, &draft.fqn) else {
        return;
    };
    if let Content::Hash(held) = entity.content {
        if held != row.hash {
            touch(store, kind, &draft.fqn, who, false, |entity| {
                entity.content = Content::Hash(row.hash)
            });
        }
        return;
    }
    let unchanged_text = matches!(&entity.content, Content::Request(text) if **text == row.text);
    if unchanged_text {
        set_hash(store, kind, draft);
        return;
    }
    let old = entity.attributes().into_owned();
    let new = crate::entity::parse(&row.text);
    let (merged, change) = merge::put(
        &old,
        new,
        KINDS[kind].path,
        |field| kinds::may_create(kind, field),
        rules,
    );
    if change.is_empty() {
        if let Some(entity) = store.collections[kind].entities.get_mut(&draft.fqn) {
            entity.content = Content::Parsed(Box::new(merged));
        }
    } else {
        let previous = entity.version;
        remember(store, kind, &draft.fqn);
        touch(store, kind, &draft.fqn, who, change.major, |entity| {
            entity.content = Content::Parsed(Box::new(merged));
            entity.change = Some(Box::new(change.describe(previous)));
        });
    }
    set_hash(store, kind, draft);
}

/// A source hash is stored with every write and makes no version.
fn set_hash(store: &mut Store, kind: KindId, draft: &Draft) {
    if let Some(entity) = store.collections[kind].entities.get_mut(&draft.fqn) {
        if draft.source_hash.is_some() {
            entity.source_hash.clone_from(&draft.source_hash);
        }
    }
}

/// Makes a new version of an entity.
pub fn touch(
    store: &mut Store,
    kind: KindId,
    fqn: &str,
    who: &Principal,
    major: bool,
    apply: impl FnOnce(&mut Entity),
) {
    let by = store.principal(&who.name);
    if let Some(entity) = store.collections[kind].entities.get_mut(fqn) {
        entity.version = entity.version.next(major);
        entity.updated_at = now_ms();
        entity.updated_by = by;
        apply(entity);
    }
}

/// Puts the present version of an entity into its history.
pub fn remember(store: &mut Store, kind: KindId, fqn: &str) {
    if store.is_slim(kind) {
        return;
    }
    let Some((key, entity)) = store.collections[kind].entities.get_key_value(fqn) else {
        return;
    };
    let key: Arc<str> = key.clone();
    let shown = expand(store, kind, fqn, entity, &Fields::all());
    store.history.entry((kind, key)).or_default().push(json!(shown));
}
