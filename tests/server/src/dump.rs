//! The whole state as JSON, also in a form in which two runs can be compared.

use serde_json::{json, Map, Value};

use crate::catalogue::KINDS;
use crate::entity::Content;
use crate::expand::{expand, Fields};
use crate::seed;
use crate::store::Store;

/// `{collection: {fqn: entity}}`, and what is attached and linked. What was there from the start is left out.
pub fn state(store: &Store, normalized: bool) -> Value {
    let mut out = Map::new();
    for (kind, collection) in store.collections.iter().enumerate() {
        let mut entities = Map::new();
        for (fqn, entity) in &collection.entities {
            if entity.version.0 == 1 && !entity.deleted && seed::is_seed(kind, fqn) {
                continue;
            }
            let shown = match &entity.content {
                Content::Hash(hash) => {
                    json!({"hash": format!("{hash:016x}"), "deleted": entity.deleted})
                }
                _ => expand(store, kind, fqn, entity, &Fields::all()),
            };
            entities.insert(fqn.to_string(), if normalized { normal(shown) } else { shown });
        }
        if !entities.is_empty() {
            out.insert(KINDS[kind].path.to_string(), Value::Object(entities));
        }
    }
    let mut attached = Map::new();
    for ((kind, fqn, name), value) in &store.attachments {
        let value = match (normalized, name.as_str()) {
            // Of a report only how the run ended is the same in two runs.
            (true, "pipelineStatus") => states_of_runs(value),
            (true, _) => normal(value.clone()),
            (false, _) => value.clone(),
        };
        attached.insert(format!("{}/{fqn}/{name}", KINDS[*kind].path), value);
    }
    if !attached.is_empty() {
        out.insert("attachments".into(), Value::Object(attached));
    }
    let mut edges = Map::new();
    for ((from, to), edge) in &store.edges {
        let name = format!("{}/{} -> {}/{}", KINDS[from.0].path, from.1, KINDS[to.0].path, to.1);
        let value = json!({"details": edge.details, "description": edge.description});
        edges.insert(name, if normalized { normal(value) } else { value });
    }
    if !edges.is_empty() {
        out.insert("lineage".into(), Value::Object(edges));
    }
    if !store.custom_properties.is_empty() {
        let properties = json!(store.custom_properties);
        out.insert(
            "customProperties".into(),
            if normalized { normal(properties) } else { properties },
        );
    }
    Value::Object(out)
}

fn states_of_runs(reports: &Value) -> Value {
    let reports = reports.as_array().into_iter().flatten();
    reports.map(|report| report["pipelineState"].clone()).collect()
}

/// What differs between two runs of the same work.
const ACCIDENTAL: &[&str] = &[
    "id",
    "href",
    "version",
    "updatedAt",
    "updatedBy",
    "changeDescription",
    "incrementalChangeDescription",
];

/// A value without accidents: no ids, times and versions; references are FQNs, in order; tags in order.
fn normal(value: Value) -> Value {
    match value {
        Value::Object(object) if is_reference(&object) => {
            object.get("fullyQualifiedName").cloned().unwrap_or(Value::Null)
        }
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(key, _)| !ACCIDENTAL.contains(&key.as_str()))
                .map(|(key, value)| {
                    let sorted = matches!(
                        key.as_str(),
                        "tags" | "owners" | "domains" | "dataProducts" | "charts" | "dataModels"
                    );
                    let mut value = normal(value);
                    if let (true, Some(items)) = (sorted, value.as_array_mut()) {
                        items.sort_by_key(ToString::to_string);
                    }
                    (key, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        other => other,
    }
}

/// Whether an object is a reference to an entity and nothing else.
fn is_reference(object: &Map<String, Value>) -> bool {
    const PARTS: &[&str] = &[
        "id",
        "type",
        "name",
        "fullyQualifiedName",
        "deleted",
        "displayName",
        "description",
        "href",
    ];
    object.contains_key("id")
        && object.contains_key("type")
        && object.contains_key("fullyQualifiedName")
        && object.keys().all(|key| PARTS.contains(&key.as_str()))
}
