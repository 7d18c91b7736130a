//! One entity at a time: PUT, POST, GET, list, DELETE, restore, and what is attached below an entity.

use std::ops::Bound;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};

use crate::auth::Principal;
use crate::call::Call;
use crate::deletion::{self, Manner};
use crate::entity::{Entity, Id};
use crate::expand::{expand, Fields};
use crate::fqn;
use crate::kinds::{self, KindId, KINDS};
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

/// Query parameters that narrow a list to what lies below an entity: parameter, path of its collection.
const SCOPES: &[(&str, &str)] = &[
    ("database", "databases"),
    ("databaseSchema", "databaseSchemas"),
    ("directory", "drives/directories"),
    ("spreadsheet", "drives/spreadsheets"),
    ("apiCollection", "apiCollections"),
    ("glossary", "glossaries"),
    ("parent", ""),
];

/// GET of a collection, in pages.
pub fn list(store: &Store, call: &Call, kind: KindId) -> Result<Reply, Refusal> {
    let fields = Fields::parse(kind, call.query("fields").unwrap_or_default())?;
    let include = include(call)?;
    let limit: i64 = match call.query("limit") {
        None => 10,
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::bad("query param limit is not a number"))?,
    };
    if limit < 0 {
        return Err(Refusal::bad("[query param limit must be greater than or equal to 0]"));
    }
    if limit > 1_000_000 {
        return Err(Refusal::bad(
            "[query param limit must be less than or equal to 1000000]",
        ));
    }
    let limit = usize::try_from(limit).unwrap_or(0);
    let cursor = |name: &str| -> Result<Option<String>, Refusal> {
        let Some(text) = call.query(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Refusal::bad(format!("query param {name} is not a cursor")))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Refusal::bad(format!("query param {name} is not a cursor")))
    };
    let (before, after) = (cursor("before")?, cursor("after")?);
    if before.is_some() && after.is_some() {
        return Err(Refusal::bad("Only one of before or after query parameter allowed"));
    }
    let scopes = scopes(store, call, kind);
    let admits = |name: &str, entity: &Entity| {
        include.admits(entity)
            && scopes.iter().all(|scope| scope.admits(name))
            && other_filters(call, kind, name, entity)
    };
    let entities = &store.collections[kind].entities;
    let narrow: &str = scopes
        .iter()
        .filter_map(|scope| scope.below.as_deref())
        .max_by_key(|name| name.len())
        .unwrap_or("");
    let all: Vec<(&std::sync::Arc<str>, &Entity)> = entities
        .range::<str, _>((Bound::Included(narrow), Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(narrow))
        .filter(|(name, entity)| admits(name, entity))
        .collect();
    let start = match (&after, &before) {
        (Some(after), _) => all.partition_point(|(name, _)| ***name <= **after),
        (None, Some(before)) => all
            .partition_point(|(name, _)| ***name < **before)
            .saturating_sub(limit),
        (None, None) => 0,
    };
    let page = &all[start.min(all.len())..(start + limit).min(all.len())];
    let data: Vec<Value> = page
        .iter()
        .map(|(name, entity)| expand(store, kind, name, entity, &fields))
        .collect();
    let mut paging = json!({"total": all.len()});
    if let (Some((first, _)), true) = (page.first(), start > 0) {
        paging["before"] = json!(STANDARD.encode(first.as_bytes()));
    }
    if let (Some((last, _)), true) = (page.last(), start + page.len() < all.len()) {
        paging["after"] = json!(STANDARD.encode(last.as_bytes()));
    }
    Ok(Reply::ok(&json!({"data": data, "paging": paging})))
}

/// One scope of a list.
struct Scope {
    below: Option<String>,
}

impl Scope {
    fn admits(&self, name: &str) -> bool {
        self.below
            .as_deref()
            .is_some_and(|scope| name != scope && fqn::within(name, scope))
    }
}

/// The scopes that a list is narrowed to. A scope that does not exist admits nothing.
fn scopes(store: &Store, call: &Call, kind: KindId) -> Vec<Scope> {
    let mut found = Vec::new();
    let mut add = |path: &str, value: &str| {
        let of = if path.is_empty() {
            kind
        } else {
            kinds::by_path(path).unwrap_or(kind)
        };
        found.push(Scope {
            below: store.find(of, value, Include::All).map(|(fqn, _)| fqn.to_string()),
        });
    };
    for (parameter, path) in SCOPES {
        if let Some(value) = call.query(parameter) {
            add(path, value);
        }
    }
    if let (Some(path), Some(value)) = (KINDS[kind].service, call.query("service")) {
        add(path, value);
    }
    if KINDS[kind].path == "tags" {
        if let Some(value) = call.query("parent") {
            found.clear();
            let below = [kinds::at("classifications"), kinds::at("tags")]
                .iter()
                .find_map(|of| store.find(*of, value, Include::All))
                .map(|(fqn, _)| fqn.to_string());
            found.push(Scope { below });
        }
    }
    found
}

/// Filters by what an entity holds.
fn other_filters(call: &Call, kind: KindId, name: &str, entity: &Entity) -> bool {
    if KINDS[kind].path == "queries" {
        if let Some(id) = call.query("entityId") {
            let used = entity.attribute("queryUsedIn").unwrap_or_default();
            return used
                .as_array()
                .is_some_and(|all| all.iter().any(|entry| entry["id"] == *id));
        }
    }
    if KINDS[kind].path.starts_with("drives/") && call.flag("root") {
        return fqn::split(name).len() == 2;
    }
    if KINDS[kind].path == "services/ingestionPipelines" {
        let service = call
            .query("service")
            .is_none_or(|service| fqn::prefix(name, 1) == Some(&*fqn::quote(service)));
        let of_type = call
            .query("pipelineType")
            .is_none_or(|wanted| entity.attribute("pipelineType") == Some(json!(wanted)));
        return service && of_type;
    }
    true
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
