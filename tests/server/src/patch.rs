//! `PATCH` of an entity, by id or by name: JSON Patch on what a GET of everything shows, then the rules of the server.

use serde_json::{json, Value};

use crate::auth::{Principal, Role};
use crate::call::Call;
use crate::catalogue::KINDS;
use crate::columns::Tag;
use crate::config::{Profile, Switches};
use crate::entity::{Attributes, Content};
use crate::expand::{contract, expand, Fields};
use crate::kinds::KindId;
use crate::mapping;
use crate::merge;
use crate::reply::{Refusal, Reply};
use crate::route::Key;
use crate::singles::{etag, locate};
use crate::store::{Include, Store};
use crate::write::{remember, touch};

/// Whether a body is a patch of nothing but the life cycle.
pub fn is_life_cycle(body: &[u8]) -> bool {
    let operations: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    let concerns = |operation: &Value| {
        operation["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("/lifeCycle"))
    };
    !operations.is_empty() && operations.iter().all(concerns)
}

/// Applies a patch.
pub fn patch(
    store: &mut Store,
    call: &Call,
    kind: KindId,
    key: &Key,
    who: &Principal,
    switches: &Switches,
) -> Result<Reply, Refusal> {
    if matches!(key, Key::Name(_)) && !switches.patch_by_name {
        return Ok(Reply::error(405, "HTTP 405 Method Not Allowed"));
    }
    let operations: json_patch::Patch =
        serde_json::from_slice(&call.body).map_err(|error| Refusal::bad(format!("Invalid request format: {error}")))?;
    let (fqn, entity) = locate(store, kind, key, Include::All)?;
    if !who.may_write() {
        return Err(who.denied("EditAll"));
    }
    if let Some(wanted) = &call.if_match {
        if wanted.trim() != "*" && wanted.replace("--gzip\"", "\"") != etag(entity) {
            return Err(Refusal::new(
                412,
                "The entity has been modified by another user. Please refresh and retry.",
            ));
        }
    }
    let fqn = fqn.clone();
    let old = entity.attributes().into_owned();
    let (deleted, previous) = (entity.deleted, entity.version);
    let mut document = expand(store, kind, &fqn, entity, &Fields::all());
    // The stored form after the way there and back, so that only the patch makes a difference.
    let baseline = contract(store, kind, document.clone())?;
    make_room(&mut document, &operations);
    json_patch::patch(&mut document, &operations).map_err(|error| Refusal::bad(format!("Invalid patch: {error}")))?;
    if document.get("deleted").is_some_and(|value| *value != json!(deleted)) {
        return Err(Refusal::bad("Entity attribute [deleted] can't be modified by PATCH"));
    }
    let hash = document.get("sourceHash").and_then(Value::as_str).map(Box::from);
    check_tags(store, &document)?;
    let mut new = contract(store, kind, document)?;
    // What answers never show is no part of the document and stays.
    for hidden in KINDS[kind].hidden {
        if let Some(value) = old.get(*hidden) {
            new.insert((*hidden).into(), value.clone());
        }
    }
    apply_rules(&old, &mut new, kind, call.profile, who, switches);
    let mut before = baseline;
    for hidden in KINDS[kind].hidden {
        if let Some(value) = old.get(*hidden) {
            before.insert((*hidden).into(), value.clone());
        }
    }
    let change = merge::compare(&comparable(&before), &comparable(&new));
    let is_changed = before != new;
    if !change.is_empty() {
        remember(store, kind, &fqn);
        touch(store, kind, &fqn, who, change.major, |entity| {
            entity.change = Some(Box::new(change.describe(previous)))
        });
    }
    if let Some(entity) = store.collections[kind].entities.get_mut(&fqn) {
        if !matches!(entity.content, Content::Hash(_)) && is_changed {
            entity.content = Content::Parsed(Box::new(new));
        }
        // Clients of 1.x write a new hash by PATCH; that alone makes no version.
        let is_hash_sent = hash.is_some() && hash != entity.source_hash;
        if is_hash_sent {
            entity.source_hash = hash;
        } else if switches.patch_clears_source_hash && is_changed {
            entity.source_hash = None;
        }
    }
    update_checksum(store, kind, &fqn, &old);
    let Some(entity) = store.entity(kind, &fqn) else {
        return Ok(Reply::empty(200));
    };
    Ok(Reply::ok(&expand(store, kind, &fqn, entity, &Fields::all())).with_header("ETag", etag(entity)))
}

/// Lists and objects that a patch adds to, where an entity has none yet: the server keeps them as empty ones.
fn make_room(document: &mut Value, operations: &json_patch::Patch) {
    for operation in &operations.0 {
        let json_patch::PatchOperation::Add(add) = operation else {
            continue;
        };
        let path = add.path.to_string();
        let Some((parent, last)) = path.rsplit_once('/') else {
            continue;
        };
        if parent.is_empty() || document.pointer(parent).is_some_and(|value| !value.is_null()) {
            continue;
        }
        let Some((above, name)) = parent.rsplit_once('/') else {
            continue;
        };
        let is_index = last == "-" || last.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(Value::Object(object)) = document.pointer_mut(above) {
            object.insert(name.to_string(), if is_index { json!([]) } else { json!({}) });
        }
    }
}

fn check_tags(store: &Store, document: &Value) -> Result<(), Refusal> {
    fn gather(value: &Value, into: &mut Vec<Tag>) {
        into.extend(
            value
                .get("tags")
                .and_then(|tags| serde_json::from_value::<Vec<Tag>>(tags.clone()).ok())
                .unwrap_or_default(),
        );
        for children in [value.get("columns"), value.get("children")]
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
        {
            children.iter().for_each(|child| gather(child, into));
        }
    }
    let mut tags = Vec::new();
    gather(document, &mut tags);
    tags.iter().try_for_each(|tag| mapping::check_tag(store, tag))
}

/// What a patch may not do, or loses.
fn apply_rules(
    old: &Attributes,
    new: &mut Attributes,
    kind: KindId,
    profile: Profile,
    who: &Principal,
    switches: &Switches,
) {
    // Removing the life cycle is honoured; of what is sent, the newer part wins.
    if new.contains_key("lifeCycle") {
        if let Some(merged) = merge::merge_life_cycle(old.get("lifeCycle"), new.get("lifeCycle")) {
            new.insert("lifeCycle".into(), merged);
        }
    }
    if who.role == Role::Bot && profile >= Profile::V2_0 {
        keep_descriptions(old, new);
    }
    if KINDS[kind].path == "tables" {
        merge::drop_orphaned_constraints(new);
        if switches.patch_drops_schema_definition {
            new.remove("schemaDefinition");
        }
        if switches.patch_drops_table_partition {
            new.remove("tablePartition");
        }
    }
}

/// A bot's patch cannot blank a description, of the entity or of a column.
fn keep_descriptions(old: &Attributes, new: &mut Attributes) {
    let blank = |value: Option<&Value>| value.is_none_or(|value| value.is_null() || *value == json!(""));
    if blank(new.get("description")) && !blank(old.get("description")) {
        new.insert("description".into(), old["description"].clone());
    }
    for field in ["columns", "children"] {
        let (Some(Value::Array(before)), Some(Value::Array(after))) = (old.get(field), new.get_mut(field)) else {
            continue;
        };
        for column in after {
            let held = before
                .iter()
                .find(|held| held["name"] == column["name"])
                .and_then(Value::as_object);
            if let (Some(held), Some(column)) = (held, column.as_object_mut()) {
                keep_descriptions(held, column);
            }
        }
    }
}

/// Losing the view definition is an accident of the server that makes no version.
fn comparable(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.remove("schemaDefinition");
    attributes.remove("tablePartition");
    attributes
}

/// The checksum of a query follows its text.
fn update_checksum(store: &mut Store, kind: KindId, fqn: &std::sync::Arc<str>, old: &Attributes) {
    if KINDS[kind].path != "queries" {
        return;
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(crate::store::md5);
    let now = store
        .entity(kind, fqn)
        .and_then(|entity| text(entity.attribute("query").as_ref()));
    let before = text(old.get("query"));
    if now != before {
        if let Some(before) = before {
            store.checksums.remove(&before);
        }
        if let Some(now) = now {
            store.checksums.insert(now, fqn.clone());
        }
    }
}
