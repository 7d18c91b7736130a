//! What the figures say of a run: an outage, a body that is too large, and where the time of requests went.

use crate::engine::record::Kind;
use crate::engine::testing::{all_written, eager, endings, next_request, request, respond, s, submit_tables};
use crate::engine::{Engine, Often, Picture};

fn sum(picture: &Picture, line: usize) -> f64 {
    picture.line.buckets().iter().map(|bucket| bucket[line]).sum()
}

fn often(requests: u64, rows: u64) -> Often {
    Often { requests, rows }
}

/// An engine whose ten tables met two answers of 503, at 1 s and after 20 s more, and were then written.
fn after_an_outage() -> (Engine, crate::engine::Time) {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 10, s(0));
    let mut now = s(0);
    for _ in 0..2 {
        let sent = next_request(&mut engine, &mut now);
        now += s(20);
        respond(&mut engine, &sent, 503, "", now);
    }
    let sent = next_request(&mut engine, &mut now);
    now += s(2);
    all_written(&mut engine, &sent, now);
    assert_eq!(endings(&mut engine).split(' ').count(), 10);
    (engine, now)
}

#[test]
fn an_outage_shows_as_faults_records_that_went_again_and_a_time_without_success() {
    let (engine, now) = after_an_outage();
    let picture = engine.picture(now);
    assert_eq!(picture.again, [("unavailable".to_owned(), often(2, 20))]);
    assert_eq!(picture.stalls, [(s(0), now)]);
    let [(collection, kind, lane)] = picture.lanes.as_slice() else {
        panic!("{:?}", picture.lanes);
    };
    assert_eq!((&**collection, *kind), ("tables", Kind::Create));
    assert_eq!((lane.requests, lane.rows, lane.faults), (3, 30, 2));
    assert_eq!(
        lane.times.longest(),
        s(2),
        "what was not served says nothing about how fast the server is"
    );
}

#[test]
fn the_line_holds_each_record_and_each_second_of_a_request_once() {
    let (engine, now) = after_an_outage();
    let picture = engine.picture(now + s(5));
    let (taken, in_flight, served, not_served) =
        (sum(&picture, 0), sum(&picture, 1), sum(&picture, 2), sum(&picture, 3));
    assert!((taken - 10.0).abs() < 1e-9, "{taken}");
    assert!((in_flight - 42.0).abs() < 1e-6, "{in_flight}");
    assert!((served - 1.0).abs() < 1e-9 && (not_served - 2.0).abs() < 1e-9);
}

#[test]
fn a_stall_that_goes_on_is_told_as_far_as_it_went() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let sent = request(&mut engine, s(3));
    respond(&mut engine, &sent, 503, "", s(4));
    assert_eq!(engine.picture(s(9)).stalls, [(s(3), s(9))]);
}

#[test]
fn what_is_too_large_counts_as_a_split_and_not_as_a_stall() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 4, s(0));
    let sent = request(&mut engine, s(0));
    respond(&mut engine, &sent, 413, "", s(30));
    let picture = engine.picture(s(60));
    assert_eq!(picture.splits, [("too-large".to_owned(), 1)]);
    assert_eq!(picture.again, [("too-large".to_owned(), often(1, 4))]);
    assert!(picture.stalls.is_empty());
}
