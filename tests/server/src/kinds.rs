//! What a collection is: where it lives, what its rows must name, what a row's name becomes; and how to find one.
//!
//! The collections themselves are in `catalogue.rs`. `mapping.rs` applies them to create requests, `expand.rs` to answers.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::catalogue::KINDS;
use crate::properties::PROPERTIES;

/// The place of a collection in [`KINDS`].
pub type KindId = usize;

/// One collection of the API.
pub struct Kind {
    /// The path below `/v1/`; also the collection's name in logs, fault plans and dumps.
    pub path: &'static str,
    /// What references and error texts call one of its entities.
    pub entity_type: &'static str,
    /// The fields that name a parent, first choice first; the first one present begins the FQN.
    pub parents: &'static [Parent],
    /// The fields that name other entities.
    pub links: &'static [Link],
    /// References that follow from the FQN alone: field, path of the collection, number of parts.
    pub ancestors: &'static [(&'static str, &'static str, usize)],
    /// The path of the service collection that the first part of the FQN belongs to.
    pub service: Option<&'static str>,
    /// Whether `PUT .../bulk` exists.
    pub bulk: bool,
    /// How the FQN comes about.
    pub naming: Naming,
    /// Fields, besides the name and the parents, that a create request must have.
    pub required: &'static [&'static str],
    /// Create-only fields, which the entity does not show.
    pub hidden: &'static [&'static str],
    /// Whether DELETE may keep the entity as deleted.
    pub soft_delete: bool,
}

/// A field that names a parent.
pub struct Parent {
    /// The field of the create request.
    pub field: &'static str,
    /// The path of the parent's collection.
    pub path: &'static str,
    /// Whether a row may leave it out.
    pub optional: bool,
    /// Whether the field holds an entity reference (an id) where others hold a name.
    pub by_id: bool,
    /// The entity's own field for it, where that differs.
    pub shown_as: &'static str,
}

/// A field that names other entities.
pub struct Link {
    /// The field of the create request and of the entity.
    pub field: &'static str,
    /// The path of the collection, or nothing where a reference says its type itself.
    pub path: &'static str,
    /// How the field names them.
    pub form: Form,
}

/// How a field names other entities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One FQN.
    Name,
    /// A list of FQNs.
    Names,
    /// One id.
    Id,
    /// A list of ids.
    Ids,
    /// One entity reference.
    Reference,
    /// A list of entity references.
    References,
}

/// How an FQN comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// The parent's FQN and the name; without a parent the name alone.
    Path,
    /// The parent's FQN, `model`, and the name.
    DataModel,
    /// The service and the name, or the checksum of the text where there is no name.
    Query,
    /// The name in lower case.
    LowerCase,
    /// The entity that `entityLink` points to, and the name.
    EntityLink,
    /// The name, as it is.
    Verbatim,
}

/// What a lookup by path or by entity type gives.
struct Index {
    by_path: HashMap<&'static str, KindId>,
    by_type: HashMap<&'static str, KindId>,
    create: Vec<HashSet<&'static str>>,
    shown: Vec<HashSet<&'static str>>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let names = |text: &'static str| text.split_ascii_whitespace();
        let properties = |path: &str| {
            PROPERTIES
                .iter()
                .find(|entry| entry.path == path)
                .unwrap_or_else(|| panic!("no property names for {path}"))
        };
        Index {
            by_path: KINDS.iter().enumerate().map(|(id, kind)| (kind.path, id)).collect(),
            by_type: KINDS
                .iter()
                .enumerate()
                .map(|(id, kind)| (kind.entity_type, id))
                .collect(),
            create: KINDS
                .iter()
                .map(|kind| names(properties(kind.path).create).collect())
                .collect(),
            shown: KINDS
                .iter()
                .map(|kind| {
                    let entry = properties(kind.path);
                    names(entry.create).chain(names(entry.entity)).collect()
                })
                .collect(),
        }
    })
}

/// The collection at a path below `/v1/`.
pub fn by_path(path: &str) -> Option<KindId> {
    index().by_path.get(path).copied()
}

/// The collection whose entities have this type.
pub fn by_type(entity_type: &str) -> Option<KindId> {
    index().by_type.get(entity_type).copied()
}

/// The collection at a path that is known to exist.
pub fn at(path: &'static str) -> KindId {
    by_path(path).unwrap_or_else(|| panic!("no collection at {path}"))
}

/// Whether a create request of this collection may have the property.
pub fn may_create(kind: KindId, property: &str) -> bool {
    index().create[kind].contains(property)
}

/// Whether `fields=` of this collection may name the field.
pub fn may_show(kind: KindId, field: &str) -> bool {
    index().shown[kind].contains(field)
}

/// The number of parts in the FQN of a collection without parents is one: such names are quoted as a whole.
pub fn single_part(kind: KindId) -> bool {
    KINDS[kind].parents.is_empty()
        && matches!(KINDS[kind].naming, Naming::Path | Naming::LowerCase)
        && KINDS[kind].path != "services/ingestionPipelines"
        && KINDS[kind].path != "dataContracts"
}
