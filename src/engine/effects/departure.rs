//! A step of the scheduler becomes a request in flight.

use crate::engine::batch::Batch;
use crate::engine::decide::Due;
use crate::engine::inquest::SCOUTS_WHEN_WARY;
use crate::engine::lifecycle::Patch;
use crate::engine::order::{CollectionId, Place};
use crate::engine::queues::Work;
use crate::engine::reading::{Asked, Carried, Question};
use crate::engine::record::{Ending, Kind, Sequence};
use crate::engine::request::{Call, Request};
use crate::engine::scheduler::Step;
use crate::engine::server::May;
use crate::engine::{Engine, Time};

impl Engine {
    /// Takes a step. None where nothing is left of what it was about.
    pub(in crate::engine) fn take(&mut self, step: Step, now: Time) -> Option<Request> {
        let work = match step {
            Step::Rest(_) => return None,
            Step::Probe => {
                self.server.asks_for_version(now);
                Work::Probe
            }
            Step::RenewToken => {
                self.server.authorization.start_renewal(now);
                Work::RenewToken
            }
            Step::AtOnce(at) => self.queues.take_at_once(at)?,
            Step::Later(turn) => self.queues.take_turn(turn)?,
            Step::LookUp => Work::LookUp(self.look_ups.next(now)?),
            Step::Patch(sequence) => Work::Patch(Patch::new(sequence)),
            Step::Fresh {
                collection,
                urgent_only,
                rows,
            } => Work::Batch(self.fresh_batch(collection, urgent_only, rows, now)?),
        };
        self.depart(work, now)
    }

    /// Takes ready records for a batch. Where the collection has just refused everything, the first goes alone before the others.
    fn fresh_batch(&mut self, collection: CollectionId, urgent_only: bool, rows: usize, now: Time) -> Option<Batch> {
        let bulk = self.server.is_bulk(collection, now);
        let wary = bulk && self.server.route(collection).refusals.wary;
        let rows = if bulk { rows } else { 1 };
        let ready = self.order.ready_in(collection)?;
        let mut members = self.sealing.select(ready, &self.order, urgent_only, rows);
        if self.end_repeats(&mut members) {
            self.settle(now);
        }
        if members.is_empty() {
            return None;
        }
        if wary && members.len() > 1 {
            let rest = members.split_off(1);
            self.hold(&rest);
            self.inquests.begin(collection, rest, &members, true, now);
        }
        Some(Batch::new(collection, members))
    }

    /// Takes those out that need not be sent because the server took the same body last, and ends them. Whether there were any.
    fn end_repeats(&mut self, members: &mut Vec<Sequence>) -> bool {
        let is_repeat = |member: &Sequence| {
            self.order.get(*member).is_some_and(|entry| {
                let body = entry.record.payload.bytes();
                entry.record.once && self.repeats.is_last(entry.collection, &entry.key, body)
            })
        };
        let (repeats, rest): (Vec<Sequence>, Vec<Sequence>) = members.drain(..).partition(is_repeat);
        *members = rest;
        for repeat in &repeats {
            self.finish(*repeat, Ending::Written);
        }
        !repeats.is_empty()
    }

    /// Makes work a request in flight. None where nothing of it is left.
    fn depart(&mut self, work: Work, now: Time) -> Option<Request> {
        let mut work = match work {
            Work::Batch(batch) => Work::Batch(self.fit_to_leave(batch, now)?),
            Work::Patch(patch) if self.is_over(patch.sequence, patch.last_attempt, now) => {
                self.lose_overdue(vec![patch.sequence], now);
                return None;
            }
            work => work,
        };
        let lane = crate::engine::queues::lane_of(&work, &self.order);
        if let Some(lane) = lane {
            if self.server.may_send(lane, now) == May::SendOne {
                work = self.alone(work);
                if !matches!(work, Work::LookUp(_)) {
                    self.server.tries(lane);
                }
            }
            self.last_lane = Some(lane);
        }
        if let Work::Batch(batch) = &mut work {
            batch.in_bulk = self.goes_in_bulk(batch, now);
            batch.compressed = self.config.gzip_from.is_some_and(|least| {
                let entries = batch.members.iter().filter_map(|member| self.order.get(*member));
                let bytes = entries.map(crate::engine::order::Entry::size).sum();
                self.server.compression.wants(batch, bytes, least)
            });
        }
        let (call, question) = self.call_of(&work)?;
        self.count_attempt(&mut work, now);
        self.time_passes(now);
        let id = self.queues.depart(&mut self.order, work, now);
        let counts = &mut self.books.counts;
        counts.max_in_flight = counts.max_in_flight.max(self.queues.in_flight());
        Some(Request { id, call, question })
    }

    /// The members of a batch that are still to be sent; with single requests, one of them, and the others right behind it.
    fn fit_to_leave(&mut self, mut batch: Batch, now: Time) -> Option<Batch> {
        let last = batch.last_attempt;
        let (over, members): (Vec<_>, Vec<_>) = std::mem::take(&mut batch.members)
            .into_iter()
            .partition(|member| self.is_over(*member, last, now));
        self.lose_overdue(over, now);
        batch.members = members;
        if !self.goes_in_bulk(&batch, now) && batch.members.len() > 1 {
            self.behind(&mut batch, 1);
        }
        (!batch.members.is_empty()).then_some(batch)
    }

    /// Whether a batch goes as one request. Only records that were never sent find out whether bulk requests are there by now: others
    /// may have no attempt to spare for it.
    fn goes_in_bulk(&self, batch: &Batch, now: Time) -> bool {
        let mut entries = batch.members.iter().filter_map(|member| self.order.get(*member));
        let is_known = self.server.is_bulk(batch.collection, Time::ZERO);
        is_known || (self.server.is_bulk(batch.collection, now) && entries.all(|entry| entry.attempts == 0))
    }

    /// Records that were about to leave have no attempt left.
    fn lose_overdue(&mut self, over: Vec<Sequence>, now: Time) {
        for sequence in &over {
            self.lose(*sequence, None, now);
        }
        if !over.is_empty() {
            self.settle(now);
        }
    }

    /// Keeps so many members and puts the others where they go next, one by one if they are to go singly.
    fn behind(&mut self, batch: &mut Batch, keep: usize) {
        let rest = batch.members.split_off(keep.min(batch.members.len()));
        for member in rest.into_iter().rev() {
            let one = Batch {
                last_attempt: batch.last_attempt,
                ..Batch::of_one(batch.collection, member)
            };
            self.queues.at_once(&mut self.order, Work::Batch(one));
        }
    }

    /// Whether a record has no attempt left.
    fn is_over(&self, sequence: Sequence, last_attempt: bool, now: Time) -> bool {
        let due = self.order.get(sequence).map(|entry| {
            let mut standing = self.standing(entry, false);
            if last_attempt {
                // What has its last attempt before it is not over because of it.
                standing.attempts = 0;
            }
            Due::of(&standing, self.config.delivery_timeout, now)
        });
        due == Some(Due::Over)
    }

    /// One record of a batch, as a probe; the others go on as they were.
    fn alone(&mut self, work: Work) -> Work {
        match work {
            Work::Batch(mut batch) => {
                let chosen = self.random.usize(..batch.members.len().max(1));
                if batch.members.len() > 1 {
                    let member = batch.members.swap_remove(chosen);
                    batch.members.sort_unstable();
                    let one = Batch {
                        probe: true,
                        last_attempt: batch.last_attempt,
                        ..Batch::of_one(batch.collection, member)
                    };
                    self.queues.at_once(&mut self.order, Work::Batch(batch));
                    return Work::Batch(one);
                }
                batch.probe = true;
                Work::Batch(batch)
            }
            Work::Patch(mut patch) => {
                patch.probe = true;
                Work::Patch(patch)
            }
            work => work,
        }
    }

    fn count_attempt(&mut self, work: &mut Work, now: Time) {
        if matches!(work, Work::Probe | Work::RenewToken) {
            return;
        }
        if !matches!(work, Work::LookUp(_)) {
            for sequence in work.sequences() {
                if let Some(entry) = self.order.get_mut(*sequence) {
                    entry.first_attempt.get_or_insert(now);
                    entry.attempts += 1;
                    if entry.kind() == Kind::Create {
                        self.repeats.leaves(entry.collection, &entry.key);
                    }
                }
            }
        }
        self.server.authorization.departs(now);
        self.books.counts.requests += 1;
        let attempts = match work {
            Work::Batch(batch) => {
                self.books.counts.rows += batch.members.len() as u64;
                batch.attempts += 1;
                batch.attempts
            }
            Work::Patch(patch) => {
                patch.attempts += 1;
                patch.attempts
            }
            _ => 0,
        };
        self.books.counts.retries += u64::from(attempts > 1);
    }

    fn carried(&self, sequence: Sequence) -> Option<Carried> {
        let entry = self.order.get(sequence)?;
        Some(Carried {
            sequence,
            fqn: entry.key.clone(),
            parent: entry.record.parent.clone(),
            needs: entry.record.needs.clone(),
            body: entry.record.payload.bytes().clone(),
        })
    }

    fn call_of(&self, work: &Work) -> Option<(Call, Question)> {
        let rows: Vec<Carried> = work.sequences().iter().filter_map(|one| self.carried(*one)).collect();
        let (asked, call) = match work {
            Work::RenewToken => (Asked::Probe, Call::RenewToken),
            Work::Probe => (Asked::Probe, Call::Probe),
            Work::Patch(patch) => patch.call(self.order.get(patch.sequence)?, self.server.patch_by_name),
            Work::LookUp(sequence) => {
                let entry = self.order.get(*sequence)?;
                let call = Call::Get {
                    collection: entry.record.collection.clone(),
                    fqn: entry.key.as_str().into(),
                    fields: "sourceHash",
                };
                (Asked::Get, call)
            }
            Work::Batch(batch) => {
                let collection = self.order.path(batch.collection)?.clone();
                let mut bodies = rows.iter().map(|row| row.body.clone());
                if batch.in_bulk {
                    let call = Call::PutBulk {
                        collection,
                        rows: bodies.collect(),
                        gzip: batch.compressed,
                    };
                    (Asked::Bulk, call)
                } else {
                    let row = bodies.next()?;
                    (Asked::One, Call::PutOne { collection, row })
                }
            }
        };
        Some((call, Question { asked, rows }))
    }

    /// Keeps records back until others have been tried alone.
    pub(super) fn hold(&mut self, members: &[Sequence]) {
        for member in members {
            self.order.move_to(*member, Place::Held);
        }
    }

    /// So many of what a collection refuses alike go alone, the others are held back.
    pub(super) fn try_some(&mut self, collection: CollectionId, rest: Vec<Sequence>, scouts: usize, now: Time) {
        let mut candidates = rest.clone();
        if scouts > SCOUTS_WHEN_WARY {
            let ready = self.order.ready_in(collection).into_iter();
            candidates.extend(ready.flat_map(|ready| ready.iter(false)));
        }
        let chosen = crate::engine::inquest::draw(&candidates, scouts, &mut self.random);
        let rest: Vec<Sequence> = rest.into_iter().filter(|one| !chosen.contains(one)).collect();
        self.hold(&rest);
        self.inquests.begin(collection, rest, &chosen, false, now);
        for scout in chosen.into_iter().rev() {
            let alone = Batch::of_one(collection, scout);
            self.queues.at_once(&mut self.order, Work::Batch(alone));
        }
    }
}
