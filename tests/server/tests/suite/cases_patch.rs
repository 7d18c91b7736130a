//! Cases 4 and 5: PATCH, and the life cycle.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{and, table, tables, tag, tag_names, Api};

fn description(text: &str) -> Value {
    json!([{"op": "add", "path": "/description", "value": text}])
}

#[test]
fn case_4_1_by_id_and_by_name() {
    let api = Api::start().with_schema();
    let id = api.fine("PUT", "tables", table("t"))["id"]
        .as_str()
        .expect("an id")
        .to_string();
    let by_id = api.call("PATCH", &format!("tables/{id}"), description("one"));
    assert_eq!(
        (by_id.status, &by_id.body["description"], &by_id.body["version"]),
        (200, &json!("one"), &json!(0.2))
    );
    let by_name = api.call("PATCH", "tables/name/svc.db.s.t", description("two"));
    assert_eq!(
        (by_name.status, &by_name.body["description"], &by_name.body["version"]),
        (200, &json!("two"), &json!(0.3))
    );
}

#[test]
fn case_4_1_servers_without_patch_by_name_answer_405() {
    let api = Api::start().with_schema();
    api.switch(json!({"patch_by_name": false}));
    api.tables(tables(1));
    assert_eq!(
        api.call("PATCH", "tables/name/svc.db.s.t0", description("x")).status,
        405
    );
}

#[test]
fn case_4_2_the_first_change_is_described() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let entity = api.fine("PATCH", "tables/name/svc.db.s.t0", description("x"));
    assert_eq!(entity["changeDescription"]["previousVersion"], json!(0.1));
}

#[test]
fn case_4_4_a_patch_without_a_difference_is_no_version() {
    let api = Api::start().with_schema();
    let mut row = and(table("t"), json!({"tags": [tag("PII.None")], "description": "d"}));
    row["columns"][0]["tags"] = json!([tag("PII.Sensitive")]);
    api.tables(json!([row]));
    for body in [json!([]), description("d")] {
        assert_eq!(api.fine("PATCH", "tables/name/svc.db.s.t", body)["version"], json!(0.1));
    }
}

#[test]
fn case_4_5_a_patch_replaces_tags() {
    let api = Api::start().with_schema();
    api.tables(json!([and(
        table("t"),
        json!({"tags": [tag("PII.None"), tag("Tier.Tier1")]})
    )]));
    let replace = |tags: Value| {
        api.fine(
            "PATCH",
            "tables/name/svc.db.s.t",
            json!([{"op": "replace", "path": "/tags", "value": tags}]),
        )
    };
    assert_eq!(
        tag_names(&replace(json!([tag("Tier.Tier2"), tag("PII.Sensitive")]))),
        ["PII.Sensitive", "Tier.Tier2"]
    );
    assert!(tag_names(&replace(json!([]))).is_empty());
}

#[test]
fn case_4_6_a_patch_cannot_delete() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let body = json!([{"op": "replace", "path": "/deleted", "value": true}]);
    assert_eq!(api.call("PATCH", "tables/name/svc.db.s.t0", body).status, 400);
}

#[test]
fn case_4_7_what_a_patch_names_must_exist() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let nobody = json!({"id": "00000000-0000-4000-8000-000000000000", "type": "user"});
    for (path, value) in [
        ("/owners", json!([nobody])),
        ("/domains", json!([{"id": nobody["id"], "type": "domain"}])),
    ] {
        let answer = api.call(
            "PATCH",
            "tables/name/svc.db.s.t0",
            json!([{"op": "add", "path": path, "value": value}]),
        );
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    }
}

#[test]
fn case_4_8_to_4_10_etags() {
    let api = Api::start().with_schema();
    let id = api.fine("PUT", "tables", table("t"))["id"]
        .as_str()
        .expect("an id")
        .to_string();
    let etag = api.get(&format!("tables/{id}")).etag;
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let with = |etag: &str, text: &str| {
        let url = format!("{}/v1/tables/{id}", api.server.url);
        let request = api.http.patch(url).bearer_auth(&api.token).header("If-Match", etag);
        let answer = request
            .header("Content-Type", "application/json-patch+json")
            .body(description(text).to_string())
            .send()
            .expect("an answer");
        (
            answer.status().as_u16(),
            answer
                .headers()
                .get("etag")
                .map(|value| value.to_str().expect("text").to_string()),
        )
    };
    let (status, newer) = with(&etag, "one");
    assert_eq!(status, 200);
    assert_ne!(newer.expect("an ETag"), etag);
    assert_eq!(with(&etag, "two").0, 412);
}

#[test]
fn case_4_11_changes_of_different_fields_are_both_kept() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.fine("PATCH", "tables/name/svc.db.s.t0", description("d"));
    api.fine(
        "PATCH",
        "tables/name/svc.db.s.t0",
        json!([{"op": "add", "path": "/displayName", "value": "n"}]),
    );
    let entity = api.get("tables/name/svc.db.s.t0").body;
    assert_eq!(
        (&entity["description"], &entity["displayName"]),
        (&json!("d"), &json!("n"))
    );
}

#[test]
fn case_4_12_a_bots_patch_cannot_blank_descriptions() {
    let api = Api::start().with_schema();
    let mut row = and(table("t"), json!({"description": "d"}));
    row["columns"][0]["description"] = json!("c");
    api.tables(json!([row]));
    let blank = json!([{"op": "remove", "path": "/description"}, {"op": "replace", "path": "/columns/0/description", "value": ""}]);
    let entity = api.fine("PATCH", "tables/name/svc.db.s.t", blank.clone());
    assert_eq!(
        (&entity["description"], &entity["columns"][0]["description"]),
        (&json!("d"), &json!("c"))
    );
    let replace = json!([{"op": "replace", "path": "/columns/0/description", "value": "better"}]);
    assert_eq!(
        api.fine("PATCH", "tables/name/svc.db.s.t", replace)["columns"][0]["description"],
        "better"
    );
    let entity = api.fine_as_admin("PATCH", "tables/name/svc.db.s.t", blank);
    assert!(entity.get("description").is_none());
}

#[test]
fn case_4_13_constraints_go_with_their_column() {
    let api = Api::start().with_schema();
    let constraints = json!([{"constraintType": "PRIMARY_KEY", "columns": ["id"]}, {"constraintType": "UNIQUE", "columns": ["text"]}]);
    api.tables(json!([and(table("t"), json!({"tableConstraints": constraints}))]));
    let entity = api.fine(
        "PATCH",
        "tables/name/svc.db.s.t",
        json!([{"op": "remove", "path": "/columns/0"}]),
    );
    assert_eq!(
        entity["tableConstraints"],
        json!([{"constraintType": "UNIQUE", "columns": ["text"]}])
    );
}

#[test]
fn case_4_14_an_empty_list_of_tags_is_accepted() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    assert_eq!(
        api.call(
            "PATCH",
            "tables/name/svc.db.s.t0",
            json!([{"op": "replace", "path": "/tags", "value": []}])
        )
        .status,
        200
    );
}

#[test]
fn a_patch_of_nothing_is_404_and_a_broken_one_400() {
    let api = Api::start().with_schema();
    let answer = api.call("PATCH", "tables/name/svc.db.s.none", description("x"));
    assert_eq!(
        (answer.status, &answer.body["message"]),
        (404, &json!("table instance for svc.db.s.none not found"))
    );
    api.tables(tables(1));
    assert_eq!(
        api.call("PATCH", "tables/name/svc.db.s.t0", json!({"not": "a patch"}))
            .status,
        400
    );
    assert_eq!(
        api.call(
            "PATCH",
            "tables/name/svc.db.s.t0",
            json!([{"op": "remove", "path": "/none"}])
        )
        .status,
        400
    );
}

fn life_cycle(value: Value) -> Value {
    json!([{"op": "add", "path": "/lifeCycle", "value": value}])
}

#[test]
fn case_5_1_to_5_3_parts_are_merged_by_time_and_make_no_version() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let patch = |value: Value| api.fine("PATCH", "tables/name/svc.db.s.t0", life_cycle(value));
    patch(json!({"accessed": {"timestamp": 100, "accessedByAProcess": "p"}}));
    patch(json!({"created": {"timestamp": 50}}));
    patch(json!({"accessed": {"timestamp": 90, "accessedByAProcess": "older"}}));
    let shown = api.get("tables/name/svc.db.s.t0?fields=lifeCycle").body;
    assert_eq!(
        shown["lifeCycle"],
        json!({"accessed": {"timestamp": 100, "accessedByAProcess": "p"}, "created": {"timestamp": 50}})
    );
    assert_eq!(shown["version"], json!(0.1));
    patch(json!({"accessed": {"timestamp": 110}}));
    let shown = api.get("tables/name/svc.db.s.t0?fields=lifeCycle").body;
    assert_eq!(shown["lifeCycle"]["accessed"], json!({"timestamp": 110}));
}

#[test]
fn case_5_4_with_another_change_the_version_goes_up() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let both = json!([
        {"op": "add", "path": "/lifeCycle", "value": {"created": {"timestamp": 1}}},
        {"op": "add", "path": "/description", "value": "d"},
    ]);
    assert_eq!(
        api.fine("PATCH", "tables/name/svc.db.s.t0", both)["version"],
        json!(0.2)
    );
    let alone = life_cycle(json!({"created": {"timestamp": 2}}));
    assert_eq!(
        api.fine("PATCH", "tables/name/svc.db.s.t0", alone)["version"],
        json!(0.2)
    );
}

#[test]
fn case_5_6_a_bulk_row_may_carry_a_life_cycle() {
    let api = Api::start().with_schema();
    let row = |time: u64| json!([and(table("t"), json!({"lifeCycle": {"created": {"timestamp": time}}}))]);
    api.tables(row(10));
    api.tables(row(5));
    let shown = || api.get("tables/name/svc.db.s.t?fields=lifeCycle").body;
    assert_eq!(shown()["lifeCycle"]["created"]["timestamp"], 10);
    api.tables(row(20));
    assert_eq!(
        (&shown()["lifeCycle"]["created"]["timestamp"], &shown()["version"]),
        (&json!(20), &json!(0.1))
    );
    api.tables(tables(1));
    assert_eq!(shown()["lifeCycle"]["created"]["timestamp"], 20);
}

#[test]
fn a_patch_of_a_table_loses_its_view_definition() {
    for (on, kept) in [(true, false), (false, true)] {
        for profile in [Profile::V1_11, Profile::V2_0] {
            let api = Api::of(profile).with_schema();
            api.switch(json!({"patch_drops_schema_definition": on}));
            api.tables(json!([and(table("v"), json!({"schemaDefinition": "SELECT 1"}))]));
            api.fine(
                "PATCH",
                "tables/name/svc.db.s.v",
                life_cycle(json!({"created": {"timestamp": 1}})),
            );
            let shown = api.get("tables/name/svc.db.s.v?fields=schemaDefinition").body;
            assert_eq!(shown.get("schemaDefinition").is_some(), kept);
            assert_eq!(shown["version"], json!(0.1));
        }
    }
}

#[test]
fn case_7_20_a_patch_may_clear_the_source_hash() {
    for (on, applied) in [(false, false), (true, true)] {
        let api = Api::start().with_schema();
        api.switch(json!({"patch_clears_source_hash": on}));
        let row = json!([and(table("t"), json!({"sourceHash": "h", "tags": [tag("PII.None")]}))]);
        api.tables(row.clone());
        let body = json!([{"op": "replace", "path": "/tags", "value": []}]);
        assert_eq!(
            api.call_as(&auth::admin_token(), "PATCH", "tables/name/svc.db.s.t", body)
                .status,
            200
        );
        api.tables(row);
        assert_eq!(
            !tag_names(&api.get("tables/name/svc.db.s.t?fields=tags").body).is_empty(),
            applied
        );
    }
}

#[test]
fn a_client_of_1_x_writes_the_hash_by_patch() {
    let api = Api::of(Profile::V1_13).with_schema();
    api.tables(json!([and(table("t"), json!({"sourceHash": "old"}))]));
    let body = json!([{"op": "replace", "path": "/sourceHash", "value": "new"}]);
    assert_eq!(api.fine("PATCH", "tables/name/svc.db.s.t", body)["version"], json!(0.1));
    assert_eq!(
        api.get("tables/name/svc.db.s.t?fields=sourceHash").body["sourceHash"],
        "new"
    );
}
