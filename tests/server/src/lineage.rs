//! Lineage: edges between entities that exist, by id and by name.

use serde_json::{json, Value};

use crate::auth::Principal;
use crate::call::Call;
use crate::catalogue::KINDS;
use crate::config::Profile;
use crate::entity::Id;
use crate::fqn;
use crate::kinds::{self, KindId};
use crate::reply::{Refusal, Reply};
use crate::store::{Edge, Include, Node, Store};

/// Routes below `/v1/lineage`.
pub fn handle(store: &mut Store, call: &Call, rest: &[String], who: &Principal) -> Result<Reply, Refusal> {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    if method != "GET" && !who.may_write() {
        return Err(who.denied("EditLineage"));
    }
    let by_name = call.profile >= Profile::V2_0;
    match (method, &words[..]) {
        ("PUT", []) => add(store, &call.body_json()?),
        ("PUT", [from, "name", from_name, to, "name", to_name]) if by_name => {
            let ends = (named(store, from, from_name)?, named(store, to, to_name)?);
            store_edge(store, ends.0, ends.1, call.body_json()?, None)
        }
        ("GET", ["getLineageEdge", from, "name", from_name, to, "name", to_name]) => {
            let ends = (named(store, from, from_name)?, named(store, to, to_name)?);
            edge(store, &ends)
        }
        ("GET", ["getLineageEdge", from, to]) => {
            let ends = (any_id(store, from)?, any_id(store, to)?);
            edge(store, &ends)
        }
        ("GET", [entity_type, "name", name]) => {
            let node = named(store, entity_type, name)?;
            Ok(Reply::ok(&graph(store, call, &node)))
        }
        ("GET", [entity_type, id]) => {
            let node = of_id(store, entity_type, id)?;
            Ok(Reply::ok(&graph(store, call, &node)))
        }
        ("PATCH", [from, from_id, to, to_id]) => {
            let ends = (of_id(store, from, from_id)?, of_id(store, to, to_id)?);
            patch(store, call, ends)
        }
        ("PATCH", [from, "name", from_name, to, "name", to_name]) if by_name => {
            let ends = (named(store, from, from_name)?, named(store, to, to_name)?);
            patch(store, call, ends)
        }
        ("DELETE", [entity_type, id, "type", source]) => {
            let node = of_id(store, entity_type, id)?;
            Ok(remove_from(store, &node, source))
        }
        ("DELETE", ["source", "name", entity_type, name, "type", source]) if by_name => {
            let node = named(store, entity_type, name)?;
            Ok(remove_from(store, &node, source))
        }
        ("DELETE", [from, "name", from_name, to, "name", to_name]) => {
            let ends = (named(store, from, from_name)?, named(store, to, to_name)?);
            remove(store, ends)
        }
        ("DELETE", [from, from_id, to, to_id]) => {
            let ends = (of_id(store, from, from_id)?, of_id(store, to, to_id)?);
            remove(store, ends)
        }
        _ => Err(Refusal::new(404, "HTTP 404 Not Found")),
    }
}

fn kind_of(entity_type: &str) -> Result<KindId, Refusal> {
    kinds::by_type(entity_type).ok_or_else(|| Refusal::new(404, format!("Entity type {entity_type} not found")))
}

fn named(store: &Store, entity_type: &str, name: &str) -> Result<Node, Refusal> {
    let kind = kind_of(entity_type)?;
    store
        .find(kind, name, Include::Live)
        .map(|(fqn, _)| (kind, fqn.clone()))
        .ok_or_else(|| Refusal::not_found(entity_type, name))
}

fn of_id(store: &Store, entity_type: &str, id: &str) -> Result<Node, Refusal> {
    let kind = kind_of(entity_type)?;
    let found = Id::parse(id).and_then(|id| store.find_id(kind, id, Include::Live));
    found
        .map(|(fqn, _)| (kind, fqn.clone()))
        .ok_or_else(|| Refusal::not_found(entity_type, id))
}

fn any_id(store: &Store, id: &str) -> Result<Node, Refusal> {
    let parsed = Id::parse(id).ok_or_else(|| Refusal::bad(format!("{id} is no UUID")))?;
    (0..KINDS.len())
        .find_map(|kind| {
            store
                .find_id(kind, parsed, Include::Live)
                .map(|(fqn, _)| (kind, fqn.clone()))
        })
        .ok_or_else(|| Refusal::not_found("entity", id))
}

/// `{"edge": {fromEntity, toEntity, description?, lineageDetails?}}`
fn add(store: &mut Store, body: &Value) -> Result<Reply, Refusal> {
    let edge = &body["edge"];
    let end = |field: &str| -> Result<Node, Refusal> {
        let reference = &edge[field];
        let entity_type = reference["type"]
            .as_str()
            .ok_or_else(|| Refusal::bad(format!("[edge.{field}.type must not be null]")))?;
        match (reference["id"].as_str(), reference["fullyQualifiedName"].as_str()) {
            (Some(id), _) => of_id(store, entity_type, id),
            (None, Some(name)) => named(store, entity_type, name),
            (None, None) => Err(Refusal::bad(format!("[edge.{field}.id must not be null]"))),
        }
    };
    let (from, to) = (end("fromEntity")?, end("toEntity")?);
    let description = edge["description"].as_str().map(str::to_string);
    store_edge(store, from, to, edge["lineageDetails"].clone(), description)
}

fn store_edge(
    store: &mut Store,
    from: Node,
    to: Node,
    details: Value,
    description: Option<String>,
) -> Result<Reply, Refusal> {
    for mapping in details["columnsLineage"].as_array().into_iter().flatten() {
        for column in mapping["fromColumns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            check_column(store, &from, column)?;
        }
        if let Some(column) = mapping["toColumn"].as_str() {
            check_column(store, &to, column)?;
        }
    }
    store.edges.insert(
        (from.clone(), to.clone()),
        Edge {
            from,
            to,
            details,
            description,
        },
    );
    Ok(Reply::empty(200))
}

/// Columns are checked for what has columns here; other ends have fields and features of their own.
fn check_column(store: &Store, node: &Node, column: &str) -> Result<(), Refusal> {
    if !matches!(KINDS[node.0].path, "tables" | "dashboard/datamodels") || store.is_slim(node.0) {
        return Ok(());
    }
    let columns = store
        .entity(node.0, &node.1)
        .and_then(|entity| entity.attribute("columns"))
        .unwrap_or_default();
    let wanted = fqn::canonical(column);
    if holds(columns.as_array().map_or(&[], Vec::as_slice), &node.1, &wanted) {
        Ok(())
    } else {
        Err(Refusal::bad(format!("Invalid column name {column}")))
    }
}

fn holds(columns: &[Value], parent: &str, wanted: &str) -> bool {
    columns.iter().any(|column| {
        let name = fqn::child(parent, column["name"].as_str().unwrap_or_default());
        name == *wanted || holds(column["children"].as_array().map_or(&[], Vec::as_slice), &name, wanted)
    })
}

fn reference(store: &Store, node: &Node) -> Value {
    store
        .entity(node.0, &node.1)
        .map_or(Value::Null, |entity| store.reference(node.0, &node.1, entity))
}

fn id(store: &Store, node: &Node) -> Value {
    store
        .entity(node.0, &node.1)
        .map_or(Value::Null, |entity| json!(entity.id.to_string()))
}

fn show(store: &Store, edge: &Edge) -> Value {
    let mut out = json!({"fromEntity": id(store, &edge.from), "toEntity": id(store, &edge.to)});
    if !edge.details.is_null() {
        out["lineageDetails"] = edge.details.clone();
    }
    if let Some(description) = &edge.description {
        out["description"] = json!(description);
    }
    out
}

fn edge(store: &Store, ends: &(Node, Node)) -> Result<Reply, Refusal> {
    let found = store
        .edges
        .get(ends)
        .ok_or_else(|| Refusal::new(404, "Lineage edge not found"))?;
    Ok(Reply::ok(&json!({"edge": {
        "fromEntity": reference(store, &found.from),
        "toEntity": reference(store, &found.to),
        "description": found.description,
        "lineageDetails": found.details,
    }})))
}

fn graph(store: &Store, call: &Call, node: &Node) -> Value {
    let depth = |name: &str| {
        call.query(name)
            .and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(1)
            .min(3)
    };
    let mut nodes: Vec<Node> = Vec::new();
    let mut walk = |upstream: bool, depth: usize| {
        let mut edges = Vec::new();
        let mut frontier = vec![node.clone()];
        for _ in 0..depth {
            let mut next = Vec::new();
            for edge in store.edges.values() {
                let (here, there) = if upstream {
                    (&edge.to, &edge.from)
                } else {
                    (&edge.from, &edge.to)
                };
                if frontier.contains(here) {
                    edges.push(show(store, edge));
                    if !nodes.contains(there) {
                        nodes.push(there.clone());
                        next.push(there.clone());
                    }
                }
            }
            frontier = next;
        }
        edges
    };
    let upstream = walk(true, depth("upstreamDepth"));
    let downstream = walk(false, depth("downstreamDepth"));
    let nodes: Vec<Value> = nodes
        .iter()
        .filter(|other| *other != node)
        .map(|other| reference(store, other))
        .collect();
    json!({"entity": reference(store, node), "nodes": nodes, "upstreamEdges": upstream, "downstreamEdges": downstream})
}

fn patch(store: &mut Store, call: &Call, ends: (Node, Node)) -> Result<Reply, Refusal> {
    let operations: json_patch::Patch =
        serde_json::from_slice(&call.body).map_err(|error| Refusal::bad(format!("Invalid request format: {error}")))?;
    let edge = store
        .edges
        .get_mut(&ends)
        .ok_or_else(|| Refusal::new(404, "Lineage edge not found"))?;
    if edge.details.is_null() {
        edge.details = json!({});
    }
    json_patch::patch(&mut edge.details, &operations)
        .map_err(|error| Refusal::bad(format!("Invalid patch: {error}")))?;
    Ok(Reply::empty(200))
}

fn remove(store: &mut Store, ends: (Node, Node)) -> Result<Reply, Refusal> {
    store
        .edges
        .remove(&ends)
        .map(|_| Reply::empty(200))
        .ok_or_else(|| Refusal::new(404, "Lineage edge not found"))
}

/// Removes the edges of one entity that came from one kind of source.
fn remove_from(store: &mut Store, node: &Node, source: &str) -> Reply {
    store.edges.retain(|(from, to), edge| {
        let of_source = edge.details["source"].as_str().unwrap_or("Manual") == source;
        !(of_source && (from == node || to == node))
    });
    Reply::empty(200)
}
