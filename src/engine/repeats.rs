//! What need not be sent again: for each entity, a digest of the body that the server took last. A source may name the same two tags
//! for each of a million tables.
//!
//! Bodies are kept as digests, entities as hashes, and no more than [`GENERATION`] of them twice over. Whatever is forgotten, by its
//! age or because two entities share a hash, is sent once more: that is the only thing that can go wrong here.

use std::hash::{BuildHasher, BuildHasherDefault};

use md5::{Digest, Md5};
use rustc_hash::{FxHashMap, FxHasher};

use super::defects::{broken, Planted};
use super::order::CollectionId;
use super::record::{Fqn, Sequence};

/// Entities in one of the two generations.
const GENERATION: usize = 32_768;

type Body = [u8; 16];

/// The last bodies of entities of which bodies repeat.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    recent: FxHashMap<u64, Body>,
    /// What was recent before; what is asked for becomes recent again.
    older: FxHashMap<u64, Body>,
    /// Records up to this one prove nothing: somebody else may have written after them.
    doubtful: Sequence,
    defect: Planted,
}

impl Repeats {
    pub fn with(defect: Planted) -> Self {
        Self {
            defect,
            ..Self::default()
        }
    }

    fn key(collection: CollectionId, fqn: &Fqn) -> u64 {
        BuildHasherDefault::<FxHasher>::default().hash_one((collection, fqn.as_str()))
    }

    /// The name belongs to the digest: a body never stands for another entity that has the same hash.
    fn digest(fqn: &Fqn, body: &[u8]) -> Body {
        let named = Md5::new().chain_update(fqn.as_str()).chain_update([0]);
        named.chain_update(body).finalize().into()
    }

    /// The server took this body for an entity, and nothing else since.
    pub fn note(&mut self, sequence: Sequence, collection: CollectionId, fqn: &Fqn, body: &[u8]) {
        if sequence > self.doubtful {
            self.remember(Self::key(collection, fqn), Self::digest(fqn, body));
        }
    }

    fn remember(&mut self, key: u64, body: Body) {
        if self.recent.len() >= GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, body);
    }

    /// Whether that is the body that the server took last.
    pub fn is_last(&mut self, collection: CollectionId, fqn: &Fqn, body: &[u8]) -> bool {
        let key = Self::key(collection, fqn);
        let Some(last) = self.recent.get(&key).or_else(|| self.older.get(&key)).copied() else {
            return false;
        };
        if last != Self::digest(fqn, body) {
            return false;
        }
        if self.older.remove(&key).is_some() {
            self.remember(key, last);
        }
        true
    }

    /// A body of this entity is on its way: what the server has of it is open until that ends well.
    pub fn leaves(&mut self, collection: CollectionId, fqn: &Fqn) {
        if (self.recent.is_empty() && self.older.is_empty()) || broken!(self.defect, TrustsOldBodies) {
            return;
        }
        let key = Self::key(collection, fqn);
        self.recent.remove(&key);
        self.older.remove(&key);
    }

    /// Somebody else may have written something, after the records up to `last` were submitted.
    pub fn forget(&mut self, last: Sequence) {
        if !broken!(self.defect, TrustsOldBodies) {
            self.recent.clear();
            self.older.clear();
            self.doubtful = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        create, eager, endings, fault, next_request, only_reason, outcomes, request, requests, respond, rows, s,
    };
    use super::super::{Call, Ending, Engine, Fault, Fqn, Payload, Record, Request, Scope, Time};
    use super::*;

    fn tag(name: &str, body: &str) -> Record {
        Record {
            once: true,
            ..Record::bare("tags".into(), name.into(), Payload::Create(body.to_owned().into()))
        }
    }

    fn group(name: &str) -> Record {
        Record {
            once: true,
            ..create("classifications", name, None)
        }
    }

    /// A tag, and its classification before it.
    fn pair(name: &str, body: &str) -> Record {
        Record {
            first: Some(Box::new(group("G"))),
            parent: Some(Fqn::canonical("G")),
            label: Some("for a table".into()),
            ..tag(name, body)
        }
    }

    fn path(call: &Call) -> &str {
        match call {
            Call::PutOne { collection, .. } => collection,
            other => panic!("{other:?}"),
        }
    }

    fn write(engine: &mut Engine, now: Time) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(request) = engine.poll_request(now) {
            sent.push(path(&request.call).to_owned());
            respond(engine, &request, 200, "{\"id\":\"1\"}", now);
        }
        sent
    }

    fn refuse(engine: &mut Engine, sent: &Request, now: Time) {
        respond(engine, sent, 400, r#"{"code":400,"message":"no"}"#, now);
    }

    #[test]
    fn a_body_that_was_written_last_is_not_sent_again() {
        let mut engine = eager(4, 100);
        for _ in 0..3 {
            engine.submit(pair("G.a", "{1}"), s(0));
            write(&mut engine, s(0));
        }
        assert_eq!(endings(&mut engine), "w1 w2 w3 w4 w5 w6");
        let stats = engine.stats(s(0));
        assert_eq!((stats.requests, stats.written, stats.pending), (2, 6, 0));
    }

    #[test]
    fn another_body_is_sent_and_so_is_the_first_one_after_it() {
        let mut engine = eager(4, 100);
        for body in ["{1}", "{2}", "{1}", "{1}"] {
            engine.submit(tag("G.a", body), s(0));
            write(&mut engine, s(0));
        }
        assert_eq!(engine.stats(s(0)).requests, 3);
    }

    #[test]
    fn a_repeat_of_what_is_in_flight_waits_for_it_and_is_not_sent() {
        let mut engine = eager(4, 100);
        for _ in 0..5 {
            engine.submit(tag("G.a", "{1}"), s(0));
        }
        assert_eq!(requests(&mut engine, s(0)).len(), 1);
        for _ in 0..5 {
            engine.submit(tag("G.a", "{1}"), s(0));
        }
        assert_eq!(requests(&mut engine, s(0)).len(), 0);
        assert_eq!(engine.stats(s(0)).pending, 10);
        let mut engine = eager(4, 100);
        engine.submit(tag("G.a", "{1}"), s(0));
        let sent = request(&mut engine, s(0));
        engine.submit(tag("G.a", "{1}"), s(0));
        engine.submit(tag("G.a", "{2}"), s(0));
        engine.submit(tag("G.a", "{2}"), s(0));
        respond(&mut engine, &sent, 200, "{\"id\":\"1\"}", s(1));
        assert_eq!(write(&mut engine, s(1)).len(), 1);
        assert_eq!(endings(&mut engine), "w1 w2 w3 w4");
    }

    #[test]
    fn what_failed_is_sent_again() {
        let mut engine = eager(4, 100);
        engine.submit(tag("G.a", "{1}"), s(0));
        write(&mut engine, s(0));
        for body in ["{2}", "{1}"] {
            engine.submit(tag("G.a", body), s(0));
            let sent = request(&mut engine, s(0));
            refuse(&mut engine, &sent, s(0));
        }
        assert_eq!(endings(&mut engine), "w1 f2 f3", "{{2}} may have been written in part");
    }

    #[test]
    fn a_repeat_behind_one_that_fails_is_sent() {
        let mut engine = eager(4, 100);
        engine.submit(tag("G.a", "{1}"), s(0));
        let first = request(&mut engine, s(0));
        engine.submit(tag("G.a", "{1}"), s(0));
        refuse(&mut engine, &first, s(0));
        write(&mut engine, s(0));
        assert_eq!(endings(&mut engine), "f1 w2");
    }

    #[test]
    fn what_somebody_else_may_have_written_is_sent_again() {
        let mut engine = eager(4, 100);
        engine.submit(tag("G.a", "{1}"), s(0));
        write(&mut engine, s(0));
        engine.forget_written();
        engine.submit(tag("G.a", "{1}"), s(0));
        let in_flight = request(&mut engine, s(0));
        engine.submit(tag("G.a", "{1}"), s(0));
        engine.forget_written();
        respond(&mut engine, &in_flight, 200, "{\"id\":\"1\"}", s(1));
        assert_eq!(write(&mut engine, s(1)).len(), 1, "the one in flight proves nothing");
        assert_eq!(endings(&mut engine), "w1 w2 w3");
    }

    #[test]
    fn a_record_of_another_kind_between_them_counts() {
        let mut engine = eager(4, 100);
        engine.submit(tag("G.a", "{1}"), s(0));
        write(&mut engine, s(0));
        let plain = Record {
            once: false,
            ..tag("G.a", "{1}")
        };
        for _ in 0..2 {
            engine.submit(plain.clone(), s(0));
            assert_eq!(write(&mut engine, s(0)).len(), 1, "only what says so is sent once");
        }
        engine.submit(tag("G.a", "{1}"), s(0));
        assert_eq!(write(&mut engine, s(0)).len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut repeats = Repeats::default();
        let (collection, used) = (
            super::super::order::Order::default().collection(&"tags".into()),
            Fqn::canonical("G.used"),
        );
        repeats.note(1, collection, &used, b"{}");
        for number in 0..10 * GENERATION {
            repeats.note(1, collection, &Fqn::canonical(&format!("G.{number}")), b"{}");
            if number % 1000 == 0 {
                assert!(repeats.is_last(collection, &used, b"{}"), "{number}");
            }
        }
        assert!(repeats.recent.len() + repeats.older.len() <= 2 * GENERATION);
        assert!(!repeats.is_last(collection, &Fqn::canonical("G.0"), b"{}"));
    }

    #[test]
    fn collections_without_a_bulk_endpoint_are_not_asked_for_one() {
        let mut engine = Engine::new(super::super::Config::default());
        engine.submit(pair("G.a", "{1}"), s(0));
        assert_eq!(
            write(&mut engine, s(0)),
            ["classifications", "tags"],
            "and nothing lingers"
        );
    }

    #[test]
    fn a_repeat_waits_for_a_first_that_has_changed() {
        let mut engine = eager(4, 100);
        engine.submit(pair("G.a", "{1}"), s(0));
        write(&mut engine, s(0));
        let mut changed = pair("G.a", "{1}");
        changed.first.as_mut().unwrap().payload = Payload::Create("{changed}".into());
        engine.submit(changed, s(0));
        assert_eq!(endings(&mut engine), "w1 w2");
        let first = request(&mut engine, s(0));
        refuse(&mut engine, &first, s(0));
        assert_eq!(endings(&mut engine), "f3 f4");
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let mut engine = eager(4, 100);
        engine.submit(pair("G.a", "{1}"), s(0));
        let sent = requests(&mut engine, s(0));
        assert_eq!(
            sent.iter().map(|one| path(&one.call)).collect::<Vec<_>>(),
            ["classifications"]
        );
        respond(&mut engine, &sent[0], 200, "{\"id\":\"1\"}", s(0));
        assert_eq!(path(&request(&mut engine, s(0)).call), "tags");
    }

    #[test]
    fn the_second_fails_with_the_first_and_is_not_sent() {
        let mut engine = eager(4, 100);
        engine.submit(pair("G.a", "{1}"), s(0));
        let first = request(&mut engine, s(0));
        refuse(&mut engine, &first, s(0));
        assert_eq!(requests(&mut engine, s(0)).len(), 0);
        let found = outcomes(&mut engine);
        let Ending::Failed(reason) = &found[1].ending else {
            panic!("{found:?}")
        };
        assert!(reason.contains("G failed") && reason.contains("no"), "{reason}");
        assert_eq!(found[1].label.as_deref(), Some("for a table"));
        assert_eq!(found[1].attempts, 0);
    }

    #[test]
    fn those_that_share_a_first_fail_with_it_too() {
        let mut engine = eager(1, 100);
        engine.submit(create("tables", "s.t", None), s(0));
        let busy = request(&mut engine, s(0));
        engine.submit(pair("G.a", "{1}"), s(0));
        engine.submit(pair("G.b", "{1}"), s(0));
        respond(&mut engine, &busy, 200, r#"{"numberOfRowsPassed":1}"#, s(0));
        let first = request(&mut engine, s(0));
        refuse(&mut engine, &first, s(0));
        assert_eq!(endings(&mut engine), "w1 f2 f4 f5 f3");
        assert_eq!(engine.stats(s(0)).pending, 0);
    }

    #[test]
    fn a_second_whose_first_cannot_even_be_tried_fails() {
        let mut engine = eager(4, 100);
        engine.close(s(0));
        engine.submit(pair("G.a", "{1}"), s(0));
        assert_eq!(endings(&mut engine), "f1 f2");
    }

    #[test]
    fn a_first_that_is_parked_takes_the_second_along() {
        let mut engine = eager(4, 100);
        engine.submit(pair("G.a", "{1}"), s(0));
        let first = request(&mut engine, s(0));
        let missing = r#"{"code":404,"message":"domain instance for d not found"}"#;
        respond(&mut engine, &first, 404, missing, s(0));
        assert_eq!(engine.stats(s(0)).parked, 2);
        let named = Scope::Name {
            fqn: Fqn::canonical("G.a"),
            subtree: false,
            up_to: 9,
        };
        assert_eq!(engine.wait_for(&named, s(0)), None, "a wait goes past both");
        // More of them, behind the parked one.
        engine.submit(
            Record {
                first: Some(Box::new(Record {
                    once: true,
                    ..Record::bare("classifications".into(), "G".into(), Payload::Create("{other}".into()))
                })),
                ..tag("G.b", "{1}")
            },
            s(0),
        );
        assert_eq!(requests(&mut engine, s(0)).len(), 0);
        engine.submit(create("domains", "d", None), s(1));
        let domain = request(&mut engine, s(1));
        respond(&mut engine, &domain, 200, r#"{"numberOfRowsPassed":1}"#, s(1));
        assert_eq!(
            write(&mut engine, s(1)),
            ["classifications", "tags", "classifications", "tags"]
        );
        assert_eq!(engine.stats(s(1)).pending, 0);
        assert_eq!(engine.stats(s(1)).failed, 0);
    }

    #[test]
    fn a_first_that_is_parked_and_fails_takes_the_second_along() {
        let mut engine = eager(4, 100);
        engine.submit(pair("G.a", "{1}"), s(0));
        let missing = r#"{"code":404,"message":"domain instance for d not found"}"#;
        let first = request(&mut engine, s(0));
        respond(&mut engine, &first, 404, missing, s(0));
        engine.wait_for(&Scope::FinalDrain, s(1)).unwrap();
        let again = request(&mut engine, s(1));
        assert_eq!(path(&again.call), "classifications");
        respond(&mut engine, &again, 404, missing, s(1));
        assert_eq!(requests(&mut engine, s(1)).len(), 0);
        assert_eq!(endings(&mut engine), "f1 f2");
    }

    #[test]
    fn an_unknown_result_is_no_proof() {
        let mut engine = eager(1, 1);
        engine.submit(tag("G.a", "{1}"), s(0));
        let sent = request(&mut engine, s(0));
        fault(&mut engine, &sent, Fault::Broken("reset".into()), s(0));
        engine.submit(tag("G.a", "{1}"), s(0));
        let mut now = s(0);
        let again = next_request(&mut engine, &mut now);
        assert_eq!(rows(&again), 1);
        refuse(&mut engine, &again, now);
        assert!(only_reason(&mut engine).contains("no"));
        assert_eq!(engine.stats(now).pending, 1);
    }
}
