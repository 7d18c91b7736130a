//! From a create request to what will be stored: its FQN, once everything it names is known to exist.
//!
//! Reads the store, changes nothing. The texts are the server's own.

use std::sync::Arc;

use serde::Deserialize;

use crate::catalogue::{COMMON_LINKS, KINDS};
use crate::columns::{self, Constraint, Tag};
use crate::entity::Id;
use crate::fqn;
use crate::kinds::{self, Form, KindId, Link, Naming};
use crate::reply::Refusal;
use crate::row::Row;
use crate::store::{Include, Store};

/// A create request whose names are resolved.
pub struct Draft {
    /// Where it will be stored.
    pub fqn: Arc<str>,
    /// Its source hash.
    pub source_hash: Option<Box<str>>,
}

/// A reference as requests write it.
#[derive(Deserialize)]
pub struct Reference {
    /// The id.
    pub id: Option<String>,
    /// The type; how else would an id say what it is of.
    #[serde(rename = "type")]
    pub entity_type: Option<String>,
    /// The FQN, which answers have too.
    #[serde(rename = "fullyQualifiedName")]
    pub fqn: Option<String>,
}

/// Resolves a row, or says why it is refused.
pub fn resolve(store: &Store, kind: KindId, row: &Row) -> Result<Draft, Refusal> {
    if let Some(refusal) = &row.invalid {
        return Err(refusal.clone());
    }
    let fqn: Arc<str> = Arc::from(name_of(store, kind, row)?);
    for link in KINDS[kind].links.iter().chain(COMMON_LINKS) {
        if row.raw(link.field).is_some() && kinds::may_create(kind, link.field) {
            check_link(store, link, row)?;
        }
    }
    check_tags(store, row)?;
    check_extension(store, kind, row)?;
    if KINDS[kind].path == "tables" {
        check_referred(store, row, &fqn)?;
    }
    if KINDS[kind].path == "users" {
        check_email(store, kind, row, &fqn)?;
    }
    Ok(Draft {
        fqn,
        source_hash: row.string("sourceHash")?.filter(|hash| !hash.is_empty()).map(Box::from),
    })
}

/// The FQN of a row, once its parents are known to exist.
pub fn name_of(store: &Store, kind: KindId, row: &Row) -> Result<String, Refusal> {
    match KINDS[kind].naming {
        Naming::LowerCase => return Ok(fqn::quote(&row.name).to_lowercase()),
        Naming::Verbatim => return Ok(row.name.clone()),
        Naming::EntityLink => return Ok(fqn::child(&linked(store, row)?, &row.name)),
        Naming::Path | Naming::DataModel | Naming::Query => {}
    }
    let mut parent: Option<String> = None;
    for entry in KINDS[kind].parents {
        if row.raw(entry.field).is_none() {
            continue;
        }
        let of = kinds::at(entry.path);
        let found = if entry.by_id {
            let reference: Reference = row
                .read_field(entry.field)?
                .ok_or_else(|| Refusal::bad("a parent is needed"))?;
            by_reference(store, of, &reference)?
        } else {
            let name = row.string(entry.field)?.unwrap_or_default();
            by_name(store, of, &name)?
        };
        parent.get_or_insert(found);
    }
    // What hangs below a reference to any type: a pipeline below its service, a contract below its entity.
    if parent.is_none() {
        let field = match KINDS[kind].path {
            "services/ingestionPipelines" => Some("service"),
            "dataContracts" => Some("entity"),
            _ => None,
        };
        if let Some(reference) = field
            .map(|field| row.read_field::<Reference>(field))
            .transpose()?
            .flatten()
        {
            let of = type_of(&reference)?;
            parent = Some(by_reference(store, of, &reference)?);
        }
    }
    Ok(match (parent, KINDS[kind].naming) {
        (Some(parent), Naming::DataModel) => fqn::child(&format!("{parent}.model"), &row.name),
        (Some(parent), _) => fqn::child(&parent, &row.name),
        (None, _) => fqn::quote(&row.name).into_owned(),
    })
}

/// The canonical FQN of a live entity, or the refusal that names it as it was sent.
fn by_name(store: &Store, kind: KindId, name: &str) -> Result<String, Refusal> {
    match store.find(kind, name, Include::Live) {
        Some((fqn, _)) => Ok(fqn.to_string()),
        None => Err(Refusal::not_found(KINDS[kind].entity_type, name)),
    }
}

fn by_reference(store: &Store, kind: KindId, reference: &Reference) -> Result<String, Refusal> {
    let Some(id) = &reference.id else {
        let name = reference
            .fqn
            .as_deref()
            .ok_or_else(|| Refusal::bad("an entity reference needs an id"))?;
        return by_name(store, kind, name);
    };
    let parsed = Id::parse(id).ok_or_else(|| Refusal::bad(format!("Invalid request format: {id} is no UUID")))?;
    match store.find_id(kind, parsed, Include::Live) {
        Some((fqn, _)) => Ok(fqn.to_string()),
        None => Err(Refusal::not_found(KINDS[kind].entity_type, id)),
    }
}

/// The collection that a reference says it belongs to.
pub fn type_of(reference: &Reference) -> Result<KindId, Refusal> {
    let name = reference
        .entity_type
        .as_deref()
        .ok_or_else(|| Refusal::bad("[type must not be null]"))?;
    kinds::by_type(name).ok_or_else(|| Refusal::new(404, format!("Entity type {name} not found")))
}

/// The parts of an entity link, `<#E::table::s.d.s.t::columns::c>`: type, FQN, and column if there is one.
pub fn link_parts(link: &str) -> Option<(&str, &str, Option<&str>)> {
    let mut parts = link.strip_prefix("<#E::")?.strip_suffix('>')?.split("::");
    let (entity_type, name) = (parts.next()?, parts.next()?);
    let column = (parts.next() == Some("columns")).then(|| parts.next()).flatten();
    Some((entity_type, name, column))
}

/// The FQN that the entity link of a test case points to.
fn linked(store: &Store, row: &Row) -> Result<String, Refusal> {
    let link = row.string("entityLink")?.unwrap_or_default();
    let invalid = || Refusal::bad(format!("Invalid entity link {link}"));
    let (entity_type, name, column) = link_parts(&link).ok_or_else(invalid)?;
    let fqn = by_name(store, kinds::by_type(entity_type).ok_or_else(invalid)?, name)?;
    Ok(column.map_or_else(|| fqn.clone(), |column| fqn::child(&fqn, column)))
}

fn check_link(store: &Store, link: &Link, row: &Row) -> Result<(), Refusal> {
    match link.form {
        Form::Name => {
            let name = row.string(link.field)?.unwrap_or_default();
            by_name(store, kinds::at(link.path), &name).map(drop)
        }
        Form::Names => {
            let names: Vec<String> = row.read_field(link.field)?.unwrap_or_default();
            names
                .iter()
                .try_for_each(|name| by_name(store, kinds::at(link.path), name).map(drop))
        }
        Form::Id => {
            let id: Option<String> = row.read_field(link.field)?;
            let reference = Reference {
                id,
                entity_type: None,
                fqn: None,
            };
            by_reference(store, kinds::at(link.path), &reference).map(drop)
        }
        Form::Ids => {
            let ids: Vec<String> = row.read_field(link.field)?.unwrap_or_default();
            ids.into_iter().try_for_each(|id| {
                let reference = Reference {
                    id: Some(id),
                    entity_type: None,
                    fqn: None,
                };
                by_reference(store, kinds::at(link.path), &reference).map(drop)
            })
        }
        Form::Reference => {
            let reference: Option<Reference> = row.read_field(link.field)?;
            reference.map_or(Ok(()), |reference| {
                by_reference(store, type_of(&reference)?, &reference).map(drop)
            })
        }
        Form::References => {
            let references: Vec<Reference> = row.read_field(link.field)?.unwrap_or_default();
            references
                .iter()
                .try_for_each(|reference| by_reference(store, type_of(reference)?, reference).map(drop))
        }
    }
}

/// Whether a tag label names something that exists.
pub fn check_tag(store: &Store, tag: &Tag) -> Result<(), Refusal> {
    let path = if tag.source.as_deref() == Some("Glossary") {
        "glossaryTerms"
    } else {
        "tags"
    };
    by_name(store, kinds::at(path), &tag.fqn).map(drop)
}

fn check_tags(store: &Store, row: &Row) -> Result<(), Refusal> {
    let own: Vec<Tag> = row.read_field("tags")?.unwrap_or_default();
    for tag in own.iter().chain(&columns::tags(row)?) {
        check_tag(store, tag)?;
    }
    Ok(())
}

/// Custom properties must have been defined for the type.
fn check_extension(store: &Store, kind: KindId, row: &Row) -> Result<(), Refusal> {
    let Some(extension) = row.read_field::<serde_json::Map<String, serde_json::Value>>("extension")? else {
        return Ok(());
    };
    let defined = store.custom_properties.get(KINDS[kind].entity_type);
    for property in extension.keys() {
        let known = defined.is_some_and(|all| all.iter().any(|entry| entry["name"] == **property));
        if !known {
            return Err(Refusal::bad(format!("Unknown custom field {property}")));
        }
    }
    Ok(())
}

/// The tables that foreign keys refer to. The real server looks for them when it stores the relations.
fn check_referred(store: &Store, row: &Row, own: &str) -> Result<(), Refusal> {
    let constraints: Vec<Constraint> = row.read_field("tableConstraints")?.unwrap_or_default();
    for column in constraints
        .iter()
        .flat_map(|constraint| constraint.referred_columns.as_deref().unwrap_or_default())
    {
        let column = fqn::canonical(column);
        let table = fqn::parent(&column).unwrap_or(&column);
        if table != own {
            by_name(store, kinds::at("tables"), table).map_err(Refusal::while_storing)?;
        }
    }
    Ok(())
}

fn check_email(store: &Store, kind: KindId, row: &Row, own: &str) -> Result<(), Refusal> {
    let email = row.string("email")?.unwrap_or_default().to_lowercase();
    if !email
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
    {
        return Err(Refusal::bad("[email must match \"^\\S+@\\S+$\"]"));
    }
    let taken = store.collections[kind].entities.iter().any(|(fqn, entity)| {
        &**fqn != own
            && entity
                .attribute("email")
                .and_then(|held| held.as_str().map(|text| text.to_lowercase() == email))
                == Some(true)
    });
    if taken {
        return Err(Refusal::bad(format!("User with email {email} already exists")));
    }
    Ok(())
}
