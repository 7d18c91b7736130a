//! What the notes on the server's contract say beyond the numbered cases: row order by line, statuses, error forms, request
//! bodies, foreign keys, and the other routes that an ingestion calls.

use std::io::Write;

use om_reference_server::{auth, Config, Profile};
use serde_json::{json, Value};

use crate::api::{and, counts, failed, passed, table, tables, Api};

#[test]
fn rows_come_as_creates_skips_updates_and_refusals_last() {
    let api = Api::start().with_schema();
    api.tables(json!([and(table("same"), json!({"sourceHash": "h"})), table("old")]));
    let answer = api.tables(json!([
        and(table("gone"), json!({"databaseSchema": "none"})),
        and(table("old"), json!({"description": "d"})),
        and(table("same"), json!({"sourceHash": "h"})),
        table("new1"),
        and(table("key"), json!({"tableConstraints": [{"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": ["svc.db.s.none.id"]}]})),
        table("new2"),
    ]));
    assert_eq!(
        passed(&answer),
        ["svc.db.s.new1", "svc.db.s.new2", "svc.db.s.same", "svc.db.s.old"]
    );
    let refused = failed(&answer);
    assert_eq!(refused[0]["request"], "svc.db.s.key");
    assert_eq!(refused[1]["request"]["name"], "gone");
}

#[test]
fn rows_of_1_11_come_in_another_order_each_time() {
    let api = Api::of(Profile::V1_11).with_schema();
    let orders: Vec<Vec<String>> = (0..3).map(|_| passed(&api.tables(tables(20)))).collect();
    assert!(orders.iter().any(|order| *order != orders[0]));
    let mut sorted = orders[0].clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 20);
}

#[test]
fn the_status_word_by_line_when_all_rows_fail() {
    let key = json!({"tableConstraints": [{"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": ["svc.db.s.none.id"]}]});
    let stored = and(table("a"), key);
    let refused = and(table("b"), json!({"databaseSchema": "none"}));
    for (profile, word) in [
        (Profile::V1_11, "partialSuccess"),
        (Profile::V1_12, "failure"),
        (Profile::V2_0, "failure"),
    ] {
        let api = Api::of(profile).with_schema();
        assert_eq!(api.tables(json!([stored]))["status"], word, "{profile:?}");
        assert_eq!(api.tables(json!([refused]))["status"], "failure", "{profile:?}");
        assert_eq!(
            api.tables(json!([refused, stored]))["status"],
            "partialSuccess",
            "{profile:?}"
        );
    }
}

#[test]
fn only_2_0_has_the_field_for_side_effects() {
    for (profile, there) in [(Profile::V1_13, false), (Profile::V2_0, true)] {
        let api = Api::of(profile).with_schema();
        let answer = api.tables(tables(1));
        assert_eq!(answer["successRequest"][0].get("hasSideEffects").is_some(), there);
    }
}

#[test]
fn a_foreign_key_needs_its_table() {
    let api = Api::start().with_schema();
    let key = |name: &str, to: &str| {
        let constraint = json!({"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": [format!("svc.db.s.{to}.id")]});
        and(table(name), json!({"tableConstraints": [constraint]}))
    };
    let answer = api.tables(json!([key("a", "b")]));
    assert_eq!(
        failed(&answer)[0],
        json!({"request": "svc.db.s.a", "status": 400, "message": "table instance for svc.db.s.b not found", "hasSideEffects": false})
    );
    assert_eq!(counts(&api.tables(json!([key("self", "self"), table("b")]))), (2, 2, 0));
    assert_eq!(counts(&api.tables(json!([key("a", "b")]))), (1, 1, 0));
}

#[test]
fn the_first_of_two_that_fails_takes_the_second_along() {
    let api = Api::start().with_schema();
    api.faults(json!([{"match": {"class": "bulk"}, "do": {"kind": "fail_rows", "count": 1, "message": "broken"}}]));
    let answer = api.tables(json!([table("t"), table("t")]));
    let texts: Vec<Value> = failed(&answer).iter().map(|row| row["message"].clone()).collect();
    assert_eq!(
        texts,
        [json!("broken"), json!("Entity does not exist and could not be created")]
    );
}

#[test]
fn bodies_that_are_no_list_of_requests_are_400() {
    let api = Api::start().with_schema();
    for body in [
        json!({"tables": []}),
        json!([1]),
        json!([{"name": 5}]),
        json!("text"),
        json!([and(table("t"), json!({"nonsense": 1}))]),
    ] {
        let answer = api.call("PUT", "tables/bulk", body);
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains("Invalid request format"), "{}", answer.text);
    }
    api.switch(json!({"refuse_unknown_properties": false}));
    assert_eq!(
        counts(&api.tables(json!([and(table("t"), json!({"nonsense": 1}))]))),
        (1, 1, 0)
    );
}

#[test]
fn bodies_may_be_compressed_unless_switched_off() {
    let api = Api::start().with_schema();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(tables(3).to_string().as_bytes())
        .expect("compression");
    let body = encoder.finish().expect("compression");
    let send = || {
        let request = api
            .http
            .put(format!("{}/v1/tables/bulk", api.server.url))
            .bearer_auth(&api.token);
        request
            .header("Content-Encoding", "gzip")
            .body(body.clone())
            .send()
            .expect("an answer")
    };
    let answer = send();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(counts(&answer.json().expect("JSON")), (3, 3, 0));
    api.switch(json!({"gzip_requests": false}));
    assert_eq!(send().status().as_u16(), 415);
}

#[test]
fn the_version_follows_the_profile() {
    for (profile, version) in [
        (Profile::V1_11, "1.11.14"),
        (Profile::V1_12, "1.12.14"),
        (Profile::V1_13, "1.13.6"),
        (Profile::V2_0, "2.0.7"),
    ] {
        assert_eq!(Api::of(profile).get("system/version").body["version"], version);
    }
}

#[test]
fn a_server_without_bulk_answers_405() {
    let api = Api::start().with_schema();
    api.switch(json!({"bulk": false}));
    assert_eq!(api.call("PUT", "tables/bulk", tables(1)).status, 405);
    assert_eq!(api.call("PUT", "tables", table("t")).status, 201);
}

#[test]
fn pipeline_reports() {
    let api = Api::start().with_schema();
    let service = api.get("services/databaseServices/name/svc").body["id"].clone();
    assert_eq!(
        api.call(
            "PUT",
            "services/ingestionPipelines/svc.p/pipelineStatus",
            json!({"runId": "r"})
        )
        .status,
        404
    );
    let pipeline = json!({
        "name": "p", "pipelineType": "metadata", "sourceConfig": {"config": {}}, "airflowConfig": {}, "service": {"id": service, "type": "databaseService"},
    });
    assert_eq!(
        api.fine("PUT", "services/ingestionPipelines", pipeline)["fullyQualifiedName"],
        "svc.p"
    );
    let report = |state: &str| {
        api.fine(
            "PUT",
            "services/ingestionPipelines/svc.p/pipelineStatus",
            json!({"runId": "r", "pipelineState": state}),
        )
    };
    assert_eq!(
        api.get("services/ingestionPipelines/svc.p/pipelineStatus/r").status,
        204
    );
    report("running");
    assert_eq!(report("success")["fullyQualifiedName"], "svc.p");
    let state = api.control("GET", "/state?normalized=1", Value::Null);
    assert_eq!(
        state["attachments"]["services/ingestionPipelines/svc.p/pipelineStatus"],
        json!(["success"])
    );
    let all = api
        .get("services/ingestionPipelines/svc.p/pipelineStatus?startTs=0&endTs=1")
        .body;
    assert_eq!(all["data"], json!([{"runId": "r", "pipelineState": "success"}]));
    assert_eq!(
        api.get("services/ingestionPipelines/svc.p/pipelineStatus/r").body["pipelineState"],
        "success"
    );
    assert_eq!(api.get("services/ingestionPipelines/name/svc.p").status, 200);
    assert_eq!(
        api.call("PUT", "services/ingestionPipelines/progress/svc.p/r", json!({}))
            .status,
        200
    );
}

#[test]
fn attachments_are_kept_and_dumped() {
    let api = Api::start().with_schema();
    let id = api.fine("PUT", "tables", table("t"))["id"]
        .as_str()
        .expect("an id")
        .to_string();
    let sample = json!({"columns": ["id"], "rows": [["1"]]});
    api.fine("PUT", &format!("tables/{id}/sampleData"), sample.clone());
    assert_eq!(api.get(&format!("tables/{id}/sampleData")).body["sampleData"], sample);
    let state = api.control("GET", "/state", Value::Null);
    assert_eq!(state["attachments"]["tables/svc.db.s.t/sampleData"], sample);
}

#[test]
fn search_is_empty_or_what_it_was_given() {
    let api = Api::start();
    let ask = || {
        api.get("search/fieldQuery?fieldName=fullyQualifiedName&fieldValue=a.*.t&index=table_search_index")
            .body
    };
    assert_eq!(ask()["hits"]["total"]["value"], 0);
    let document = json!({"index": "table_search_index", "source": {"id": "x", "fullyQualifiedName": "a.b.c.t"}});
    api.control("PUT", "/search", json!([document]));
    assert_eq!(ask()["hits"]["hits"][0]["_source"]["fullyQualifiedName"], "a.b.c.t");
}

#[test]
fn test_connection_definitions_exist_for_every_type() {
    let api = Api::start();
    let steps = |name: &str| {
        let body = api
            .get(&format!(
                "services/testConnectionDefinitions/name/{name}.testConnectionDefinition"
            ))
            .body;
        body["steps"].as_array().expect("steps").len()
    };
    assert!(steps("SQLite") > 0 && steps("Postgres") > 0 && steps("Redshift") > 0);
    assert_eq!(steps("Looker"), 0);
}

#[test]
fn a_route_that_is_not_known_is_404_in_the_servers_form_and_noted() {
    let api = Api::start();
    let answer = api.get("no/such/route");
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!(404)));
    let summary = api.control("GET", "/summary", Value::Null);
    assert_eq!(summary["unknown_routes"], json!(["GET /api/v1/no/such/route"]));
}

#[test]
fn outside_of_the_api_is_the_web_interface() {
    let api = Api::start();
    let host = api.server.url.trim_end_matches("/api").to_string();
    let ask = |request: reqwest::blocking::RequestBuilder| request.send().expect("an answer");
    let page = ask(api.http.get(format!("{host}/v1/system/version")));
    assert_eq!(page.status().as_u16(), 200);
    assert!(page.text().expect("text").starts_with("<!DOCTYPE html>"));
    assert_eq!(
        ask(api.http.put(format!("{host}/v1/tables/bulk"))).status().as_u16(),
        405
    );
}

#[test]
fn an_older_version_may_be_claimed() {
    let api = Api::start();
    api.switch(json!({"version": "1.10.14", "bulk": false}));
    assert_eq!(api.get("system/version").body["version"], "1.10.14");
}

#[test]
fn only_loopback_addresses_are_served() {
    let config = Config {
        address: ([0, 0, 0, 0], 0).into(),
        ..Config::default()
    };
    assert!(om_reference_server::Server::start(&config)
        .err()
        .is_some_and(|text| text.contains("loopback")));
}

#[test]
fn the_tokens_are_three_different_ones() {
    let all = [auth::bot_token(), auth::admin_token(), auth::consumer_token()];
    assert!(all.iter().all(|token| token.split('.').count() == 3));
    assert!(all[0] != all[1] && all[1] != all[2]);
}
