//! Routes that are not about entities: version, settings, types, the signed-in user, reports of pipelines.

use serde_json::{json, Value};

use crate::auth::Principal;
use crate::call::Call;
use crate::config::Profile;
use crate::definitions;
use crate::expand::{expand, Fields};
use crate::kinds;
use crate::reply::{Refusal, Reply};
use crate::route::Key;
use crate::row;
use crate::singles::{self, locate};
use crate::store::{md5, now_ms, Include, Store};

/// A route that this server does not know.
pub fn unknown() -> Reply {
    Reply::error(404, "HTTP 404 Not Found")
}

/// `GET /v1/system/version`, which needs no token.
pub fn version(version: &str) -> Reply {
    Reply::ok(&json!({"version": version, "revision": "reference", "timestamp": now_ms()}))
}

/// What lies outside of `/api` is the web interface: a page for whatever is asked.
pub fn page(method: &str) -> Reply {
    let status = if method == "GET" { 200 } else { 405 };
    Reply::text(
        status,
        "text/html",
        "<!DOCTYPE html><html><head><title>OpenMetadata</title></head><body></body></html>",
    )
}

/// Everything else. Nothing: the route is not known.
pub fn handle(store: &mut Store, call: &Call, words: &[String], who: &Principal) -> Result<Option<Reply>, Refusal> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    let reply = match (method, &words[..]) {
        ("GET", ["system", "config", ..]) => Reply::ok(&json!({"provider": "basic", "enableSelfSignup": false})),
        ("GET", ["system", "status"]) => {
            Reply::ok(&json!({"database": {"passed": true}, "searchInstance": {"passed": true}}))
        }
        ("GET", ["system", "settings", name]) => match store.settings.get(*name) {
            Some(value) => Reply::ok(value),
            None => Reply::ok(&json!({"config_type": name, "config_value": {}})),
        },
        ("PUT", ["system", "settings"]) => {
            let body = call.body_json()?;
            let name = body["config_type"].as_str().unwrap_or_default().to_string();
            store.settings.insert(name, body.clone());
            Reply::ok(&body)
        }
        ("GET", ["services", "testConnectionDefinitions", "name", name]) => Reply::ok(
            &definitions::test_connection(name).ok_or_else(|| Refusal::not_found("testConnectionDefinition", name))?,
        ),
        ("GET", ["users", "loggedInUser"]) => {
            let users = kinds::at("users");
            let (fqn, user) = locate(store, users, &Key::Name(who.name.clone()), Include::Live)?;
            Reply::ok(&expand(store, users, fqn, user, &Fields::all()))
        }
        ("GET", ["metadata", "types", "name", name]) => types_by_name(store, name)?,
        ("PUT", ["metadata", "types", id]) => add_property(store, call, id, who)?,
        ("PUT" | "POST", ["usage", ..]) => Reply::ok(&json!({})),
        ("POST", ["feed", ..] | ["queryCostRecord", ..]) => Reply::json(201, &call.body_json()?),
        ("GET", ["feed", ..] | ["apps", ..] | ["automations", ..]) => {
            Reply::ok(&json!({"data": [], "paging": {"total": 0}}))
        }
        ("POST", ["dataQuality", "testSuites", "basic" | "executable"]) => {
            let kind = kinds::at("dataQuality/testSuites");
            singles::create(store, call, kind, &row::single(kind, &call.body, true)?, who)?
        }
        (_, ["dataQuality", "testCases", "testCaseResults", name]) => {
            reports(store, call, "dataQuality/testCases", name, "testCaseResult", None, who)?
        }
        (_, ["services", "ingestionPipelines", rest @ ..]) => return pipelines(store, call, rest, who),
        _ => return Ok(None),
    };
    Ok(Some(reply))
}

/// Reports about ingestion pipelines.
fn pipelines(store: &mut Store, call: &Call, words: &[&str], who: &Principal) -> Result<Option<Reply>, Refusal> {
    const PATH: &str = "services/ingestionPipelines";
    let modern = call.profile >= Profile::V2_0;
    Ok(Some(match (call.method.as_str(), words) {
        (_, [name, "pipelineStatus"]) => reports(store, call, PATH, name, "pipelineStatus", None, who)?,
        ("GET", [name, "pipelineStatus", run]) => reports(store, call, PATH, name, "pipelineStatus", Some(run), who)?,
        // The real server takes progress of pipelines that it does not know, too.
        ("PUT", ["progress", _, _]) | ("POST", ["metrics", _, _]) if modern => Reply::empty(200),
        ("POST", ["logs", ..]) => Reply::ok(&json!({})),
        ("POST", ["trigger", id]) => {
            let kind = kinds::at(PATH);
            let id = crate::entity::Id::parse(id).ok_or_else(|| Refusal::bad(format!("{id} is no UUID")))?;
            let (fqn, entity) = locate(store, kind, &Key::Id(id), Include::Live)?;
            Reply::ok(&expand(store, kind, fqn, entity, &Fields::default()))
        }
        _ => return Ok(None),
    }))
}

/// A list of reports attached to an entity: PUT or POST adds one or replaces that of its run, GET lists.
fn reports(
    store: &mut Store,
    call: &Call,
    path: &'static str,
    name: &str,
    list: &str,
    run: Option<&str>,
    who: &Principal,
) -> Result<Reply, Refusal> {
    let kind = kinds::at(path);
    let (fqn, entity) = locate(store, kind, &Key::Name(name.to_string()), Include::Live)?;
    let key = (kind, fqn.clone(), list.to_string());
    let held = store
        .attachments
        .get(&key)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if call.method == "GET" {
        if let Some(run) = run {
            let found = held.into_iter().find(|report| report["runId"] == *run);
            // A run that was never reported is nothing, not an error: the client takes it for a new one.
            return Ok(found.map_or_else(|| Reply::empty(204), |report| Reply::ok(&report)));
        }
        let total = held.len();
        return Ok(Reply::ok(&json!({"data": held, "paging": {"total": total}})));
    }
    if !who.may_write() {
        return Err(who.denied("EditStatus"));
    }
    let report = call.body_json()?;
    let shown = expand(store, kind, fqn, entity, &Fields::all());
    let mut held = held;
    held.retain(|other| report["runId"].is_null() || other["runId"] != report["runId"]);
    held.push(report);
    store.attachments.insert(key, Value::Array(held));
    Ok(Reply::json(if call.method == "POST" { 201 } else { 200 }, &shown))
}

/// The id under which a type is known; the same in every run.
fn type_id(name: &str) -> String {
    let sum = md5(&format!("type {name}"));
    crate::entity::Id::from_hash(sum).to_string()
}

fn types_by_name(store: &Store, name: &str) -> Result<Reply, Refusal> {
    const PROPERTY_TYPES: &[&str] = &[
        "string",
        "integer",
        "markdown",
        "number",
        "enum",
        "date-cp",
        "dateTime-cp",
        "time-cp",
        "duration",
        "email",
        "entityReference",
        "entityReferenceList",
        "sqlQuery",
        "timeInterval",
        "timestamp",
        "hyperlink-cp",
        "table-cp",
    ];
    let is_property_type = PROPERTY_TYPES.contains(&name);
    if !is_property_type && kinds::by_type(name).is_none() {
        return Err(Refusal::not_found("type", name));
    }
    Ok(Reply::ok(&show_type(
        store,
        name,
        if is_property_type { "field" } else { "entity" },
    )))
}

fn show_type(store: &Store, name: &str, category: &str) -> Value {
    json!({
        "id": type_id(name),
        "name": name,
        "fullyQualifiedName": name,
        "displayName": name,
        "description": name,
        "category": category,
        "nameSpace": "reference",
        "schema": "{}",
        "customProperties": store.custom_properties.get(name).cloned().unwrap_or_default(),
        "version": 0.1,
        "updatedAt": 0,
        "updatedBy": "admin",
    })
}

fn add_property(store: &mut Store, call: &Call, id: &str, who: &Principal) -> Result<Reply, Refusal> {
    if !who.may_write() {
        return Err(who.denied("EditAll"));
    }
    let kind = crate::catalogue::KINDS
        .iter()
        .find(|kind| type_id(kind.entity_type) == id);
    let name = kind
        .map(|kind| kind.entity_type)
        .ok_or_else(|| Refusal::not_found("type", id))?;
    let property = call.body_json()?;
    let all = store.custom_properties.entry(name.to_string()).or_default();
    all.retain(|held| held["name"] != property["name"]);
    all.push(property);
    Ok(Reply::ok(&show_type(store, name, "entity")))
}
