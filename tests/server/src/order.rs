//! The order checker: watches writes come and go, and notes what a careful client never does.
//!
//! - `child_before_parent`: a row came while the create request of its parent was in work and not committed.
//! - `same_fqn_at_once`: two requests in work write the same entity.
//! - `older_after_newer`: a body was applied after a newer one for the same entity, be it that its own request was
//!   overtaken, or that a body whose first attempt had failed was sent again although a newer one had been accepted.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use serde::Serialize;

use crate::kinds::{KindId, KINDS};

/// One write of a request.
#[derive(Clone, Debug)]
pub struct Write {
    /// The collection.
    pub kind: KindId,
    /// The FQN.
    pub fqn: String,
    /// The parent's collection and FQN.
    pub parent: Option<(KindId, String)>,
    /// A hash of what is written.
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
}

struct InWork {
    request: u64,
    hash: u64,
    creates: bool,
    overtaken_by: Option<u64>,
}

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
                let creating = |entry: &&InWork| entry.creates && entry.request != request;
                let other = self
                    .in_work
                    .get(&key(*kind, parent))
                    .and_then(|all| all.iter().find(creating))
                    .map(|entry| entry.request);
                if let Some(other) = other {
                    self.note("child_before_parent", request, other, write);
                }
            }
            let place = key(write.kind, &write.fqn);
            let other = self
                .in_work
                .get(&place)
                .and_then(|all| all.iter().find(|entry| entry.request != request))
                .map(|entry| entry.request);
            if let Some(other) = other {
                self.note("same_fqn_at_once", request, other, write);
            }
            self.in_work.entry(place).or_default().push(InWork {
                request,
                hash: write.hash,
                creates: write.creates,
                overtaken_by: None,
            });
        }
    }

    /// The work of a request was committed. `applied` says for each write whether it was.
    pub fn commit(&mut self, request: u64, writes: &[Write], applied: impl Fn(usize) -> bool) {
        for (at, write) in writes.iter().enumerate() {
            let place = key(write.kind, &write.fqn);
            if !applied(at) || !write.is_whole {
                continue;
            }
            let mut overtaken = None;
            for entry in self.in_work.get_mut(&place).into_iter().flatten() {
                if entry.request == request {
                    overtaken = entry.overtaken_by.take();
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
                self.note("older_after_newer", request, other, write);
            }
        }
    }

    /// A request ended. `settled` says for each write whether the client was told that it was applied.
    pub fn end(&mut self, request: u64, writes: &[Write], settled: impl Fn(usize) -> bool) {
        for (at, write) in writes.iter().enumerate() {
            let place = key(write.kind, &write.fqn);
            let overtaken = self
                .in_work
                .get(&place)
                .and_then(|all| all.iter().find(|entry| entry.request == request))
                .and_then(|entry| entry.overtaken_by);
            if let Some(all) = self.in_work.get_mut(&place) {
                all.retain(|entry| entry.request != request);
                if all.is_empty() {
                    self.in_work.remove(&place);
                }
            }
            if settled(at) {
                // The client knows: it has no reason to send this body again, and a later equal one is a new write.
                if let Some(held) = self.unsettled.get_mut(&place) {
                    held.retain(|other| other.hash != write.hash);
                    if held.is_empty() {
                        self.unsettled.remove(&place);
                    }
                }
            } else if write.is_whole {
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

    fn note(&mut self, rule: &'static str, request: u64, other: u64, write: &Write) {
        self.count += 1;
        if self.violations.len() < 1000 {
            let collection = KINDS[write.kind].path;
            self.violations.push(Violation {
                rule,
                request,
                other,
                collection,
                fqn: write.fqn.clone(),
            });
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
        checker.end(request, &writes, |_| settled);
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
        checker.end(2, &new, |_| true);
        checker.commit(1, &old, |_| true);
        assert_eq!(rules(&checker), ["same_fqn_at_once", "older_after_newer"]);
    }
}
