//! What holds for any answer at all.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{json, Value};

use super::testing::carried;
use super::{Asked, Carried, Meaning, Question, Row};
use crate::engine::request::{Answer, Response};

const ROWS: usize = 5;

fn asked() -> impl Strategy<Value = Asked> {
    let all = [
        Asked::Bulk,
        Asked::One,
        Asked::PatchByName,
        Asked::PatchById,
        Asked::Get,
        Asked::Probe,
    ];
    prop::sample::select(all.to_vec())
}

/// Rows that resemble each other: names by quotes and case, contents without a name.
fn question(asked: Asked) -> Question {
    let rows = [
        ("s.a", r#"{"name":"a","databaseSchema":"s"}"#),
        ("s.\"b.c\"", r#"{"name":"b.c","databaseSchema":"s"}"#),
        (
            "r.a",
            r#"{"name":"a","databaseSchema":"r","description":"it already exists"}"#,
        ),
        ("q.1", r#"{"query":"select 1"}"#),
        ("s.deadlock", "no JSON at all \""),
    ];
    let rows = (1..).zip(rows).map(|(sequence, (fqn, body))| Carried {
        sequence,
        ..carried(fqn, body)
    });
    Question {
        asked,
        rows: rows.collect(),
    }
}

fn read(asked: Asked, status: u16, body: impl Into<Bytes>) -> Meaning {
    let answer = Answer::Response(Response {
        status,
        retry_after: None,
        body: body.into(),
    });
    question(asked).read(&answer).0
}

/// JSON of any shape, with the words that answers are made of more often than chance would have it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "s.a",
        "s.b.c",
        "s.\"b.c\"",
        "a",
        "already exists",
        "table instance for s.a not found",
        "instance for ",
        "\"",
        "Deadlock found",
        "é not found",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..600u64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "numberOfRowsPassed",
        "numberOfRowsFailed",
        "successRequest",
        "failedRequest",
        "request",
        "status",
        "message",
        "code",
        "id",
        "name",
        "query",
        "fullyQualifiedName",
        "databaseSchema",
    ]);
    leaf.prop_recursive(4, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..5).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

/// What a server may say of one row, known or not.
fn any_row() -> impl Strategy<Value = Value> {
    let requests = prop::sample::select(vec![
        json!("s.a"),
        json!("S.\"A\""),
        json!("s.\"b.c\""),
        json!({"name": "a", "databaseSchema": "r"}),
        json!({"name": "a", "databaseSchema": "s"}),
        json!({"query": "select 1"}),
        json!({"query": "select 1", "added": null}),
        json!("nobody"),
        json!(null),
    ]);
    let texts = prop::sample::select(vec![
        json!("no"),
        json!(null),
        json!("boom"),
        json!("databaseSchema instance for s not found"),
        json!("Entity already exists"),
    ]);
    let statuses = prop::sample::select(vec![json!(200), json!(400), json!(500), json!(503), json!(null)]);
    (requests, statuses, texts)
        .prop_map(|(request, status, message)| json!({"request": request, "status": status, "message": message}))
}

fn any_rows() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(any_row(), 0..7)
}

fn answer(passed: Option<u64>, failures: &[Value], successes: &[Value]) -> String {
    json!({"numberOfRowsPassed": passed, "failedRequest": failures, "successRequest": successes}).to_string()
}

proptest! {
    #[test]
    fn bytes_of_any_kind_have_a_meaning(asked in asked(), status in 100..1000u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
        read(asked, status, body);
    }

    #[test]
    fn json_of_any_shape_has_a_meaning(asked in asked(), status in prop::sample::select(vec![200, 400, 404, 409, 500, 503]), body in any_json()) {
        read(asked, status, body.to_string());
    }

    #[test]
    fn each_row_gets_one_verdict(passed in prop::option::of(0..7u64), failures in any_rows(), successes in any_rows()) {
        if let Meaning::Rows(rows) = read(Asked::Bulk, 200, answer(passed, &failures, &successes)) {
            let sequences: Vec<u64> = rows.iter().map(|(sequence, _)| *sequence).collect();
            prop_assert_eq!(sequences, (1..=ROWS as u64).collect::<Vec<_>>());
            let written = rows.iter().filter(|(_, row)| *row == Row::Written).count();
            let said = passed.is_some_and(|passed| passed as usize >= written);
            prop_assert!(said || written <= successes.len(), "{} written", written);
        } else {
            let says_nothing = passed.unwrap_or(0) == 0 && failures.is_empty() && successes.is_empty();
            prop_assert!(says_nothing || failures.len() >= ROWS, "not every row can have failed");
        }
    }

    #[test]
    fn the_order_of_an_answer_does_not_matter(
        passed in prop::option::of(0..7u64),
        (failures, shuffled) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        (successes, shuffled_successes) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        prop_assert_eq!(
            read(Asked::Bulk, 200, answer(passed, &failures, &successes)),
            read(Asked::Bulk, 200, answer(passed, &shuffled, &shuffled_successes))
        );
    }
}
