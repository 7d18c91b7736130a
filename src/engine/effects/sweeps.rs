//! What is lost with a server, or a lane of it, that is given up: a slice at a time (E9).

use std::sync::Arc;

use crate::engine::order::Place;
use crate::engine::queues::{lane_of, Lane, Work};
use crate::engine::record::{Ending, Kind, Sequence};
use crate::engine::{Engine, Time};

/// So many records end at once when a server is given up: whoever holds the engine for longer keeps everybody waiting.
const SLICE: usize = 1_000;
/// Numbers that are looked at for them.
const VISITS: u64 = 20_000;

/// The records that are lost with a server, or a lane of it, that is given up.
#[derive(Debug)]
pub(in crate::engine) struct Sweep {
    lane: Option<Lane>,
    why: Arc<str>,
    next: Sequence,
    last: Sequence,
}

impl Engine {
    /// Everything pending is lost, or everything pending of a lane: a slice at a time.
    pub(super) fn give_up_pending(&mut self, lane: Option<Lane>, why: &Arc<str>) {
        self.take_back_work(lane);
        self.sweeps.push_back(Sweep {
            lane,
            why: why.clone(),
            next: 1,
            last: self.order.last(),
        });
    }

    /// What was to be sent is not: its records are in line again.
    pub(super) fn take_back_work(&mut self, lane: Option<Lane>) {
        let order = &self.order;
        let concerned = |work: &Work| lane.is_none() || lane_of(work, order) == lane;
        let mut back: Vec<Sequence> = Vec::new();
        for work in self.queues.take_unsent(concerned) {
            back.extend(work.sequences());
        }
        let collection = lane.map(|(collection, _)| collection);
        if lane.is_none_or(|(_, kind)| kind == Kind::Create) {
            back.extend(self.inquests.take_all(collection));
            back.extend(self.trials.take_all(collection));
        }
        for sequence in back {
            self.order.back_in_line(sequence);
        }
    }

    /// One slice of what is lost with a server that is given up. What is in flight, or looked up, has its own end.
    pub(in crate::engine) fn sweep(&mut self, now: Time) {
        let Some(sweep) = self.sweeps.front_mut() else { return };
        let (lane, why) = (sweep.lane, sweep.why.clone());
        let mut found = Vec::new();
        let end = sweep.last.min(sweep.next + VISITS);
        while sweep.next <= end && found.len() < SLICE {
            let entry = self.order.get(sweep.next).filter(|entry| {
                let concerned = lane.is_none_or(|lane| lane == (entry.collection, entry.kind()));
                concerned && !matches!(entry.place(), Place::Flying | Place::LookUp)
            });
            found.extend(entry.map(|entry| (entry.sequence, entry.attempts > 0)));
            sweep.next += 1;
        }
        if sweep.next > sweep.last {
            self.sweeps.pop_front();
        }
        for (sequence, tried) in found {
            if tried {
                self.lose(sequence, Some(&why), now);
            } else {
                self.finish(sequence, Ending::Failed(format!("not sent: {why}").into()));
            }
        }
        if self.order.len() == 0 {
            self.sweeps.clear();
        }
    }
}
