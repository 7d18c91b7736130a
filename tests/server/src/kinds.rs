//! The catalogue of collections: where each lives, what its rows must name, and what a row's name becomes.
//!
//! Data only. `mapping.rs` applies it to create requests, `expand.rs` to answers.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

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

impl Kind {
    const fn new(path: &'static str, entity_type: &'static str) -> Self {
        Kind {
            path,
            entity_type,
            parents: &[],
            links: &[],
            ancestors: &[],
            service: None,
            bulk: false,
            naming: Naming::Path,
            required: &[],
            hidden: &[],
            soft_delete: true,
        }
    }

    const fn service(path: &'static str, entity_type: &'static str) -> Self {
        Kind {
            required: &["serviceType"],
            ..Kind::new(path, entity_type)
        }
    }

    /// An asset right below a service.
    const fn asset(path: &'static str, entity_type: &'static str, parent: &'static [Parent]) -> Self {
        Kind {
            parents: parent,
            service: Some(parent[parent.len() - 1].path),
            bulk: true,
            ..Kind::new(path, entity_type)
        }
    }
}

const fn below(field: &'static str, path: &'static str) -> Parent {
    Parent {
        field,
        path,
        optional: false,
        by_id: false,
        shown_as: field,
    }
}

const fn perhaps(field: &'static str, path: &'static str) -> Parent {
    Parent {
        optional: true,
        ..below(field, path)
    }
}

const fn link(field: &'static str, path: &'static str, form: Form) -> Link {
    Link { field, path, form }
}

const DATABASE_SERVICE: &str = "services/databaseServices";
const DRIVE_SERVICE: &str = "services/driveServices";

/// Every collection that is served.
pub static KINDS: &[Kind] = &[
    Kind::service("services/apiServices", "apiService"),
    Kind::service("services/dashboardServices", "dashboardService"),
    Kind::service(DATABASE_SERVICE, "databaseService"),
    Kind::service(DRIVE_SERVICE, "driveService"),
    Kind::service("services/mcpServices", "mcpService"),
    Kind::service("services/messagingServices", "messagingService"),
    Kind::service("services/metadataServices", "metadataService"),
    Kind::service("services/mlmodelServices", "mlmodelService"),
    Kind {
        hidden: &["scheduleInterval", "lifeCycle"],
        ..Kind::service("services/pipelineServices", "pipelineService")
    },
    Kind::service("services/searchServices", "searchService"),
    Kind::service("services/securityServices", "securityService"),
    Kind::service("services/storageServices", "storageService"),
    Kind {
        links: &[link("service", "", Form::Reference)],
        required: &["pipelineType", "sourceConfig", "airflowConfig", "service"],
        ..Kind::new("services/ingestionPipelines", "ingestionPipeline")
    },
    Kind::asset("databases", "database", &[below("service", DATABASE_SERVICE)]),
    Kind {
        parents: &[below("database", "databases")],
        ancestors: &[("service", DATABASE_SERVICE, 1)],
        service: Some(DATABASE_SERVICE),
        bulk: true,
        ..Kind::new("databaseSchemas", "databaseSchema")
    },
    Kind {
        parents: &[below("databaseSchema", "databaseSchemas")],
        ancestors: &[("service", DATABASE_SERVICE, 1), ("database", "databases", 2)],
        service: Some(DATABASE_SERVICE),
        bulk: true,
        required: &["columns"],
        ..Kind::new("tables", "table")
    },
    Kind {
        parents: &[below("databaseSchema", "databaseSchemas")],
        ancestors: &[("service", DATABASE_SERVICE, 1), ("database", "databases", 2)],
        service: Some(DATABASE_SERVICE),
        bulk: true,
        required: &["storedProcedureCode"],
        ..Kind::new("storedProcedures", "storedProcedure")
    },
    Kind {
        links: &[
            link("users", "users", Form::Names),
            link("queryUsedIn", "", Form::References),
            link("triggeredBy", "", Form::Reference),
        ],
        naming: Naming::Query,
        required: &["query"],
        hidden: &["dialect"],
        soft_delete: false,
        ..Kind::asset("queries", "query", &[below("service", DATABASE_SERVICE)])
    },
    Kind {
        links: &[link("dashboards", "dashboards", Form::Names)],
        ..Kind::asset("charts", "chart", &[below("service", "services/dashboardServices")])
    },
    Kind {
        naming: Naming::DataModel,
        required: &["dataModelType", "columns"],
        ..Kind::asset(
            "dashboard/datamodels",
            "dashboardDataModel",
            &[below("service", "services/dashboardServices")],
        )
    },
    Kind {
        links: &[
            link("charts", "charts", Form::Names),
            link("dataModels", "dashboard/datamodels", Form::Names),
        ],
        ..Kind::asset(
            "dashboards",
            "dashboard",
            &[below("service", "services/dashboardServices")],
        )
    },
    Kind {
        required: &["partitions"],
        ..Kind::asset("topics", "topic", &[below("service", "services/messagingServices")])
    },
    Kind {
        required: &["fields"],
        ..Kind::asset(
            "searchIndexes",
            "searchIndex",
            &[below("service", "services/searchServices")],
        )
    },
    Kind {
        links: &[link("dashboard", "dashboards", Form::Name)],
        ..Kind::asset("mlmodels", "mlmodel", &[below("service", "services/mlmodelServices")])
    },
    Kind::asset(
        "containers",
        "container",
        &[
            Parent {
                by_id: true,
                ..perhaps("parent", "containers")
            },
            below("service", "services/storageServices"),
        ],
    ),
    Kind::asset(
        "pipelines",
        "pipeline",
        &[below("service", "services/pipelineServices")],
    ),
    Kind {
        links: &[
            link("relatedMetrics", "metrics", Form::Names),
            link("assets", "", Form::References),
        ],
        bulk: true,
        ..Kind::new("metrics", "metric")
    },
    Kind {
        links: &[link("apiEndpoints", "apiEndpoints", Form::Names)],
        ..Kind::asset(
            "apiCollections",
            "apiCollection",
            &[below("service", "services/apiServices")],
        )
    },
    Kind {
        parents: &[below("apiCollection", "apiCollections")],
        ancestors: &[("service", "services/apiServices", 1)],
        service: Some("services/apiServices"),
        bulk: true,
        required: &["endpointURL"],
        hidden: &["sourceUrl"],
        ..Kind::new("apiEndpoints", "apiEndpoint")
    },
    Kind::asset(
        "drives/directories",
        "directory",
        &[perhaps("parent", "drives/directories"), below("service", DRIVE_SERVICE)],
    ),
    Kind::asset(
        "drives/files",
        "file",
        &[
            perhaps("directory", "drives/directories"),
            below("service", DRIVE_SERVICE),
        ],
    ),
    Kind::asset(
        "drives/spreadsheets",
        "spreadsheet",
        &[
            Parent {
                by_id: true,
                shown_as: "directory",
                ..perhaps("parent", "drives/directories")
            },
            below("service", DRIVE_SERVICE),
        ],
    ),
    Kind {
        parents: &[
            below("spreadsheet", "drives/spreadsheets"),
            perhaps("service", DRIVE_SERVICE),
        ],
        ancestors: &[("service", DRIVE_SERVICE, 1)],
        service: Some(DRIVE_SERVICE),
        bulk: true,
        ..Kind::new("drives/worksheets", "worksheet")
    },
    Kind {
        bulk: false,
        required: &["serverType"],
        ..Kind::asset("mcpServers", "mcpServer", &[below("service", "services/mcpServices")])
    },
    Kind {
        required: &["description"],
        ..Kind::new("classifications", "classification")
    },
    Kind {
        parents: &[perhaps("parent", "tags"), perhaps("classification", "classifications")],
        required: &["description"],
        hidden: &["associatedTags"],
        ..Kind::new("tags", "tag")
    },
    Kind {
        links: &[link("reviewers", "", Form::References)],
        required: &["description"],
        ..Kind::new("glossaries", "glossary")
    },
    Kind {
        parents: &[perhaps("parent", "glossaryTerms"), below("glossary", "glossaries")],
        links: &[
            link("relatedTerms", "glossaryTerms", Form::Names),
            link("reviewers", "", Form::References),
        ],
        required: &["description"],
        ..Kind::new("glossaryTerms", "glossaryTerm")
    },
    Kind {
        parents: &[perhaps("parent", "domains")],
        links: &[link("experts", "users", Form::Names)],
        required: &["domainType", "description"],
        soft_delete: false,
        ..Kind::new("domains", "domain")
    },
    Kind {
        links: &[
            link("experts", "users", Form::Names),
            link("assets", "", Form::References),
        ],
        required: &["description", "domains"],
        soft_delete: false,
        ..Kind::new("dataProducts", "dataProduct")
    },
    Kind {
        links: &[
            link("teams", "teams", Form::Ids),
            link("roles", "roles", Form::Ids),
            link("personas", "", Form::References),
            link("defaultPersona", "", Form::Reference),
        ],
        naming: Naming::LowerCase,
        required: &["email"],
        hidden: &["botName", "createPasswordType", "password", "confirmPassword"],
        ..Kind::new("users", "user")
    },
    Kind {
        links: &[
            link("parents", "teams", Form::Ids),
            link("children", "teams", Form::Ids),
            link("users", "users", Form::Ids),
            link("defaultRoles", "roles", Form::Ids),
            link("policies", "policies", Form::Ids),
        ],
        required: &["teamType"],
        ..Kind::new("teams", "team")
    },
    Kind {
        links: &[link("policies", "policies", Form::Names)],
        required: &["policies"],
        ..Kind::new("roles", "role")
    },
    Kind {
        required: &["rules"],
        ..Kind::new("policies", "policy")
    },
    Kind {
        links: &[link("users", "users", Form::Ids)],
        ..Kind::new("personas", "persona")
    },
    Kind {
        links: &[link("botUser", "users", Form::Name)],
        hidden: &["allowImpersonation"],
        required: &["botUser"],
        ..Kind::new("bots", "bot")
    },
    Kind {
        links: &[
            link("basicEntityReference", "tables", Form::Name),
            link("executableEntityReference", "tables", Form::Name),
        ],
        naming: Naming::Verbatim,
        ..Kind::new("dataQuality/testSuites", "testSuite")
    },
    Kind {
        required: &["entityType", "testPlatforms"],
        ..Kind::new("dataQuality/testDefinitions", "testDefinition")
    },
    Kind {
        links: &[link("testDefinition", "dataQuality/testDefinitions", Form::Name)],
        naming: Naming::EntityLink,
        required: &["testDefinition", "entityLink"],
        ..Kind::new("dataQuality/testCases", "testCase")
    },
    Kind {
        links: &[link("entity", "", Form::Reference)],
        required: &["entity"],
        ..Kind::new("dataContracts", "dataContract")
    },
];

/// Links that every collection may have.
pub static COMMON_LINKS: &[Link] = &[
    link("owners", "", Form::References),
    link("domains", "domains", Form::Names),
    link("dataProducts", "dataProducts", Form::Names),
];

/// Fields that an answer shows only when `fields=` asks for them.
pub static ON_REQUEST: &[&str] = &[
    "owners",
    "followers",
    "votes",
    "tags",
    "domains",
    "dataProducts",
    "extension",
    "lifeCycle",
    "certification",
    "sourceHash",
    "usageSummary",
    "children",
    "charts",
    "dataModels",
    "dashboards",
    "tableConstraints",
    "tablePartition",
    "schemaDefinition",
    "queryUsedIn",
    "users",
    "roles",
    "teams",
    "personas",
    "apiEndpoints",
    "dataModel",
    "joins",
    "sampleData",
    "profile",
    "customMetrics",
    "relatedTerms",
    "relatedMetrics",
    "assets",
    "experts",
    "reviewers",
    "pipelineStatus",
    "pipelineStatuses",
    "policies",
    "parents",
    "defaultRoles",
    "testSuite",
    "testSuites",
    "tests",
    "testCaseResult",
    "pipelineObservability",
    "location",
    "mlHyperParameters",
    "tableProfilerConfig",
    "databaseProfilerConfig",
    "databaseSchemaProfilerConfig",
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_a_kind_names_is_a_collection() {
        for kind in KINDS {
            let parents = kind.parents.iter().map(|parent| parent.path);
            let links = kind.links.iter().map(|link| link.path).filter(|path| !path.is_empty());
            for path in parents
                .chain(links)
                .chain(kind.ancestors.iter().map(|entry| entry.1))
                .chain(kind.service)
            {
                assert!(
                    by_path(path).is_some(),
                    "{} names {path}, which is no collection",
                    kind.path
                );
            }
        }
    }

    #[test]
    fn every_field_a_kind_names_is_a_property_of_its_create_request() {
        for (id, kind) in KINDS.iter().enumerate() {
            let parents = kind.parents.iter().map(|parent| parent.field);
            let links = kind.links.iter().map(|link| link.field);
            for field in parents
                .chain(links)
                .chain(kind.required.iter().copied())
                .chain(kind.hidden.iter().copied())
            {
                assert!(may_create(id, field), "{} has no {field}", kind.path);
            }
        }
    }
}
