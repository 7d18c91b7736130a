//! Case 8: tokens and rights.

use om_reference_server::auth;
use serde_json::{json, Value};

use crate::api::{counts, tables, Api};

#[test]
fn case_8_1_the_bot_may_write() {
    let api = Api::start().with_schema();
    assert_eq!(counts(&api.tables(tables(1))), (1, 1, 0));
}

#[test]
fn case_8_3_a_good_token_of_nobody_is_404() {
    let api = Api::start();
    let answer = api.call_as(&auth::token("stranger", None), "GET", "tables", Value::Null);
    assert_eq!(
        (answer.status, &answer.body["message"]),
        (404, &json!("user instance for stranger not found"))
    );
}

#[test]
fn wrong_expired_and_rotated_tokens_are_401_with_their_texts() {
    let api = Api::start();
    let refused = |token: &str| {
        let answer = api.call_as(token, "GET", "tables", Value::Null);
        assert_eq!(answer.status, 401);
        answer.body["message"].as_str().expect("a text").to_string()
    };
    assert_eq!(refused("nonsense"), "Invalid token.");
    assert_eq!(refused(&auth::token("admin", Some(1000))), "Expired token!");
    api.switch(json!({"bot_token": "a-new-token"}));
    assert_eq!(
        refused(&auth::bot_token()),
        "The given token does not match the current bot's token!"
    );
    assert_eq!(api.call_as("a-new-token", "GET", "tables", Value::Null).status, 200);
}

#[test]
fn the_version_needs_no_token() {
    let api = Api::start();
    let answer = api
        .http
        .get(format!("{}/v1/system/version", api.server.url))
        .send()
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let body: Value = answer.json().expect("JSON");
    assert_eq!(body["version"], "2.0.7");
}

#[test]
fn case_8_4_reading_is_free_for_consumers() {
    let api = Api::start().with_schema();
    assert_eq!(
        api.call_as(
            &auth::consumer_token(),
            "GET",
            "databaseSchemas/name/svc.db.s",
            Value::Null
        )
        .status,
        200
    );
}

#[test]
fn an_error_says_who_answers() {
    let api = Api::start();
    let request = api.http.get(format!("{}/v1/tables", api.server.url));
    let answer = request.send().expect("an answer");
    assert_eq!(
        answer
            .headers()
            .get("www-authenticate")
            .and_then(|value| value.to_str().ok()),
        Some("om-auth")
    );
}
