//! Whether a collection refuses one record or everything (E7): a batch-wide refusal must not cost a request for each record.
//!
//! After many equal refusals without one success, six records are tried alone, one drawn from each sixth of the rest. All refused
//! alike: the rest fails with that text, and the next batch tries one record first, then three.

use rustc_hash::FxHashSet;

use super::batch::{Batch, InquestId};
use super::defects::broken;
use super::order::CollectionId;
use super::record::{Ending, Sequence};
use super::{Engine, Work};

/// Records that are tried alone before the rest of a collection's batch is condemned, and where it was condemned just before.
pub(super) const SCOUTS: usize = 6;
const SCOUTS_WHEN_WARY: usize = 3;
/// Fewer records than this are never condemned together.
const LEAST_REST: usize = 40;

/// Records that are held back until their scouts have an answer.
#[derive(Debug)]
pub(super) struct Inquest {
    collection: CollectionId,
    rest: Vec<Sequence>,
    /// Scouts without an answer.
    open: usize,
    /// A scout got through, or ended in some other way than by the same refusal.
    differs: bool,
    /// The first record of a batch after a collection refused everything: its refusal alone condemns nobody.
    wary: bool,
}

impl Inquest {
    pub fn wary(collection: CollectionId, rest: Vec<Sequence>) -> Self {
        Self {
            collection,
            rest,
            open: 0,
            differs: false,
            wary: true,
        }
    }

    /// Whether its scouts speak for whatever a collection refuses.
    fn is_of(&self, collection: CollectionId) -> bool {
        self.collection == collection && !self.wary
    }
}

impl Engine {
    /// Holds the rest back until the scouts have an answer.
    pub(super) fn open_inquest(&mut self, mut inquest: Inquest, scouts: &[Sequence]) {
        let id = InquestId(self.number());
        inquest.open = scouts.len();
        self.scouts.extend(scouts.iter().map(|scout| (*scout, id)));
        self.inquests.insert(id, inquest);
    }

    /// Whether so many records of a collection are still to be tried that a request for each would be a flood. Fewer are tried one by
    /// one: that costs little, and condemns nobody unheard.
    pub(super) fn is_worth_an_inquest(&self, collection: CollectionId, members: usize) -> bool {
        let parts = self.at_once.iter().filter(|work| self.is_part(work, collection));
        members + parts.map(|work| work.sequences().len()).sum::<usize>() >= LEAST_REST
    }

    /// Whether scouts are under way to tell what a collection refuses.
    pub(super) fn is_under_inquest(&self, collection: CollectionId) -> bool {
        self.inquests.values().any(|inquest| inquest.is_of(collection))
    }

    /// These have met the same refusal: they wait for the same scouts.
    pub(super) fn join_inquest(&mut self, collection: CollectionId, members: Vec<Sequence>) {
        let found = self.inquests.values_mut().find(|inquest| inquest.is_of(collection));
        if let Some(inquest) = found {
            inquest.rest.extend(members);
        }
    }

    /// The parts of split batches of a collection that have not been sent, oldest first.
    pub(super) fn take_parts(&mut self, collection: CollectionId) -> Vec<Sequence> {
        let (parts, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.at_once)
            .into_iter()
            .partition(|work| self.is_part(work, collection));
        self.at_once = others;
        parts.iter().rev().flat_map(Work::sequences).collect()
    }

    fn is_part(&self, work: &Work, collection: CollectionId) -> bool {
        let Work::Batch(part) = work else { return false };
        part.collection == collection && part.members.iter().all(|member| !self.scouts.contains_key(member))
    }

    /// Sends so many of these records alone and holds the others back. They are drawn at random, one from each part of the rest:
    /// what is wrong with a source often comes in regular intervals.
    pub(super) fn try_some(&mut self, collection: CollectionId, rest: Vec<Sequence>, scouts: usize) {
        let parts = scouts.clamp(1, rest.len().max(1));
        let chosen: FxHashSet<usize> = (0..parts)
            .map(|part| (part * rest.len() / parts)..((part + 1) * rest.len() / parts))
            .filter(|part| !part.is_empty())
            .map(|part| self.random.usize(part))
            .collect();
        let (scouts, rest): (Vec<_>, Vec<_>) = rest.into_iter().enumerate().partition(|(at, _)| chosen.contains(at));
        let scouts: Vec<Sequence> = scouts.into_iter().map(|(_, sequence)| sequence).collect();
        let inquest = Inquest {
            wary: false,
            ..Inquest::wary(collection, rest.into_iter().map(|(_, sequence)| sequence).collect())
        };
        self.open_inquest(inquest, &scouts);
        let alone = scouts.into_iter().rev();
        self.at_once
            .extend(alone.map(|scout| Work::Batch(Batch::new(collection, vec![scout]))));
    }

    /// A record has ended; if it was a scout, its inquest goes on.
    pub(super) fn report_scout(&mut self, sequence: Sequence, ending: &Ending) {
        let Some(id) = self.scouts.remove(&sequence) else {
            return;
        };
        let Some(inquest) = self.inquests.get_mut(&id) else {
            return;
        };
        let alike = match ending {
            Ending::Failed(reason) => self
                .routes
                .get(&inquest.collection)
                .is_some_and(|route| route.refusals.is_alike(reason)),
            _ => false,
        };
        inquest.differs |= !alike;
        inquest.open = inquest.open.saturating_sub(1);
        if inquest.open > 0 {
            return;
        }
        let Some(inquest) = self.inquests.remove(&id) else {
            return;
        };
        let refusals = &mut self.routes.entry(inquest.collection).or_default().refusals;
        if inquest.differs {
            refusals.differ();
            if !broken!(self.config.defect, ForgetsTheInquest) {
                // The rest of several batches may have come together.
                let batches = self.sealing.cut(&inquest.rest, &self.order).into_iter().rev();
                self.at_once
                    .extend(batches.map(|members| Work::Batch(Batch::new(inquest.collection, members))));
            }
        } else if inquest.wary {
            self.try_some(inquest.collection, inquest.rest, SCOUTS_WHEN_WARY);
        } else if let Ending::Failed(reason) = ending {
            refusals.wary = true;
            for sequence in inquest.rest {
                self.finish(sequence, Ending::Failed(reason.clone()));
            }
        }
    }

    /// A scout was set aside rather than ended: the collection does not refuse everything.
    pub(super) fn report_parked_scout(&mut self, sequence: Sequence) {
        self.report_scout(sequence, &Ending::Written);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all_written, eager, request, requests, respond, rows, s, submit_tables};
    use super::*;
    use crate::engine::request::{Call, Request};
    use crate::engine::{Config, Time};

    /// Answers all requests until none is left; those with a row that `is_bad` are refused. How many there were.
    fn refuse(engine: &mut Engine, mut is_bad: impl FnMut(&str) -> bool) -> usize {
        let mut count = 0;
        while let Some(sent) = engine.poll_request(s(0)) {
            count += 1;
            if names(&sent).iter().any(|name| is_bad(name)) {
                respond(engine, sent.id, 400, r#"{"message":"not here"}"#, s(0));
            } else {
                all_written(engine, &sent, s(0));
            }
        }
        count
    }

    fn names(request: &Request) -> Vec<String> {
        let Call::PutBulk { rows, .. } = &request.call else {
            panic!("{request:?}")
        };
        let name = |row: &bytes::Bytes| {
            let body: serde_json::Value = serde_json::from_slice(row).unwrap();
            body["name"].as_str().unwrap().to_owned()
        };
        rows.iter().map(name).collect()
    }

    #[test]
    fn a_collection_that_refuses_everything_costs_few_requests() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 100, s(0));
        assert!(refuse(&mut engine, |_| true) <= 20);
        assert_eq!(engine.stats(s(0)).failed, 100);
        submit_tables(&mut engine, 100, s(0));
        assert_eq!(
            refuse(&mut engine, |_| true),
            4,
            "one, and three more before the rest is condemned"
        );
        assert_eq!(engine.stats(s(0)).failed, 200);
    }

    #[test]
    fn scouts_that_get_through_save_the_rest() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 100, s(0));
        // Everything is refused until the scouts are sent; half of these requests carry one record alone.
        let mut refused = 0;
        refuse(&mut engine, |_| {
            refused += 1;
            refused <= 12
        });
        let stats = engine.stats(s(0));
        assert!(stats.failed <= 6 && stats.written >= 94, "{stats:?}");
    }

    #[test]
    fn where_every_second_record_is_bad_the_others_are_hardly_ever_condemned() {
        let mut lost = 0;
        for seed in 0..500 {
            let mut engine = Engine::new(Config {
                seed,
                linger: Time::ZERO,
                ..Config::default()
            });
            submit_tables(&mut engine, 100, s(0));
            let odd = |name: &str| name.ends_with(['1', '3', '5', '7', '9']);
            // Four workers: many parts of the batch are refused before the first record stands alone.
            let mut sent = requests(&mut engine, s(0));
            while !sent.is_empty() {
                for request in sent {
                    if names(&request).iter().any(|name| odd(name)) {
                        respond(&mut engine, request.id, 400, r#"{"message":"not here"}"#, s(0));
                    } else {
                        all_written(&mut engine, &request, s(0));
                    }
                }
                sent = requests(&mut engine, s(0));
            }
            lost += usize::from(engine.stats(s(0)).written < 50);
        }
        assert!(lost <= 500 / 64 * 2, "in {lost} of 500 runs a good record was lost");
    }

    #[test]
    fn after_a_refusal_of_everything_one_record_goes_first_and_clears_the_others() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 50, s(0));
        refuse(&mut engine, |_| true);
        submit_tables(&mut engine, 50, s(0));
        let first = request(&mut engine, s(0));
        assert_eq!(rows(&first), 1);
        assert_eq!(requests(&mut engine, s(0)).len(), 0);
        all_written(&mut engine, &first, s(0));
        assert_eq!(rows(&request(&mut engine, s(0))), 49);
    }

    #[test]
    fn the_rest_of_two_batches_does_not_go_out_as_one_that_is_too_large() {
        let mut engine = eager(2, 20);
        submit_tables(&mut engine, 40, s(0));
        let both = requests(&mut engine, s(0));
        for sent in &both {
            respond(&mut engine, sent.id, 400, r#"{"message":"not here"}"#, s(0));
        }
        let mut largest = 0;
        let mut refused = 2;
        while let Some(sent) = engine.poll_request(s(0)) {
            largest = largest.max(rows(&sent));
            if refused < 12 {
                refused += 1;
                respond(&mut engine, sent.id, 400, r#"{"message":"not here"}"#, s(0));
            } else {
                all_written(&mut engine, &sent, s(0));
            }
        }
        assert_eq!(engine.stats(s(0)).pending, 0);
        assert!(largest <= 20, "{largest}");
    }
}
