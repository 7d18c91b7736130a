//! The control API: log, summary, state, reset.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use om_reference_server::Config;
use serde_json::{json, Value};

use crate::api::{and, table, tables, tag, Api};

#[test]
fn the_log_knows_each_request() {
    let api = Api::start().with_schema();
    api.tables(tables(3));
    let log = api.control("GET", "/requests?since=3", Value::Null);
    let entry = &log[0];
    assert_eq!(log.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&entry["n"], &entry["method"], &entry["class"], &entry["collection"]),
        (&json!(4), &json!("PUT"), &json!("bulk"), &json!("tables"))
    );
    assert_eq!(
        (&entry["rows"], &entry["status"], &entry["unknown"]),
        (&json!(3), &json!(200), &json!(false))
    );
    assert_eq!(entry["query"], "async=false&overrideMetadata=false");
    assert!(entry["t_end_ms"].as_f64() >= entry["t_start_ms"].as_f64());
    assert_eq!(entry["bytes"], json!(tables(3).to_string().len()));
    assert!(entry.get("body").is_none());
}

#[test]
fn bodies_are_logged_where_asked() {
    let api = Api::with(&Config {
        log_bodies: true,
        ..Config::default()
    })
    .with_schema();
    api.tables(json!([table("t")]));
    let log = api.control("GET", "/requests?since=3&bodies=1", Value::Null);
    assert_eq!(
        serde_json::from_str::<Value>(log[0]["body"].as_str().expect("a body")).ok(),
        Some(json!([table("t")]))
    );
    let log = api.control("GET", "/requests?since=3", Value::Null);
    assert!(log[0].get("body").is_none());
}

#[test]
fn the_summary_adds_up() {
    let api = Api::start().with_schema();
    api.tables(tables(3));
    api.tables(tables(2));
    api.get("tables/name/svc.db.s.t0");
    let summary = api.control("GET", "/summary", Value::Null);
    assert_eq!(summary["requests_by_class"], json!({"bulk": 2, "get": 1, "single": 3}));
    assert_eq!(summary["rows_by_collection"]["tables"], 5);
    assert_eq!(
        (&summary["in_flight"], &summary["order_violations"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(summary["max_in_flight"], 1);
    assert_eq!(summary["connections"], 1);
}

#[test]
fn the_normalized_state_of_two_servers_is_equal() {
    let state = |order: [&str; 2]| {
        let api = Api::start().with_schema();
        let user = api.fine("PUT", "users", json!({"name": "ann", "email": "ann@x.org"}))["id"].clone();
        for name in order {
            let owners = json!({"owners": [{"id": user, "type": "user"}], "tags": [tag("PII.None")]});
            api.tables(json!([and(table(name), owners)]));
        }
        api.tables(json!([and(table("a"), json!({"description": "later"}))]));
        if order[0] == "b" {
            api.tables(json!([and(table("a"), json!({"displayName": "A"}))]));
            api.fine_as_admin(
                "PATCH",
                "tables/name/svc.db.s.a",
                json!([{"op": "remove", "path": "/displayName"}]),
            );
        }
        api.control("GET", "/state?normalized=1", Value::Null)
    };
    let one = state(["a", "b"]);
    assert_eq!(one, state(["b", "a"]));
    let shown = &one["tables"]["svc.db.s.a"];
    assert_eq!(
        (&shown["owners"], &shown["databaseSchema"]),
        (&json!(["ann"]), &json!("svc.db.s"))
    );
    assert!(shown.get("id").is_none() && shown.get("version").is_none());
    assert!(one.get("tags").is_none(), "what was there from the start is left out");
}

#[test]
fn deleted_entities_are_in_the_state() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.fine("DELETE", "tables/name/svc.db.s.t0", Value::Null);
    assert_eq!(
        api.control("GET", "/state", Value::Null)["tables"]["svc.db.s.t0"]["deleted"],
        true
    );
}

#[test]
fn a_reset_forgets_everything_but_switches_and_profile() {
    let api = Api::start().with_schema();
    api.faults(json!([{"do": {"kind": "empty"}}]));
    api.control("PUT", "/latency", json!({"other": {"request_ms": 10}}));
    api.control("PUT", "/profile", json!({"profile": "1.12"}));
    api.control("POST", "/reset", Value::Null);
    assert_eq!(api.control("GET", "/state", Value::Null), json!({}));
    assert_eq!(api.control("GET", "/summary", Value::Null)["requests"], 0);
    assert_eq!(api.control("GET", "/faults", Value::Null), json!([]));
    assert_eq!(api.control("GET", "/latency", Value::Null), json!({}));
    assert_eq!(api.control("GET", "/profile", Value::Null), json!({"profile": "1.12"}));
    assert_eq!(api.get("databases/name/svc.db").status, 404);
}

#[test]
fn what_is_not_understood_is_said() {
    let api = Api::start();
    assert_eq!(api.try_control("GET", "/nonsense", Value::Null).status, 404);
    assert!(api
        .try_control("PUT", "/profile", json!({"profile": "9.9"}))
        .text
        .contains("1.11, 1.12, 1.13 or 2.0"));
    assert!(api
        .try_control("PUT", "/switches", json!({"nonsense": true}))
        .text
        .contains("nonsense"));
    assert_eq!(api.try_control("POST", "/outage", json!({"seconds": -1})).status, 400);
}

#[test]
fn idle_connections_are_closed_and_others_kept() {
    let api = Api::start().with_schema();
    for _ in 0..5 {
        api.get("databases/name/svc.db");
    }
    assert_eq!(api.control("GET", "/summary", Value::Null)["connections"], 1);
    api.switch(json!({"idle_timeout_s": 0.2}));
    let begun = Instant::now();
    let mut socket = TcpStream::connect(api.server.address).expect("a connection");
    // Half of what is waited otherwise.
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time-out");
    let closed = socket.read(&mut [0]).expect("an end");
    assert_eq!(closed, 0);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}
