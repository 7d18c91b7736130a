//! What becomes of an entity when it is written again: which values a PUT may replace, what counts as a change, how lists of
//! tags and columns are merged. Works on attributes alone.

use serde_json::{json, Value};

use crate::config::Profile;
use crate::entity::{Attributes, Version};

/// Who writes, and by which rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A machine: what people edited is protected from it.
    pub bot: bool,
    /// `overrideMetadata`.
    pub overriding: bool,
    /// The release line.
    pub profile: Profile,
}

/// What changed.
#[derive(Debug, Default)]
pub struct Change {
    added: Vec<Value>,
    updated: Vec<Value>,
    deleted: Vec<Value>,
    /// Something that others may depend on went or shrank.
    pub major: bool,
}

impl Change {
    /// Whether the version goes up.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.updated.is_empty() && self.deleted.is_empty()
    }

    /// Notes one field.
    pub fn note(&mut self, name: &str, old: Option<&Value>, new: Option<&Value>) {
        let entry = |key: &str, value: &Value| json!({"name": name, key: value.to_string()});
        match (old, new) {
            (None, Some(new)) => self.added.push(entry("newValue", new)),
            (Some(old), None) => self.deleted.push(entry("oldValue", old)),
            (Some(old), Some(new)) => {
                self.updated
                    .push(json!({"name": name, "oldValue": old.to_string(), "newValue": new.to_string()}));
            }
            (None, None) => {}
        }
    }

    /// As answers show it.
    pub fn describe(&self, previous: Version) -> Value {
        json!({
            "fieldsAdded": self.added,
            "fieldsUpdated": self.updated,
            "fieldsDeleted": self.deleted,
            "previousVersion": previous.number(),
        })
    }
}

/// Fields whose change alone makes no new version.
const QUIET: &[&str] = &[
    "lifeCycle",
    "sourceUrl",
    "size",
    "numberOfObjects",
    "fileSize",
    "modifiedTime",
];

/// Fields that a PUT without them keeps.
const KEPT: &[&str] = &[
    "owners",
    "tags",
    "domains",
    "dataProducts",
    "lifeCycle",
    "reviewers",
    "experts",
    "certification",
];

/// Fields that, from 2.0 on, a bot's PUT without them keeps.
const KEPT_FROM_BOTS: &[&str] = &[
    "description",
    "displayName",
    "retentionPeriod",
    "tableConstraints",
    "extension",
];

fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// Applies a create request to a stored entity.
pub fn put(
    old: &Attributes,
    mut new: Attributes,
    kind_path: &str,
    may_create: impl Fn(&str) -> bool,
    rules: Rules,
) -> (Attributes, Change) {
    let modern = rules.profile >= Profile::V2_0;
    let overriding = rules.overriding && modern;
    // What only the entity has is no part of a create request and stays.
    for (field, value) in old {
        if !may_create(field) || (field == "name" && !new.contains_key("name")) {
            new.insert(field.clone(), value.clone());
        }
    }
    for field in KEPT {
        keep_if_absent(old, &mut new, field);
    }
    for field in KEPT_FROM_BOTS {
        // Before 2.0 only texts and custom properties are kept from a bot that leaves them out.
        if rules.bot && (modern || matches!(*field, "description" | "displayName" | "extension")) {
            keep_if_absent(old, &mut new, field);
        }
    }
    if rules.bot {
        if !overriding {
            protect(old, &mut new, "description");
            protect(old, &mut new, "owners");
            if modern {
                protect(old, &mut new, "displayName");
            }
        } else {
            for field in ["description", "displayName"] {
                if is_blank(new.get(field)) {
                    protect(old, &mut new, field);
                }
            }
        }
    }
    let tags = merge_tags(old.get("tags"), new.get("tags"), rules.bot && overriding);
    set_list(&mut new, "tags", tags);
    if let Some(life_cycle) = merge_life_cycle(old.get("lifeCycle"), new.get("lifeCycle")) {
        new.insert("lifeCycle".into(), life_cycle);
    }
    if let (Some(Value::Array(before)), Some(Value::Array(after))) = (old.get("columns"), new.get("columns")) {
        let merged = merge_columns(before, after, rules.bot, overriding);
        new.insert("columns".into(), Value::Array(merged));
    }
    if kind_path == "tables" {
        drop_orphaned_constraints(&mut new);
    }
    let change = compare(old, &new);
    (new, change)
}

fn keep_if_absent(old: &Attributes, new: &mut Attributes, field: &str) {
    if !new.contains_key(field) {
        if let Some(value) = old.get(field) {
            new.insert(field.into(), value.clone());
        }
    }
}

/// A value that is there stays.
fn protect(old: &Attributes, new: &mut Attributes, field: &str) {
    if !is_blank(old.get(field)) {
        new.insert(field.into(), old[field].clone());
    }
}

fn set_list(attributes: &mut Attributes, field: &str, items: Vec<Value>) {
    if items.is_empty() {
        attributes.remove(field);
    } else {
        attributes.insert(field.into(), Value::Array(items));
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Tags of a PUT add to what is there. With override they replace those of the classifications that are sent.
fn merge_tags(old: Option<&Value>, new: Option<&Value>, replace: bool) -> Vec<Value> {
    let classification = |tag: &Value| {
        let name = tag["tagFQN"].as_str().unwrap_or_default();
        (
            tag["source"].clone(),
            crate::fqn::prefix(name, 1).unwrap_or(name).to_string(),
        )
    };
    let sent: Vec<_> = items(new).iter().map(classification).collect();
    let mut merged: Vec<Value> = Vec::new();
    let kept = items(old)
        .iter()
        .filter(|tag| !replace || !sent.contains(&classification(tag)));
    for tag in kept.chain(items(new)) {
        if !merged.iter().any(|held| held["tagFQN"] == tag["tagFQN"]) {
            merged.push(tag.clone());
        }
    }
    merged
}

/// Of each part of a life cycle the newer one wins; a part that is not sent stays.
pub fn merge_life_cycle(old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) else {
        return new.or(old).cloned();
    };
    let mut merged = old.clone();
    for (part, details) in new {
        let time = |value: &Value| value["timestamp"].as_i64().unwrap_or(i64::MIN);
        let newer = merged.get(part).is_none_or(|held| time(details) > time(held));
        if newer && !details.is_null() {
            merged.insert(part.clone(), details.clone());
        }
    }
    Some(Value::Object(merged))
}

/// Columns keep their descriptions, names for people and tags by name; their order is the new one.
fn merge_columns(old: &[Value], new: &[Value], bot: bool, overriding: bool) -> Vec<Value> {
    let merge_one = |column: &Value| {
        let Some(held) = old
            .iter()
            .find(|held| held["name"] == column["name"])
            .and_then(Value::as_object)
        else {
            return column.clone();
        };
        let Some(sent) = column.as_object() else {
            return column.clone();
        };
        let mut merged = sent.clone();
        for field in ["description", "displayName", "tags", "extension"] {
            keep_if_absent(held, &mut merged, field);
        }
        if bot {
            if !overriding || is_blank(sent.get("description")) {
                protect(held, &mut merged, "description");
            }
            protect(held, &mut merged, "displayName");
        }
        let tags = merge_tags(held.get("tags"), sent.get("tags"), bot && overriding);
        set_list(&mut merged, "tags", tags);
        if let (Some(Value::Array(before)), Some(Value::Array(after))) = (held.get("children"), sent.get("children")) {
            merged.insert(
                "children".into(),
                Value::Array(merge_columns(before, after, bot, overriding)),
            );
        }
        Value::Object(merged)
    };
    new.iter().map(merge_one).collect()
}

/// A constraint on a column that is gone goes with it.
pub fn drop_orphaned_constraints(attributes: &mut Attributes) {
    let names: Vec<Value> = items(attributes.get("columns"))
        .iter()
        .map(|column| column["name"].clone())
        .collect();
    if let Some(Value::Array(constraints)) = attributes.get_mut("tableConstraints") {
        constraints.retain(|constraint| {
            items(constraint.get("columns"))
                .iter()
                .all(|column| names.contains(column))
        });
        if constraints.is_empty() {
            attributes.remove("tableConstraints");
        }
    }
}

/// What differs, and how much it matters.
pub fn compare(old: &Attributes, new: &Attributes) -> Change {
    let mut change = Change::default();
    let fields = old.keys().chain(new.keys().filter(|field| !old.contains_key(*field)));
    for field in fields {
        let (before, after) = (old.get(field), new.get(field));
        if before == after || (is_blank(before) && is_blank(after)) || QUIET.contains(&field.as_str()) {
            continue;
        }
        if field == "columns" {
            compare_columns(items(before), items(after), "columns", &mut change);
        } else {
            change.note(
                field,
                before.filter(|value| !is_blank(Some(value))),
                after.filter(|value| !is_blank(Some(value))),
            );
        }
    }
    change
}

fn compare_columns(old: &[Value], new: &[Value], path: &str, change: &mut Change) {
    let named = |columns: &'_ [Value], name: &Value| columns.iter().find(|column| column["name"] == *name).cloned();
    let added: Vec<Value> = new
        .iter()
        .filter(|column| named(old, &column["name"]).is_none())
        .cloned()
        .collect();
    let removed: Vec<Value> = old
        .iter()
        .filter(|column| named(new, &column["name"]).is_none())
        .cloned()
        .collect();
    if !added.is_empty() {
        change.note(path, None, Some(&Value::Array(added)));
    }
    if !removed.is_empty() {
        change.note(path, Some(&Value::Array(removed)), None);
        change.major = true;
    }
    for column in new {
        let Some(held) = named(old, &column["name"]) else {
            continue;
        };
        let name = column["name"].as_str().unwrap_or_default();
        let (Some(before), Some(after)) = (held.as_object(), column.as_object()) else {
            continue;
        };
        let fields = before
            .keys()
            .chain(after.keys().filter(|field| !before.contains_key(*field)));
        for field in fields {
            let (b, a) = (before.get(field), after.get(field));
            if b == a || (is_blank(b) && is_blank(a)) {
                continue;
            }
            let path = format!("{path}.{}", crate::fqn::quote(name));
            match field.as_str() {
                "children" => compare_columns(items(b), items(a), &path, change),
                "ordinalPosition" => {}
                other => {
                    let shrinks = other == "dataLength" && a.and_then(Value::as_i64) < b.and_then(Value::as_i64);
                    change.major |= shrinks || matches!(other, "dataType" | "arrayDataType");
                    change.note(&format!("{path}.{other}"), b, a);
                }
            }
        }
    }
}
