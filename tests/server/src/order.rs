//! The order checker: watches writes come and go, and notes what a careful client never does.
//!
//! - `child_before_parent`: a row came while the create request of its parent was in work and not committed.
//! - `same_fqn_at_once`: two requests in work write the same entity.
//! - `older_after_newer`: a body was applied after a newer one for the same entity, be it that its own request was
//!   overtaken, or that a body whose first attempt had failed was sent again although a newer one had been accepted.
//!
//! A request whose client left, or was answered before its work was done, may still be at work unseen. What collides with
//! such a request is no fault of the client's: it is a hazard, listed apart.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::catalogue::KINDS;
use crate::kinds::KindId;

/// One write of a request.
#[derive(Clone, Debug)]
pub struct Write {
    /// The collection.
    pub kind: KindId,
    /// The FQN.
    pub fqn: String,
    /// The parent's collection and FQN.
    pub parent: Option<(KindId, String)>,
    /// A hash of what is written, the same for all forms of one version ([`crate::row::Row::hash_of_version`]).
    pub hash: u64,
    /// Whether this is a create request for something that is not there.
    pub creates: bool,
    /// Whether this is a whole body, of which the last must win; a patch is not.
    pub is_whole: bool,
}

/// One thing that should not have happened.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// The request that broke it.
    pub request: u64,
    /// The request it collided with.
    pub other: u64,
    /// The collection.
    pub collection: &'static str,
    /// The entity.
    pub fqn: String,
    #[serde(skip)]
    at: Instant,
}

struct InWork {
    request: u64,
    hash: u64,
    creates: bool,
    /// Its client left or was answered.
    unseen: bool,
    overtaken_by: Option<u64>,
}

/// A client's leaving may be noticed a little later than what it does next.
const GRACE: Duration = Duration::from_millis(250);
/// So many violations, and hazards, are listed; the others are counted.
const LISTED: usize = 1000;

/// A body whose attempt had no good end.
struct Unsettled {
    request: u64,
    hash: u64,
    /// The request that wrote something newer since.
    newer: Option<u64>,
}

/// The checker.
#[derive(Default)]
pub struct OrderChecker {
    in_work: HashMap<u64, Vec<InWork>>,
    unsettled: HashMap<u64, Vec<Unsettled>>,
    /// What was found, the first thousand.
    pub violations: Vec<Violation>,
    /// How many were found.
    pub count: u64,
    /// Collisions with work that went on unseen.
    pub hazards: Vec<Violation>,
}

fn key(kind: KindId, fqn: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (kind, fqn).hash(&mut hasher);
    hasher.finish()
}

impl OrderChecker {
    /// A request came in.
    pub fn begin(&mut self, request: u64, writes: &[Write]) {
        for write in writes {
            if let Some((kind, parent)) = &write.parent {
                let creating = |entry: &InWork| entry.creates && entry.request != request;
                if let Some((other, unseen)) = self.first_in_work(key(*kind, parent), creating) {
                    self.note("child_before_parent", request, other, write, unseen);
                }
            }
            let place = key(write.kind, &write.fqn);
            if let Some((other, unseen)) = self.first_in_work(place, |entry| entry.request != request) {
                self.note("same_fqn_at_once", request, other, write, unseen);
            }
            self.in_work.entry(place).or_default().push(InWork {
                request,
                hash: write.hash,
                creates: write.creates,
                unseen: false,
                overtaken_by: None,
            });
        }
    }

    /// The first request in work that a condition holds for, one that is seen before one that is not.
    fn first_in_work(&self, place: u64, condition: impl Fn(&InWork) -> bool) -> Option<(u64, bool)> {
        let all = self.in_work.get(&place)?.iter().filter(|entry| condition(entry));
        all.map(|entry| (entry.request, entry.unseen))
            .min_by_key(|(_, unseen)| *unseen)
    }

    /// The client of a request left, or was answered, while the work goes on.
    pub fn go_unseen(&mut self, request: u64, writes: &[Write]) {
        for write in writes {
            for entry in self.in_work.get_mut(&key(write.kind, &write.fqn)).into_iter().flatten() {
                entry.unseen |= entry.request == request;
            }
        }
        let excused = |found: &Violation| found.other == request && found.at.elapsed() < GRACE;
        let (excused, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.violations).into_iter().partition(excused);
        self.count -= excused.len() as u64;
        self.violations = kept;
        self.hazards.extend(excused);
    }

    /// The work of a request was committed. `applied` says for each write whether it was.
    pub fn commit(&mut self, request: u64, writes: &[Write], applied: impl Fn(usize) -> bool) {
        for (at, write) in writes.iter().enumerate() {
            let place = key(write.kind, &write.fqn);
            if !applied(at) || !write.is_whole {
                continue;
            }
            let mut overtaken = None;
            let mut unseen = false;
            for entry in self.in_work.get_mut(&place).into_iter().flatten() {
                if entry.request == request {
                    overtaken = entry.overtaken_by.take();
                    unseen = entry.unseen;
                    entry.creates = false;
                } else if entry.request < request && entry.hash != write.hash {
                    entry.overtaken_by = Some(request);
                }
            }
            if let Some(held) = self.unsettled.get_mut(&place) {
                let sent_again = held
                    .iter()
                    .find(|other| other.hash == write.hash && other.request < request);
                overtaken = overtaken.or(sent_again.and_then(|other| other.newer));
                for other in held
                    .iter_mut()
                    .filter(|other| other.hash != write.hash && other.request < request)
                {
                    other.newer = Some(request);
                }
            }
            if let Some(other) = overtaken {
                self.note("older_after_newer", request, other, write, unseen);
            }
        }
    }

    /// A request is about to be answered, or came to an end without an answer: nothing of it is in work any more.
    /// Until [`Self::settle`] says otherwise, its client may have reason to send it again.
    pub fn release(&mut self, request: u64, writes: &[Write]) {
        for write in writes {
            let place = key(write.kind, &write.fqn);
            let Some(all) = self.in_work.get_mut(&place) else {
                continue;
            };
            let overtaken = all
                .iter()
                .find(|entry| entry.request == request)
                .and_then(|entry| entry.overtaken_by);
            all.retain(|entry| entry.request != request);
            if all.is_empty() {
                self.in_work.remove(&place);
            }
            if write.is_whole {
                let held = self.unsettled.entry(place).or_default();
                if !held.iter().any(|other| other.hash == write.hash) {
                    held.push(Unsettled {
                        request,
                        hash: write.hash,
                        newer: overtaken,
                    });
                }
            }
        }
    }

    /// The client was told which of the writes were applied: it has no reason to send those again, and a later equal body is
    /// a new write.
    pub fn settle(&mut self, writes: &[Write], applied: &[bool]) {
        for (write, _) in writes.iter().zip(applied).filter(|(_, applied)| **applied) {
            let place = key(write.kind, &write.fqn);
            if let Some(held) = self.unsettled.get_mut(&place) {
                held.retain(|other| other.hash != write.hash);
                if held.is_empty() {
                    self.unsettled.remove(&place);
                }
            }
        }
    }

    fn note(&mut self, rule: &'static str, request: u64, other: u64, write: &Write, unseen: bool) {
        let collection = KINDS[write.kind].path;
        let found = Violation {
            rule,
            request,
            other,
            collection,
            fqn: write.fqn.clone(),
            at: Instant::now(),
        };
        let list = if unseen {
            &mut self.hazards
        } else {
            self.count += 1;
            &mut self.violations
        };
        if list.len() < LISTED {
            list.push(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    fn write(fqn: &str, hash: u64) -> Write {
        Write {
            kind: kinds::at("tables"),
            fqn: fqn.into(),
            parent: None,
            hash,
            creates: true,
            is_whole: true,
        }
    }

    fn rules(checker: &OrderChecker) -> Vec<&'static str> {
        checker.violations.iter().map(|violation| violation.rule).collect()
    }

    fn whole(checker: &mut OrderChecker, request: u64, write: Write, settled: bool) {
        let writes = [write];
        checker.begin(request, &writes);
        checker.commit(request, &writes, |_| settled);
        checker.release(request, &writes);
        checker.settle(&writes, &[settled]);
    }

    #[test]
    fn a_child_may_not_come_while_its_parent_is_being_created() {
        let mut checker = OrderChecker::default();
        let schema = Write {
            kind: kinds::at("databaseSchemas"),
            ..write("s.d.s", 1)
        };
        let table = Write {
            parent: Some((kinds::at("databaseSchemas"), "s.d.s".into())),
            ..write("s.d.s.t", 2)
        };
        checker.begin(1, std::slice::from_ref(&schema));
        checker.begin(2, std::slice::from_ref(&table));
        assert_eq!(rules(&checker), ["child_before_parent"]);
        checker.commit(1, std::slice::from_ref(&schema), |_| true);
        checker.begin(
            3,
            &[Write {
                fqn: "s.d.s.u".into(),
                ..table
            }],
        );
        assert_eq!(checker.count, 1);
    }

    #[test]
    fn one_entity_may_not_be_written_twice_at_once() {
        let mut checker = OrderChecker::default();
        checker.begin(1, &[write("t", 1)]);
        checker.begin(2, &[write("t", 1)]);
        assert_eq!(rules(&checker), ["same_fqn_at_once"]);
    }

    #[test]
    fn a_body_that_failed_may_not_follow_a_newer_one() {
        let mut checker = OrderChecker::default();
        whole(&mut checker, 1, write("t", 1), false);
        whole(&mut checker, 2, write("t", 2), true);
        assert_eq!(checker.count, 0);
        whole(&mut checker, 3, write("t", 1), true);
        assert_eq!(rules(&checker), ["older_after_newer"]);
    }

    #[test]
    fn a_retry_in_order_and_a_change_back_are_fine() {
        let mut checker = OrderChecker::default();
        whole(&mut checker, 1, write("t", 1), false);
        whole(&mut checker, 2, write("t", 1), true);
        whole(&mut checker, 3, write("t", 2), true);
        whole(&mut checker, 4, write("t", 1), true);
        assert_eq!(checker.count, 0);
    }

    #[test]
    fn work_that_was_overtaken_is_noticed_when_it_commits() {
        let mut checker = OrderChecker::default();
        let (old, new) = ([write("t", 1)], [write("t", 2)]);
        checker.begin(1, &old);
        checker.begin(2, &new);
        checker.commit(2, &new, |_| true);
        checker.release(2, &new);
        checker.settle(&new, &[true]);
        checker.commit(1, &old, |_| true);
        assert_eq!(rules(&checker), ["same_fqn_at_once", "older_after_newer"]);
    }

    #[test]
    fn what_goes_on_unseen_is_a_hazard_and_no_violation() {
        let mut checker = OrderChecker::default();
        let (old, new) = ([write("t", 1)], [write("t", 2)]);
        checker.begin(1, &old);
        checker.go_unseen(1, &old);
        checker.begin(2, &new);
        checker.commit(2, &new, |_| true);
        checker.commit(1, &old, |_| true);
        assert_eq!((checker.count, checker.hazards.len()), (0, 2));
    }

    #[test]
    fn leaving_may_be_noticed_after_the_next_request() {
        let mut checker = OrderChecker::default();
        let same = [write("t", 1)];
        checker.begin(1, &same);
        checker.begin(2, &same);
        assert_eq!(checker.count, 1);
        checker.go_unseen(1, &same);
        assert_eq!((checker.count, checker.hazards.len()), (0, 1));
    }
}
