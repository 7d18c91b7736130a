//! Deadlines, look-ups, a server that is given up.

use crate::engine::request::{Call, Fault, Request};
use crate::engine::testing::{
    all_written, create, eager, endings, fault, life_cycle, next_request, only_reason, outcomes, request, respond,
    rows, s, submit_tables,
};
use crate::engine::{Engine, Scope, Time};

/// Answers every request with `status` until everything has ended. How many there were.
fn answer_all(engine: &mut Engine, now: &mut Time, status: u16) -> usize {
    let mut count = 0;
    while engine.stats(*now).pending > 0 {
        if let Some(sent) = engine.poll_request(*now) {
            count += 1;
            respond(engine, &sent, status, "", *now);
        } else {
            *now = engine.poll_timeout(*now).unwrap().max(*now);
            engine.handle_timeout(*now);
        }
    }
    count
}

fn notices(engine: &mut Engine) -> Vec<String> {
    std::iter::from_fn(|| engine.poll_notice()).collect()
}

/// The look-up of a record of which each attempt got no answer within 100 s.
fn unknown_until_the_deadline(engine: &mut Engine, now: &mut Time) -> Request {
    loop {
        let sent = next_request(engine, now);
        if matches!(sent.call, Call::Get { .. }) {
            return sent;
        }
        *now += s(100);
        fault(engine, &sent, Fault::ReadTimeout("100 s".into()), *now);
    }
}

#[test]
fn a_record_is_tried_for_300_seconds_and_lost_with_its_own_last_fault() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    answer_all(&mut engine, &mut now, 503);
    assert_eq!(now, s(300));
    let reason = only_reason(&mut engine);
    assert!(
        reason.starts_with("given up 300 s after the first of ") && reason.ends_with("503"),
        "{reason}"
    );
}

#[test]
fn a_dead_server_ends_everything_after_one_deadline_and_sees_few_requests() {
    let mut engine = eager(16, 100);
    submit_tables(&mut engine, 2000, s(0));
    let mut now = s(0);
    let count = answer_all(&mut engine, &mut now, 503);
    assert_eq!(outcomes(&mut engine).len(), 2000);
    assert!(now >= s(300) && now < s(310), "{now:?}");
    assert!(count < 300, "{count} requests");
    let told = notices(&mut engine);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("nothing could be written for 10 s; 2000 records wait"));
    assert!(told[1].starts_with("the server is given up after 300 s"));
}

#[test]
fn while_the_server_is_given_up_a_probe_goes_out_each_pause_and_one_record_ends_it() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 500, s(0));
    let mut now = s(0);
    answer_all(&mut engine, &mut now, 503);
    outcomes(&mut engine);
    submit_tables(&mut engine, 2, now);
    assert_eq!(
        endings(&mut engine),
        "f501 f502",
        "nobody waits for a server that is given up"
    );
    let begun = now;
    let refused = next_request(&mut engine, &mut now);
    assert!(matches!(refused.call, Call::Probe) && now <= begun + s(5), "{now:?}");
    respond(&mut engine, &refused, 503, "", now);
    let begun = now;
    let answered = next_request(&mut engine, &mut now);
    assert_eq!(now, begun + s(5), "pending records or not");
    respond(&mut engine, &answered, 200, r#"{"version":"2.0.7"}"#, now);
    submit_tables(&mut engine, 3, now);
    let probe = request(&mut engine, now);
    assert_eq!(
        (rows(&probe), engine.poll_request(now).is_none()),
        (1, true),
        "one alone"
    );
    assert_eq!(engine.stats(now).pending, 3, "the others are held");
    all_written(&mut engine, &probe, now);
    let others = request(&mut engine, now);
    assert_eq!(rows(&others), 2);
    all_written(&mut engine, &others, now);
    assert_eq!(engine.stats(now).failed, 502);
    assert!(notices(&mut engine)
        .iter()
        .any(|line| line.starts_with("writing goes on after")));
}

#[test]
fn a_record_that_comes_after_an_answered_probe_and_meets_a_fault_is_lost_with_those_behind_it() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    answer_all(&mut engine, &mut now, 503);
    submit_tables(&mut engine, 400, now);
    while engine.stats(now).pending > 0 {
        let sent = next_request(&mut engine, &mut now);
        if matches!(sent.call, Call::Probe) {
            respond(&mut engine, &sent, 200, r#"{"version":"2.0.7"}"#, now);
        } else {
            // Its database is away.
            respond(&mut engine, &sent, 503, "", now);
        }
    }
    outcomes(&mut engine);
    let probe = next_request(&mut engine, &mut now);
    respond(&mut engine, &probe, 200, r#"{"version":"2.0.7"}"#, now);
    submit_tables(&mut engine, 3, now);
    let one = request(&mut engine, now);
    respond(&mut engine, &one, 503, "", now);
    while engine.stats(now).pending > 0 {
        engine.handle_timeout(now);
    }
    assert_eq!(outcomes(&mut engine).len(), 3);
}

#[test]
fn a_collection_that_hangs_beside_one_that_was_served_is_given_up_without_the_server() {
    for workers in [1, 2, 4] {
        let mut engine = eager(workers, 100);
        engine.submit(create("storedProcedures", "s.p0", None), s(0));
        let served = request(&mut engine, s(0));
        all_written(&mut engine, &served, s(0));
        submit_tables(&mut engine, 250, s(1));
        let (mut now, mut hanging) = (s(1), Vec::new());
        while engine.stats(now).pending > 0 {
            match engine.poll_request(now) {
                Some(probe) if matches!(probe.call, Call::Probe) => {
                    respond(&mut engine, &probe, 200, r#"{"version":"2.0.7"}"#, now);
                }
                Some(sent) => hanging.push((now + s(100), sent)),
                None => {
                    let ends = hanging.iter().map(|(end, _)| *end).min();
                    now = ends.into_iter().chain(engine.poll_timeout(now)).min().unwrap().max(now);
                    for (_, sent) in hanging.extract_if(.., |(end, _)| *end <= now) {
                        fault(&mut engine, &sent, Fault::ReadTimeout("100 s".into()), now);
                    }
                    engine.handle_timeout(now);
                }
            }
        }
        let told = notices(&mut engine);
        assert!(
            told.iter().all(|line| !line.starts_with("the server is given up")),
            "{told:?}"
        );
        assert!(
            told.iter().any(|line| line.starts_with("tables are given up")),
            "{told:?}"
        );
        outcomes(&mut engine);
        engine.submit(create("storedProcedures", "s.p1", None), now);
        let late = next_request(&mut engine, &mut now);
        all_written(&mut engine, &late, now);
        assert_eq!(endings(&mut engine), "w252", "{workers} workers");
    }
}

/// Its version is answered without its database; nothing else is.
#[test]
fn a_server_without_its_database_is_given_up_soon_however_many_records_of_a_collection_come_first() {
    for status in [500, 503] {
        for pages in [true, false] {
            let mut engine = eager(4, 100);
            submit_tables(&mut engine, 1_000, s(0));
            for number in 0..10 {
                engine.submit(create("storedProcedures", &format!("s.p{number}"), None), s(1));
            }
            let body = if pages {
                ""
            } else {
                r#"{"code":503,"message":"no database"}"#
            };
            let mut now = s(1);
            while engine.stats(now).pending > 0 {
                match engine.poll_request(now) {
                    Some(probe) if matches!(probe.call, Call::Probe) => {
                        respond(&mut engine, &probe, 200, r#"{"version":"2.0.7"}"#, now);
                    }
                    Some(sent) => respond(&mut engine, &sent, status, body, now),
                    None => {
                        now = engine.poll_timeout(now).unwrap().max(now);
                        engine.handle_timeout(now);
                    }
                }
            }
            assert!(now < s(330), "{status} {pages}: {now:?}");
        }
    }
}

#[test]
fn an_unknown_result_is_looked_up_before_it_is_called_lost() {
    for (hash, expected) in [("of s.t0", "w1"), ("of another", "f1")] {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let mut now = s(0);
        let look_up = unknown_until_the_deadline(&mut engine, &mut now);
        let body = format!(r#"{{"sourceHash":"{hash}"}}"#);
        respond(&mut engine, &look_up, 200, &body, now);
        assert_eq!(endings(&mut engine), expected);
    }
}

#[test]
fn where_nobody_can_tell_the_loss_says_so() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    let look_up = unknown_until_the_deadline(&mut engine, &mut now);
    respond(&mut engine, &look_up, 503, "", now);
    assert!(only_reason(&mut engine).ends_with("the server may have written it"));
}

#[test]
fn look_ups_take_ten_seconds_in_all() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    unknown_until_the_deadline(&mut engine, &mut now);
    let begun = now;
    now = engine.poll_timeout(now).unwrap();
    engine.handle_timeout(now);
    assert_eq!(now, begun + s(10));
    assert!(only_reason(&mut engine).ends_with("the server may have written it"));
}

#[test]
fn one_record_that_breaks_the_server_does_not_cost_what_waits_behind_it() {
    let mut engine = eager(4, 1);
    submit_tables(&mut engine, 1, s(0));
    let sent = request(&mut engine, s(0));
    all_written(&mut engine, &sent, s(0));
    engine.submit(create("databaseSchemas", "d.s", None), s(0));
    engine.submit(create("tables", "d.s.t", Some("d.s")), s(0));
    let mut now = s(0);
    while engine.stats(now).failed == 0 {
        let sent = next_request(&mut engine, &mut now);
        if matches!(sent.call, Call::Get { .. }) {
            let text = r#"{"message":"databaseSchema instance for d.s not found"}"#;
            respond(&mut engine, &sent, 404, text, now);
        } else {
            respond(&mut engine, &sent, 500, "", now);
        }
    }
    assert_eq!(endings(&mut engine), "w1 f2");
    assert!(now <= s(60), "{now:?}");
    let table = next_request(&mut engine, &mut now);
    all_written(&mut engine, &table, now);
    assert_eq!(endings(&mut engine), "w3");
}

#[test]
fn a_life_cycle_that_may_be_written_is_lost_with_that_doubt() {
    let mut engine = eager(4, 1);
    life_cycle(&mut engine, "old.t", 1, s(0));
    let mut now = s(0);
    while engine.stats(now).pending > 0 {
        if let Some(sent) = engine.poll_request(now) {
            fault(&mut engine, &sent, Fault::Broken("reset".into()), now);
        } else {
            now = engine.poll_timeout(now).unwrap().max(now);
            engine.handle_timeout(now);
        }
    }
    assert!(only_reason(&mut engine).ends_with("the server may have written it"));
}

#[test]
fn a_record_that_gets_lost_in_here_is_a_failure_and_nobody_waits_for_it() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let sent = request(&mut engine, s(0));
    submit_tables(&mut engine, 1, s(0));
    engine.order.end(2);
    let drain = engine.wait_for(&Scope::FinalDrain, s(0));
    all_written(&mut engine, &sent, s(1));
    assert_eq!(engine.poll_wait(), drain);
    let stats = engine.stats(s(1));
    assert_eq!((stats.written, stats.failed, stats.pending), (1, 1, 0));
    let unnamed = outcomes(&mut engine).pop().unwrap();
    assert!(format!("{:?}", unnamed.ending).contains("1 records have no outcome"));
}

#[test]
fn close_is_bounded_and_abandon_is_at_once() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    request(&mut engine, s(0));
    engine.close(s(0));
    let end = engine.poll_timeout(s(0)).unwrap();
    assert_eq!(end, s(620), "the deadline, one attempt, and ten seconds");
    engine.handle_timeout(end);
    assert!(engine.is_closed());
    assert!(only_reason(&mut engine).contains("may have written it"));

    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 2, s(0));
    engine.abandon("the driver panicked");
    assert_eq!((endings(&mut engine).as_str(), engine.is_closed()), ("f1 f2", true));
}

#[test]
fn the_picture_of_an_engine_that_was_abandoned_names_its_collections() {
    let mut engine = eager(4, 1);
    submit_tables(&mut engine, 2, s(0));
    let sent = request(&mut engine, s(0));
    all_written(&mut engine, &sent, s(0));
    engine.abandon("the second Ctrl-C");
    let picture = engine.picture(s(1));
    let named: Vec<&str> = picture.lanes.iter().map(|(path, ..)| &**path).collect();
    assert_eq!(named, ["tables"]);
}
