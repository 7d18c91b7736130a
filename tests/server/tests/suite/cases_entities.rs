//! Cases 2 and 3: PUT and POST of one entity, GET and lists.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{and, counts, failed, table, tables, tag, tag_names, Api};

#[test]
fn case_2_1_a_new_entity_is_201_and_version_0_1() {
    let api = Api::start().with_schema();
    let answer = api.call("PUT", "tables", table("t"));
    assert_eq!((answer.status, &answer.body["version"]), (201, &json!(0.1)));
    assert_eq!(answer.body["databaseSchema"]["fullyQualifiedName"], "svc.db.s");
    assert_eq!(answer.body["database"]["name"], "db");
    assert_eq!(
        (&answer.body["service"]["name"], &answer.body["serviceType"]),
        (&json!("svc"), &json!("Postgres"))
    );
}

#[test]
fn case_2_2_the_same_again_is_200_and_no_change() {
    let api = Api::start().with_schema();
    for (turn, status) in [201, 200, 200].into_iter().enumerate() {
        let answer = api.call("PUT", "tables", table("t"));
        assert_eq!(
            (answer.status, &answer.body["version"]),
            (status, &json!(0.1)),
            "turn {turn}"
        );
    }
}

#[test]
fn case_2_3_post_of_what_exists_is_409() {
    let api = Api::start().with_schema();
    assert_eq!(api.call("POST", "tables", table("t")).status, 201);
    let again = api.call("POST", "tables", table("t"));
    assert_eq!(
        (again.status, &again.body["message"]),
        (409, &json!("Entity already exists"))
    );
}

#[test]
fn case_2_4_a_missing_parent_is_404_with_its_name_as_sent() {
    let api = Api::start();
    let answer = api.call(
        "PUT",
        "tables",
        and(table("t"), json!({"databaseSchema": "nonExistentSchema"})),
    );
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        json!({"code": 404, "message": "databaseSchema instance for nonExistentSchema not found"})
    );
}

#[test]
fn case_2_5_an_unknown_tag_is_404_and_stores_nothing() {
    let api = Api::start().with_schema();
    let row = and(table("t"), json!({"tags": [tag("invalidTag")]}));
    for method in ["POST", "PUT"] {
        let answer = api.call(method, "tables", row.clone());
        assert_eq!(
            (answer.status, &answer.body["message"]),
            (404, &json!("tag instance for invalidTag not found"))
        );
    }
    assert_eq!(api.get("tables/name/svc.db.s.t").status, 404);
    api.fine("PUT", "tables", table("t"));
    assert_eq!(api.call("PUT", "tables", row).status, 404);
    let patch = json!([{"op": "add", "path": "/tags/0", "value": tag("invalidTag")}]);
    assert_eq!(api.call("PATCH", "tables/name/svc.db.s.t", patch).status, 404);
    assert!(tag_names(&api.get("tables/name/svc.db.s.t?fields=tags").body).is_empty());
    let mut column = table("u");
    column["columns"][0]["tags"] = json!([tag("invalidTag")]);
    assert_eq!(
        failed(&api.tables(json!([column])))[0]["message"],
        "tag instance for invalidTag not found"
    );
}

#[test]
fn case_2_6_owners_must_exist_and_say_their_type() {
    let api = Api::start().with_schema();
    let nobody = "00000000-0000-4000-8000-000000000000";
    let with = |owner: Value| api.call("PUT", "tables", and(table("t"), json!({"owners": [owner]})));
    let answer = with(json!({"id": nobody, "type": "user"}));
    assert_eq!(
        (answer.status, &answer.body["message"]),
        (404, &json!(format!("user instance for {nobody} not found")))
    );
    let answer = with(json!({"id": nobody}));
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("type must not be null"));
}

#[test]
fn case_2_7_and_2_8_names_that_are_refused() {
    let api = Api::start().with_schema();
    for (name, text) in [
        (Value::Null, "[name must not be null]"),
        (json!(""), "size must be between"),
        (json!("x".repeat(300)), "size must be between"),
        (json!("a::b"), "name must match"),
        (json!("a\nb"), "name must match"),
    ] {
        let answer = api.call("PUT", "tables", and(table("t"), json!({"name": name})));
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.text.contains(text), "{name}: {}", answer.text);
    }
}

#[test]
fn case_2_9_a_dot_in_a_name_is_quoted_in_the_fqn() {
    let api = Api::start().with_schema();
    let entity = api.fine("PUT", "tables", table("a.b"));
    assert_eq!(
        (&entity["name"], &entity["fullyQualifiedName"]),
        (&json!("a.b"), &json!("svc.db.s.\"a.b\""))
    );
    assert_eq!(api.get("tables/name/svc.db.s.%22a.b%22").status, 200);
}

#[test]
fn case_2_9_a_service_with_a_dot_may_be_named_bare() {
    let api = Api::start();
    api.fine(
        "PUT",
        "services/databaseServices",
        json!({"name": "prod.redshift", "serviceType": "Redshift"}),
    );
    for service in ["prod.redshift", "\"prod.redshift\""] {
        let answer = api.fine("PUT", "databases", json!({"name": "dev", "service": service}));
        assert_eq!(answer["fullyQualifiedName"], "\"prod.redshift\".dev");
    }
    assert_eq!(api.get("services/databaseServices/name/prod.redshift").status, 200);
    assert_eq!(
        api.get("services/databaseServices/name/%22prod.redshift%22").status,
        200
    );
}

#[test]
fn case_2_10_put_merges_tags() {
    let api = Api::start().with_schema();
    let put = |tags: Value| api.fine("PUT", "tables", and(table("t"), json!({"tags": tags})));
    put(json!([tag("PII.None"), tag("Tier.Tier1")]));
    put(json!([tag("Certification.Gold"), tag("Certification.Gold")]));
    let names = tag_names(&api.get("tables/name/svc.db.s.t?fields=tags").body);
    assert_eq!(names, ["Certification.Gold", "PII.None", "Tier.Tier1"]);
}

#[test]
fn case_2_12_who_may_not_write_is_403() {
    let api = Api::start().with_schema();
    let answer = api.call_as(&auth::consumer_token(), "PUT", "tables", table("t"));
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body["message"],
        "Principal: CatalogPrincipal{name='consumer'} operations [Create] not allowed"
    );
    api.fine("PUT", "tables", table("t"));
    assert!(api
        .call_as(&auth::consumer_token(), "PUT", "tables", table("t"))
        .text
        .contains("[EditAll]"));
}

#[test]
fn case_2_13_a_bot_fills_a_description_and_leaves_a_written_one() {
    let api = Api::start().with_schema();
    api.fine("PUT", "tables", table("t"));
    api.fine("PUT", "tables", and(table("t"), json!({"description": "first"})));
    let entity = api.fine("PUT", "tables", and(table("t"), json!({"description": "second"})));
    assert_eq!(
        (&entity["description"], &entity["version"]),
        (&json!("first"), &json!(0.2))
    );
}

#[test]
fn case_2_14_before_2_0_a_bot_overwrites_the_display_name() {
    for (profile, shown) in [
        (Profile::V1_11, "second"),
        (Profile::V1_13, "second"),
        (Profile::V2_0, "first"),
    ] {
        let api = Api::of(profile).with_schema();
        api.fine("PUT", "tables", and(table("t"), json!({"displayName": "first"})));
        let entity = api.fine("PUT", "tables", and(table("t"), json!({"displayName": "second"})));
        assert_eq!(entity["displayName"], shown, "{profile:?}");
    }
}

#[test]
fn case_2_15_custom_properties() {
    let api = Api::start().with_schema();
    let with = and(table("t"), json!({"extension": {"colour": "red"}}));
    let answer = api.call("PUT", "tables", with.clone());
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("colour"));
    let id = api.get("metadata/types/name/table?category=field").body["id"]
        .as_str()
        .expect("an id")
        .to_string();
    let text = api.get("metadata/types/name/string?category=field").body["id"].clone();
    let property = json!({"name": "colour", "description": "d", "propertyType": {"id": text, "type": "type"}});
    api.fine("PUT", &format!("metadata/types/{id}"), property);
    api.fine("PUT", "tables", with);
    api.fine("PUT", "tables", table("t"));
    let shown = || api.get("tables/name/svc.db.s.t?fields=extension").body["extension"].clone();
    assert_eq!(shown(), json!({"colour": "red"}));
    api.fine_as_admin("PUT", "tables", table("t"));
    assert_eq!(shown(), Value::Null);
}

#[test]
fn case_2_16_columns_and_the_version_that_their_change_makes() {
    let api = Api::start().with_schema();
    let put =
        |columns: Value| api.fine("PUT", "tables", and(table("t"), json!({"columns": columns})))["version"].clone();
    let text = |length: u32| json!({"name": "text", "dataType": "VARCHAR", "dataLength": length});
    let (id, more) = (
        json!({"name": "id", "dataType": "INT"}),
        json!({"name": "more", "dataType": "INT"}),
    );
    assert_eq!(put(json!([id, text(10)])), json!(0.1));
    assert_eq!(put(json!([id, text(10), more])), json!(0.2));
    assert_eq!(put(json!([id, text(20), more])), json!(0.3));
    assert_eq!(put(json!([id, text(5), more])), json!(1.3));
    assert_eq!(put(json!([id, text(5)])), json!(2.3));
}

#[test]
fn case_2_17_tags_and_descriptions_of_columns_are_carried_forward() {
    let api = Api::start().with_schema();
    let mut row = table("t");
    row["columns"][0]["description"] = json!("the key");
    row["columns"][0]["tags"] = json!([tag("PII.Sensitive")]);
    api.fine("PUT", "tables", row);
    let mut row = table("t");
    row["columns"][0]["dataType"] = json!("BIGINT");
    api.fine("PUT", "tables", row);
    let column = api.get("tables/name/svc.db.s.t?fields=columns,tags").body["columns"][0].clone();
    assert_eq!(
        (&column["description"], &column["dataType"]),
        (&json!("the key"), &json!("BIGINT"))
    );
    assert_eq!(tag_names(&column), ["PII.Sensitive"]);
}

#[test]
fn case_2_18_before_2_0_a_put_without_constraints_removes_them() {
    let constraints = json!({"tableConstraints": [{"constraintType": "PRIMARY_KEY", "columns": ["id"]}]});
    for (profile, kept) in [(Profile::V1_11, false), (Profile::V2_0, true)] {
        let api = Api::of(profile).with_schema();
        api.fine("PUT", "tables", and(table("t"), constraints.clone()));
        api.fine("PUT", "tables", and(table("t"), json!({"description": "d"})));
        let shown = api.get("tables/name/svc.db.s.t?fields=tableConstraints").body;
        assert_eq!(shown.get("tableConstraints").is_some(), kept, "{profile:?}");
    }
}

#[test]
fn case_2_19_wrong_columns_are_one_failed_row_each() {
    let api = Api::start().with_schema();
    let columns = [
        json!([{"name": "a", "dataType": "VARCHAR"}]),
        json!([{"name": "a", "dataType": "BINARY"}]),
        json!([{"name": "a", "dataType": "DECIMAL", "scale": 2}]),
        json!([{"name": "a", "dataType": "DECIMAL", "precision": 2, "scale": 3}]),
        json!([{"name": "a", "dataType": "ARRAY"}]),
        json!([{"name": "a", "dataType": "INT"}, {"name": "a", "dataType": "INT"}]),
        json!([{"name": "s", "dataType": "STRUCT", "children": [{"name": "a", "dataType": "CHAR"}]}]),
    ];
    let bad = columns
        .iter()
        .enumerate()
        .map(|(at, columns)| and(table(&format!("bad{at}")), json!({"columns": columns})));
    let rows: Value = bad.chain([table("good")]).collect();
    let answer = api.tables(rows);
    assert_eq!(counts(&answer), (8, 1, 7));
    assert!(failed(&answer)
        .iter()
        .all(|row| row["status"] == 400 && row["request"].is_object()));
}

#[test]
fn case_2_20_constraints_must_fit() {
    let api = Api::start().with_schema();
    let with = |constraints: Value| {
        api.call(
            "PUT",
            "tables",
            and(table("t"), json!({"tableConstraints": constraints})),
        )
        .status
    };
    let key = json!({"constraintType": "PRIMARY_KEY", "columns": ["id"]});
    assert_eq!(with(json!([key])), 201);
    assert_eq!(with(json!([{"constraintType": "UNIQUE", "columns": ["none"]}])), 400);
    assert_eq!(with(json!([key, key])), 400);
}

#[test]
fn case_2_21_a_column_with_a_dot() {
    let api = Api::start().with_schema();
    let columns = json!([{"name": "col.umn", "dataType": "INT"}]);
    let constraints = json!([{"constraintType": "UNIQUE", "columns": ["col.umn"]}]);
    let entity = api.fine(
        "PUT",
        "tables",
        and(table("t"), json!({"columns": columns, "tableConstraints": constraints})),
    );
    let column = &entity["columns"][0];
    assert_eq!(
        (&column["name"], &column["fullyQualifiedName"]),
        (&json!("col.umn"), &json!("svc.db.s.t.\"col.umn\""))
    );
}

#[test]
fn case_2_25_a_put_of_a_deleted_container_brings_its_children_back() {
    let api = Api::start().with_schema();
    api.tables(tables(3));
    api.fine("DELETE", "databases/name/svc.db?recursive=true", Value::Null);
    assert_eq!(api.get("tables/name/svc.db.s.t1").status, 404);
    let missing = api.tables(tables(1));
    assert_eq!(
        failed(&missing)[0]["message"],
        "databaseSchema instance for svc.db.s not found"
    );
    let answer = api.call("PUT", "databases", json!({"name": "db", "service": "svc"}));
    assert_eq!(answer.status, 200);
    assert_eq!(api.get("tables/name/svc.db.s.t1").status, 200);
    assert_eq!(api.get("databaseSchemas/name/svc.db.s").body["deleted"], false);
}

#[test]
fn case_2_26_name_and_parent_make_an_entity() {
    let api = Api::start().with_schema();
    api.fine("PUT", "databaseSchemas", json!({"name": "s2", "database": "svc.db"}));
    assert_eq!(api.call("POST", "tables", table("t")).status, 201);
    assert_eq!(
        api.call(
            "POST",
            "tables",
            and(table("t"), json!({"databaseSchema": "svc.db.s2"}))
        )
        .status,
        201
    );
}

#[test]
fn case_3_1_what_is_absent_is_404_with_its_name() {
    let api = Api::start();
    let answer = api.get("apiCollections/name/none.at.all");
    assert_eq!(
        answer.body,
        json!({"code": 404, "message": "apiCollection instance for none.at.all not found"})
    );
}

#[test]
fn case_3_2_deleted_entities_show_only_to_who_asks() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let id = api.get("tables/name/svc.db.s.t0").body["id"]
        .as_str()
        .expect("an id")
        .to_string();
    api.fine("DELETE", &format!("tables/{id}"), Value::Null);
    for path in ["tables/name/svc.db.s.t0".to_string(), format!("tables/{id}")] {
        assert_eq!(api.get(&path).status, 404);
        for include in ["deleted", "all"] {
            assert_eq!(api.get(&format!("{path}?include={include}")).body["deleted"], true);
        }
    }
    let total = |include: &str| api.get(&format!("tables?include={include}")).body["paging"]["total"].clone();
    assert_eq!(
        (total("non-deleted"), total("deleted"), total("all")),
        (json!(0), json!(1), json!(1))
    );
}

#[test]
fn case_3_3_an_unknown_field_is_refused() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    assert_eq!(api.get("tables/name/svc.db.s.t0?fields=nonsense").status, 400);
    assert_eq!(api.get("tables?fields=nonsense").status, 400);
}

#[test]
fn case_3_4_and_3_5_only_plain_attributes_show_unasked() {
    let api = Api::start().with_schema();
    let mut row = and(
        table("t"),
        json!({"tags": [tag("PII.None")], "lifeCycle": {"created": {"timestamp": 5}}}),
    );
    row["columns"][0]["tags"] = json!([tag("PII.Sensitive")]);
    api.tables(json!([row]));
    let plain = api.get("tables/name/svc.db.s.t").body;
    for field in ["owners", "tags", "lifeCycle", "sourceHash", "extension"] {
        assert!(plain.get(field).is_none(), "{field}");
    }
    assert!(plain["columns"][0].get("tags").is_none());
    assert_eq!(plain["service"]["name"], "svc");
    let asked = api.get("tables/name/svc.db.s.t?fields=columns,tags,lifeCycle").body;
    assert_eq!(asked["lifeCycle"]["created"]["timestamp"], 5);
    assert_eq!(tag_names(&asked["columns"][0]), ["PII.Sensitive"]);
}

#[test]
fn case_3_6_the_source_hash_is_a_field() {
    let api = Api::start().with_schema();
    api.tables(json!([and(table("t"), json!({"sourceHash": "hash-1"}))]));
    assert_eq!(
        api.get("tables/name/svc.db.s.t?fields=sourceHash").body["sourceHash"],
        "hash-1"
    );
    assert_eq!(
        api.get("tables?fields=sourceHash").body["data"][0]["sourceHash"],
        "hash-1"
    );
}

#[test]
fn case_3_7_lists_come_in_pages() {
    let api = Api::start().with_schema();
    api.tables(tables(25));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = api
            .get(&format!("tables?databaseSchema=svc.db.s&limit=10&after={after}"))
            .body;
        assert_eq!(page["paging"]["total"], 25);
        seen.extend(
            page["data"]
                .as_array()
                .expect("rows")
                .iter()
                .map(|row| row["name"].as_str().expect("a name").to_string()),
        );
        match page["paging"]["after"].as_str() {
            Some(next) => after = next.replace('=', "%3D").replace('+', "%2B"),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let refused = |query: &str| api.get(&format!("tables?{query}"));
    assert!(refused("limit=-1")
        .text
        .contains("[query param limit must be greater than or equal to 0]"));
    assert_eq!(refused("limit=1000001").status, 400);
    assert!(refused("before=YQ%3D%3D&after=YQ%3D%3D")
        .text
        .contains("Only one of before or after query parameter allowed"));
}

#[test]
fn lists_are_narrowed_by_name_alone() {
    let api = Api::start().with_schema();
    api.fine("PUT", "databaseSchemas", json!({"name": "s2", "database": "svc.db"}));
    api.tables(json!([
        table("t"),
        and(table("t"), json!({"databaseSchema": "svc.db.s2"}))
    ]));
    let total = |query: &str| api.get(&format!("tables?{query}")).body["paging"]["total"].clone();
    assert_eq!(total("databaseSchema=svc.db.s"), 1);
    assert_eq!(total("database=svc.db"), 2);
    // Clients of 1.x ask for the tables of a schema with the parameter for databases.
    assert_eq!(total("database=svc.db.s2"), 1);
    assert_eq!(total("service=svc"), 2);
    assert_eq!(total("databaseSchema=svc.db.none"), 0);
}
