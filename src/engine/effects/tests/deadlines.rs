//! What becomes of records whose time is over.

use crate::engine::request::Call;
use crate::engine::testing::{life_cycle, s, submit_tables};
use crate::engine::Config;

use super::world::{carries, is_lost, is_of, patient, reason, Reply, World};

#[test]
fn attempts_that_take_nearly_the_deadline_end_within_the_deadline_and_one_attempt() {
    for (attempt, deadline) in [(299, 300), (250, 300), (300, 600)] {
        let config = Config {
            attempt_timeout: s(attempt),
            delivery_timeout: s(deadline),
            ..patient(8)
        };
        let mut world = World::new(config, |sent, _| {
            if is_of(sent, "tables") {
                Reply::Silent
            } else {
                Reply::Written
            }
        });
        submit_tables(&mut world.engine, 100, s(0));
        let mut number = 0;
        while world.engine.stats(world.now).failed < 100 {
            // The rest of the server is well.
            number += 1;
            let now = world.now;
            life_cycle(&mut world.engine, &format!("o.t{number}"), 1, now);
            assert!(world.advance());
        }
        let bound = s(deadline + attempt + 10);
        assert!(world.now <= bound, "{attempt}/{deadline}: {:?}", world.now);
    }
}

#[test]
fn records_whose_time_ends_while_others_of_their_collection_are_served_have_one_attempt_more() {
    // An outage, and then a server that takes one row after the other: that takes longer than the deadline.
    let config = Config {
        batch_rows: 1_000,
        delivery_timeout: s(30),
        ..patient(1)
    };
    let mut world = World::new(config, |sent, now| match &sent.call {
        _ if now < s(10) => Reply::Status(503, ""),
        Call::PutBulk { .. } => Reply::Status(405, ""),
        _ => Reply::Written,
    });
    submit_tables(&mut world.engine, 1_000, s(0));
    let ended = world.drain();
    assert!(world.now > s(40), "{:?}", world.now);
    assert_eq!(ended.iter().filter(|one| is_lost(one)).count(), 0);
}

#[test]
fn a_last_attempt_that_says_little_of_the_record_does_not_count_four_times() {
    let less = Reply::Status(503, "");
    for (reply, times, lost) in [
        (Reply::Broken, 1, 0),
        (Reply::Broken, 4, 0),
        (Reply::Broken, 5, 1),
        (Reply::NotSent, 4, 0),
        (less.clone(), 4, 0),
        (less, 5, 1),
        (Reply::Status(502, ""), 1, 1),
    ] {
        let config = Config {
            batch_rows: 1_000,
            delivery_timeout: s(30),
            ..patient(1)
        };
        let mut met = 0;
        let mut world = World::new(config, |sent, now| match &sent.call {
            _ if now < s(10) => Reply::Status(503, ""),
            Call::PutBulk { .. } => Reply::Status(405, ""),
            _ if now > s(40) && met < times && carries(sent, "s.t990") => {
                met += 1;
                reply.clone()
            }
            _ => Reply::Written,
        });
        submit_tables(&mut world.engine, 1_000, s(0));
        let ended = world.drain();
        let lost_there: Vec<_> = ended.iter().filter(|one| is_lost(one)).map(reason).collect();
        assert_eq!(lost_there.len(), lost, "{times}: {lost_there:?}");
        drop(world);
        assert_eq!(met, times);
    }
}
