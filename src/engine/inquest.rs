//! Whether a collection refuses one record or everything (E7): a batch-wide refusal must not cost a request for each record.
//!
//! After many equal refusals without one success, some records are tried alone, one drawn from each part of all that waits. All
//! refused alike: the rest is lost with that text, and the next batch tries one record first, then a few.

use rustc_hash::FxHashMap;

use super::order::CollectionId;
use super::record::Sequence;
use super::Time;

/// Records that are tried alone before the rest of a collection is condemned, and where it was condemned just before.
pub(super) const SCOUTS: usize = 24;
pub(super) const SCOUTS_WHEN_WARY: usize = 3;
/// Fewer records than this are never condemned together.
pub(super) const LEAST_REST: usize = 40;

/// Equal refusals without a success that look like a refusal of everything; twice as many each time it was none.
const SUSPICIOUS: u32 = 12;

/// Counts equal refusals in one collection, to tell one bad record from a setting that refuses them all.
#[derive(Debug)]
pub(super) struct Refusals {
    text: String,
    count: u32,
    suspicious: u32,
    /// The last batch was refused whatever was in it: try one record before the next.
    pub wary: bool,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            text: String::new(),
            count: 0,
            suspicious: SUSPICIOUS,
            wary: false,
        }
    }
}

impl Refusals {
    /// A request was refused with `text`. Whether that looks like a refusal of everything.
    pub fn refused(&mut self, text: &str) -> bool {
        if self.text == text {
            self.count += 1;
        } else {
            text.clone_into(&mut self.text);
            self.count = 1;
        }
        self.count >= self.suspicious
    }

    /// A record was accepted, or a record was refused in its own right.
    pub fn accepted(&mut self) {
        *self = Self {
            suspicious: self.suspicious,
            ..Self::default()
        };
    }

    /// What looked like a refusal of everything was none.
    pub fn differ(&mut self) {
        self.suspicious = self.suspicious.saturating_mul(2);
        self.accepted();
    }

    pub fn is_alike(&self, text: &str) -> bool {
        self.text == text
    }
}

/// Names one inquest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct InquestId(u64);

/// Records that are held back until their scouts have an answer.
#[derive(Debug)]
struct Inquest {
    collection: CollectionId,
    rest: Vec<Sequence>,
    since: Time,
    scouts: usize,
    /// Scouts without an answer.
    open: usize,
    /// A scout got through, or ended in some other way than by the same refusal.
    differs: bool,
    /// The first record of a batch after a collection refused everything: its refusal alone condemns nobody.
    wary: bool,
}

/// What the scouts found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The collection does not refuse everything: the rest goes again.
    Differs,
    /// The first one was refused as before: a few more are to be tried.
    TryMore,
    /// All scouts were refused alike, so many of them.
    Condemned(usize),
}

/// The end of an inquest.
#[derive(Debug)]
pub(super) struct Closed {
    pub verdict: Verdict,
    pub collection: CollectionId,
    pub rest: Vec<Sequence>,
    /// Since when the rest was held.
    pub since: Time,
}

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Inquests {
    open: FxHashMap<InquestId, Inquest>,
    scouts: FxHashMap<Sequence, InquestId>,
    next: u64,
}

impl Inquests {
    /// Holds `rest` until the scouts have an answer.
    pub fn begin(
        &mut self,
        collection: CollectionId,
        rest: Vec<Sequence>,
        scouts: &[Sequence],
        wary: bool,
        since: Time,
    ) {
        self.next += 1;
        let id = InquestId(self.next);
        self.scouts.extend(scouts.iter().map(|scout| (*scout, id)));
        let inquest = Inquest {
            collection,
            rest,
            since,
            scouts: scouts.len(),
            open: scouts.len(),
            differs: false,
            wary,
        };
        self.open.insert(id, inquest);
    }

    pub fn is_scout(&self, sequence: Sequence) -> bool {
        self.scouts.contains_key(&sequence)
    }

    /// Whether scouts are under way to tell what a collection refuses.
    pub fn is_under_inquest(&self, collection: CollectionId) -> bool {
        self.open.values().any(|one| one.collection == collection && !one.wary)
    }

    /// These have met the same refusal: they wait for the same scouts.
    pub fn join(&mut self, collection: CollectionId, members: Vec<Sequence>) {
        let mut inquests = self.open.values_mut();
        if let Some(inquest) = inquests.find(|one| one.collection == collection && !one.wary) {
            inquest.rest.extend(members);
        }
    }

    /// A scout has ended, or has been set aside. The inquest, if that ends it.
    pub fn report(&mut self, sequence: Sequence, alike: bool) -> Option<Closed> {
        let id = self.scouts.remove(&sequence)?;
        let inquest = self.open.get_mut(&id)?;
        inquest.differs |= !alike;
        inquest.open = inquest.open.saturating_sub(1);
        if inquest.open > 0 {
            return None;
        }
        let inquest = self.open.remove(&id)?;
        Some(Closed {
            verdict: if inquest.differs {
                Verdict::Differs
            } else if inquest.wary {
                Verdict::TryMore
            } else {
                Verdict::Condemned(inquest.scouts)
            },
            collection: inquest.collection,
            rest: inquest.rest,
            since: inquest.since,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The records that are held.
    pub fn custody(&self) -> impl Iterator<Item = Sequence> + '_ {
        self.open.values().flat_map(|inquest| inquest.rest.iter().copied())
    }

    /// The collection for which a record is a scout.
    pub fn collection_of(&self, scout: Sequence) -> Option<CollectionId> {
        Some(self.open.get(self.scouts.get(&scout)?)?.collection)
    }

    /// Ends those of a collection, or all of them. The records that were held.
    pub fn take_all(&mut self, collection: Option<CollectionId>) -> Vec<Sequence> {
        let mut held = Vec::new();
        self.open.retain(|_, inquest| {
            let ends = collection.is_none_or(|collection| inquest.collection == collection);
            if ends {
                held.append(&mut inquest.rest);
            }
            !ends
        });
        self.scouts.retain(|_, id| self.open.contains_key(id));
        held
    }
}

/// So many of `candidates`, at random, one from each part of them: what is wrong with a source often comes in regular intervals.
pub(super) fn draw(candidates: &[Sequence], scouts: usize, random: &mut fastrand::Rng) -> Vec<Sequence> {
    let count = candidates.len();
    let parts = scouts.clamp(1, count.max(1));
    (0..parts)
        .map(|part| (part * count / parts)..((part + 1) * count / parts))
        .filter(|part| !part.is_empty())
        .filter_map(|part| candidates.get(random.usize(part)).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all_written, eager, request, requests, respond, rows, s, submit_tables};
    use super::super::Engine;
    use crate::engine::request::{Call, Request};
    use crate::engine::{Config, Time};

    /// Answers all requests until none is left; those with a row that `is_bad` are refused. How many there were.
    fn refuse(engine: &mut Engine, mut is_bad: impl FnMut(&str) -> bool) -> usize {
        let mut count = 0;
        while let Some(sent) = engine.poll_request(s(0)) {
            count += 1;
            if names(&sent).iter().any(|name| is_bad(name)) {
                respond(engine, &sent, 400, r#"{"message":"not here"}"#, s(0));
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
        let count = refuse(&mut engine, |_| true);
        assert!(count <= 40, "{count}");
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
    fn what_is_condemned_unheard_says_so() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 100, s(0));
        refuse(&mut engine, |_| true);
        let reasons: Vec<String> = super::super::testing::outcomes(&mut engine)
            .iter()
            .map(|lost| format!("{:?}", lost.ending))
            .collect();
        assert!(reasons.iter().all(|reason| reason.contains("not here")));
        let unheard = reasons.iter().filter(|reason| reason.contains("was not tried")).count();
        assert!((40..90).contains(&unheard), "{unheard}");
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
                        respond(&mut engine, &request, 400, r#"{"message":"not here"}"#, s(0));
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
            respond(&mut engine, sent, 400, r#"{"message":"not here"}"#, s(0));
        }
        let mut largest = 0;
        let mut refused = 2;
        while let Some(sent) = engine.poll_request(s(0)) {
            largest = largest.max(rows(&sent));
            if refused < 12 {
                refused += 1;
                respond(&mut engine, &sent, 400, r#"{"message":"not here"}"#, s(0));
            } else {
                all_written(&mut engine, &sent, s(0));
            }
        }
        assert_eq!(engine.stats(s(0)).pending, 0);
        assert!(largest <= 20, "{largest}");
    }
}
