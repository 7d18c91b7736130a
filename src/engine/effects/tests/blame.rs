//! Whose fault it is (E7): rows that break, offend or enlarge their requests are found, and cost no other.

use std::time::Duration;

use crate::engine::record::Outcome;
use crate::engine::request::Call;
use crate::engine::testing::{create, life_cycle, outcomes, rows, s, submit_tables};
use crate::engine::Config;

use super::world::{carries, is_lost, names, patient, reason, Reply, World};

/// A firewall objects to one row: what becomes of its batch, alone or with others.
fn firewall(reply: &Reply, count: usize, others: usize) {
    let mut world = World::new(patient(4), |sent, _| {
        if carries(sent, "s.t0") {
            reply.clone()
        } else {
            Reply::Written
        }
    });
    submit_tables(&mut world.engine, count, s(0));
    for number in 0..others {
        let table = create("tables", &format!("other.t{number}"), None);
        world.engine.submit(table, s(0));
    }
    let ended = world.drain();
    let lost: Vec<&Outcome> = ended.iter().filter(|one| is_lost(one)).collect();
    let names: Vec<&str> = lost.iter().map(|one| &*one.fqn).collect();
    assert_eq!(names, ["s.t0"], "{count} rows, {others} others");
    assert!(world.now <= s(60), "{count} rows, {others} others: {:?}", world.now);
    assert!(
        world.sent <= 40,
        "{count} rows, {others} others: {} requests",
        world.sent
    );
    if let Reply::Status(_, page) = reply {
        if page.contains("Support") {
            assert!(reason(lost[0]).contains("Support ID 4711"), "{}", reason(lost[0]));
        }
    }
}

#[test]
fn a_firewall_costs_the_row_that_it_objects_to_and_no_other() {
    let page = "<html><head><title>Blocked</title></head><body>Request rejected. Support ID 4711</body></html>";
    for reply in [
        Reply::Broken,
        Reply::Status(200, page),
        Reply::Status(502, page),
        Reply::Status(500, r#"{"message":"NullPointerException"}"#),
        Reply::Status(403, page),
        Reply::Status(302, ""),
        Reply::Status(407, page),
    ] {
        for count in [1, 2, 16, 100] {
            for others in [0, 300] {
                firewall(&reply, count, others);
            }
        }
    }
}

#[test]
fn one_row_that_makes_the_server_break_takes_tens_of_seconds_and_not_the_deadline() {
    let mut world = World::new(patient(4), |sent, _| {
        if carries(sent, "s.t250") {
            Reply::Status(500, r#"{"message":"NullPointerException"}"#)
        } else {
            Reply::Written
        }
    });
    submit_tables(&mut world.engine, 400, s(0));
    let ended = world.drain();
    assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 1);
    assert!(world.now <= s(30), "{:?}", world.now);
}

#[test]
fn several_rows_that_break_their_batches_are_found_while_others_are_served_now_and_then() {
    let toxic: Vec<String> = (0..10).map(|batch| format!("s.t{}", 4 * batch + 1)).collect();
    for (workers, every, seed) in (0..5).flat_map(|seed| [(1, 100, seed), (1, 1000, seed), (4, 100, seed)]) {
        let config = Config {
            batch_rows: 4,
            seed,
            ..patient(workers)
        };
        let mut world = World::new(config, |sent, _| {
            if toxic.iter().any(|name| carries(sent, name)) {
                Reply::Status(500, r#"{"message":"NullPointerException"}"#)
            } else {
                Reply::Written
            }
        });
        submit_tables(&mut world.engine, 40, s(0));
        let mut number = 0;
        let ended = loop {
            if world.now >= Duration::from_millis(every) * number {
                number += 1;
                let now = world.now;
                life_cycle(&mut world.engine, &format!("o.t{number}"), 1, now);
            }
            world.advance();
            if world.engine.stats(world.now).pending == 0 {
                break outcomes(&mut world.engine);
            }
        };
        let lost = ended.iter().filter(|one| is_lost(one)).count();
        assert_eq!(lost, toxic.len(), "{workers} workers, every {every} ms, seed {seed}");
        assert!(
            world.now < s(60),
            "{workers} workers, every {every} ms, seed {seed}: {:?}",
            world.now
        );
    }
}

#[test]
fn many_bad_rows_cost_no_good_one() {
    for seed in 0..20 {
        let mut dice = fastrand::Rng::with_seed(seed + 1000);
        let is_bad: Vec<bool> = (0..5000).map(|_| dice.u32(0..10) < 7).collect();
        let name = |number: usize| format!("s.{}{number}", if is_bad[number] { "bad" } else { "fine" });
        let mut world = World::new(Config { seed, ..patient(4) }, |sent, _| {
            let Call::PutBulk { rows, .. } = &sent.call else {
                return Reply::Written;
            };
            let bad = rows.iter().any(|row| String::from_utf8_lossy(row).contains("s.bad"));
            if bad {
                Reply::Status(403, r#"{"message":"blocked by the firewall"}"#)
            } else {
                Reply::Written
            }
        });
        for number in 0..5000 {
            world.engine.submit(create("tables", &name(number), None), s(0));
        }
        let ended = world.drain();
        let good_and_lost = ended.iter().filter(|one| is_lost(one) && one.fqn.contains("fine"));
        assert_eq!(good_and_lost.count(), 0, "seed {seed}");
    }
}

#[test]
fn one_redirect_costs_nothing() {
    for status in [302, 307, 407] {
        let mut first = true;
        let mut world = World::new(patient(4), |_, _| {
            if std::mem::take(&mut first) {
                Reply::Status(status, "")
            } else {
                Reply::Written
            }
        });
        submit_tables(&mut world.engine, 100, s(0));
        assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
        drop(world);
    }
}

#[test]
fn a_connection_that_is_cut_in_each_large_body_makes_bodies_smaller() {
    let mut world = World::new(
        patient(1),
        |sent, _| {
            if rows(sent) > 20 {
                Reply::Broken
            } else {
                Reply::Written
            }
        },
    );
    submit_tables(&mut world.engine, 100, s(0));
    assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
}

#[test]
fn a_link_that_cuts_all_but_small_bodies_loses_nothing_and_takes_no_minute() {
    for most in [1, 2, 7, 50] {
        for workers in [1, 2, 4] {
            for seed in 0..10 {
                let mut turn = 0;
                let mut world = World::new(
                    Config {
                        seed,
                        ..patient(workers)
                    },
                    |sent, _| {
                        turn += 1;
                        match (rows(sent) > most, turn % 3) {
                            (false, _) => Reply::Written,
                            (true, 0) => Reply::NotSent,
                            (true, 1) => Reply::Closed,
                            (true, _) => Reply::Broken,
                        }
                    },
                );
                submit_tables(&mut world.engine, 200, s(0));
                assert_eq!(world.drain().iter().filter(|one| is_lost(one)).count(), 0);
                assert!(
                    world.now <= s(60),
                    "{most} rows, {workers} workers, seed {seed}: {:?}",
                    world.now
                );
            }
        }
    }
}

/// Every table but `s.t0` is written, whatever that one is answered in turn.
fn one_row_is_answered(replies: &[Reply], workers: usize, others: usize) {
    for seed in 0..8 {
        one_row_is_answered_with(
            Config {
                seed,
                ..patient(workers)
            },
            replies,
            others,
        );
    }
}

fn one_row_is_answered_with(config: Config, replies: &[Reply], others: usize) {
    let what = format!("{} workers, {others} others, seed {}", config.workers, config.seed);
    let mut turn = 0;
    let mut world = World::new(config, |sent, _| {
        if carries(sent, "s.t0") {
            turn += 1;
            replies[turn % replies.len()].clone()
        } else {
            Reply::Written
        }
    });
    submit_tables(&mut world.engine, 100 + others, s(0));
    let ended = world.drain();
    let lost: Vec<&str> = ended.iter().filter(|one| is_lost(one)).map(|one| &*one.fqn).collect();
    assert_eq!(lost, ["s.t0"], "{what}");
}

#[test]
fn a_row_that_is_never_answered_in_time_costs_no_other() {
    for (workers, others) in [(1, 0), (4, 0), (1, 300), (4, 300)] {
        one_row_is_answered(&[Reply::Silent], workers, others);
    }
}

#[test]
fn a_row_for_which_a_gateway_is_never_available_costs_no_other() {
    for (workers, others) in [(1, 0), (4, 0), (1, 300), (4, 300)] {
        one_row_is_answered(&[Reply::Status(503, "")], workers, others);
    }
}

#[test]
fn a_row_whose_faults_are_of_several_kinds_costs_no_other() {
    let kinds = [Reply::Broken, Reply::Status(502, ""), Reply::Status(500, "")];
    for (workers, others) in [(1, 0), (4, 0), (1, 300), (4, 300)] {
        one_row_is_answered(&kinds[..2], workers, others);
        one_row_is_answered(&kinds, workers, others);
    }
}

#[test]
fn a_server_that_fails_on_most_rows_for_a_while_loses_none() {
    type Fails = fn(usize) -> Option<(u16, &'static str)>;
    let one_is_taken: Fails = |at| (at > 0).then_some((500, "could not obtain a connection"));
    let by_turns: Fails = |at| {
        Some(if at % 2 == 0 {
            (500, "Internal Server Error")
        } else {
            (
                400,
                "HikariPool-1 - Connection is not available, request timed out after 30000ms",
            )
        })
    };
    for fails in [one_is_taken, by_turns] {
        let mut world = World::new(patient(4), |sent, now| {
            if now >= s(60) {
                return Reply::Written;
            }
            let failed = names(sent).into_iter().enumerate();
            let failed = failed.filter_map(|(at, name)| fails(at).map(|(status, text)| (name, status, text)));
            Reply::Refused(failed.collect())
        });
        submit_tables(&mut world.engine, 1_000, s(0));
        let ended = world.drain();
        let lost: Vec<&Outcome> = ended.iter().filter(|one| is_lost(one)).collect();
        assert_eq!(lost.len(), 0, "{:?}", lost.first());
        assert!(world.sent < 600, "{} requests", world.sent);
    }
}

#[test]
fn rows_that_the_server_always_fails_on_cost_no_other() {
    let mut world = World::new(patient(4), |sent, _| {
        let bad = names(sent).into_iter().filter(|name| name.ends_with("bad"));
        Reply::Refused(bad.map(|name| (name, 500, "NullPointerException")).collect())
    });
    for number in 0..30 {
        for name in [format!("s.t{number}"), format!("s.t{number}.bad")] {
            let now = world.now;
            world.engine.submit(create("tables", &name, None), now);
        }
        while world.now < s(number + 1) && world.advance() {}
        world.now = world.now.max(s(number + 1));
    }
    let ended = world.drain();
    let lost: Vec<&str> = ended.iter().filter(|one| is_lost(one)).map(|one| &*one.fqn).collect();
    assert_eq!(lost.len(), 30, "{lost:?}");
    assert!(lost.iter().all(|name| name.ends_with("bad")), "{lost:?}");
}
