//! A server that keeps no bodies: what it still checks, and how little it holds.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use om_reference_server::{auth, Config};
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

/// Resident memory of a process in kilobytes, as Linux tells it.
fn resident_kb(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn bodies_are_not_held() {
    // A process of its own: other tests run beside this one.
    let mut child = Command::new(env!("CARGO_BIN_EXE_om-reference-server"))
        .args(["--exit-with-stdin", "--keep-bodies", "false"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("output"))
        .read_line(&mut line)
        .expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    let url = ready["url"].as_str().expect("a URL").to_string();
    let http = crate::api::client().build().expect("a client");
    let put = |path: &str, body: Value| -> Value {
        let request = http
            .put(format!("{url}/v1/{path}"))
            .bearer_auth(auth::bot_token())
            .json(&body);
        request
            .send()
            .and_then(reqwest::blocking::Response::json)
            .expect("JSON")
    };
    put(
        "services/databaseServices",
        json!({"name": "svc", "serviceType": "Postgres"}),
    );
    put("databases", json!({"name": "db", "service": "svc"}));
    put("databaseSchemas", json!({"name": "s", "database": "svc.db"}));
    let long = "x".repeat(5_000);
    let batch = |from: usize| -> Value {
        (from..from + 100)
            .map(|at| and(table(&format!("t{at}")), json!({"description": long})))
            .collect()
    };
    put("tables/bulk", batch(0));
    let before = resident_kb(child.id());
    for from in (100..10_000).step_by(100) {
        assert_eq!(counts(&put("tables/bulk", batch(from))), (100, 100, 0));
    }
    let grown = resident_kb(child.id()).saturating_sub(before);
    drop(child.stdin.take());
    child.wait().expect("an end");
    assert!(grown < 15_000, "{grown} kB for bodies of 50 MB");
}
