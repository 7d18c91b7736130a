//! The latency model over HTTP: times, places, the moment of the commit, the link.

use std::time::{Duration, Instant};

use om_reference_server::{Config, Latency, Profile};
use serde_json::{json, Value};

use crate::api::{counts, failed, table, tables, Api};

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

#[test]
fn each_class_takes_its_time() {
    let api = Api::start().with_schema();
    let model =
        json!({"bulk": {"request_ms": 100, "row_ms": 10}, "get": {"request_ms": 50}, "other": {"request_ms": 20}});
    api.control("PUT", "/latency", model);
    let (_, bulk) = timed(|| api.tables(tables(10)));
    assert!((200..2000).contains(&bulk.as_millis()), "{bulk:?}");
    let (_, get) = timed(|| api.get("databases/name/svc.db"));
    assert!((50..1500).contains(&get.as_millis()), "{get:?}");
    let (_, list) = timed(|| api.get("databases"));
    assert!((20..1500).contains(&list.as_millis()), "{list:?}");
}

#[test]
fn a_life_cycle_patch_is_a_class_of_its_own() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.control("PUT", "/latency", json!({"life_cycle": {"request_ms": 1000}}));
    let patch = |path: &str| {
        let body = json!([{"op": "add", "path": path, "value": {"created": {"timestamp": 1}}}]);
        timed(|| api.call("PATCH", "tables/name/svc.db.s.t0", body))
            .1
            .as_millis()
    };
    assert!(patch("/lifeCycle") >= 1000);
    let other = json!([{"op": "add", "path": "/description", "value": "d"}]);
    assert!(
        timed(|| api.call("PATCH", "tables/name/svc.db.s.t0", other))
            .1
            .as_millis()
            < 900
    );
}

#[test]
fn work_is_committed_at_its_end_or_its_start() {
    for (at_start, there) in [(false, 404), (true, 200)] {
        let api = Api::start().with_schema();
        api.switch(json!({"commit_at_start": at_start}));
        api.control("PUT", "/latency", json!({"bulk": {"request_ms": 500}}));
        std::thread::scope(|scope| {
            scope.spawn(|| api.tables(tables(1)));
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(api.get("tables/name/svc.db.s.t0").status, there);
        });
        assert_eq!(api.get("tables/name/svc.db.s.t0").status, 200);
    }
}

#[test]
fn work_goes_on_when_the_client_leaves_unless_switched() {
    for (stops, status) in [(false, 200), (true, 404)] {
        let api = Api::start().with_schema();
        api.switch(json!({"stop_when_client_leaves": stops}));
        api.control("PUT", "/latency", json!({"bulk": {"request_ms": 400}}));
        let impatient = crate::api::client()
            .timeout(Duration::from_millis(150))
            .build()
            .expect("a client");
        let request = impatient
            .put(format!("{}/v1/tables/bulk", api.server.url))
            .bearer_auth(&api.token)
            .json(&tables(1));
        assert!(request.send().is_err());
        drop(impatient);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(api.get("tables/name/svc.db.s.t0").status, status, "{stops}");
    }
}

#[test]
fn requests_wait_for_a_place() {
    let latency = Latency::parse(r#"{"bulk": {"request_ms": 100}, "requests_at_once": 1}"#).expect("a model");
    let api = Api::with(&Config {
        latency,
        ..Config::default()
    })
    .with_schema();
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            for at in 0..4 {
                let api = &api;
                scope.spawn(move || api.tables(json!([table(&format!("t{at}"))])));
            }
        });
    });
    assert!(took.as_millis() >= 400, "{took:?}");
}

#[test]
fn rows_of_1_11_run_side_by_side_and_may_find_no_place() {
    let api = Api::of(Profile::V1_11).with_schema();
    api.control("PUT", "/latency", json!({"bulk": {"row_ms": 50}}));
    let (_, took) = timed(|| api.tables(tables(20)));
    assert!((100..950).contains(&took.as_millis()), "{took:?}");
    api.control(
        "PUT",
        "/latency",
        json!({"bulk": {"row_ms": 100}, "rows_at_once": 1, "place_timeout_ms": 150}),
    );
    let answer = api.tables(tables(4));
    let (_, passed, refused) = counts(&answer);
    assert!(passed >= 1 && refused >= 1, "{answer}");
    let row = &failed(&answer)[0];
    assert_eq!(row["status"], 503);
    assert!(row["message"]
        .as_str()
        .expect("a text")
        .starts_with("System overloaded, please retry later"));
}

/// 50 Mbit/s and 40 ms.
const LINK: &str = r#"{"link": {"bytes_per_s": 6250000, "round_trip_ms": 40}}"#;

fn through_the_link() -> Api {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    api.control("PUT", "/latency", serde_json::from_str(LINK).expect("JSON"));
    api
}

#[test]
fn a_small_request_takes_the_round_trip() {
    let api = through_the_link();
    api.get("databases/name/svc.db");
    for _ in 0..3 {
        let (_, took) = timed(|| api.get("databases/name/svc.db"));
        assert!((40..70).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn a_large_request_takes_the_speed_of_the_link_and_its_slow_start() {
    let api = through_the_link();
    let large = |megabytes: usize| {
        let mut row = table("large");
        row["description"] = json!("x".repeat(megabytes * 1_000_000));
        timed(|| api.tables(json!([row]))).1
    };
    // Five round trips before the line is full, one for the answer; the server's own work on 8 MB counts, too.
    let (short, long) = (large(2), large(8));
    assert!((320 + 40..320 + 6 * 40 + 250).contains(&short.as_millis()), "{short:?}");
    let more = long.saturating_sub(short).as_secs_f64();
    assert!((0.6..1.35).contains(&more), "6 MB more at 6.25 MB/s: {more} s");
}

#[test]
fn connections_share_the_link() {
    let api = through_the_link();
    let (_, took) = timed(|| {
        std::thread::scope(|scope| {
            for number in 0..4 {
                let api = &api;
                scope.spawn(move || {
                    let mut row = table(&format!("t{number}"));
                    row["description"] = json!("x".repeat(1_500_000));
                    api.tables(json!([row]))
                });
            }
        });
    });
    assert!((960..1_700).contains(&took.as_millis()), "6 MB at 6.25 MB/s: {took:?}");
}

#[test]
fn a_model_that_makes_no_sense_is_refused() {
    let api = Api::start();
    for model in [
        json!({"bulc": {}}),
        json!({"rows_at_once": 0}),
        json!({"bulk": {"row_ms": -1}}),
    ] {
        assert_eq!(api.try_control("PUT", "/latency", model).status, 400);
    }
    assert_eq!(api.control("GET", "/latency", Value::Null), json!({}));
}
