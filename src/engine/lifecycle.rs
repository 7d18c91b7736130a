//! Phase two: life cycle patches that wait for their entity (E10), or ride in its create request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::{Map, Value};

use super::order::{Entry, Order};
use super::record::{Ending, Kind, Missing, Payload, Sequence};
use super::request::{Answer, Call, Entity};
use super::retry::{meaning, Asked, Meaning};
use super::{Embed, Engine, Time, Work};

/// One life cycle on its way.
#[derive(Debug)]
pub(super) struct Patch {
    pub sequence: Sequence,
    pub attempts: u32,
    /// The entity's id, on a server that patches by id only.
    id: Option<Arc<str>>,
}

impl Patch {
    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            attempts: 0,
            id: None,
        }
    }
}

impl Engine {
    pub(super) fn patch_call(&self, patch: &Patch) -> Option<Call> {
        let entry = self.order.get(patch.sequence)?;
        let collection = entry.record.collection.clone();
        let life_cycle = entry.record.payload.bytes().clone();
        let fqn: Arc<str> = entry.key.as_str().into();
        Some(match (&patch.id, self.patch_by_name) {
            (Some(id), _) => Call::PatchLifeCycle {
                collection,
                entity: Entity::Id(id.clone()),
                life_cycle,
            },
            (None, Some(false)) => Call::Get {
                collection,
                fqn,
                fields: "",
            },
            (None, _) => Call::PatchLifeCycle {
                collection,
                entity: Entity::Name(fqn),
                life_cycle,
            },
        })
    }

    pub(super) fn patch_answered(&mut self, mut patch: Patch, answer: Answer, sent: Time, now: Time) {
        let asked = match (&patch.id, self.patch_by_name) {
            (Some(_), _) => Asked::PatchById,
            (None, Some(false)) => Asked::Get,
            (None, by_name) => Asked::PatchByName {
                proven: by_name == Some(true),
            },
        };
        match meaning(asked, answer) {
            Meaning::Done(body) if asked == Asked::Get => {
                // Half of the work done says nothing of the other half: it is no success yet.
                if let Some(id) = id_of(&body) {
                    patch.id = Some(id);
                    patch.attempts = 0;
                    self.at_once.push(Work::Patch(patch));
                } else {
                    let text = "the server's answer for its entity holds no id";
                    self.finish(patch.sequence, Ending::Failed(text.into()));
                }
            }
            Meaning::Done(_) | Meaning::Rows(_) => {
                self.limiter.served(sent, now);
                self.recovered(now);
                if patch.id.is_none() {
                    self.patch_by_name = Some(true);
                }
                self.finish(patch.sequence, Ending::Written);
            }
            Meaning::Missing(_, text) => {
                self.limiter.served(sent, now);
                self.recovered(now);
                self.entity_is_missing(patch.sequence, &text, sent);
            }
            Meaning::NoSuchRoute => {
                self.patch_by_name = Some(false);
                patch.attempts = 0;
                self.at_once.push(Work::Patch(patch));
            }
            Meaning::Again(again) => {
                let streak = self.met_fault(&[patch.sequence], sent, &again.reason, again.may_be_its_own());
                if again.overload || streak {
                    self.overloaded(sent, again.retry_after, now);
                }
                self.patch_again(patch, &again.reason, again.unknown, again.retry_after, now);
            }
            Meaning::TooSlow(reason) => {
                self.met_fault(&[patch.sequence], sent, &reason, false);
                self.overloaded(sent, None, now);
                self.patch_again(patch, &reason, true, None, now);
            }
            Meaning::Unauthorized(text) => self.unauthorized(Work::Patch(patch), text, sent, now),
            Meaning::Refused(text) | Meaning::Exists(text) => {
                self.limiter.served(sent, now);
                self.recovered(now);
                self.finish(patch.sequence, Ending::Failed(text.into()));
            }
            Meaning::TooLarge(text) | Meaning::Misdirected(text) => self.fail_in_doubt(&Work::Patch(patch), &text),
        }
    }

    /// A patch is the same whether it is applied once or twice, so an unknown result needs no pause, only to be told of at the end.
    fn patch_again(&mut self, patch: Patch, reason: &str, unknown: bool, asked: Option<Duration>, now: Time) {
        if let Some(entry) = self.order.get_mut(patch.sequence) {
            entry.unknown |= unknown;
        }
        if self.health.is_open().is_some() {
            self.give_up(Work::Patch(patch), reason, now);
        } else {
            let attempts = patch.attempts;
            self.retry_or_give_up(Work::Patch(patch), attempts, false, asked, now);
            self.consider_giving_up_the_server(now);
        }
    }

    /// The entity is not there: the patch waits until it is submitted, or for the final drain.
    fn entity_is_missing(&mut self, sequence: Sequence, text: &str, sent: Time) {
        let Some(entry) = self.order.get(sequence) else { return };
        let missing = Missing::of(&entry.record.collection, entry.key.clone());
        self.row_lacks(sequence, missing, text, sent);
    }

    /// A create request has failed: the life cycle behind it is tried all the same, for the entity may be there from an earlier run.
    /// Where it is not, both failures are told together.
    pub(super) fn tell_patch_of_failure(&mut self, entity: &Entry, reason: &Arc<str>) {
        let next = self.order.next_writer(entity).and_then(|next| self.order.get_mut(next));
        if let Some(next) = next.filter(|next| next.kind() == Kind::LifeCycle) {
            next.entity_failed = Some(reason.clone());
        }
    }

    /// Puts a life cycle into the create request of its entity, if that was not sent yet. The record that now carries it.
    pub(super) fn embed(&mut self, collection: &str, fqn: &str, life_cycle: &[u8]) -> Option<Sequence> {
        let key = Order::key(collection, fqn);
        let sequence = self.order.unsent_create(collection, &key)?;
        if self.order.has_patch(self.order.get(sequence)?) {
            // An earlier life cycle comes first, on its own.
            return None;
        }
        let new_hash = self.config.embed == Embed::WithNewHash;
        let body = with_life_cycle(self.order.get(sequence)?.record.payload.bytes(), life_cycle, new_hash)?;
        self.order.set_payload(sequence, Payload::Create(body));
        Some(sequence)
    }
}

fn id_of(body: &[u8]) -> Option<Arc<str>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.get("id")?.as_str()?.into())
}

/// The create request with one more field; None where it has that field already. With `new_hash`, its `sourceHash` stands for
/// the life cycle too.
fn with_life_cycle(body: &[u8], life_cycle: &[u8], new_hash: bool) -> Option<Bytes> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    if fields.contains_key("lifeCycle") {
        return None;
    }
    let life_cycle: Value = serde_json::from_slice(life_cycle).ok()?;
    if new_hash {
        if let Some(Value::String(hash)) = fields.get_mut("sourceHash") {
            let both = Md5::new()
                .chain_update(hash.as_bytes())
                .chain_update(life_cycle.to_string());
            *hash = both.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        }
    }
    fields.insert("lifeCycle".to_owned(), life_cycle);
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, create, eager, endings, fault, is_patch, life_cycle, outcomes, request, requests, respond, s,
        some_refused, submit_tables,
    };
    use super::*;
    use crate::engine::request::{Fault, Request};
    use crate::engine::Config;

    fn embedded(body: &str, new_hash: bool) -> Option<Value> {
        let whole = with_life_cycle(body.as_bytes(), br#"{"created":{"timestamp":1}}"#, new_hash)?;
        serde_json::from_slice(&whole).ok()
    }

    #[test]
    fn a_life_cycle_becomes_a_field_and_the_hash_stands_for_both_where_that_is_wanted() {
        let body = r#"{"name":"t","sourceHash":"0123"}"#;
        let old = embedded(body, false).unwrap();
        assert_eq!(old["lifeCycle"]["created"]["timestamp"], 1);
        assert_eq!((&old["name"], &old["sourceHash"]), (&"t".into(), &"0123".into()));
        let new = embedded(body, true).unwrap();
        assert_ne!(new["sourceHash"], old["sourceHash"]);
        assert_eq!(new["sourceHash"].as_str().map(str::len), Some(32));
        assert_eq!(embedded(body, true), Some(new), "the same each time");
    }

    #[test]
    fn a_life_cycle_of_its_own_is_left_alone() {
        assert_eq!(embedded(r#"{"lifeCycle":{}}"#, true), None);
    }

    #[test]
    fn a_life_cycle_follows_its_entity_and_keeps_later_writers_back() {
        let mut engine = eager(4, 1);
        submit_tables(&mut engine, 1, s(0));
        life_cycle(&mut engine, "s.t0", 1, s(0));
        engine.submit(create("tables", "\"s\".t0", Some("s")), s(0));
        let create = request(&mut engine, s(0));
        assert!(!is_patch(&create) && engine.poll_request(s(0)).is_none());
        all_written(&mut engine, &create, s(1));
        let patch = request(&mut engine, s(1));
        assert!(is_patch(&patch) && engine.poll_request(s(1)).is_none());
        all_written(&mut engine, &patch, s(2));
        assert!(!is_patch(&request(&mut engine, s(2))));
        assert_eq!(endings(&mut engine), "w1 w2");
    }

    /// The life cycle of a table that was refused, on its way.
    fn patch_behind_a_refused_table(engine: &mut Engine) -> Request {
        submit_tables(engine, 1, s(0));
        life_cycle(engine, "s.t0", 1, s(0));
        let sent = request(engine, s(0));
        some_refused(engine, &sent, &[("s.t0", 400, "no")], s(0));
        request(engine, s(0))
    }

    #[test]
    fn a_life_cycle_fails_with_its_entity_and_names_it() {
        let mut engine = eager(4, 1);
        let patch = patch_behind_a_refused_table(&mut engine);
        let text = r#"{"message":"table instance for s.t0 not found"}"#;
        respond(&mut engine, patch.id, 404, text, s(0));
        let lost = outcomes(&mut engine);
        let text = "its entity s.t0 failed: the server refused it: no";
        assert_eq!(lost[1].ending, Ending::Failed(text.into()));
    }

    #[test]
    fn a_life_cycle_behind_an_update_that_failed_is_written_where_the_entity_is_there() {
        let mut engine = eager(4, 1);
        let patch = patch_behind_a_refused_table(&mut engine);
        all_written(&mut engine, &patch, s(0));
        assert_eq!(endings(&mut engine), "f1 w2");
    }

    #[test]
    fn a_life_cycle_that_comes_before_its_entity_waits_for_it_in_its_turn() {
        let mut engine = eager(4, 1);
        life_cycle(&mut engine, "s.t0", 1, s(0));
        let first = request(&mut engine, s(0));
        respond(
            &mut engine,
            first.id,
            404,
            r#"{"message":"table instance for s.t0 not found"}"#,
            s(0),
        );
        assert_eq!(engine.stats(s(0)).parked, 1);
        submit_tables(&mut engine, 1, s(1));
        life_cycle(&mut engine, "s.t0", 2, s(1));
        let create = request(&mut engine, s(1));
        all_written(&mut engine, &create, s(1));
        for _ in 0..2 {
            let patch = request(&mut engine, s(1));
            assert!(engine.poll_request(s(1)).is_none());
            all_written(&mut engine, &patch, s(1));
        }
        assert_eq!(endings(&mut engine), "w2 w1 w3");
    }

    #[test]
    fn without_a_route_by_name_the_id_is_looked_up() {
        let mut engine = eager(4, 1);
        for table in ["a", "b"] {
            life_cycle(&mut engine, table, 1, s(0));
            let mut sent = request(&mut engine, s(0));
            if table == "a" {
                respond(&mut engine, sent.id, 405, "", s(0));
                sent = request(&mut engine, s(0));
            }
            assert!(matches!(sent.call, Call::Get { .. }), "{sent:?}");
            respond(&mut engine, sent.id, 200, r#"{"id":"17"}"#, s(0));
            let patch = request(&mut engine, s(0));
            assert!(matches!(&patch.call, Call::PatchLifeCycle { entity: Entity::Id(id), .. } if &**id == "17"));
            all_written(&mut engine, &patch, s(0));
        }
        assert_eq!(endings(&mut engine), "w1 w2");
    }

    #[test]
    fn ids_that_can_be_read_do_not_keep_a_server_alive_that_breaks_on_every_patch() {
        let mut engine = eager(4, 1);
        let mut now = s(0);
        engine.patch_by_name = Some(false);
        for number in 0..100 {
            life_cycle(&mut engine, &format!("s.t{number}"), 1, now);
        }
        while engine.stats(now).pending > 0 {
            let sent = requests(&mut engine, now);
            if sent.is_empty() {
                now = engine.poll_timeout(now).unwrap().max(now);
                engine.handle_timeout(now);
            }
            for request in sent {
                match request.call {
                    Call::Get { .. } => respond(&mut engine, request.id, 200, r#"{"id":"17"}"#, now),
                    _ => fault(&mut engine, request.id, Fault::Broken("reset".into()), now),
                }
            }
        }
        assert_eq!(now, s(300));
    }

    #[test]
    fn a_life_cycle_rides_only_where_no_earlier_one_is_on_its_way() {
        let mut engine = Engine::new(Config {
            embed: Embed::WithOldHash,
            ..Config::default()
        });
        life_cycle(&mut engine, "s.t0", 1, s(0));
        submit_tables(&mut engine, 2, s(0));
        life_cycle(&mut engine, "s.t0", 2, s(0));
        life_cycle(&mut engine, "s.t1", 3, s(0));
        assert_eq!(engine.pending_body("tables", "s.t0").map(|body| body.len()), Some(38));
        assert!(engine
            .pending_body("tables", "s.t1")
            .is_some_and(|body| body.len() > 60));
    }
}
