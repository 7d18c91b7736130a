//! Case 7: source hash and `overrideMetadata` in bulk PUTs of 2.0.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{and, counts, table, tag, tag_names, Api};

const OVERRIDE: &str = "tables/bulk?async=false&overrideMetadata=true";

fn shown(api: &Api) -> Value {
    api.get("tables/name/svc.db.s.t?fields=*").body
}

fn row(more: Value) -> Value {
    json!([and(table("t"), more)])
}

#[test]
fn case_7_1_the_same_hash_twice_is_all_success_and_no_version() {
    let api = Api::start().with_schema();
    let rows: Value = (0..5)
        .map(|at| and(table(&format!("t{at}")), json!({"sourceHash": format!("hash-{at}")})))
        .collect();
    api.tables(rows.clone());
    assert_eq!(counts(&api.tables(rows)), (5, 5, 0));
    let entity = api.get("tables/name/svc.db.s.t3?fields=sourceHash").body;
    assert_eq!(
        (&entity["version"], &entity["sourceHash"]),
        (&json!(0.1), &json!("hash-3"))
    );
}

#[test]
fn case_7_2_the_hash_decides_before_anything_else() {
    let api = Api::start().with_schema();
    api.fine_as_admin(
        "PUT",
        "tables/bulk",
        row(json!({"sourceHash": "a", "description": "one"})),
    );
    api.fine_as_admin(
        "PUT",
        "tables/bulk",
        row(json!({"sourceHash": "a", "description": "two"})),
    );
    assert_eq!(
        (&shown(&api)["description"], &shown(&api)["version"]),
        (&json!("one"), &json!(0.1))
    );
    api.fine_as_admin(
        "PUT",
        "tables/bulk",
        row(json!({"sourceHash": "b", "description": "two"})),
    );
    assert_eq!(
        (&shown(&api)["description"], &shown(&api)["sourceHash"]),
        (&json!("two"), &json!("b"))
    );
    api.fine_as_admin("PUT", "tables/bulk", row(json!({"description": "three"})));
    assert_eq!(shown(&api)["description"], "three");
}

#[test]
fn a_duplicate_disables_the_skip() {
    let api = Api::start().with_schema();
    api.fine_as_admin("PUT", "tables/bulk", row(json!({"sourceHash": "a"})));
    let twice = json!([
        and(table("t"), json!({"sourceHash": "a", "description": "one"})),
        and(table("t"), json!({"sourceHash": "a", "description": "two"})),
    ]);
    api.fine_as_admin("PUT", "tables/bulk", twice);
    assert_eq!(shown(&api)["description"], "two");
}

#[test]
fn before_2_0_the_server_does_not_look_at_the_hash() {
    for profile in [Profile::V1_11, Profile::V1_12, Profile::V1_13] {
        let api = Api::of(profile).with_schema();
        api.fine_as_admin("PUT", "tables/bulk", row(json!({"sourceHash": "a"})));
        api.fine_as_admin(
            "PUT",
            "tables/bulk",
            row(json!({"sourceHash": "a", "description": "two"})),
        );
        assert_eq!(shown(&api)["description"], "two", "{profile:?}");
    }
}

#[test]
fn case_7_3_and_7_4_a_bot_leaves_texts_alone_unless_it_overrides() {
    let api = Api::start().with_schema();
    api.tables(row(json!({"description": "one", "displayName": "One"})));
    let changed = row(json!({"description": "two", "displayName": "Two"}));
    assert_eq!(counts(&api.tables(changed.clone())), (1, 1, 0));
    assert_eq!(
        (&shown(&api)["description"], &shown(&api)["displayName"]),
        (&json!("one"), &json!("One"))
    );
    api.fine("PUT", OVERRIDE, changed);
    assert_eq!(
        (&shown(&api)["description"], &shown(&api)["displayName"]),
        (&json!("two"), &json!("Two"))
    );
}

#[test]
fn case_7_5_override_does_not_blank() {
    let api = Api::start().with_schema();
    api.tables(row(json!({"description": "one", "displayName": "One"})));
    api.fine("PUT", OVERRIDE, row(json!({})));
    assert_eq!(
        (&shown(&api)["description"], &shown(&api)["displayName"]),
        (&json!("one"), &json!("One"))
    );
}

#[test]
fn case_7_6_override_does_not_skip() {
    let api = Api::start().with_schema();
    api.tables(row(json!({"sourceHash": "a", "description": "one"})));
    api.fine("PUT", OVERRIDE, row(json!({"sourceHash": "a", "description": "two"})));
    assert_eq!(shown(&api)["description"], "two");
}

#[test]
fn case_7_7_and_7_8_columns_under_override() {
    let api = Api::start().with_schema();
    let with = |description: &str, name: &str| {
        let mut table = table("t");
        table["columns"][0]["description"] = json!(description);
        table["columns"][0]["displayName"] = json!(name);
        json!([table])
    };
    api.tables(with("one", "One"));
    api.tables(with("two", "Two"));
    let column = || shown(&api)["columns"][0].clone();
    assert_eq!(
        (&column()["description"], &column()["displayName"]),
        (&json!("one"), &json!("One"))
    );
    api.fine("PUT", OVERRIDE, with("two", "Two"));
    assert_eq!(
        (&column()["description"], &column()["displayName"]),
        (&json!("two"), &json!("One"))
    );
    api.fine("PUT", OVERRIDE, row(json!({})));
    assert_eq!(column()["description"], "two");
}

#[test]
fn case_7_11_to_7_13_override_replaces_tags_by_classification() {
    let api = Api::start().with_schema();
    let with = |tags: Value| {
        let mut table = and(table("t"), json!({"tags": tags}));
        table["columns"][0]["tags"] = tags;
        json!([table])
    };
    api.tables(with(json!([tag("PII.None"), tag("Tier.Tier1")])));
    api.fine("PUT", OVERRIDE, with(json!([tag("PII.Sensitive")])));
    assert_eq!(tag_names(&shown(&api)), ["PII.Sensitive", "Tier.Tier1"]);
    assert_eq!(tag_names(&shown(&api)["columns"][0]), ["PII.Sensitive", "Tier.Tier1"]);
    api.fine("PUT", OVERRIDE, row(json!({})));
    assert_eq!(tag_names(&shown(&api)), ["PII.Sensitive", "Tier.Tier1"]);
    assert_eq!(tag_names(&shown(&api)["columns"][0]), ["PII.Sensitive", "Tier.Tier1"]);
}

#[test]
fn case_7_14_a_bot_keeps_constraints_but_those_of_dropped_columns() {
    let constraints = json!({"tableConstraints": [
        {"constraintType": "PRIMARY_KEY", "columns": ["id"]}, {"constraintType": "UNIQUE", "columns": ["text"]},
    ]});
    for path in ["tables/bulk", OVERRIDE] {
        let api = Api::start().with_schema();
        api.tables(row(constraints.clone()));
        api.fine("PUT", path, row(json!({"description": "d"})));
        assert_eq!(shown(&api)["tableConstraints"], constraints["tableConstraints"]);
        api.fine(
            "PUT",
            path,
            row(json!({"columns": [{"name": "id", "dataType": "INT"}]})),
        );
        assert_eq!(
            shown(&api)["tableConstraints"],
            json!([{"constraintType": "PRIMARY_KEY", "columns": ["id"]}])
        );
    }
}

#[test]
fn case_7_15_owners() {
    let api = Api::start().with_schema();
    let user = |name: &str| {
        let id = api.fine("PUT", "users", json!({"name": name, "email": format!("{name}@x.org")}))["id"].clone();
        json!({"owners": [{"id": id, "type": "user"}]})
    };
    let (ann, bob) = (user("ann"), user("bob"));
    let owner = || shown(&api)["owners"][0]["name"].clone();
    api.tables(row(json!({})));
    api.tables(row(ann));
    assert_eq!(owner(), "ann");
    api.tables(row(bob.clone()));
    assert_eq!(owner(), "ann");
    api.fine("PUT", OVERRIDE, row(bob));
    assert_eq!(owner(), "bob");
}

#[test]
fn case_7_16_retention_is_kept_from_bots() {
    let api = Api::start().with_schema();
    api.tables(row(json!({"retentionPeriod": "P30D"})));
    api.tables(row(json!({"description": "d"})));
    assert_eq!(shown(&api)["retentionPeriod"], "P30D");
    let schema = |more: Value| json!([and(json!({"name": "s", "database": "svc.db"}), more)]);
    api.fine("PUT", "databaseSchemas/bulk", schema(json!({"retentionPeriod": "P1D"})));
    api.fine(
        "PUT",
        "databaseSchemas/bulk?overrideMetadata=true",
        schema(json!({"description": "d"})),
    );
    assert_eq!(api.get("databaseSchemas/name/svc.db.s").body["retentionPeriod"], "P1D");
}

#[test]
fn case_7_17_and_7_18_who_may_write_a_description() {
    let api = Api::start().with_schema();
    api.tables(row(json!({})));
    api.tables(row(json!({"description": "by the bot"})));
    assert_eq!(shown(&api)["description"], "by the bot");
    let answer = api.call_as(
        &auth::admin_token(),
        "PUT",
        "tables/bulk",
        row(json!({"description": "by a person"})),
    );
    assert_eq!(answer.status, 200);
    assert_eq!(shown(&api)["description"], "by a person");
}

#[test]
fn case_7_21_a_hash_has_at_most_32_characters() {
    let api = Api::start().with_schema();
    assert_eq!(
        counts(&api.tables(row(json!({"sourceHash": "x".repeat(33)})))),
        (1, 0, 1)
    );
}
