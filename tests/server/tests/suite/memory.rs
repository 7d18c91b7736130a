//! A server that keeps no bodies: what it still checks, and how little it holds.

use om_reference_server::Config;
use serde_json::{json, Value};

use crate::api::{and, counts, failed, table, Api};

fn slim() -> Api {
    Api::with(&Config {
        keep_bodies: false,
        ..Config::default()
    })
    .with_schema()
}

#[test]
fn names_and_parents_are_still_checked() {
    let api = slim();
    let answer = api.tables(json!([table("t"), and(table("u"), json!({"databaseSchema": "none"}))]));
    assert_eq!(counts(&answer), (2, 1, 1));
    assert_eq!(
        failed(&answer)[0]["message"],
        "databaseSchema instance for none not found"
    );
    let entity = api.get("tables/name/svc.db.s.t").body;
    assert_eq!(
        (&entity["fullyQualifiedName"], &entity["version"]),
        (&json!("svc.db.s.t"), &json!(0.1))
    );
    api.tables(json!([table("t")]));
    assert_eq!(api.get("tables/name/svc.db.s.t").body["version"], json!(0.1));
    api.tables(json!([and(table("t"), json!({"description": "d"}))]));
    assert_eq!(api.get("tables/name/svc.db.s.t").body["version"], json!(0.2));
}

#[test]
fn the_state_is_names_and_hashes() {
    let api = slim();
    api.tables(json!([table("t")]));
    let entity = &api.control("GET", "/state", Value::Null)["tables"]["svc.db.s.t"];
    assert_eq!(entity["hash"].as_str().map(str::len), Some(16));
}

/// Resident memory of this process in kilobytes, as Linux tells it.
fn resident_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[test]
fn bodies_are_not_held() {
    let api = slim();
    let long = "x".repeat(5_000);
    let batch = |from: usize| -> Value {
        (from..from + 100)
            .map(|at| and(table(&format!("t{at}")), json!({"description": long})))
            .collect()
    };
    api.tables(batch(0));
    let before = resident_kb();
    for from in (100..20_000).step_by(100) {
        assert_eq!(counts(&api.tables(batch(from))), (100, 100, 0));
    }
    // The bodies are 100 MB; other tests run beside this one.
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < 60_000, "{grown} kB");
}
