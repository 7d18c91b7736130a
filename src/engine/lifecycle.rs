//! Phase two: life cycle patches that wait for their entity (E10), or ride in its create request.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::{Map, Value};

use super::order::Entry;
use super::reading::Asked;
use super::record::Sequence;
use super::request::{Call, Entity};

/// One life cycle on its way.
#[derive(Debug)]
pub(super) struct Patch {
    pub sequence: Sequence,
    pub attempts: u32,
    /// Past its deadline, for one last attempt.
    pub last_attempt: bool,
    /// It tells whether the server is there again.
    pub probe: bool,
    /// The entity's id, on a server that patches by id only.
    pub id: Option<Arc<str>>,
}

impl Patch {
    pub fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            attempts: 0,
            last_attempt: false,
            probe: false,
            id: None,
        }
    }
}

impl Patch {
    /// The call that it makes next; `by_name`: whether the server patches by name, as far as that is known.
    pub fn call(&self, entry: &Entry, by_name: Option<bool>) -> (Asked, Call) {
        let collection = entry.record.collection.clone();
        let fqn: Arc<str> = entry.key.as_str().into();
        let patch = |entity| Call::PatchLifeCycle {
            collection: collection.clone(),
            entity,
            life_cycle: entry.record.payload.bytes().clone(),
        };
        match (&self.id, by_name) {
            (Some(id), _) => (Asked::PatchById, patch(Entity::Id(id.clone()))),
            (None, Some(false)) => {
                let call = Call::Get {
                    collection: collection.clone(),
                    fqn,
                    fields: "",
                };
                (Asked::Get, call)
            }
            (None, _) => (Asked::PatchByName, patch(Entity::Name(fqn))),
        }
    }
}

/// The create request with one more field; None where it has that field already. With `new_hash`, its `sourceHash` stands for
/// the life cycle too.
pub(super) fn with_life_cycle(body: &[u8], life_cycle: &[u8], new_hash: bool) -> Option<Bytes> {
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
    use crate::engine::{Config, Embed, Ending, Engine};

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
        respond(&mut engine, &patch, 404, text, s(0));
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
            &first,
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
                respond(&mut engine, &sent, 405, r#"{"code":405,"message":"HTTP 405"}"#, s(0));
                sent = request(&mut engine, s(0));
            }
            assert!(matches!(sent.call, Call::Get { .. }), "{sent:?}");
            respond(&mut engine, &sent, 200, r#"{"id":"17"}"#, s(0));
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
        engine.server.patch_by_name = Some(false);
        for number in 0..100 {
            life_cycle(&mut engine, &format!("s.t{number}"), 1, now);
        }
        let mut rounds = 0;
        while engine.stats(now).pending > 0 {
            rounds += 1;
            assert!(rounds < 20_000, "{now:?}");
            let sent = requests(&mut engine, now);
            if sent.is_empty() {
                now = engine.poll_timeout(now).unwrap().max(now);
                engine.handle_timeout(now);
            }
            for request in sent {
                match &request.call {
                    Call::Get { .. } => respond(&mut engine, &request, 200, r#"{"id":"17"}"#, now),
                    _ => fault(&mut engine, &request, Fault::Broken("reset".into()), now),
                }
            }
        }
        assert!(now >= s(300) && now < s(310), "{now:?}");
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
