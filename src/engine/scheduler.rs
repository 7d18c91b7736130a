//! What is sent next (E2, E4, the priorities of E10), and when to look again. It looks at everything and changes nothing.

use super::batch::Sealing;
use super::defects::{broken, Planted};
use super::lookups::LookUps;
use super::order::{CollectionId, Entry, Order, Ready};
use super::queues::{lane_of, Lane, Queues, Work};
use super::record::{Kind, Sequence};
use super::server::{May, Server};
use super::Time;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the server for its version.
    Probe,
    RenewToken,
    /// That one of the work that is to be sent at once.
    AtOnce(usize),
    /// That one of the work whose back-off has ended.
    Later((Time, u64)),
    LookUp,
    /// A batch of ready records.
    Fresh {
        collection: CollectionId,
        urgent_only: bool,
        rows: usize,
    },
    Patch(Sequence),
    /// Nothing, until then.
    Rest(Option<Time>),
}

/// All that decides what is sent next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub order: &'a Order,
    pub server: &'a Server,
    pub queues: &'a Queues,
    pub look_ups: &'a LookUps,
    pub sealing: Sealing,
    /// Somebody waits until nothing is left.
    pub draining: bool,
    /// Somebody waits for room.
    pub wants_room: bool,
    /// The lane of the last request.
    pub last_lane: Option<Lane>,
    pub now: Time,
    pub defect: Planted,
}

impl Situation<'_> {
    pub fn next_step(&self) -> Step {
        let authorization = &self.server.authorization;
        if authorization.wants_renewal() {
            return Step::RenewToken;
        }
        if authorization.is_renewing() {
            return Step::Rest(None);
        }
        let held_until = self.server.limiter.pause_until().max(authorization.hold_until());
        if self.now < held_until {
            return Step::Rest(Some(held_until));
        }
        if self.server.probe_due().is_some_and(|at| at <= self.now) {
            return Step::Probe;
        }
        let mut idle = self.server.limit().saturating_sub(self.queues.in_flight());
        if broken!(self.defect, IgnoresTheLimit) {
            idle = 1;
        }
        if idle == 0 {
            return self.rest(None);
        }
        let may = |work: &Work| lane_of(work, self.order).is_none_or(|lane| self.may_send(lane));
        if let Some(at) = self.queues.next_at_once(may) {
            let oldest = self.queues.oldest_at_once(at);
            // Records that are tried alone for others do not overtake what has been ready for longer.
            return match self.next_batch(idle) {
                Step::Fresh { collection, rows, .. } if self.is_older(collection, oldest) => Step::Fresh {
                    collection,
                    urgent_only: false,
                    rows,
                },
                _ => Step::AtOnce(at),
            };
        }
        if let Some(turn) = self.queues.next_due(self.now, may) {
            return self.unless_in_doubt(turn, idle);
        }
        self.next_new(idle)
    }

    /// What was never asked or sent: a look-up, a batch, a patch.
    fn next_new(&self, idle: usize) -> Step {
        let looked_up = self.look_ups.first().and_then(|one| self.order.get(one));
        // A look-up is no attempt: it goes even where nothing else does.
        let may_look = |entry: &Entry| {
            let lane = (entry.collection, entry.kind());
            self.server.may_send(lane, self.now) == May::Nothing || self.may_send(lane)
        };
        if self.look_ups.is_waiting() && looked_up.is_none_or(may_look) {
            return Step::LookUp;
        }
        self.next_fresh(idle)
    }

    /// While nothing is served, a record that has met faults alone gives way to look-ups and to what was never sent: they can show
    /// that the server works.
    fn unless_in_doubt(&self, turn: (Time, u64), idle: usize) -> Step {
        let again = Step::Later(turn);
        let in_doubt = |sequence: &Sequence| self.order.get(*sequence).is_some_and(Entry::is_in_doubt);
        let work = self.queues.due(turn);
        if self.server.stall.since().is_none() || !work.is_some_and(|work| work.sequences().iter().all(in_doubt)) {
            return again;
        }
        match self.next_new(idle) {
            Step::Rest(_) => again,
            new => new,
        }
    }

    /// Nothing until then, or until the next probe or the end of a pause.
    fn rest(&self, until: Option<Time>) -> Step {
        let until = until.into_iter().chain(self.server.probe_due()).min();
        Step::Rest(match self.server.next_end_of_a_pause(self.now) {
            Some(end) => Some(until.map_or(end, |until| until.min(end))),
            None => until,
        })
    }

    /// A new batch or a patch. Patches give way to batches: they wait for them.
    fn next_fresh(&self, idle: usize) -> Step {
        let next = self.queues.next_turn_after(self.now);
        if let Some(step) = self.urgent_batch(idle) {
            return step;
        }
        let (patch, overdue_at) = self.next_patch();
        if let (Some(sequence), None) = (patch, overdue_at) {
            return Step::Patch(sequence);
        }
        match self.next_batch(idle) {
            Step::Rest(lingered_at) => match patch {
                Some(sequence) => Step::Patch(sequence),
                None => self.rest([next, lingered_at].into_iter().flatten().min()),
            },
            step => step,
        }
    }

    /// Whether a request of a lane may leave now. Lanes that leave requests without an answer take all places but one. Where there is
    /// one only, they take turns with the others, and so do those whose rows may be what nothing is served for.
    fn may_send(&self, lane: Lane) -> bool {
        if self.is_shut(lane) {
            return false;
        }
        if self.server.wants_one_of_any_lane() && !self.server.is_untried(lane) && self.is_one_untried() {
            return false;
        }
        let limit = self.server.limit();
        if !self.server.is_slow(lane) && (limit > 1 || !self.server.may_break_on_rows()) {
            return true;
        }
        if limit > 1 {
            let slow = self.queues.busy_lanes().filter(|(lane, _)| self.server.is_slow(*lane));
            slow.map(|(_, requests)| requests).sum::<usize>() < limit - 1
        } else {
            self.last_lane != Some(lane) || !self.others_are_ready(lane)
        }
    }

    /// Whether nothing of a lane is sent now, whatever else is.
    fn is_shut(&self, lane: Lane) -> bool {
        let is_busy = || self.queues.busy_lanes().any(|(busy, _)| busy == lane);
        self.server.may_send(lane, self.now) == May::Nothing || (self.server.is_in_doubt(lane.0) && is_busy())
    }

    /// Whether records are ready of a lane that has met no fault since it was served: those can show whether the server works.
    pub fn is_one_untried(&self) -> bool {
        self.order.ready_lanes().any(|lane| self.server.is_untried(lane))
    }

    fn others_are_ready(&self, lane: Lane) -> bool {
        let other = |other: Lane| other != lane && !self.is_shut(other);
        let waiting = |work: &Work| lane_of(work, self.order).is_some_and(other);
        self.order.ready_lanes().any(other)
            || self.queues.next_at_once(waiting).is_some()
            || self.queues.next_due(self.now, waiting).is_some()
    }

    /// The oldest ready patch, and when it stops giving way to batches; None for that if it need not give way now: somebody waits
    /// for it, or it has waited as long as a record may while no other patch is in flight.
    fn next_patch(&self) -> (Option<Sequence>, Option<Time>) {
        let ready = self.order.ready_patches();
        let may = |sequence: &Sequence| {
            self.order
                .get(*sequence)
                .is_some_and(|entry| self.may_send((entry.collection, Kind::LifeCycle)))
        };
        if let Some(sequence) = ready.oldest_urgent().filter(may) {
            return (Some(sequence), None);
        }
        let Some(sequence) = ready.oldest().filter(may).or_else(|| ready.iter(false).find(may)) else {
            return (None, None);
        };
        let overdue_at = self
            .order
            .get(sequence)
            .map_or(self.now, |entry| entry.submitted + self.sealing.linger);
        let one_in_flight = self.queues.busy_lanes().any(|((_, kind), _)| kind == Kind::LifeCycle);
        let gives_way = one_in_flight || self.now < overdue_at;
        (Some(sequence), gives_way.then_some(overdue_at))
    }

    /// The collection whose oldest `wanted` record is the oldest of all.
    fn oldest_of(
        &self,
        wanted: impl Fn(CollectionId, &Ready) -> Option<Sequence>,
    ) -> Option<(Sequence, CollectionId, &Ready)> {
        self.order
            .ready()
            .filter_map(|(collection, ready)| Some((wanted(collection, ready)?, collection, ready)))
            .filter(|(_, collection, _)| self.may_send((*collection, Kind::Create)))
            .min_by_key(|(oldest, ..)| *oldest)
    }

    fn is_older(&self, collection: CollectionId, than: Option<Sequence>) -> bool {
        let oldest = self.order.ready_in(collection).and_then(Ready::oldest);
        oldest.zip(than).is_some_and(|(oldest, than)| oldest < than)
    }

    /// A batch of records that somebody waits for. What is left of them is shared among idle workers.
    fn urgent_batch(&self, idle: usize) -> Option<Step> {
        let (_, collection, ready) = self.oldest_of(|_, ready| ready.oldest_urgent())?;
        Some(Step::Fresh {
            collection,
            urgent_only: true,
            rows: self.sealing.share(ready.urgent_len(), idle),
        })
    }

    /// The batch of ready records that should go now, or when one should.
    fn next_batch(&self, idle: usize) -> Step {
        let lingered_at = |ready: &Ready| {
            let at = self.sealing.lingered_at(ready, self.order).unwrap_or(self.now);
            if broken!(self.defect, LingersForEver) {
                at + Time::from_secs(3600)
            } else {
                at
            }
        };
        let wanted = self.draining || self.wants_room;
        let goes = |collection, ready: &Ready| {
            let oldest = ready.oldest()?;
            let goes = wanted
                || self.sealing.is_full(ready)
                || !self.server.is_bulk(collection, self.now)
                || lingered_at(ready) <= self.now;
            goes.then_some(oldest)
        };
        if let Some((_, collection, ready)) = self.oldest_of(goes) {
            let shared = self.draining && !self.sealing.is_full(ready);
            return Step::Fresh {
                collection,
                urgent_only: false,
                rows: if shared {
                    self.sealing.share(ready.len(), idle)
                } else {
                    self.sealing.rows
                },
            };
        }
        let lingering = self
            .order
            .ready()
            .filter(|(collection, ready)| ready.len() > 0 && self.may_send((*collection, Kind::Create)));
        Step::Rest(lingering.map(|(_, ready)| lingered_at(ready)).min())
    }
}
