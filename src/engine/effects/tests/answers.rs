//! What an answer does to a request and to its rows.

use crate::engine::request::{Call, Fault};
use crate::engine::testing::{
    all_written, create, eager, endings, fault, next_request, only_reason, outcomes, request, requests, respond, rows,
    s, some_refused, submit_tables,
};
use crate::engine::{Ending, Engine, Scope, Time};

use super::world::{patient, reason, Reply, World};

#[test]
fn the_same_batch_goes_again_after_its_back_off() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 10, s(0));
    let first = request(&mut engine, s(0));
    respond(&mut engine, &first, 503, "", s(1));
    let mut now = s(1);
    let second = next_request(&mut engine, &mut now);
    assert!(now > s(1) && now < s(2), "{now:?}");
    assert_eq!(rows(&second), 10);
    all_written(&mut engine, &second, now);
    assert_eq!(endings(&mut engine).split(' ').count(), 10);
    assert_eq!(engine.stats(now).retries, 1);
}

#[test]
fn one_batch_alone_notices_within_ten_seconds_that_the_server_is_back() {
    for status in [500, 503] {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 10, s(0));
        let mut now = s(0);
        while now < s(250) {
            let before = now;
            let sent = next_request(&mut engine, &mut now);
            assert!(now <= before + s(10), "{status}: {before:?} {now:?}");
            respond(&mut engine, &sent, status, "", now);
        }
    }
}

#[test]
fn an_attempt_that_may_still_be_at_work_gets_five_seconds() {
    for status in [502, 504] {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let first = request(&mut engine, s(0));
        respond(&mut engine, &first, status, "<html>", s(1));
        let mut now = s(1);
        next_request(&mut engine, &mut now);
        assert_eq!(now, s(6), "{status}");
    }
}

#[test]
fn a_server_without_the_bulk_route_gets_single_requests() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 3, s(0));
    let bulk = request(&mut engine, s(0));
    respond(
        &mut engine,
        &bulk,
        404,
        r#"{"code":404,"message":"HTTP 404 Not Found"}"#,
        s(0),
    );
    for (second, count) in [(1, 1), (2, 2)] {
        let singles = requests(&mut engine, s(second));
        assert_eq!(
            singles.len(),
            count,
            "the first alone, for there may be no such collection"
        );
        for single in &singles {
            assert!(matches!(single.call, Call::PutOne { .. }));
            all_written(&mut engine, single, s(second));
        }
    }
    assert_eq!(endings(&mut engine), "w1 w2 w3");
}

#[test]
fn one_refused_row_costs_no_neighbour() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 3, s(0));
    let sent = request(&mut engine, s(0));
    some_refused(&mut engine, &sent, &[("s.t1", 400, "its name is too long")], s(1));
    assert_eq!(engine.stats(s(1)).written, 2);
    let lost: Vec<_> = crate::engine::testing::outcomes(&mut engine)
        .into_iter()
        .filter(|outcome| outcome.body.is_some())
        .collect();
    assert_eq!((lost.len(), &*lost[0].fqn), (1, "s.t1"));
    assert_eq!(
        lost[0].ending,
        Ending::Failed("the server refused it: its name is too long".into())
    );
}

#[test]
fn rows_without_room_go_again_and_rows_without_an_answer_go_alone() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 4, s(0));
    let sent = request(&mut engine, s(0));
    let answer = r#"{"numberOfRowsPassed":1,"numberOfRowsFailed":2,"successRequest":[{"request":"s.t0"}],"failedRequest":[
        {"request":"s.t1","status":503,"message":"System overloaded"},{"request":"s.t2","status":400,"message":"Deadlock found"}]}"#;
    respond(&mut engine, &sent, 200, answer, s(0));
    let mut now = s(0);
    let again = [next_request(&mut engine, &mut now), next_request(&mut engine, &mut now)];
    let mut sizes: Vec<usize> = again.iter().map(rows).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
}

#[test]
fn silence_twice_is_a_loss() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    for _ in 0..2 {
        let sent = request(&mut engine, s(0));
        let answer = r#"{"numberOfRowsPassed":0,"numberOfRowsFailed":1,"failedRequest":[]}"#;
        respond(&mut engine, &sent, 200, answer, s(0));
    }
    assert!(only_reason(&mut engine).contains("twice said nothing"));
}

#[test]
fn an_answer_that_speaks_of_no_row_is_a_fault_of_the_request() {
    let aborted = r#"{"status":"aborted","abortReason":"maintenance until noon","numberOfRowsPassed":0,"numberOfRowsFailed":0,
        "successRequest":[],"failedRequest":[]}"#;
    for count in [1, 100] {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, count, s(0));
        let mut now = s(0);
        for _ in 0..3 {
            let sent = next_request(&mut engine, &mut now);
            respond(&mut engine, &sent, 200, aborted, now);
            assert!(
                engine.stats(now).failed == 0 && engine.poll_request(now).is_none(),
                "it waits"
            );
        }
        now += s(5);
        engine.handle_timeout(now);
        while engine.stats(now).pending > 0 {
            let sent = next_request(&mut engine, &mut now);
            all_written(&mut engine, &sent, now);
        }
        assert_eq!(engine.stats(now).written, count as u64);
    }
    let mut world = World::new(patient(4), |_, _| Reply::Status(200, aborted));
    submit_tables(&mut world.engine, 20, s(0));
    let ended = world.drain();
    assert!(ended
        .iter()
        .all(|one| reason(one).contains("said nothing about this record: maintenance until noon")));
}

#[test]
fn a_duplicate_after_an_unknown_result_is_tried_once_more() {
    let exists = |engine: &mut Engine, now| {
        let sent = request(engine, now);
        some_refused(engine, &sent, &[("s.t0", 400, "Entity already exists")], now);
    };
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    exists(&mut engine, s(0));
    assert_eq!(endings(&mut engine), "f1", "nothing was unknown");
    submit_tables(&mut engine, 1, s(0));
    let sent = request(&mut engine, s(0));
    fault(&mut engine, &sent, Fault::Broken("reset".into()), s(0));
    exists(&mut engine, s(10));
    let sent = request(&mut engine, s(10));
    all_written(&mut engine, &sent, s(10));
    assert_eq!(endings(&mut engine), "w2");
}

fn refused_for(engine: &mut Engine, fqn: &str, word: &str, missing: &str, now: Time) {
    let sent = request(engine, now);
    let text = format!("{word} instance for {missing} not found");
    some_refused(engine, &sent, &[(fqn, 400, &text)], now);
}

#[test]
fn a_record_waits_for_what_the_server_misses_and_goes_when_that_is_there() {
    let mut engine = eager(4, 100);
    engine.submit(create("dashboards", "bi.1", None), s(0));
    refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
    assert_eq!(engine.stats(s(0)).parked, 1);
    for (collection, parked) in [("dashboards", 1), ("charts", 0)] {
        engine.submit(create(collection, "bi.7", None), s(1));
        let sent = request(&mut engine, s(1));
        all_written(&mut engine, &sent, s(1));
        assert_eq!(engine.stats(s(1)).parked, parked, "{collection}");
    }
    let again = request(&mut engine, s(1));
    all_written(&mut engine, &again, s(1));
    assert_eq!(endings(&mut engine), "w2 w3 w1");
}

#[test]
fn what_was_written_while_the_refused_attempt_was_under_way_is_there_now() {
    let mut engine = eager(4, 100);
    engine.submit(create("dashboards", "bi.1", None), s(0));
    let dashboard = request(&mut engine, s(0));
    engine.submit(create("charts", "bi.7", None), s(0));
    let chart = request(&mut engine, s(0));
    all_written(&mut engine, &chart, s(1));
    let text = "chart instance for bi.7 not found";
    some_refused(&mut engine, &dashboard, &[("bi.1", 400, text)], s(2));
    let again = request(&mut engine, s(2));
    some_refused(&mut engine, &again, &[("bi.1", 400, text)], s(3));
    assert_eq!(endings(&mut engine), "w2 f1", "nothing has changed since that was sent");
}

#[test]
fn what_needs_something_that_failed_fails_at_once() {
    let mut engine = eager(4, 100);
    engine.submit(create("dashboards", "bi.1", None), s(0));
    refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
    engine.submit(create("charts", "bi.7", None), s(1));
    let chart = request(&mut engine, s(1));
    some_refused(&mut engine, &chart, &[("bi.7", 400, "no")], s(1));
    assert_eq!(endings(&mut engine), "f2 f1");
    engine.submit(create("dashboards", "bi.2", None), s(2));
    refused_for(&mut engine, "bi.2", "chart", "bi.7", s(2));
    assert!(only_reason(&mut engine).contains("bi.7 failed in this run"));
}

#[test]
fn the_final_drain_sends_parked_records_once_more() {
    let mut engine = eager(4, 100);
    engine.submit(create("dashboards", "bi.1", None), s(0));
    refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
    assert_eq!(
        engine.wait_for(&Scope::All { up_to: 1 }, s(1)),
        None,
        "a wait goes past it"
    );
    let drain = engine.wait_for(&Scope::FinalDrain, s(1)).unwrap();
    refused_for(&mut engine, "bi.1", "chart", "bi.7", s(1));
    assert_eq!((endings(&mut engine).as_str(), engine.poll_wait()), ("f1", Some(drain)));
}

#[test]
fn a_redirection_is_final_after_thirty_seconds_and_says_what_to_change() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    let mut count = 0;
    while engine.stats(now).pending > 0 {
        let sent = next_request(&mut engine, &mut now);
        respond(&mut engine, &sent, 302, "", now);
        count += 1;
    }
    assert_eq!((now, count), (s(30), 31), "one a second");
    assert!(only_reason(&mut engine).contains("hostPort"));
}

#[test]
fn a_redirection_of_one_record_after_others_passed_blames_no_setting() {
    let mut engine = eager(4, 1);
    submit_tables(&mut engine, 1, s(0));
    let passes = request(&mut engine, s(0));
    all_written(&mut engine, &passes, s(0));
    outcomes(&mut engine);
    engine.submit(create("tables", "s.redirected", None), s(1));
    let mut now = s(1);
    while engine.stats(now).pending > 0 {
        let sent = next_request(&mut engine, &mut now);
        respond(&mut engine, &sent, 302, "", now);
    }
    let reason = only_reason(&mut engine);
    assert!(
        reason.contains("302") && reason.contains("in front of the server"),
        "{reason}"
    );
    assert!(!reason.contains("hostPort"), "{reason}");
}
