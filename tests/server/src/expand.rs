//! From a stored entity to the entity of an answer, and back after a patch: names become references with ids, columns get
//! their FQNs, and what was not asked for is left out.

use std::collections::HashSet;

use serde_json::{json, Value};

use crate::catalogue::{COMMON_LINKS, KINDS, ON_REQUEST};
use crate::config::Profile;
use crate::entity::{Attributes, Entity, Id};
use crate::fqn;
use crate::kinds::{self, Form, KindId, Link, Naming};
use crate::mapping;
use crate::reply::Refusal;
use crate::store::{Include, Store};
use crate::write;

/// What `fields=` asks for.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    all: bool,
    names: HashSet<String>,
}

impl Fields {
    /// Everything.
    pub fn all() -> Self {
        Fields {
            all: true,
            names: HashSet::new(),
        }
    }

    /// Reads the query parameter; a field that the collection does not have is refused.
    pub fn parse(kind: KindId, text: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                fields.all = true;
            } else if kinds::may_show(kind, name) {
                fields.names.insert(name.to_string());
            } else {
                return Err(Refusal::bad(format!("Invalid field name {name}")));
            }
        }
        Ok(fields)
    }

    /// Whether a field was asked for.
    pub fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

/// The entity as an answer shows it.
pub fn expand(store: &Store, kind: KindId, name: &str, entity: &Entity, fields: &Fields) -> Value {
    let entry = &KINDS[kind];
    let mut out = entity.attributes().into_owned();
    for hidden in entry.hidden {
        out.remove(*hidden);
    }
    let last = fqn::split(name)
        .last()
        .map(|part| fqn::unquote(part).into_owned())
        .unwrap_or_default();
    if entry.naming == Naming::LowerCase || !out.contains_key("name") {
        out.insert("name".into(), json!(last));
    }
    add_parents(store, kind, name, &mut out);
    for link in entry.links.iter().chain(COMMON_LINKS) {
        if let Some(value) = out.remove(link.field) {
            out.insert(link.field.into(), to_references(store, link, value));
        }
    }
    match entry.path {
        "tables" | "dashboard/datamodels" => {
            if let Some(Value::Array(columns)) = out.get_mut("columns") {
                let with_tags = fields.has("tags");
                columns
                    .iter_mut()
                    .for_each(|column| name_column(column, name, with_tags));
            }
        }
        "queries" => {
            let checksum = out
                .get("query")
                .and_then(Value::as_str)
                .map(|text| crate::store::hex(&crate::store::md5(text)));
            out.insert("checksum".into(), json!(checksum));
        }
        "users" => {
            if let Some(Value::String(email)) = out.get_mut("email") {
                *email = email.to_lowercase();
            }
        }
        "dataQuality/testCases" => {
            out.insert("entityFQN".into(), json!(fqn::parent(name)));
            let link = out.get("entityLink").and_then(Value::as_str).unwrap_or_default();
            let suite = mapping::link_parts(link)
                .map(|(_, table, _)| write::basic_suite(table))
                .unwrap_or_default();
            let suites = kinds::at("dataQuality/testSuites");
            if let Some(entity) = store.entity(suites, &suite) {
                out.insert("testSuite".into(), store.reference(suites, &suite, entity));
            }
        }
        "glossaryTerms" if store.line >= Profile::V1_13 => {
            if let Some(Value::Array(terms)) = out.get_mut("relatedTerms") {
                terms
                    .iter_mut()
                    .for_each(|term| *term = json!({"relationType": "relatedTo", "term": term}));
            }
        }
        _ => {}
    }
    default_lists(kind, fields, &mut out);
    if !fields.all {
        out.retain(|field, _| fields.has(field) || !ON_REQUEST.contains(&field.as_str()));
    }
    if fields.has("sourceHash") && kinds::may_show(kind, "sourceHash") {
        if let Some(hash) = &entity.source_hash {
            out.insert("sourceHash".into(), json!(hash));
        }
    }
    let own = [
        ("id", json!(entity.id.to_string())),
        ("fullyQualifiedName", json!(name)),
        ("version", json!(entity.version.number())),
        ("updatedAt", json!(entity.updated_at)),
        ("updatedBy", json!(store.principal_name(entity.updated_by))),
        ("deleted", json!(entity.deleted)),
    ];
    out.extend(
        own.into_iter()
            .filter(|(field, _)| kinds::may_show(kind, field))
            .map(|(field, value)| (field.to_string(), value)),
    );
    if let Some(change) = &entity.change {
        out.insert("changeDescription".into(), (**change).clone());
    }
    Value::Object(out)
}

/// Lists that are shown empty where they were asked for and there are none.
fn default_lists(kind: KindId, fields: &Fields, out: &mut Attributes) {
    for field in [
        "owners",
        "tags",
        "domains",
        "dataProducts",
        "charts",
        "dataModels",
        "dashboards",
    ] {
        if fields.has(field) && kinds::may_create(kind, field) {
            out.entry(field).or_insert_with(|| json!([]));
        }
    }
}

/// The parents named in the request become references, and those above them appear.
fn add_parents(store: &Store, kind: KindId, name: &str, out: &mut Attributes) {
    let entry = &KINDS[kind];
    for parent in entry.parents {
        let Some(value) = out.remove(parent.field) else {
            continue;
        };
        let of = kinds::at(parent.path);
        let found = match &value {
            Value::String(text) => store.find(of, text, Include::All),
            Value::Object(object) => object
                .get("id")
                .and_then(Value::as_str)
                .and_then(Id::parse)
                .and_then(|id| store.find_id(of, id, Include::All)),
            _ => None,
        };
        if let Some((fqn, entity)) = found {
            out.insert(parent.shown_as.into(), store.reference(of, fqn, entity));
        }
    }
    for (field, path, parts) in entry.ancestors {
        let of = kinds::at(path);
        if let Some((fqn, entity)) = fqn::prefix(name, *parts).and_then(|prefix| store.find(of, prefix, Include::All)) {
            out.insert((*field).into(), store.reference(of, fqn, entity));
        }
    }
    if let Some(path) = entry.service {
        let service = fqn::prefix(name, 1).and_then(|prefix| store.find(kinds::at(path), prefix, Include::All));
        if let Some(service_type) = service.and_then(|(_, entity)| entity.attribute("serviceType")) {
            if kinds::may_show(kind, "serviceType") {
                out.insert("serviceType".into(), service_type);
            }
        }
    }
}

/// Gives a column, and those within it, their FQNs.
fn name_column(column: &mut Value, parent: &str, with_tags: bool) {
    let Some(column) = column.as_object_mut() else {
        return;
    };
    let name = fqn::child(parent, column.get("name").and_then(Value::as_str).unwrap_or_default());
    if let Some(Value::Array(children)) = column.get_mut("children") {
        children
            .iter_mut()
            .for_each(|child| name_column(child, &name, with_tags));
    }
    if with_tags {
        column.entry("tags").or_insert_with(|| json!([]));
    } else {
        column.remove("tags");
    }
    column.insert("fullyQualifiedName".into(), json!(name));
}

/// What a link field holds, as references.
fn to_references(store: &Store, link: &Link, value: Value) -> Value {
    match (link.form, value) {
        (Form::Names | Form::Ids | Form::References, Value::Array(items)) => {
            let live =
                |item: &Value| to_reference(store, link, item).filter(|reference| reference["deleted"] != json!(true));
            Value::Array(items.iter().filter_map(live).collect())
        }
        (_, value) => to_reference(store, link, &value).unwrap_or(Value::Null),
    }
}

fn to_reference(store: &Store, link: &Link, value: &Value) -> Option<Value> {
    let kind = match value {
        Value::Object(object) if link.path.is_empty() => kinds::by_type(object.get("type")?.as_str()?)?,
        _ => kinds::by_path(link.path)?,
    };
    let named = |text: &str| store.find(kind, text, Include::All);
    let found = match value {
        Value::String(text) if matches!(link.form, Form::Id | Form::Ids) => {
            store.find_id(kind, Id::parse(text)?, Include::All)
        }
        Value::String(text) => named(text),
        Value::Object(object) => match object.get("id").and_then(Value::as_str) {
            Some(id) => store.find_id(kind, Id::parse(id)?, Include::All),
            None => named(object.get("fullyQualifiedName")?.as_str()?),
        },
        _ => None,
    };
    found.map(|(fqn, entity)| store.reference(kind, fqn, entity))
}

/// The attributes that a patched answer stands for: what [`expand`] added is taken off again.
pub fn contract(store: &Store, kind: KindId, patched: Value) -> Result<Attributes, Refusal> {
    let entry = &KINDS[kind];
    let Value::Object(mut out) = patched else {
        return Err(Refusal::bad("A patch must leave an object"));
    };
    for own in [
        "id",
        "fullyQualifiedName",
        "version",
        "updatedAt",
        "updatedBy",
        "deleted",
        "href",
        "changeDescription",
        "incrementalChangeDescription",
        "sourceHash",
        "serviceType",
        "checksum",
        "entityFQN",
    ] {
        if own != "serviceType" || entry.service.is_some() {
            out.remove(own);
        }
    }
    for (field, _, _) in entry.ancestors {
        out.remove(*field);
    }
    for parent in entry.parents {
        if let Some(reference) = out.remove(parent.shown_as) {
            let keep = if parent.by_id {
                reference
            } else {
                reference["fullyQualifiedName"].clone()
            };
            out.insert(parent.field.into(), keep);
        }
    }
    for link in entry.links.iter().chain(COMMON_LINKS) {
        if let Some(value) = out.remove(link.field) {
            let stored = match value {
                Value::Array(items) => Value::Array(
                    items
                        .iter()
                        .map(|item| from_reference(store, link, item))
                        .collect::<Result<_, _>>()?,
                ),
                Value::Null => Value::Null,
                item => from_reference(store, link, &item)?,
            };
            out.insert(link.field.into(), stored);
        }
    }
    if let Some(Value::Array(columns)) = out.get_mut("columns") {
        columns.iter_mut().for_each(unname_column);
    }
    if entry.path == "dataQuality/testCases" {
        out.remove("testSuite");
    }
    out.retain(|_, value| !value.is_null());
    Ok(out)
}

fn unname_column(column: &mut Value) {
    let Some(column) = column.as_object_mut() else {
        return;
    };
    column.remove("fullyQualifiedName");
    if column
        .get("tags")
        .is_some_and(|tags| tags.as_array().is_some_and(Vec::is_empty))
    {
        column.remove("tags");
    }
    if let Some(Value::Array(children)) = column.get_mut("children") {
        children.iter_mut().for_each(unname_column);
    }
}

/// A reference in the form that its link keeps; what it names must exist.
fn from_reference(store: &Store, link: &Link, value: &Value) -> Result<Value, Refusal> {
    // From 1.13 on a related term is wrapped with the kind of its relation.
    let value = value.get("term").unwrap_or(value);
    let Some(object) = value.as_object() else {
        return Ok(value.clone());
    };
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let kind = if link.path.is_empty() {
        let name = text("type").ok_or_else(|| Refusal::bad("[type must not be null]"))?;
        kinds::by_type(name).ok_or_else(|| Refusal::new(404, format!("Entity type {name} not found")))?
    } else {
        kinds::at(link.path)
    };
    let found = match (text("id"), text("fullyQualifiedName")) {
        (Some(id), _) => Id::parse(id).and_then(|id| store.find_id(kind, id, Include::Live)),
        (None, Some(name)) => store.find(kind, name, Include::Live),
        (None, None) => None,
    };
    let (fqn, entity) = found.ok_or_else(|| {
        let named = text("id").or_else(|| text("fullyQualifiedName")).unwrap_or("null");
        Refusal::not_found(KINDS[kind].entity_type, named)
    })?;
    Ok(match link.form {
        Form::Name | Form::Names => json!(&**fqn),
        Form::Id | Form::Ids => json!(entity.id.to_string()),
        Form::Reference | Form::References => {
            json!({"id": entity.id.to_string(), "type": KINDS[kind].entity_type})
        }
    })
}
