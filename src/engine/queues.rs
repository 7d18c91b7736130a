//! Work between its making and its answer: what goes at once, what waits for its back-off, what is in flight. Whoever puts work in
//! says so to the records that it carries: no record is in two of these, or in one of them and elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::batch::Batch;
use super::lifecycle::Patch;
use super::order::{CollectionId, Order, Place};
use super::record::{Kind, Sequence};
use super::request::RequestId;
use super::Time;

/// What one request carries.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Batch),
    Patch(Patch),
    /// Whether the server has this record.
    LookUp(Sequence),
    /// Whether the server is there.
    Probe,
    RenewToken,
}

impl Work {
    /// The records that it carries.
    pub fn sequences(&self) -> &[Sequence] {
        match self {
            Self::Batch(batch) => &batch.members,
            Self::Patch(patch) => std::slice::from_ref(&patch.sequence),
            Self::LookUp(sequence) => std::slice::from_ref(sequence),
            Self::Probe | Self::RenewToken => &[],
        }
    }

    /// Whether it takes one of the places that workers share.
    fn takes_a_place(&self) -> bool {
        !matches!(self, Self::Probe | Self::RenewToken)
    }
}

/// Requests that share their fate: those that write one collection, and those that patch it.
pub(super) type Lane = (CollectionId, Kind);

/// The lane in which work goes, if it carries a record.
pub(super) fn lane_of(work: &Work, order: &Order) -> Option<Lane> {
    let entry = order.get(*work.sequences().first()?)?;
    Some((entry.collection, entry.kind()))
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub work: Work,
    pub lane: Option<Lane>,
    pub sent: Time,
}

/// Work that waits for its back-off to end.
#[derive(Debug)]
struct Waiting {
    work: Work,
    /// When the first of its records is past its deadline.
    deadline: Option<Time>,
}

/// When its turn comes; the number keeps those of one time apart.
type Turn = (Time, u64);

#[derive(Debug, Default)]
pub(super) struct Queues {
    /// The next one last: parts of a split go depth first.
    at_once: Vec<Work>,
    later: BTreeMap<Turn, Waiting>,
    deadlines: BTreeSet<(Time, Turn)>,
    /// Those of `later` that are split the moment anything passes.
    suspects: BTreeSet<Turn>,
    flights: BTreeMap<RequestId, Flight>,
    /// Requests in flight in each lane.
    lanes: FxHashMap<Lane, usize>,
    in_flight: usize,
    next: u64,
}

fn settle_in(order: &mut Order, work: &Work, place: Place) {
    for sequence in work.sequences() {
        order.move_to(*sequence, place);
    }
}

impl Queues {
    /// It goes as soon as a worker is free, before everything that was put here earlier.
    pub fn at_once(&mut self, order: &mut Order, work: Work) {
        settle_in(order, &work, Place::AtOnce);
        self.at_once.push(work);
    }

    /// It goes at `at`, or when the first of its records is past its `deadline`.
    pub fn later(&mut self, order: &mut Order, work: Work, at: Time, deadline: Option<Time>) {
        settle_in(order, &work, Place::Later);
        self.next += 1;
        let turn = (at, self.next);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, turn));
        }
        if matches!(&work, Work::Batch(batch) if batch.suspect_since.is_some() && batch.members.len() > 1) {
            self.suspects.insert(turn);
        }
        self.later.insert(turn, Waiting { work, deadline });
    }

    /// It is in a request now.
    pub fn depart(&mut self, order: &mut Order, work: Work, now: Time) -> RequestId {
        settle_in(order, &work, Place::Flying);
        self.next += 1;
        let id = RequestId(self.next);
        let lane = lane_of(&work, order);
        if work.takes_a_place() {
            self.in_flight += 1;
            if let Some(lane) = lane {
                *self.lanes.entry(lane).or_default() += 1;
            }
        }
        self.flights.insert(id, Flight { work, lane, sent: now });
        id
    }

    /// The request has ended.
    pub fn landed(&mut self, id: RequestId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if flight.work.takes_a_place() {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(count) = flight.lane.and_then(|lane| self.lanes.get_mut(&lane)) {
                *count = count.saturating_sub(1);
            }
        }
        Some(flight)
    }

    /// Requests at the server now, those aside that no worker has to make.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The lanes with requests in flight, and how many there are.
    pub fn busy_lanes(&self) -> impl Iterator<Item = (Lane, usize)> + '_ {
        let busy = self.lanes.iter().filter(|(_, requests)| **requests > 0);
        busy.map(|(lane, requests)| (*lane, *requests))
    }

    /// The requests in flight whose work is `wanted`.
    pub fn flights_of(&self, wanted: impl Fn(&Work) -> bool) -> Vec<RequestId> {
        let found = self.flights.iter().filter(|(_, flight)| wanted(&flight.work));
        found.map(|(id, _)| *id).collect()
    }

    /// When the oldest request in flight was sent.
    pub fn oldest_sent(&self) -> Option<Time> {
        self.flights.values().map(|flight| flight.sent).min()
    }

    /// Which of the work that is to go at once goes next, of what `may` go.
    pub fn next_at_once(&self, may: impl Fn(&Work) -> bool) -> Option<usize> {
        self.at_once.iter().rposition(may)
    }

    /// The first record in that one of the work that is to go at once.
    pub fn oldest_at_once(&self, at: usize) -> Option<Sequence> {
        self.at_once.get(at)?.sequences().iter().min().copied()
    }

    pub fn take_at_once(&mut self, at: usize) -> Option<Work> {
        (at < self.at_once.len()).then(|| self.at_once.remove(at))
    }

    /// The turn of the first work whose back-off has ended, of what `may` go.
    pub fn next_due(&self, now: Time, may: impl Fn(&Work) -> bool) -> Option<Turn> {
        let due = self.later.range(..=(now, u64::MAX));
        due.map(|(turn, waiting)| (turn, &waiting.work))
            .find(|(_, work)| may(work))
            .map(|(turn, _)| *turn)
    }

    /// The work of that turn.
    pub fn due(&self, turn: Turn) -> Option<&Work> {
        self.later.get(&turn).map(|waiting| &waiting.work)
    }

    /// When the next back-off ends, of those that have not.
    pub fn next_turn_after(&self, now: Time) -> Option<Time> {
        let next = self.later.range((now, u64::MAX)..).next();
        next.map(|((at, _), _)| *at)
    }

    /// When the next record that waits for its back-off is past its deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub fn take_turn(&mut self, turn: Turn) -> Option<Work> {
        let waiting = self.later.remove(&turn)?;
        if let Some(deadline) = waiting.deadline {
            self.deadlines.remove(&(deadline, turn));
        }
        self.suspects.remove(&turn);
        Some(waiting.work)
    }

    /// Work with a record that is past its deadline, and when its turn would have been.
    pub fn take_expired(&mut self, now: Time) -> Option<(Work, Time)> {
        let (deadline, turn) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        Some((self.take_turn(turn)?, turn.0))
    }

    /// Batches that are to be split now that something has passed.
    pub fn take_suspects(&mut self) -> Vec<Batch> {
        let turns = std::mem::take(&mut self.suspects);
        let batches = turns.into_iter().filter_map(|turn| match self.take_turn(turn)? {
            Work::Batch(batch) => Some(batch),
            _ => None,
        });
        batches.collect()
    }

    /// Batches that wait for their back-off, without those that are to be kept as they are.
    pub fn take_fragments(&mut self, is_fragment: impl Fn(&Batch) -> bool) -> Vec<Batch> {
        let turns: Vec<Turn> = self
            .later
            .iter()
            .filter(|(_, waiting)| matches!(&waiting.work, Work::Batch(batch) if is_fragment(batch)))
            .map(|(turn, _)| *turn)
            .collect();
        let batches = turns.into_iter().filter_map(|turn| match self.take_turn(turn)? {
            Work::Batch(batch) => Some(batch),
            _ => None,
        });
        batches.collect()
    }

    /// The parts of split batches that have not been sent and that `is_part` of something, oldest first.
    pub fn take_parts(&mut self, is_part: impl Fn(&Batch) -> bool) -> Vec<Sequence> {
        let (parts, others) = std::mem::take(&mut self.at_once)
            .into_iter()
            .partition(|work| matches!(work, Work::Batch(batch) if is_part(batch)));
        self.at_once = others;
        let parts: Vec<Work> = parts;
        parts.iter().rev().flat_map(Work::sequences).copied().collect()
    }

    /// Records in parts that [`Queues::take_parts`] would give.
    pub fn count_parts(&self, is_part: impl Fn(&Batch) -> bool) -> usize {
        let parts = self.at_once.iter().filter_map(|work| match work {
            Work::Batch(batch) if is_part(batch) => Some(batch.members.len()),
            _ => None,
        });
        parts.sum()
    }

    /// The work that has not been sent and that is `wanted`.
    pub fn take_unsent(&mut self, wanted: impl Fn(&Work) -> bool) -> Vec<Work> {
        let (mut taken, left): (Vec<Work>, Vec<Work>) =
            std::mem::take(&mut self.at_once).into_iter().partition(&wanted);
        self.at_once = left;
        let later = self.later.iter().filter(|(_, waiting)| wanted(&waiting.work));
        let turns: Vec<Turn> = later.map(|(turn, _)| *turn).collect();
        taken.extend(turns.into_iter().filter_map(|turn| self.take_turn(turn)));
        taken
    }

    /// Whether nothing is waiting here, and nothing in flight that carries a record.
    pub fn is_quiet(&self) -> bool {
        self.at_once.is_empty() && self.later.is_empty() && self.in_flight == 0
    }

    /// The work that has not been sent, if there is little of it.
    pub fn unsent(&self) -> impl Iterator<Item = &Work> {
        self.at_once
            .iter()
            .chain(self.later.values().map(|waiting| &waiting.work))
    }

    /// Each record that something here holds, and the place that it must be in.
    pub fn custody(&self) -> impl Iterator<Item = (Sequence, Place)> + '_ {
        let at = |work: &Work, place: Place| -> Vec<(Sequence, Place)> {
            work.sequences().iter().map(|sequence| (*sequence, place)).collect()
        };
        let at_once = self.at_once.iter().flat_map(move |work| at(work, Place::AtOnce));
        let later = self
            .later
            .values()
            .flat_map(move |waiting| at(&waiting.work, Place::Later));
        let flying = self
            .flights
            .values()
            .flat_map(move |flight| at(&flight.work, Place::Flying));
        at_once.chain(later).chain(flying)
    }

    /// Forgets what is in flight.
    pub fn clear_flights(&mut self) -> Vec<Flight> {
        self.in_flight = 0;
        self.lanes.clear();
        std::mem::take(&mut self.flights).into_values().collect()
    }
}
