//! Search, as far as the ingestion client reads it. Empty unless `PUT /search` of the control API gave a fixed index:
//! the real index lags behind, and nobody may rely on it.

use serde_json::{json, Value};

use crate::call::Call;

/// One indexed document: the index, and the fields of an entity.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The index, as the client names it.
    pub index: String,
    /// The fields.
    pub source: Value,
}

/// Routes below `/v1/search`: `query` and `fieldQuery`.
pub fn answer(call: &Call, documents: &[Document]) -> Value {
    let index = call.query("index").unwrap_or_default();
    let wanted = call.query("fieldName").zip(call.query("fieldValue"));
    let hits: Vec<Value> = documents
        .iter()
        .filter(|document| document.index == index)
        .filter(|document| wanted.is_none_or(|(field, value)| matches(&document.source[field], value)))
        .map(|document| {
            json!({"_index": index, "_type": "_doc", "_id": document.source["id"], "_score": 1.0, "_source": document.source, "sort": []})
        })
        .collect();
    json!({
        "took": 1,
        "timed_out": false,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": hits.len(), "relation": "eq"}, "max_score": null, "hits": hits},
        "aggregations": {},
    })
}

/// A value with an asterisk is a pattern; without, it must be equal.
fn matches(held: &Value, wanted: &str) -> bool {
    let held = held.as_str().unwrap_or_default();
    let mut rest = held;
    let parts: Vec<&str> = wanted.split('*').collect();
    for (at, part) in parts.iter().enumerate() {
        let found = match (at, rest.find(part)) {
            (0, Some(place)) if place > 0 => return false,
            (_, found) => found,
        };
        let Some(place) = found else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty() || wanted.ends_with('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches(&json!("s.d.t"), "s.d.t"));
        assert!(matches(&json!("s.d.t"), "s.*.t"));
        assert!(matches(&json!("s.d.t"), "*.t"));
        assert!(matches(&json!("s.d.t"), "s.*"));
        assert!(!matches(&json!("s.d.t"), "d.*"));
        assert!(!matches(&json!("s.d.t"), "s.d"));
    }
}
