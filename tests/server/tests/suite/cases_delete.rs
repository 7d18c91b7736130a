//! Case 6: deleting what a run has not seen, and deleting one entity.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{and, counts, passed, table, tables, Api};

fn stale(scope: &str, scope_type: &str, seen: &[&str]) -> Value {
    json!({"scopeFqn": scope, "scopeEntityType": scope_type, "seenFqns": seen})
}

fn live(api: &Api) -> u64 {
    api.get("tables?limit=0").body["paging"]["total"]
        .as_u64()
        .expect("a total")
}

#[test]
fn case_6_1_the_method_is_delete_and_older_lines_take_the_word_for_an_id() {
    let api = Api::start().with_schema();
    assert_eq!(
        api.call("PUT", "tables/deleteStale", stale("svc.db.s", "databaseSchema", &["x"]))
            .status,
        405
    );
    for profile in [Profile::V1_11, Profile::V1_12, Profile::V1_13] {
        let api = Api::of(profile).with_schema();
        assert_eq!(
            api.call(
                "DELETE",
                "tables/deleteStale",
                stale("svc.db.s", "databaseSchema", &["x"])
            )
            .status,
            404
        );
    }
}

#[test]
fn case_6_2_the_unseen_are_soft_deleted() {
    let api = Api::start().with_schema();
    api.tables(tables(5));
    let seen = ["svc.db.s.t0", "svc.db.s.t1", "svc.db.s.t2"];
    let answer = api.fine(
        "DELETE",
        "tables/deleteStale",
        stale("svc.db.s", "databaseSchema", &seen),
    );
    assert_eq!(passed(&answer), ["svc.db.s.t3", "svc.db.s.t4"]);
    assert_eq!(counts(&answer), (2, 2, 0));
    assert_eq!(live(&api), 3);
    assert_eq!(api.get("tables/name/svc.db.s.t3?include=deleted").body["deleted"], true);
}

#[test]
fn case_6_3_a_dry_run_deletes_nothing() {
    let api = Api::start().with_schema();
    api.tables(tables(2));
    let body = and(
        stale("svc.db.s", "databaseSchema", &["svc.db.s.t0"]),
        json!({"dryRun": true}),
    );
    let answer = api.fine("DELETE", "tables/deleteStale", body);
    assert_eq!(
        (&answer["dryRun"], passed(&answer)),
        (&json!(true), vec!["svc.db.s.t1".to_string()])
    );
    assert_eq!(live(&api), 2);
}

#[test]
fn case_6_4_to_6_6_nothing_to_do_is_no_error() {
    let api = Api::start().with_schema();
    api.tables(tables(2));
    for body in [
        stale("svc.db.s", "databaseSchema", &["svc.db.s.t0", "svc.db.s.t1"]),
        stale("svc.db.s", "databaseSchema", &[]),
        stale("svc.db.none", "databaseSchema", &["svc.db.s.t0"]),
    ] {
        assert_eq!(counts(&api.fine("DELETE", "tables/deleteStale", body)), (0, 0, 0));
    }
    assert_eq!(live(&api), 2);
}

#[test]
fn case_6_7_and_6_8_what_is_refused() {
    let api = Api::start().with_schema();
    for (body, text) in [
        (stale("", "databaseSchema", &[]), "scopeFqn is required for deleteStale"),
        (
            stale("svc.db.s", " ", &[]),
            "scopeEntityType is required for deleteStale",
        ),
        (
            stale("svc.db.s", "word", &[]),
            "Unsupported scopeEntityType 'word' for deleteStale",
        ),
        (Value::Null, "body is required"),
    ] {
        let answer = api.call("DELETE", "tables/deleteStale", body);
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(text), "{}", answer.text);
    }
}

#[test]
fn case_6_9_wider_scopes_span_what_is_below() {
    let api = Api::start().with_schema();
    api.fine("PUT", "databaseSchemas", json!({"name": "s2", "database": "svc.db"}));
    api.tables(json!([
        table("a"),
        table("b"),
        and(table("c"), json!({"databaseSchema": "svc.db.s2"}))
    ]));
    let answer = api.fine(
        "DELETE",
        "tables/deleteStale",
        stale("svc.db", "database", &["svc.db.s.a"]),
    );
    assert_eq!(passed(&answer), ["svc.db.s.b", "svc.db.s2.c"]);
    let answer = api.fine(
        "DELETE",
        "databaseSchemas/deleteStale",
        stale("svc", "service", &["svc.db.s"]),
    );
    assert_eq!(passed(&answer), ["svc.db.s2"]);
}

#[test]
fn quoting_does_not_matter_but_case_does() {
    let api = Api::start().with_schema();
    api.tables(json!([table("Big"), table("a.b")]));
    let seen = ["\"svc\".db.s.\"a.b\"", "svc.db.s.big"];
    let answer = api.fine(
        "DELETE",
        "tables/deleteStale",
        stale("svc.db.s", "databaseSchema", &seen),
    );
    assert_eq!(passed(&answer), ["svc.db.s.Big"]);
}

#[test]
fn case_6_10_without_the_right_the_whole_request_is_403() {
    let api = Api::start().with_schema();
    let answer = api.call_as(
        &auth::consumer_token(),
        "DELETE",
        "tables/deleteStale",
        stale("svc.db.s", "databaseSchema", &[]),
    );
    assert_eq!(answer.status, 403);
}

#[test]
fn case_6_12_a_soft_delete_is_a_version() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.fine("DELETE", "tables/name/svc.db.s.t0", Value::Null);
    let entity = api.get("tables/name/svc.db.s.t0?include=deleted").body;
    assert_eq!(entity["version"], json!(0.2));
    assert_eq!(entity["changeDescription"]["fieldsUpdated"][0]["name"], "deleted");
}

#[test]
fn case_6_13_a_container_that_is_not_empty_needs_recursive() {
    let api = Api::start().with_schema();
    api.tables(tables(2));
    let answer = api.call("DELETE", "databaseSchemas/name/svc.db.s", Value::Null);
    assert_eq!((answer.status, answer.text.contains("is not empty")), (400, true));
    api.fine(
        "DELETE",
        "databaseSchemas/name/svc.db.s?recursive=true&hardDelete=true",
        Value::Null,
    );
    assert_eq!(api.get("databaseSchemas/name/svc.db.s?include=all").status, 404);
    assert_eq!(api.get("tables/name/svc.db.s.t0?include=all").status, 404);
}

#[test]
fn case_6_14_and_6_15_unknown_forbidden_and_by_name() {
    let api = Api::start().with_schema();
    let nobody = "00000000-0000-4000-8000-000000000000";
    let answer = api.call("DELETE", &format!("tables/{nobody}"), Value::Null);
    assert_eq!(
        answer.body["message"],
        json!(format!("table instance for {nobody} not found"))
    );
    api.tables(tables(1));
    let answer = api.call_as(
        &auth::consumer_token(),
        "DELETE",
        "tables/name/svc.db.s.t0",
        Value::Null,
    );
    assert_eq!((answer.status, answer.text.contains("[Delete]")), (403, true));
    assert_eq!(api.call("DELETE", "tables/name/svc.db.s.t0", Value::Null).status, 200);
}

#[test]
fn case_6_17_restore() {
    let api = Api::start().with_schema();
    let row = json!([and(table("t"), json!({"sourceHash": "h"}))]);
    api.tables(row);
    let id = api.get("tables/name/svc.db.s.t").body["id"].clone();
    assert_eq!(api.call("PUT", "tables/restore", json!({"id": id})).status, 404);
    api.fine("DELETE", "tables/name/svc.db.s.t", Value::Null);
    let entity = api.fine("PUT", "tables/restore", json!({"id": id}));
    assert_eq!((&entity["deleted"], &entity["version"]), (&json!(false), &json!(0.3)));
    // Case 7.19: the hash is kept.
    assert_eq!(
        api.get("tables/name/svc.db.s.t?fields=sourceHash").body["sourceHash"],
        "h"
    );
}

#[test]
fn case_6_18_system_entities_stay() {
    let api = Api::start();
    let answer = api.call_as(
        &auth::admin_token(),
        "DELETE",
        "tags/name/PII.Sensitive?hardDelete=true",
        Value::Null,
    );
    assert_eq!(answer.status, 400);
}
