//! Test connection definitions: which checks the ingestion client makes before it begins, by service type. Data only.
//!
//! Only checks that pass without special rights are mandatory; a service type without an entry has no steps.

use serde_json::{json, Value};

use crate::entity::Id;
use crate::store::md5;

/// The steps of one service type: name, and whether it must pass.
fn steps(service_type: &str) -> &'static [(&'static str, bool)] {
    match service_type {
        "SQLite" | "Mysql" | "MariaDB" => &[
            ("CheckAccess", true),
            ("GetSchemas", true),
            ("GetTables", true),
            ("GetViews", false),
        ],
        "Postgres" => &[
            ("CheckAccess", true),
            ("GetDatabases", true),
            ("GetSchemas", true),
            ("GetTables", true),
            ("GetViews", false),
            ("GetTags", false),
            ("GetQueries", false),
        ],
        "Redshift" => &[
            ("CheckAccess", true),
            ("GetDatabases", true),
            ("GetSchemas", true),
            ("GetTables", true),
            ("GetViews", false),
            ("GetQueries", false),
        ],
        _ => &[],
    }
}

/// The definition called `<service type>.testConnectionDefinition`.
pub fn test_connection(name: &str) -> Option<Value> {
    let service_type = name.strip_suffix(".testConnectionDefinition")?;
    let steps: Vec<Value> = steps(service_type)
        .iter()
        .map(|(step, mandatory)| json!({"name": step, "description": step, "mandatory": mandatory, "shortCircuit": *step == "CheckAccess"}))
        .collect();
    Some(json!({
        "id": Id::from_hash(md5(name)).to_string(),
        "name": service_type,
        "fullyQualifiedName": name,
        "displayName": service_type,
        "description": service_type,
        "steps": steps,
        "version": 0.1,
        "updatedAt": 0,
        "updatedBy": "admin",
        "deleted": false,
    }))
}
