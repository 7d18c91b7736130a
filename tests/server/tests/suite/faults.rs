//! Every action of the fault plan, as a client meets it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::api::{counts, eventually, failed, passed, table, tables, Api, AN_HOUR, PATIENCE};

fn faulty(rules: Value) -> Api {
    let api = Api::start().with_schema();
    api.faults(rules);
    api
}

fn once(action: Value) -> Api {
    faulty(json!([{"match": {"class": "bulk"}, "when": {"first": 1}, "do": action}]))
}

fn stored(api: &Api) -> u64 {
    api.get("tables?limit=0").body["paging"]["total"]
        .as_u64()
        .expect("a total")
}

fn last_fault(api: &Api) -> Value {
    let log = api.control("GET", "/requests", Value::Null);
    let bulk: Vec<&Value> = log
        .as_array()
        .expect("a log")
        .iter()
        .filter(|entry| entry["class"] == "bulk")
        .collect();
    bulk.last().expect("a bulk request")["fault"].clone()
}

#[test]
fn a_status_with_headers_and_body() {
    let api = once(
        json!({"kind": "status", "status": 503, "headers": {"X-By": "plan"}, "body": "not json", "retry_after": 7}),
    );
    let request = api
        .http
        .put(format!("{}/v1/tables/bulk", api.server.url))
        .bearer_auth(&api.token)
        .json(&tables(1));
    let answer = request.send().expect("an answer");
    assert_eq!(answer.status().as_u16(), 503);
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_string)
    };
    assert_eq!(
        (header("x-by").as_deref(), header("retry-after").as_deref()),
        (Some("plan"), Some("7"))
    );
    assert_eq!(answer.text().expect("text"), "not json");
    assert_eq!(stored(&api), 0);
    assert_eq!(counts(&api.tables(tables(1))), (1, 1, 0));
    let summary = api.control("GET", "/summary", Value::Null);
    assert_eq!(summary["faults"], json!({"status": 1}));
}

#[test]
fn retry_after_as_a_date_and_as_nonsense() {
    for (after, check) in [(json!({"date_in_s": 5}), "GMT"), (json!("soon"), "soon")] {
        let api = once(json!({"kind": "status", "status": 429, "retry_after": after}));
        let request = api
            .http
            .put(format!("{}/v1/tables/bulk", api.server.url))
            .bearer_auth(&api.token)
            .json(&tables(1));
        let answer = request.send().expect("an answer");
        let value = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .expect("a header")
            .to_string();
        assert!(value.ends_with(check), "{value}");
    }
}

#[test]
fn work_may_be_done_behind_a_wrong_answer_now_or_later() {
    let api = once(json!({"kind": "status", "status": 500, "work": true}));
    assert_eq!(api.call("PUT", "tables/bulk", tables(2)).status, 500);
    assert_eq!(stored(&api), 2);
    let api = once(json!({"kind": "status", "status": 504, "work_after_s": 3600}));
    assert_eq!(api.call("PUT", "tables/bulk", tables(2)).status, 504);
    assert_eq!(stored(&api), 0);
    api.release();
    eventually("work that is done", || stored(&api) == 2);
}

#[test]
fn rows_fail_by_name_by_share_and_by_number() {
    let action = json!({"kind": "fail_rows", "fqns": ["svc.db.s.t1"], "status": 503, "message": "Deadlock found when trying to get lock"});
    let api = once(action);
    let answer = api.tables(tables(3));
    assert_eq!(counts(&answer), (3, 2, 1));
    let row = &failed(&answer)[0];
    assert_eq!(
        (&row["request"], &row["status"], &row["message"]),
        (
            &json!("svc.db.s.t1"),
            &json!(503),
            &json!("Deadlock found when trying to get lock")
        )
    );
    assert_eq!(api.get("tables/name/svc.db.s.t1").status, 404);

    let api = once(json!({"kind": "fail_rows", "rate": 0.5}));
    let failed_rows = counts(&api.tables(tables(100))).2;
    assert!((20..80).contains(&failed_rows), "{failed_rows}");

    let api = once(json!({"kind": "fail_rows", "count": 2, "echo": true}));
    let answer = api.tables(tables(3));
    assert_eq!(
        (counts(&answer), &failed(&answer)[0]["request"]),
        ((3, 1, 2), &table("t0"))
    );
}

#[test]
fn connections_are_reset_before_and_after_the_work() {
    for (at, rows) in [("before_body", 0), ("before_work", 0), ("after_work", 2)] {
        let api = faulty(json!([{"match": {"class": "bulk"}, "do": {"kind": "reset", "at": at}}]));
        assert!(api.try_call("PUT", "tables/bulk", &tables(2)).is_err(), "{at}");
        assert_eq!(stored(&api), rows, "{at}");
        assert_eq!(last_fault(&api), "reset", "{at}");
    }
}

#[test]
fn a_stall_ends_in_work_in_a_reset_or_never() {
    let api = once(json!({"kind": "stall", "seconds": 0.3}));
    let begun = Instant::now();
    assert_eq!(counts(&api.tables(tables(1))), (1, 1, 0));
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let api = once(json!({"kind": "stall", "seconds": 0.1, "then": "reset"}));
    assert!(api.try_call("PUT", "tables/bulk", &tables(1)).is_err());
    assert_eq!(stored(&api), 0);

    let api = once(json!({"kind": "stall"}));
    let impatient = crate::api::client()
        .timeout(Duration::from_millis(300))
        .build()
        .expect("a client");
    let request = impatient
        .put(format!("{}/v1/tables/bulk", api.server.url))
        .bearer_auth(&api.token)
        .json(&tables(1));
    assert!(request.send().is_err_and(|error| error.is_timeout()));
    assert_eq!(stored(&api), 0);
}

#[test]
fn a_slow_body_comes_whole() {
    let api = once(json!({"kind": "slow_body", "bytes_per_s": 2000}));
    let begun = Instant::now();
    assert_eq!(counts(&api.tables(tables(10))), (10, 10, 0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// Sends a bulk PUT over a bare socket and returns every byte of the answer until the server closes.
fn raw(api: &Api, rows: &Value) -> String {
    raw_with(api, rows, "")
}

/// The same with another line in the head.
fn raw_with(api: &Api, rows: &Value, line: &str) -> String {
    let body = rows.to_string();
    let mut socket = TcpStream::connect(api.server.address).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let head = format!(
        "PUT /api/v1/tables/bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{line}\r\n",
        api.token,
        body.len()
    );
    socket
        .write_all(head.as_bytes())
        .and_then(|()| socket.write_all(body.as_bytes()))
        .expect("a request");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn lengths(answer: &str) -> (usize, usize) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-length"))
        .expect("a length");
    (
        line.split(':')
            .nth(1)
            .expect("a value")
            .trim()
            .parse()
            .expect("a number"),
        body.len(),
    )
}

#[test]
fn answers_are_cut_or_lie_about_their_length() {
    let api = once(json!({"kind": "truncate"}));
    let (said, came) = lengths(&raw(&api, &tables(3)));
    assert!(came > 0 && came < said, "{came} of {said}");
    assert_eq!(stored(&api), 3);

    let api = once(json!({"kind": "truncate", "bytes": 5}));
    assert_eq!(lengths(&raw(&api, &tables(3))).1, 5);
    let api = once(json!({"kind": "truncate"}));
    assert!(api
        .try_call("PUT", "tables/bulk", &tables(1))
        .map_or(true, |answer| answer.body.is_null()));

    let api = once(json!({"kind": "wrong_length", "delta": -10}));
    let (said, came) = lengths(&raw(&api, &tables(3)));
    assert_eq!(said + 10, came);
}

#[test]
fn answers_that_are_no_json() {
    let text = |action: Value| {
        let api = once(action);
        let answer = api.call("PUT", "tables/bulk", tables(2));
        (answer.status, answer.text, stored(&api))
    };
    assert_eq!(text(json!({"kind": "empty"})), (200, String::new(), 2));
    assert_eq!(text(json!({"kind": "empty", "work": false})), (200, String::new(), 0));
    let (status, page, rows) = text(json!({"kind": "html"}));
    assert_eq!((status, page.starts_with("<!DOCTYPE html>"), rows), (200, true, 2));
    let (_, deep, _) = text(json!({"kind": "deep_json", "depth": 5000}));
    assert_eq!(deep, format!("{}{}", "[".repeat(5000), "]".repeat(5000)));
    let api = once(json!({"kind": "invalid_utf8"}));
    let request = api
        .http
        .put(format!("{}/v1/tables/bulk", api.server.url))
        .bearer_auth(&api.token)
        .json(&tables(1));
    let bytes = request
        .send()
        .and_then(reqwest::blocking::Response::bytes)
        .expect("an answer");
    assert!(std::str::from_utf8(&bytes).is_err());
}

#[test]
fn a_huge_answer_is_as_long_as_it_says() {
    let api = once(json!({"kind": "huge", "megabytes": 3}));
    let answer = raw(&api, &tables(1));
    assert_eq!(lengths(&answer), (1 + (3 << 20), 1 + (3 << 20)));
}

#[test]
fn a_flood_of_headers() {
    let api = once(json!({"kind": "header_flood", "headers": 300, "bytes": 200}));
    let answer = raw_with(&api, &tables(1), "Connection: close\r\n");
    assert_eq!(answer.matches("X-Flood-").count(), 300);
}

#[test]
fn rows_that_are_not_answered_and_rows_that_were_never_sent() {
    let api = once(json!({"kind": "drop_rows", "fqns": ["svc.db.s.t1"]}));
    let answer = api.tables(tables(3));
    assert_eq!(passed(&answer), ["svc.db.s.t0", "svc.db.s.t2"]);
    assert_eq!(counts(&answer), (3, 3, 0));
    assert_eq!(stored(&api), 3);
    let api = once(json!({"kind": "extra_rows", "count": 2}));
    assert_eq!(passed(&api.tables(tables(1))).len(), 3);
}

#[test]
fn odd_answers() {
    let api = once(json!({"kind": "odd_answer", "nulls": true, "unknown_fields": true, "lower_case": true}));
    let answer = api.tables(json!([table("Big")]));
    assert_eq!(answer["status"], Value::Null);
    assert_eq!(answer["failedRequest"], Value::Null);
    assert!(answer.get("addedLater").is_some());
    assert_eq!(answer["successRequest"][0]["request"], "svc.db.s.big");
}

#[test]
fn bodies_over_a_size_are_413() {
    let api = faulty(json!([{"match": {"class": "bulk", "body_over": 1000}, "do": {"kind": "status", "status": 413}}]));
    assert_eq!(api.call("PUT", "tables/bulk", tables(1)).status, 200);
    assert_eq!(api.call("PUT", "tables/bulk", tables(50)).status, 413);
}

#[test]
fn more_requests_than_places_are_turned_away() {
    let api = faulty(
        json!([{"match": {"class": "bulk", "in_work_over": 2}, "do": {"kind": "status", "status": 429, "retry_after": 1}}]),
    );
    api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = |at: usize| {
            let api = &api;
            scope.spawn(move || api.call("PUT", "tables/bulk", json!([table(&format!("t{at}"))])).status)
        };
        let tasks: Vec<_> = (0..5).map(send).collect();
        let turned_away = || tasks.iter().filter(|task| task.is_finished()).count() == 3;
        eventually("three that are turned away", turned_away);
        api.until_waiting(2);
        api.release();
        tasks.into_iter().map(|task| task.join().expect("a status")).collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        2,
        "{statuses:?}"
    );
    api.control("PUT", "/latency", json!({}));
    assert_eq!(api.call("PUT", "tables/bulk", tables(1)).status, 200);
}

#[test]
fn rules_may_name_an_entity_and_repeat_with_the_seed() {
    let api = faulty(json!([{"match": {"fqn": "svc.db.s.t1"}, "do": {"kind": "status", "status": 400}}]));
    assert_eq!(api.call("PUT", "tables/bulk", json!([table("t0")])).status, 200);
    assert_eq!(api.call("PUT", "tables/bulk", tables(3)).status, 400);
    assert_eq!(api.get("tables/name/svc.db.s.t0").status, 200);
    let run = || {
        let api = faulty(
            json!([{"match": {"class": "get"}, "when": {"rate": 0.3}, "do": {"kind": "status", "status": 500}}]),
        );
        (0..30)
            .map(|_| api.get("databases/name/svc.db").status)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_connection_may_end_with_each_answer() {
    let api = faulty(json!([{"do": {"kind": "close_after"}}]));
    let before = api.control("GET", "/summary", Value::Null)["connections"]
        .as_u64()
        .expect("a number");
    for _ in 0..3 {
        assert_eq!(api.get("databases/name/svc.db").status, 200);
    }
    let after = api.control("GET", "/summary", Value::Null)["connections"]
        .as_u64()
        .expect("a number");
    assert!(after >= before + 2, "{before} {after}");
}

#[test]
fn a_restart_drops_what_is_not_committed_and_keeps_the_rest() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
    std::thread::scope(|scope| {
        let lost = scope.spawn(|| api.try_call("PUT", "tables/bulk", &json!([table("lost")])));
        api.until_waiting(1);
        api.control("POST", "/restart", Value::Null);
        assert!(lost.join().expect("an end").is_err());
    });
    assert_eq!(
        (
            api.get("tables/name/svc.db.s.t0").status,
            api.get("tables/name/svc.db.s.lost").status
        ),
        (200, 404)
    );
}

#[test]
fn an_outage_refuses_connections_and_ends_on_the_same_port() {
    let api = Api::start().with_schema();
    api.control("POST", "/outage", json!({"seconds": 3600}));
    let refused = || TcpStream::connect(api.server.address).err().map(|error| error.kind());
    eventually("a refused connection", || {
        refused() == Some(std::io::ErrorKind::ConnectionRefused)
    });
    api.control("POST", "/outage", json!({"seconds": 0.2}));
    eventually("the end of the outage", || refused().is_none());
    assert_eq!(api.get("databases/name/svc.db").status, 200);
}

#[test]
fn a_plan_that_is_not_understood_is_refused_and_changes_nothing() {
    let api = once(json!({"kind": "empty"}));
    let answer = api.try_control("PUT", "/faults", json!([{"do": {"kind": "explode"}}]));
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("rule 1"));
    assert_eq!(
        api.control("GET", "/faults", Value::Null).as_array().map(Vec::len),
        Some(1)
    );
}
