//! The catalogue: every collection that is served. Data only.

use crate::kinds::{Form, Kind, Link, Naming, Parent};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{by_path, may_create};

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
