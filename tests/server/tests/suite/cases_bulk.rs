//! Cases 1 and 13: bulk PUT, and bulk PUTs at the same time.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{and, counts, failed, passed, table, tables, tag, tag_names, Api};

#[test]
fn case_1_1_new_rows_all_pass_and_are_there_at_once() {
    let api = Api::start().with_schema();
    let answer = api.tables(tables(5));
    assert_eq!(counts(&answer), (5, 5, 0));
    assert_eq!(answer["status"], "success");
    assert_eq!(passed(&answer).len(), 5);
    for fqn in passed(&answer) {
        assert_eq!(
            api.get(&format!("tables/name/{fqn}")).body["fullyQualifiedName"],
            json!(fqn)
        );
    }
}

#[test]
fn case_1_2_created_rows_carry_200() {
    for profile in [Profile::V1_11, Profile::V1_12, Profile::V1_13, Profile::V2_0] {
        let api = Api::of(profile).with_schema();
        let answer = api.tables(tables(10));
        for row in answer["successRequest"].as_array().expect("rows") {
            assert_eq!(row["status"], 200);
            assert!(!row["request"].is_null());
        }
    }
}

#[test]
fn case_1_3_changed_rows_have_a_new_version() {
    let api = Api::start().with_schema();
    api.tables(tables(3));
    let changed: Value = (0..3)
        .map(|at| and(table(&format!("t{at}")), json!({"description": "changed"})))
        .collect();
    let answer = api.fine_as_admin("PUT", "tables/bulk", changed);
    assert_eq!(counts(&answer), (3, 3, 0));
    for at in 0..3 {
        let entity = api.get(&format!("tables/name/svc.db.s.t{at}")).body;
        assert_eq!(
            (&entity["description"], &entity["version"]),
            (&json!("changed"), &json!(0.2))
        );
    }
}

#[test]
fn case_1_4_unchanged_rows_keep_their_version() {
    let api = Api::start().with_schema();
    api.tables(tables(3));
    assert_eq!(counts(&api.tables(tables(3))), (3, 3, 0));
    // The same again in other words: the order of the fields is no change.
    let reordered = json!([{"columns": table("t0")["columns"], "databaseSchema": "svc.db.s", "name": "t0"}]);
    assert_eq!(counts(&api.tables(reordered)), (1, 1, 0));
    for at in 0..3 {
        assert_eq!(
            api.get(&format!("tables/name/svc.db.s.t{at}")).body["version"],
            json!(0.1)
        );
    }
}

#[test]
fn case_1_5_new_and_changed_rows_mix() {
    let api = Api::start().with_schema();
    api.tables(tables(2));
    let rows = json!([
        and(table("t0"), json!({"description": "d"})),
        table("new0"),
        and(table("t1"), json!({"description": "d"})),
        table("new1")
    ]);
    let answer = api.tables(rows);
    assert_eq!(counts(&answer), (4, 4, 0));
    for fqn in passed(&answer) {
        assert_eq!(api.get(&format!("tables/name/{fqn}")).status, 200);
    }
}

#[test]
fn case_1_7_there_is_no_limit_of_rows() {
    let api = Api::start().with_schema();
    assert_eq!(counts(&api.tables(tables(201))), (201, 201, 0));
    assert_eq!(api.get("tables/name/svc.db.s.t200").status, 200);
}

#[test]
fn case_1_8_no_rows_are_no_error() {
    let api = Api::start().with_schema();
    assert_eq!(counts(&api.tables(json!([]))), (0, 0, 0));
}

#[test]
fn case_1_9_and_1_10_duplicates_pass() {
    let api = Api::start().with_schema();
    assert_eq!(counts(&api.tables(json!([table("a"), table("a")]))), (2, 2, 0));
    assert_eq!(
        counts(&api.tables(json!([table("b"), table("b"), table("b")]))),
        (3, 3, 0)
    );
}

#[test]
fn case_1_9_early_builds_of_1_12_refuse_the_second() {
    let api = Api::of(Profile::V1_12).with_schema();
    api.switch(json!({"refuse_duplicate_rows": true}));
    let answer = api.tables(json!([table("a"), table("a")]));
    assert_eq!(counts(&answer), (2, 1, 1));
    assert_eq!(failed(&answer)[0]["request"], "svc.db.s.a");
}

#[test]
fn case_1_11_good_rows_pass_beside_a_bad_one() {
    let api = Api::start().with_schema();
    let answer = api.tables(json!([table("a"), {"name": "bad"}, table("b"), table("c")]));
    assert_eq!(counts(&answer), (4, 3, 1));
    assert_eq!(answer["status"], "partialSuccess");
}

#[test]
fn case_1_12_a_bad_row_may_come_first_and_is_echoed() {
    let api = Api::start().with_schema();
    let bad = and(table("bad"), json!({"databaseSchema": "svc.db.nowhere"}));
    let answer = api.tables(json!([bad, table("good")]));
    assert_eq!(counts(&answer), (2, 1, 1));
    assert_eq!(answer["status"], "partialSuccess");
    let row = &failed(&answer)[0];
    assert_eq!(row["request"], bad);
    assert_eq!(row["status"], 400);
    assert_eq!(row["message"], "databaseSchema instance for svc.db.nowhere not found");
}

#[test]
fn case_1_12_what_is_a_bad_row_for_other_types() {
    let api = Api::start().with_schema();
    for (path, row, text) in [
        (
            "charts",
            json!({"name": "c", "service": "none"}),
            "dashboardService instance for none not found",
        ),
        (
            "dashboards",
            json!({"name": "d", "service": "none"}),
            "dashboardService instance for none not found",
        ),
        ("databases", json!({"name": "d"}), "[service must not be null]"),
        (
            "storedProcedures",
            json!({"name": "p", "databaseSchema": "x", "storedProcedureCode": {}}),
            "databaseSchema instance for x not found",
        ),
        ("queries", json!({"name": "q"}), "[query must not be null]"),
        ("metrics", json!({"name": ""}), "[name size must be between 1 and 256]"),
        (
            "topics",
            json!({"name": "t", "service": "k", "partitions": 1}),
            "messagingService instance for k not found",
        ),
        (
            "apiEndpoints",
            json!({"name": "e", "apiCollection": "API.x", "endpointURL": "http://x"}),
            "apiCollection instance for API.x not found",
        ),
    ] {
        let answer = api.fine("PUT", &format!("{path}/bulk"), json!([row]));
        assert_eq!(counts(&answer), (1, 0, 1), "{path}");
        assert_eq!(failed(&answer)[0]["message"], text, "{path}");
    }
}

#[test]
fn case_1_13_row_denied_is_403_in_200() {
    let api = Api::start().with_schema();
    let answer = api.call_as(&auth::consumer_token(), "PUT", "tables/bulk", json!([table("t")]));
    assert_eq!(answer.status, 200);
    assert_eq!(counts(&answer.body), (1, 0, 1));
    let row = &failed(&answer.body)[0];
    assert_eq!(row["status"], 403);
    assert!(row["message"]
        .as_str()
        .expect("a text")
        .contains("operations [Create] not allowed"));
}

#[test]
fn case_1_14_an_update_is_denied_alike() {
    let api = Api::start().with_schema();
    api.tables(json!([table("t")]));
    let answer = api.call_as(&auth::consumer_token(), "PUT", "tables/bulk", json!([table("t")]));
    assert!(failed(&answer.body)[0]["message"]
        .as_str()
        .expect("a text")
        .contains("[EditAll]"));
}

#[test]
fn case_1_15_all_denied_is_failure_without_success_list() {
    let api = Api::start().with_schema();
    let answer = api
        .call_as(&auth::consumer_token(), "PUT", "tables/bulk", tables(2))
        .body;
    assert_eq!(answer["status"], "failure");
    assert_eq!(counts(&answer), (2, 0, 2));
    assert!(answer.get("successRequest").is_none());
}

#[test]
fn case_1_17_async_is_accepted() {
    let api = Api::start().with_schema();
    let answer = api.call("PUT", "tables/bulk?async=true", tables(2));
    assert_eq!(answer.status, 202);
    assert_eq!(
        (&answer.body["numberOfRowsProcessed"], &answer.body["status"]),
        (&json!(2), &json!("success"))
    );
}

#[test]
fn case_1_19_no_token_is_401_for_the_whole_request() {
    let api = Api::start().with_schema();
    let url = format!("{}/v1/tables/bulk", api.server.url);
    let answer = api.http.put(url).json(&tables(1)).send().expect("an answer");
    assert_eq!(answer.status().as_u16(), 401);
}

#[test]
fn case_1_20_a_bulk_update_sets_tags_owners_and_domains() {
    let api = Api::start().with_schema();
    let user = api.fine("PUT", "users", json!({"name": "ann", "email": "ann@x.org"}));
    api.fine(
        "PUT",
        "domains",
        json!({"name": "sales", "domainType": "Aggregate", "description": "d"}),
    );
    api.tables(json!([table("t")]));
    let more =
        json!({"tags": [tag("PII.Sensitive")], "owners": [{"id": user["id"], "type": "user"}], "domains": ["sales"]});
    assert_eq!(counts(&api.tables(json!([and(table("t"), more)]))), (1, 1, 0));
    let entity = api.get("tables/name/svc.db.s.t?fields=tags,owners,domains").body;
    assert_eq!(tag_names(&entity), ["PII.Sensitive"]);
    assert_eq!(entity["owners"][0]["name"], "ann");
    assert_eq!(entity["domains"][0]["fullyQualifiedName"], "sales");
}

#[test]
fn case_1_21_tags_and_owners_set_by_patch_survive_a_bulk_put() {
    let api = Api::start().with_schema();
    let user = api.fine("PUT", "users", json!({"name": "ann", "email": "ann@x.org"}));
    api.tables(json!([table("t")]));
    let patch = json!([
        {"op": "add", "path": "/tags/0", "value": tag("Tier.Tier1")},
        {"op": "add", "path": "/owners", "value": [{"id": user["id"], "type": "user"}]},
    ]);
    api.fine("PATCH", "tables/name/svc.db.s.t", patch);
    api.tables(json!([and(table("t"), json!({"description": "new"}))]));
    let entity = api.get("tables/name/svc.db.s.t?fields=tags,owners").body;
    assert_eq!(tag_names(&entity), ["Tier.Tier1"]);
    assert_eq!(entity["owners"][0]["name"], "ann");
    assert_eq!(entity["description"], "new");
}

#[test]
fn case_1_22_a_bulk_put_adds_tags() {
    let api = Api::start().with_schema();
    api.tables(json!([and(table("t"), json!({"tags": [tag("Tier.Tier1")]}))]));
    api.tables(json!([and(table("t"), json!({"tags": [tag("PII.None")]}))]));
    assert_eq!(
        tag_names(&api.get("tables/name/svc.db.s.t?fields=tags").body),
        ["PII.None", "Tier.Tier1"]
    );
}

#[test]
fn case_1_23_a_change_is_described_and_the_old_version_kept() {
    let api = Api::start().with_schema();
    api.tables(json!([table("t")]));
    api.tables(json!([and(table("t"), json!({"description": "new"}))]));
    let entity = api.get("tables/name/svc.db.s.t").body;
    assert_eq!(entity["changeDescription"]["fieldsAdded"][0]["name"], "description");
    assert_eq!(entity["changeDescription"]["previousVersion"], json!(0.1));
    let id = entity["id"].as_str().expect("an id");
    assert!(api
        .get(&format!("tables/{id}/versions/0.1"))
        .body
        .get("description")
        .is_none());
}

#[test]
fn case_1_25_a_deleted_row_comes_back_even_with_the_same_hash() {
    let api = Api::start().with_schema();
    let row = and(table("t"), json!({"sourceHash": "same"}));
    api.tables(json!([row]));
    api.fine("DELETE", "tables/name/svc.db.s.t", Value::Null);
    assert_eq!(api.get("tables/name/svc.db.s.t").status, 404);
    assert_eq!(counts(&api.tables(json!([row]))), (1, 1, 0));
    let entity = api.get("tables/name/svc.db.s.t").body;
    assert_eq!(entity["deleted"], false);
}

#[test]
fn case_1_26_an_added_column_is_a_change_of_columns() {
    let api = Api::start().with_schema();
    api.tables(json!([table("t")]));
    let mut row = table("t");
    row["columns"]
        .as_array_mut()
        .expect("columns")
        .push(json!({"name": "more", "dataType": "INT"}));
    api.tables(json!([row]));
    let entity = api.get("tables/name/svc.db.s.t").body;
    assert_eq!(
        (
            &entity["version"],
            &entity["changeDescription"]["fieldsAdded"][0]["name"]
        ),
        (&json!(0.2), &json!("columns"))
    );
}

#[test]
fn case_1_29_a_name_that_was_missing_is_there_after_the_put() {
    let api = Api::start().with_schema();
    assert_eq!(api.get("tables/name/svc.db.s.t0").status, 404);
    api.tables(tables(1));
    assert_eq!(api.get("tables/name/svc.db.s.t0").status, 200);
}

#[test]
fn case_1_31_and_1_32_the_paths_with_bulk() {
    let api = Api::start();
    for path in [
        "tables",
        "databases",
        "databaseSchemas",
        "storedProcedures",
        "charts",
        "dashboards",
        "dashboard/datamodels",
        "queries",
        "pipelines",
        "metrics",
        "searchIndexes",
        "apiCollections",
        "apiEndpoints",
        "drives/worksheets",
        "drives/directories",
        "drives/files",
        "drives/spreadsheets",
        "containers",
        "mlmodels",
        "topics",
    ] {
        assert_eq!(
            api.call("PUT", &format!("{path}/bulk"), json!([])).status,
            200,
            "{path}"
        );
    }
    for path in [
        "users",
        "tags",
        "classifications",
        "services/databaseServices",
        "glossaries",
        "teams",
    ] {
        assert_eq!(
            api.call("PUT", &format!("{path}/bulk"), json!([])).status,
            405,
            "{path}"
        );
    }
}

#[test]
fn case_1_33_rows_of_one_request_may_have_different_parents() {
    let api = Api::start().with_schema();
    api.fine("PUT", "databaseSchemas", json!({"name": "s2", "database": "svc.db"}));
    let other = and(table("t"), json!({"databaseSchema": "svc.db.s2"}));
    let answer = api.tables(json!([table("t"), other]));
    assert_eq!(passed(&answer), ["svc.db.s.t", "svc.db.s2.t"]);
}

#[test]
fn case_13_1_and_13_2_parallel_requests_all_pass() {
    let api = Api::start().with_schema();
    std::thread::scope(|scope| {
        for part in 0..5 {
            let api = &api;
            scope.spawn(move || {
                let rows: Value = (0..20).map(|at| table(&format!("p{part}_{at}"))).collect();
                assert_eq!(counts(&api.tables(rows)), (20, 20, 0));
            });
        }
    });
    let list = api.get("tables?databaseSchema=svc.db.s&limit=0").body;
    assert_eq!(list["paging"]["total"], 100);
}
