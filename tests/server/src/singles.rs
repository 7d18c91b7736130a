//! One entity at a time: PUT, POST, GET, DELETE, restore, and what is attached below an entity.

use serde_json::{json, Value};

use crate::auth::Principal;
use crate::call::Call;
use crate::catalogue::KINDS;
use crate::deletion::{self, Manner};
use crate::entity::{Entity, Id};
use crate::expand::{expand, Fields};
use crate::kinds::{self, KindId};
use crate::mapping;
use crate::reply::{Refusal, Reply};
use crate::route::Key;
use crate::row::Row;
use crate::store::{Include, Store};
use crate::write::{self, Written};

/// PUT or POST of a create request.
pub fn create(store: &mut Store, call: &Call, kind: KindId, row: &Row, who: &Principal) -> Result<Reply, Refusal> {
    if !who.may_write() {
        let exists = mapping::name_of(store, kind, row).is_ok_and(|fqn| store.entity(kind, &fqn).is_some());
        return Err(who.denied(if exists { "EditAll" } else { "Create" }));
    }
    let draft = mapping::resolve(store, kind, row)?;
    let exists = store
        .entity(kind, &draft.fqn)
        .is_some_and(|entity| call.method != "POST" || !entity.deleted);
    if call.method == "POST" && exists {
        return Err(Refusal::new(409, "Entity already exists"));
    }
    let overriding = call.flag("overrideMetadata");
    let written = write::write(
        store,
        kind,
        row,
        &draft,
        who,
        write::rules(who, overriding, call.profile),
    )
    .map_err(|refusal| {
        if refusal.while_storing {
            Refusal::new(409, "Entity already exists")
        } else {
            refusal
        }
    })?;
    let status = match written {
        Written::Created => 201,
        Written::Updated => 200,
    };
    let Some(entity) = store.entity(kind, &draft.fqn) else {
        return Ok(Reply::empty(status));
    };
    Ok(Reply::json(
        status,
        &expand(store, kind, &draft.fqn, entity, &Fields::all()),
    ))
}

/// Which entities a request wants to see.
pub fn include(call: &Call) -> Result<Include, Refusal> {
    match call.query("include").unwrap_or("non-deleted") {
        "non-deleted" => Ok(Include::Live),
        "deleted" => Ok(Include::Deleted),
        "all" => Ok(Include::All),
        other => Err(Refusal::bad(format!(
            "query param include has an unknown value {other}"
        ))),
    }
}

/// The entity that a path names.
pub fn locate<'a>(
    store: &'a Store,
    kind: KindId,
    key: &Key,
    include: Include,
) -> Result<(&'a std::sync::Arc<str>, &'a Entity), Refusal> {
    match key {
        Key::Id(id) => store
            .find_id(kind, *id, include)
            .ok_or_else(|| Refusal::not_found(KINDS[kind].entity_type, &id.to_string())),
        Key::Name(name) => store
            .find(kind, name, include)
            .ok_or_else(|| Refusal::not_found(KINDS[kind].entity_type, name)),
    }
}

/// The `ETag` of an entity.
pub fn etag(entity: &Entity) -> String {
    format!("\"{}-{}\"", entity.version.number(), entity.updated_at)
}

/// GET by id or by name.
pub fn get(store: &Store, call: &Call, kind: KindId, key: &Key) -> Result<Reply, Refusal> {
    let fields = Fields::parse(kind, call.query("fields").unwrap_or_default())?;
    let (fqn, entity) = locate(store, kind, key, include(call)?)?;
    let reply = Reply::ok(&expand(store, kind, fqn, entity, &fields));
    Ok(reply.with_header("ETag", etag(entity)))
}

/// DELETE by id or by name.
pub fn delete(store: &mut Store, call: &Call, kind: KindId, key: &Key, who: &Principal) -> Result<Reply, Refusal> {
    let manner = Manner {
        hard: call.flag("hardDelete"),
        recursive: call.flag("recursive"),
    };
    let (fqn, entity) = locate(store, kind, key, if manner.hard { Include::All } else { Include::Live })?;
    if !who.may_write() {
        return Err(who.denied("Delete"));
    }
    if entity.attribute("provider") == Some(json!("system")) {
        return Err(Refusal::bad(format!(
            "System entity [{fqn}] of type {} can not be deleted.",
            KINDS[kind].entity_type
        )));
    }
    let fqn = fqn.clone();
    let mut shown = expand(store, kind, &fqn, entity, &Fields::default());
    deletion::delete(store, kind, &fqn, manner, who)?;
    if let Some(entity) = store.entity(kind, &fqn) {
        shown = expand(store, kind, &fqn, entity, &Fields::default());
    }
    Ok(Reply::ok(&shown))
}

/// PUT `restore`.
pub fn restore(store: &mut Store, call: &Call, kind: KindId, who: &Principal) -> Result<Reply, Refusal> {
    let body = call.body_json()?;
    let id = body["id"]
        .as_str()
        .and_then(Id::parse)
        .ok_or_else(|| Refusal::bad("[id must not be null]"))?;
    if !who.may_write() {
        return Err(who.denied("EditAll"));
    }
    let (fqn, entity) = locate(store, kind, &Key::Id(id), Include::All)?;
    if !entity.deleted {
        return Err(Refusal::not_found(KINDS[kind].entity_type, &id.to_string()));
    }
    let fqn = fqn.clone();
    deletion::restore(store, kind, &fqn, who);
    let Some(entity) = store.entity(kind, &fqn) else {
        return Ok(Reply::empty(200));
    };
    Ok(Reply::ok(&expand(store, kind, &fqn, entity, &Fields::all())))
}

/// What is attached below an entity: sample data, profiles, followers, versions, and the like.
pub fn below(
    store: &mut Store,
    call: &Call,
    kind: KindId,
    key: &Key,
    rest: &[String],
    who: &Principal,
) -> Result<Reply, Refusal> {
    let (fqn, _) = locate(store, kind, key, Include::All)?;
    let fqn = fqn.clone();
    let name = rest.join("/");
    match (call.method.as_str(), rest.first().map(String::as_str)) {
        ("GET", Some("versions")) => return versions(store, kind, &fqn, rest.get(1)),
        ("GET", _) => {
            let shown = match store.attachments.get(&(kind, fqn.clone(), name.clone())) {
                Some(attached) => with_attachment(store, kind, &fqn, &name, attached.clone()),
                None => with_attachment(store, kind, &fqn, &name, Value::Null),
            };
            return Ok(Reply::ok(&shown));
        }
        _ => {}
    }
    if !who.may_write() {
        return Err(who.denied("EditAll"));
    }
    let body = if call.body.is_empty() {
        Value::Null
    } else {
        call.body_json()?
    };
    match call.method.as_str() {
        "PUT" | "POST" => {
            store
                .attachments
                .insert((kind, fqn.clone(), name.clone()), body.clone());
        }
        "DELETE" => {
            store.attachments.remove(&(kind, fqn.clone(), name.clone()));
        }
        _ => return Err(Refusal::new(405, "HTTP 405 Method Not Allowed")),
    }
    let shown = with_attachment(store, kind, &fqn, &name, body);
    Ok(Reply::ok(&shown))
}

/// The entity with the attachment in its field, where the entity has such a field.
fn with_attachment(store: &Store, kind: KindId, fqn: &str, name: &str, attached: Value) -> Value {
    let Some(entity) = store.entity(kind, fqn) else {
        return Value::Null;
    };
    let mut shown = expand(store, kind, fqn, entity, &Fields::all());
    if !attached.is_null() && kinds::may_show(kind, name) {
        shown[name] = attached;
    }
    shown
}

fn versions(store: &Store, kind: KindId, fqn: &std::sync::Arc<str>, wanted: Option<&String>) -> Result<Reply, Refusal> {
    let Some(entity) = store.entity(kind, fqn) else {
        return Ok(Reply::empty(404));
    };
    let mut all: Vec<Value> = store.history.get(&(kind, fqn.clone())).cloned().unwrap_or_default();
    all.push(expand(store, kind, fqn, entity, &Fields::all()));
    match wanted {
        None => {
            all.reverse();
            let texts: Vec<String> = all.iter().map(Value::to_string).collect();
            Ok(Reply::ok(
                &json!({"entityType": KINDS[kind].entity_type, "versions": texts}),
            ))
        }
        Some(version) => all
            .into_iter()
            .find(|shown| shown["version"].as_f64().map(|held| format!("{held:.1}")) == Some(version.clone()))
            .map(|shown| Reply::ok(&shown))
            .ok_or_else(|| Refusal::not_found(KINDS[kind].entity_type, &format!("{fqn} with version {version}"))),
    }
}
