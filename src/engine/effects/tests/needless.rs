//! Losses that need not be: each of these lost records that the server would have taken, or took longer than it need.

use crate::engine::record::Outcome;
use crate::engine::request::{Call, Entity, Fault, Request};
use crate::engine::testing::{
    all_written, create, eager, endings, fault, life_cycle, next_request, request, requests, respond, rows, s,
    some_refused, submit_tables,
};
use crate::engine::{Config, Engine, Scope, Time};

use super::world::{carries, is_lost, is_of, patient, reason, Reply, World};

/// The requests that can be made next, as soon as there are some; none once nothing is pending.
fn step(engine: &mut Engine, now: &mut Time) -> Vec<Request> {
    loop {
        let sent = requests(engine, *now);
        if !sent.is_empty() || engine.stats(*now).pending == 0 {
            return sent;
        }
        *now = engine.poll_timeout(*now).expect("it waits for ever").max(*now);
        engine.handle_timeout(*now);
    }
}

#[test]
fn one_lost_answer_costs_nothing_that_waits_behind_it() {
    for workers in [1, 4] {
        let mut first = true;
        let mut world = World::new(patient(workers), |_, _| {
            if std::mem::take(&mut first) {
                Reply::Silent
            } else {
                Reply::Written
            }
        });
        world.engine.submit(create("databaseSchemas", "d.s", Some("d")), s(0));
        for number in 0..1500 {
            let table = create("tables", &format!("d.s.t{number}"), Some("d.s"));
            world.engine.submit(table, s(0));
        }
        let ended = world.drain();
        assert_eq!(
            (ended.len(), ended.iter().filter(|one| is_lost(one)).count()),
            (1501, 0)
        );
        drop(world);
    }
}

#[test]
fn a_collection_that_hangs_takes_no_other_with_it() {
    for workers in [1, 2, 4] {
        let mut procedures_sent = Vec::new();
        let mut world = World::new(patient(workers), |sent, now| {
            if is_of(sent, "tables") {
                return Reply::Silent;
            }
            if is_of(sent, "storedProcedures") {
                procedures_sent.push((now, rows(sent)));
            }
            Reply::Written
        });
        submit_tables(&mut world.engine, 400, s(0));
        for number in 0..100 {
            world
                .engine
                .submit(create("storedProcedures", &format!("s.p{number}"), None), s(0));
        }
        let drain = world.engine.wait_for(&Scope::FinalDrain, s(0));
        let ended = world.drain();
        assert_eq!(world.engine.poll_wait(), drain);
        let lost = |collection: &str| {
            let of_it = |one: &&Outcome| &*one.collection == collection && is_lost(one);
            ended.iter().filter(of_it).count()
        };
        assert_eq!((lost("tables"), lost("storedProcedures")), (400, 0), "{workers}");
        drop(world);
        let all: usize = procedures_sent.iter().map(|(_, rows)| rows).sum();
        let within = s(if workers == 1 { 610 } else { 310 });
        assert!(
            all == 100 && procedures_sent.iter().all(|(at, _)| *at <= within),
            "{workers}: {procedures_sent:?}"
        );
    }
}

#[test]
fn after_an_outage_life_cycles_find_out_that_the_server_is_back() {
    let back = s(750);
    let mut world = World::new(patient(4), |_, now| {
        if now < back {
            Reply::Status(503, "")
        } else {
            Reply::Written
        }
    });
    for number in 0..50 {
        life_cycle(&mut world.engine, &format!("s.t{number}"), 1, s(0));
    }
    assert!(world.drain().iter().all(is_lost));
    while world.now < back + s(6) {
        if !world.advance() {
            world.now = back + s(6);
        }
    }
    for number in 0..600 {
        let now = world.now;
        life_cycle(&mut world.engine, &format!("u.t{number}"), 1, now);
    }
    let ended = world.drain();
    assert_eq!((ended.len(), ended.iter().filter(|one| is_lost(one)).count()), (600, 0));
}

#[test]
fn an_outage_leaves_whole_batches() {
    for status in [500, 502, 503] {
        let mut sizes = Vec::new();
        let back = s(240);
        let mut world = World::new(patient(4), |sent, now| {
            if now < back {
                return Reply::Status(status, "");
            }
            sizes.push(rows(sent));
            Reply::Written
        });
        submit_tables(&mut world.engine, 400, s(0));
        assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
        drop(world);
        assert!(sizes.len() <= 16, "{status}: {sizes:?}");
    }
}

#[test]
fn silence_that_passes_leaves_no_crumbs() {
    let mut sizes = Vec::new();
    let back = s(200);
    let config = Config {
        attempt_timeout: s(10),
        ..patient(4)
    };
    let mut world = World::new(config, |sent, now| {
        if now < back {
            return Reply::Silent;
        }
        sizes.push(rows(sent));
        Reply::Written
    });
    submit_tables(&mut world.engine, 400, s(0));
    assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
    drop(world);
    assert!(sizes.len() <= 20, "{sizes:?}");
}

#[test]
fn each_incident_has_look_ups_of_its_own() {
    let mut engine = eager(4, 100);
    let mut now = s(0);
    for name in ["s.a", "s.b"] {
        engine.submit(create("tables", name, None), now);
        let mut looked_up = false;
        while engine.stats(now).pending > 0 {
            for sent in step(&mut engine, &mut now) {
                if let Call::Get { .. } = &sent.call {
                    looked_up = true;
                    let body = format!(r#"{{"sourceHash":"of {name}"}}"#);
                    respond(&mut engine, &sent, 200, &body, now);
                } else {
                    fault(&mut engine, &sent, Fault::Broken("reset".into()), now);
                }
            }
        }
        assert!(looked_up, "{name}");
        now += s(100);
        engine.handle_timeout(now);
    }
    assert_eq!(endings(&mut engine), "w1 w2");
}

#[test]
fn a_collection_that_is_not_there_is_found_out_by_a_handful_of_requests() {
    let text = r#"{"code":404,"message":"HTTP 404 Not Found"}"#;
    let mut world = World::new(patient(4), |_, _| Reply::Status(404, text));
    for number in 0..150 {
        world
            .engine
            .submit(create("drives/files", &format!("d.f{number}"), None), s(0));
    }
    let ended = world.drain();
    assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 150);
    assert!(ended
        .iter()
        .all(|one| reason(one).contains("no collection drives/files")));
    assert!(world.sent <= 6 && world.now <= s(5), "{} {:?}", world.sent, world.now);
}

#[test]
fn a_page_of_an_ingress_is_no_verdict_on_the_api() {
    let mut first = true;
    let mut world = World::new(patient(4), |_, _| {
        if std::mem::take(&mut first) {
            Reply::Status(404, "<html>default backend - 404</html>")
        } else {
            Reply::Written
        }
    });
    submit_tables(&mut world.engine, 1000, s(0));
    assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
    assert!(world.sent <= 20, "{}", world.sent);
}

#[test]
fn a_name_that_sounds_like_trouble_is_none() {
    let mut engine = eager(8, 10);
    engine.submit(create("tables", "s.deadlock_events", None), s(0));
    let sent = request(&mut engine, s(0));
    let text = "Invalid table s.deadlock_events: description must not exceed 100 characters";
    some_refused(&mut engine, &sent, &[("s.deadlock_events", 400, text)], s(0));
    assert_eq!(endings(&mut engine), "f1");
    assert_eq!(engine.stats(s(0)).limit, 8);
}

#[test]
fn a_close_of_a_server_that_is_slow_and_well_goes_on_to_the_end() {
    let config = Config {
        delivery_timeout: s(1),
        attempt_timeout: s(1),
        workers: 1,
        ..patient(1)
    };
    let mut world = World::new(config, |_, _| Reply::Written);
    for number in 0..2000 {
        life_cycle(&mut world.engine, &format!("s.t{number}"), 1, s(0));
    }
    world.engine.close(s(0));
    let ended = world.drain();
    assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 0);
    assert!(world.now > s(60) && world.engine.is_closed());
}

#[test]
fn giving_up_holds_nobody_up() {
    let mut engine = Engine::new(Config {
        budget_bytes: usize::MAX,
        ..patient(4)
    });
    for number in 0..50_000 {
        life_cycle(&mut engine, &format!("s.t{number}"), 1, s(0));
    }
    let mut now = s(0);
    let mut most = 0;
    while engine.stats(now).pending > 0 {
        for sent in requests(&mut engine, now) {
            let before = engine.stats(now).failed;
            respond(&mut engine, &sent, 503, "", now);
            most = most.max(engine.stats(now).failed - before);
        }
        let before = engine.stats(now).failed;
        now = engine.poll_timeout(now).expect("it waits for ever").max(now);
        engine.handle_timeout(now);
        most = most.max(engine.stats(now).failed - before);
    }
    assert!(most <= 1_001, "{most}");
}

/// The next request after a step of time; there must be one.
fn next(engine: &mut Engine, now: &mut Time) -> Request {
    next_request(engine, now)
}

#[test]
fn a_record_alone_that_nobody_can_vouch_for_is_proven_by_look_ups() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    let mut gets = 0;
    while engine.stats(now).pending > 0 {
        let sent = next(&mut engine, &mut now);
        if matches!(sent.call, Call::Get { .. }) {
            gets += 1;
            let text = r#"{"message":"table instance for s.t0 not found"}"#;
            respond(&mut engine, &sent, 404, text, now);
        } else {
            respond(&mut engine, &sent, 500, "", now);
        }
    }
    assert!(gets >= 1 && now <= s(60), "{gets} {now:?}");
    assert_eq!(endings(&mut engine), "f1");
}

/// A database that takes no writes for a while, a gateway that lets none through: look-ups are answered meanwhile.
#[test]
fn an_outage_of_writes_alone_loses_no_record_that_is_alone() {
    for (reply, seconds) in [(Reply::Status(500, "read only"), 15), (Reply::Status(502, ""), 40)] {
        let mut world = World::new(patient(4), |sent, now| match &sent.call {
            Call::PutBulk { .. } if now < s(seconds) => reply.clone(),
            Call::Get { .. } => Reply::Status(404, r#"{"message":"databaseSchema instance for d.s not found"}"#),
            _ => Reply::Written,
        });
        world.engine.submit(create("databaseSchemas", "d.s", None), s(0));
        world.engine.submit(create("tables", "d.s.t", Some("d.s")), s(0));
        let ended = world.drain();
        assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 0, "{seconds}");
        assert!(world.now < s(2 * seconds + 5), "{:?}", world.now);
    }
}

#[test]
fn close_ends_although_others_go_on_submitting() {
    let mut engine = eager(1, 10);
    submit_tables(&mut engine, 10, s(0));
    let sent = request(&mut engine, s(0));
    engine.close(s(1));
    assert!(
        engine.has_room(1_000, true),
        "nobody waits to be told that it is too late"
    );
    engine.submit(create("tables", "s.late", None), s(1));
    all_written(&mut engine, &sent, s(2));
    assert!(engine.is_closed());
    assert_eq!(endings(&mut engine), "f11 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10");
}

#[test]
fn faults_of_records_that_have_ended_give_nobody_up_later() {
    // A row that breaks whatever holds it, of a collection of which nothing else is pending; much later an overload of a moment.
    let mut world = World::new(patient(4), |sent, now| {
        if carries(sent, "s.poison") {
            Reply::Status(500, "")
        } else if is_of(sent, "tables") && now < s(401) {
            Reply::Status(503, "")
        } else {
            Reply::Written
        }
    });
    world.engine.submit(create("tables", "s.poison", None), s(0));
    let mut number = 0;
    while world.now < s(400) {
        let procedure = create("storedProcedures", &format!("s.p{number}"), None);
        world.engine.submit(procedure, world.now);
        number += 1;
        let next = world.now + s(1);
        while world.now < next && world.advance() {}
        world.now = world.now.max(next);
    }
    assert_eq!(
        world.engine.stats(world.now).failed,
        1,
        "the poison row was lost long ago"
    );
    submit_tables(&mut world.engine, 1_000, world.now);
    let lost: Vec<Outcome> = world.drain().into_iter().filter(is_lost).collect();
    assert_eq!(lost.len(), 1, "{:?}", lost.last());
}

#[test]
fn faults_before_a_silence_with_something_parked_give_nobody_up_later() {
    let mut world = World::new(patient(4), |sent, now| {
        if carries(sent, "s.parked") {
            return Reply::Status(404, r#"{"message":"chart instance for bi.1 not found"}"#);
        }
        if now < s(410) {
            Reply::Status(503, "")
        } else {
            Reply::Written
        }
    });
    world.engine.submit(create("dashboards", "s.parked", None), s(0));
    world.engine.submit(create("tables", "s.first", None), s(0));
    while world.now < s(400) && world.advance() {}
    world.now = world.now.max(s(400));
    submit_tables(&mut world.engine, 500, world.now);
    world.engine.close(world.now);
    let lost = world.drain().into_iter().filter(is_lost).map(|one| one.fqn.to_string());
    assert_eq!(lost.collect::<Vec<_>>(), ["s.first", "s.parked"]);
}

#[test]
fn a_record_that_fails_until_its_deadline_gives_nothing_up_that_comes_later() {
    let mut first = true;
    let mut world = World::new(patient(4), |sent, _| match &sent.call {
        Call::PatchLifeCycle { entity, .. } => {
            if format!("{entity:?}").contains("poison") {
                Reply::Silent
            } else if std::mem::take(&mut first) {
                Reply::Status(503, "")
            } else {
                Reply::Written
            }
        }
        _ => Reply::Written,
    });
    life_cycle(&mut world.engine, "s.poison", 1, s(0));
    let mut number = 0;
    while world.now < s(610) {
        let now = world.now;
        let table = create("tables", &format!("s.t{number}"), None);
        world.engine.submit(table, now);
        number += 1;
        world.advance();
        world.now = world.now.max(s(number));
    }
    for number in 0..600 {
        let now = world.now;
        life_cycle(&mut world.engine, &format!("u.t{number}"), 1, now);
    }
    let ended = world.drain();
    let lost: Vec<&str> = ended.iter().filter(|one| is_lost(one)).map(|one| &*one.fqn).collect();
    assert_eq!(lost, ["s.poison"]);
}

/// Who writes one record after the other, each time to the end, does not wait a deadline for each of a server that is gone.
#[test]
fn a_server_that_is_gone_is_given_up_by_records_that_come_one_by_one() {
    let mut world = World::new(patient(4), |_, _| Reply::Status(503, ""));
    for number in 0..100 {
        let now = world.now;
        world
            .engine
            .submit(create("tables", &format!("s.t{number}"), None), now);
        while world.engine.stats(world.now).pending > 0 && world.advance() {}
    }
    assert_eq!(world.engine.stats(world.now).failed, 100);
    assert!(world.now < s(400), "{:?}", world.now);
}

#[test]
fn a_collection_that_is_asked_for_less_holds_the_others_up_for_two_pauses_at_most() {
    for (workers, seconds, patience) in [(1, 60, 300), (4, 60, 300), (4, 5, 300), (1, 60, 60), (4, 60, 60)] {
        let config = Config {
            delivery_timeout: s(patience),
            ..patient(workers)
        };
        let mut world = World::new(config, |sent, _| {
            if is_of(sent, "queries") {
                Reply::TurnedAway(seconds)
            } else {
                Reply::Written
            }
        });
        for number in 0..5 {
            world
                .engine
                .submit(create("queries", &format!("q{number}"), None), s(0));
        }
        submit_tables(&mut world.engine, 2000, s(0));
        while world.engine.stats(world.now).written < 2000 {
            assert!(world.advance());
        }
        assert!(world.now < s(2 * seconds + 5), "{workers} {seconds} {:?}", world.now);
        let ended = world.drain();
        assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 5);
        assert!(world.sent < 20 + 2 * 20 + 310 / 5 * 2, "{} requests", world.sent);
    }
}

#[test]
fn a_row_for_which_the_server_asks_for_less_costs_no_other() {
    let busy = r#"{"code":500,"message":"deadlock detected"}"#;
    for (count, bad) in [(16, "s.t3"), (300, "s.t250"), (2, "s.t0")] {
        for reply in [Reply::Status(429, ""), Reply::TurnedAway(1), Reply::Status(500, busy)] {
            let mut world = World::new(patient(4), |sent, _| {
                if carries(sent, bad) {
                    reply.clone()
                } else {
                    Reply::Written
                }
            });
            submit_tables(&mut world.engine, count, s(0));
            let ended = world.drain();
            let lost: Vec<&str> = ended.iter().filter(|one| is_lost(one)).map(|one| &*one.fqn).collect();
            assert_eq!(lost, [bad]);
        }
    }
}

#[test]
fn a_gateway_that_is_being_set_up_loses_nothing() {
    let text = r#"{"code":404,"message":"The current request is not defined by this API."}"#;
    let mut world = World::new(patient(4), |_, now| {
        if now < Time::from_millis(1_500) {
            Reply::Status(404, text)
        } else {
            Reply::Written
        }
    });
    for number in 0..1500 {
        submit_tables(&mut world.engine, 1, Time::from_millis(10 * number));
        while world.now < Time::from_millis(10 * number) {
            world.advance();
        }
    }
    let ended = world.drain();
    assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 0);
}

#[test]
fn what_exists_after_a_lost_answer_is_looked_up() {
    let mut engine = eager(4, 100);
    submit_tables(&mut engine, 1, s(0));
    let mut now = s(0);
    let sent = request(&mut engine, now);
    fault(&mut engine, &sent, Fault::Broken("reset".into()), now);
    loop {
        let sent = next_request(&mut engine, &mut now);
        if let Call::Get { .. } = &sent.call {
            respond(&mut engine, &sent, 200, r#"{"id":"1","sourceHash":"of s.t0"}"#, now);
            break;
        }
        some_refused(&mut engine, &sent, &[("s.t0", 400, "Entity already exists")], now);
    }
    assert_eq!(endings(&mut engine), "w1");
}

#[test]
fn what_lets_only_upstreams_requests_through_costs_no_life_cycle() {
    for status in [403, 404, 405] {
        let mut world = World::new(patient(4), |sent, _| match &sent.call {
            Call::PatchLifeCycle {
                entity: Entity::Name(_),
                ..
            } => Reply::Status(status, "<html>not here</html>"),
            Call::Get { .. } => Reply::Status(200, r#"{"id":"1"}"#),
            _ => Reply::Written,
        });
        submit_tables(&mut world.engine, 50, s(0));
        for number in 0..50 {
            life_cycle(&mut world.engine, &format!("s.t{number}"), 1, s(0));
        }
        let ended = world.drain();
        assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 0, "{status}");
        assert_eq!(ended.len(), 100);
    }
}
