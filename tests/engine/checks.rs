//! Checks of the world as a whole: for when the engine has nothing more to say, and for the end.

use std::collections::BTreeMap;
use std::time::Duration;

use openmetadata_bulksink::engine::{Answer, Place, RequestId, Sequence};

use crate::almanac::Almanac;
use crate::books::{Checked, Rules};
use crate::losses::Losses;
use crate::pace::Pace;
use crate::server::{Flight, Sent};
use crate::verdicts::Verdicts;
use crate::world::World;

impl World {
    pub(crate) fn check_notice(&mut self, notice: &str) -> Checked {
        if notice.starts_with("nothing could be written") {
            if std::mem::replace(&mut self.told_of_stall, true) {
                return Err(format!("two lines about one stall: {notice}"));
            }
        } else if notice.starts_with("writing goes on") {
            if !std::mem::replace(&mut self.told_of_stall, false) {
                return Err(format!("a stall ends that was never told of: {notice}"));
            }
        } else if notice.contains("accounting error") {
            return Err(notice.to_owned());
        }
        Ok(())
    }

    /// Each pending record is in one place.
    pub(crate) fn check_custody(&self) -> Checked {
        // With many records, now and then: it looks at all of them.
        let often = self.books.pending.len() <= 64 || self.report.rounds % 50 == 0;
        if !often {
            return Ok(());
        }
        let mut held: BTreeMap<Sequence, Place> = BTreeMap::new();
        for (sequence, place) in self.engine.custody() {
            if let Some(other) = held.insert(sequence, place) {
                return Err(format!(
                    "custody: record {sequence} is in two places, {other:?} and {place:?}"
                ));
            }
        }
        Ok(())
    }

    /// Checks for when the engine has nothing more to say.
    pub(crate) fn check_quiet(&mut self) -> Checked {
        let (now, engine) = (self.now, &self.engine);
        self.books.waits_are_prompt(|| engine.has_room(0, false))?;
        let stats = engine.stats(now);
        if engine.is_closed() {
            return Ok(());
        }
        let most = self.setup.config.workers.max(1);
        let look_ups = |flight: &&Flight| !flight.answered && matches!(flight.sent, Sent::Get { patch: None, .. });
        let known = self.books.requests_in_flight;
        let with_look_ups = known + self.flights.values().filter(look_ups).count();
        if !(known..=with_look_ups.min(most)).contains(&stats.in_flight) {
            return Err(format!(
                "the engine counts {} requests in flight, the books say {known} to {with_look_ups}, with {most} workers",
                stats.in_flight
            ));
        }
        let renewing = self
            .flights
            .values()
            .any(|f| !f.answered && matches!(f.sent, Sent::RenewToken));
        let rests_for = engine.poll_timeout(now).map(|due| due.saturating_sub(now));
        let waiting = self.books.anything_unparked() && stats.in_flight == 0 && !renewing;
        if waiting && rests_for.is_none_or(|rest| rest > Duration::from_secs(65)) && self.close_called_at.is_none() {
            let mut places: BTreeMap<Place, usize> = BTreeMap::new();
            for (_, place) in engine.custody() {
                *places.entry(place).or_default() += 1;
            }
            return Err(format!(
                "{} records are pending ({places:?}), nothing is in flight, and the engine rests for {rests_for:?}",
                self.books.pending.len()
            ));
        }
        if !self.books.troubled && stats.in_flight < stats.limit {
            let rules = Rules {
                batch_rows: self.setup.config.batch_rows.max(1),
                linger: self.setup.config.linger,
                closing: self.close_called_at.is_some(),
            };
            self.books.nothing_idles(&rules, &self.setup.stream, now)?;
        }
        Ok(())
    }

    pub(crate) fn check_the_end(&mut self) -> Checked {
        self.collect()?;
        // Whoever is late is ignored.
        let late: Vec<RequestId> = self
            .flights
            .values()
            .filter(|flight| !flight.answered)
            .map(|f| f.id)
            .collect();
        for id in late {
            self.hand_over(id, Answer::Token(Ok(())));
        }
        if self.engine.poll_request(self.now).is_some() || self.engine.poll_timeout(self.now).is_some() {
            return Err("the engine has plans after its end".to_owned());
        }
        self.collect()?;
        if self.books.open_waits() > 0 {
            return Err(format!("{} waits never ended", self.books.open_waits()));
        }
        self.check_nothing_is_kept()?;
        Verdicts {
            books: &self.books,
            stream: &self.setup.stream,
            server: &self.server,
        }
        .check()?;
        let almanac = || Almanac {
            setup: &self.setup,
            server: &self.server,
            books: &self.books,
        };
        Losses::new(almanac(), self.setup.tolerance, self.close_called_at).check()?;
        Pace(&almanac()).check()
    }

    /// The engine holds nothing for records that have ended.
    pub(crate) fn check_nothing_is_kept(&self) -> Checked {
        let held = format!("{:?}", self.engine);
        for empty in [
            "entries: {}",
            "chains: {}",
            "parked: {}",
            "parked_for: {}",
            "places: 0,",
            "at_once: []",
            "later: {}",
            "deadlines: {}",
            "suspects: {}",
            "aside: {}",
            "scouts: {}",
            "trials: Trials { waiting: {} }",
            "then: {}",
            "batches: {}",
            "sweeps: []",
            "open: {}",
            "line: []",
            "given: {}",
            "outcomes: []",
            "notices: []",
        ] {
            if !held.contains(empty) {
                let name = empty.split(':').next().unwrap_or_default();
                let at = held.find(&format!("{name}:")).unwrap_or(0);
                let text: String = held[at..].chars().take(300).collect();
                return Err(format!("something is kept after the end: {text}"));
            }
        }
        Ok(())
    }
}
