//! The latency model over HTTP: what takes its time and what does not, places, the moment of the commit.
//!
//! A machine can make anything slower, so that only least times are measured here, and what is not to wait is told from what waits
//! an hour. How long things take exactly is asked where the clock is the test's own: in `src/latency.rs`, and for the link
//! in `link.rs`.

use std::time::{Duration, Instant};

use om_reference_server::{Config, Latency, Profile};
use serde_json::{json, Value};

use crate::api::{counts, eventually, failed, table, tables, Api, AN_HOUR};

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

/// A model in which this takes its time, and everything else an hour.
fn only(class: &str, rate: Value) -> Value {
    let hour = json!({"request_ms": AN_HOUR});
    let mut model = json!({"bulk": hour, "get": hour, "patch": hour, "single": hour, "other": hour});
    model[class] = rate;
    model
}

#[test]
fn each_class_takes_its_time() {
    let api = Api::start().with_schema();
    api.control(
        "PUT",
        "/latency",
        only("bulk", json!({"request_ms": 100, "row_ms": 10})),
    );
    let (_, bulk) = timed(|| api.tables(tables(10)));
    assert!(bulk.as_millis() >= 200, "{bulk:?}");
    api.control("PUT", "/latency", only("get", json!({"request_ms": 50})));
    let (_, get) = timed(|| api.get("databases/name/svc.db"));
    assert!(get.as_millis() >= 50, "{get:?}");
    api.control("PUT", "/latency", only("other", json!({"request_ms": 20})));
    let (_, list) = timed(|| api.get("databases"));
    assert!(list.as_millis() >= 20, "{list:?}");
}

#[test]
fn a_life_cycle_patch_is_a_class_of_its_own() {
    let api = Api::start().with_schema();
    api.tables(tables(1));
    let patch = |path: &str| {
        let body = json!([{"op": "add", "path": path, "value": {"created": {"timestamp": 1}}}]);
        timed(|| api.call("PATCH", "tables/name/svc.db.s.t0", body)).1
    };
    api.control("PUT", "/latency", only("life_cycle", json!({"request_ms": 300})));
    assert!(patch("/lifeCycle").as_millis() >= 300);
    api.control("PUT", "/latency", json!({"life_cycle": {"request_ms": AN_HOUR}}));
    let other = json!([{"op": "add", "path": "/description", "value": "d"}]);
    assert_eq!(api.call("PATCH", "tables/name/svc.db.s.t0", other).status, 200);
}

#[test]
fn work_is_committed_at_its_end_or_its_start() {
    for (at_start, there) in [(false, 404), (true, 200)] {
        let api = Api::start().with_schema();
        api.switch(json!({"commit_at_start": at_start}));
        api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
        std::thread::scope(|scope| {
            scope.spawn(|| api.tables(tables(1)));
            api.until_waiting(1);
            assert_eq!(api.get("tables/name/svc.db.s.t0").status, there);
            api.release();
        });
        assert_eq!(api.get("tables/name/svc.db.s.t0").status, 200);
    }
}

#[test]
fn work_goes_on_when_the_client_leaves_unless_switched() {
    for stops in [false, true] {
        let api = Api::start().with_schema();
        api.switch(json!({"stop_when_client_leaves": stops}));
        api.control("PUT", "/latency", json!({"bulk": {"request_ms": AN_HOUR}}));
        api.leave_in_the_middle_of(&tables(1));
        let there = || api.get("tables/name/svc.db.s.t0").status == 200;
        if stops {
            // The work was dropped with its wait.
            api.until_waiting(0);
            api.release();
            assert!(!there());
        } else {
            assert!(!there());
            api.release();
            eventually("work that is done", there);
        }
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
fn rows_of_1_11_take_their_time_and_may_find_no_place() {
    let api = Api::of(Profile::V1_11).with_schema();
    api.control("PUT", "/latency", json!({"bulk": {"row_ms": 50}}));
    let (_, took) = timed(|| api.tables(tables(20)));
    assert!(took.as_millis() >= 100, "ten at once: {took:?}");
    api.control(
        "PUT",
        "/latency",
        json!({"bulk": {"row_ms": AN_HOUR}, "rows_at_once": 1, "place_timeout_ms": 150}),
    );
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(|| api.tables(tables(4)));
        api.until_waiting(1);
        // Longer than a row waits for its place.
        std::thread::sleep(Duration::from_millis(600));
        api.release();
        answer.join().expect("an answer")
    });
    let (_, passed, refused) = counts(&answer);
    assert!(passed >= 1 && refused >= 1, "{answer}");
    let row = &failed(&answer)[0];
    assert_eq!(row["status"], 503);
    assert!(row["message"]
        .as_str()
        .expect("a text")
        .starts_with("System overloaded, please retry later"));
}

#[test]
fn a_link_takes_its_time() {
    let api = Api::start().with_schema();
    // 50 Mbit/s and 40 ms.
    let link = json!({"link": {"bytes_per_s": 6_250_000, "round_trip_ms": 40}});
    api.control("PUT", "/latency", link);
    let (_, took) = timed(|| api.get("databases/name/svc.db"));
    assert!(took.as_millis() >= 40, "{took:?}");
    let mut row = table("large");
    row["description"] = json!("x".repeat(2_000_000));
    let (_, took) = timed(|| api.tables(json!([row])));
    assert!(took.as_millis() >= 320 + 40, "2 MB at 6.25 MB/s: {took:?}");
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
