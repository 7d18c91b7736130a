//! The order checker over HTTP.

use serde_json::{json, Value};

use crate::api::{and, eventually, table, tables, Api, AN_HOUR};

/// A server whose bulk requests are in work until they are released.
fn slow() -> Api {
    let api = Api::start().with_schema();
    api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
    api
}

fn rules(api: &Api) -> Vec<String> {
    seen(api, "violations")
}

fn hazards(api: &Api) -> Vec<String> {
    seen(api, "hazards")
}

fn seen(api: &Api, kind: &str) -> Vec<String> {
    let found = api.control("GET", "/violations", Value::Null);
    found[kind]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["rule"].as_str().expect("a rule").to_string())
        .collect()
}

/// Two requests, the second while the first is in work.
fn overlapping(api: &Api, first: (&str, Value), second: (&str, Value)) {
    std::thread::scope(|scope| {
        scope.spawn(|| api.call("PUT", first.0, first.1));
        api.until_waiting(1);
        scope.spawn(|| api.call("PUT", second.0, second.1));
        api.until_waiting(2);
        api.release();
    });
}

#[test]
fn a_child_while_its_parent_is_being_created() {
    let api = slow();
    let schema = json!([{"name": "new", "database": "svc.db"}]);
    let child = and(table("t"), json!({"databaseSchema": "svc.db.new"}));
    overlapping(
        &api,
        ("databaseSchemas/bulk", schema.clone()),
        ("tables/bulk", json!([child])),
    );
    assert_eq!(rules(&api), ["child_before_parent"]);
    // While the parent is only being updated there is nothing to wait for.
    overlapping(&api, ("databaseSchemas/bulk", schema), ("tables/bulk", json!([child])));
    assert_eq!(rules(&api).len(), 1);
}

#[test]
fn the_same_entity_in_two_requests() {
    let api = slow();
    overlapping(
        &api,
        ("tables/bulk", tables(2)),
        ("tables/bulk", json!([table("t1"), table("t2")])),
    );
    assert_eq!(rules(&api), ["same_fqn_at_once"]);
    overlapping(
        &api,
        ("tables/bulk", json!([table("x")])),
        ("tables/bulk", json!([table("y")])),
    );
    assert_eq!(rules(&api).len(), 1);
}

#[test]
fn a_patch_beside_a_put_of_the_same_entity() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
    std::thread::scope(|scope| {
        scope.spawn(|| api.tables(tables(1)));
        api.until_waiting(1);
        api.fine(
            "PATCH",
            "tables/name/svc.db.s.t0",
            json!([{"op": "add", "path": "/description", "value": "d"}]),
        );
        api.release();
    });
    assert_eq!(rules(&api), ["same_fqn_at_once"]);
}

#[test]
fn an_older_body_after_a_newer_one() {
    let api = Api::start().with_schema();
    api.faults(json!([{"match": {"class": "bulk"}, "when": {"nth": [1]}, "do": {"kind": "status", "status": 503}}]));
    let (old, new) = (
        json!([table("t")]),
        json!([and(table("t"), json!({"description": "new"}))]),
    );
    api.call("PUT", "tables/bulk", old.clone());
    api.tables(new);
    assert!(rules(&api).is_empty());
    api.tables(old.clone());
    assert_eq!(rules(&api), ["older_after_newer"]);
    // Now its writer knows that it was written, and writing it again is a new write.
    api.tables(old);
    assert_eq!(rules(&api).len(), 1);
}

#[test]
fn late_work_after_a_newer_body() {
    let api = Api::start().with_schema();
    api.faults(json!([{"match": {"class": "bulk"}, "when": {"nth": [1]}, "do": {"kind": "status", "status": 504, "work_after_s": 3600}}]));
    api.call("PUT", "tables/bulk", json!([table("t")]));
    api.tables(json!([and(table("t"), json!({"description": "new"}))]));
    assert_eq!(hazards(&api), ["same_fqn_at_once"]);
    api.release();
    eventually("work that is done", || hazards(&api).len() > 1);
    assert_eq!(hazards(&api), ["same_fqn_at_once", "older_after_newer"]);
    // The client cannot see work that goes on behind a 504.
    assert!(rules(&api).is_empty());
}

#[test]
fn work_of_a_client_that_left_is_a_hazard() {
    let api = slow();
    api.leave_in_the_middle_of(&tables(1));
    std::thread::scope(|scope| {
        scope.spawn(|| api.tables(tables(1)));
        api.until_waiting(2);
        api.release();
    });
    assert!(rules(&api).is_empty());
    assert_eq!(hazards(&api)[0], "same_fqn_at_once");
}

#[test]
fn an_answer_frees_its_entities_before_it_is_read() {
    let api = Api::start().with_schema();
    for turn in 0..200 {
        api.tables(json!([and(table("t"), json!({"displayName": format!("{turn}")}))]));
        std::thread::scope(|scope| {
            scope.spawn(|| api.tables(json!([table("t")])));
        });
    }
    assert!(rules(&api).is_empty());
    assert_eq!(api.control("GET", "/summary", Value::Null)["max_in_flight"], 1);
}

#[test]
fn a_dropped_connection_leaves_nothing_in_work() {
    let api = slow();
    std::thread::scope(|scope| {
        scope.spawn(|| api.try_call("PUT", "tables/bulk", &tables(1)));
        api.until_waiting(1);
        api.control("POST", "/restart", Value::Null);
    });
    api.until_waiting(0);
    api.control("PUT", "/latency", json!({}));
    api.tables(tables(1));
    assert!(rules(&api).is_empty());
    assert_eq!(api.control("GET", "/summary", Value::Null)["in_flight"], 0);
}
