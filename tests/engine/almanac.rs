//! What the made-up server would have done with one record, at any moment of the run: the oracle's view of nature and weather.
//!
//! *Nature* is what the server does with a body, a collection or a route whenever it is asked. *Weather* is what passes: outages,
//! token troubles, references that are not there yet, pauses that the server asks for. Single strikes and random faults (up to
//! `FAIR_RATES` in sum) count as fair weather: an engine that tries again lives with them.

use std::time::Duration;

use openmetadata_bulksink::engine::{Embed, Kind, Sequence};

use crate::books::Books;
use crate::server::{ByRow, Server};
use crate::setup::Setup;
use crate::stream::Temper;
use crate::weather::{Trouble, Whom};

pub type Span = (Duration, Duration);

/// Random troubles of more than this, in sum, are no fair weather: no verdict.
const FAIR_RATES: f64 = 0.3;
/// The same for those that cost a whole time-out each.
const FAIR_STALLS: f64 = 0.02;
/// For so long, and the longest service time, a record must have been welcome for its loss to be needless.
const OPENING: Duration = Duration::from_secs(60);
/// The most bytes by which a life cycle that rides in a create request makes it larger.
const RIDER: usize = 100;
const FOR_EVER: Duration = Duration::from_secs(1 << 31);

pub struct Almanac<'a> {
    pub setup: &'a Setup,
    pub server: &'a Server,
    pub books: &'a Books,
}

/// At a closed door there is an attempt each second, and a token may be asked for.
const UNSEEN: Duration = Duration::from_secs(2);

impl Almanac<'_> {
    /// Why the server refuses this body whenever it is asked, if it does.
    pub fn nature_refuses(&self, spec: usize) -> Option<&'static str> {
        let body = &self.setup.stream.specs[spec];
        let collection = &*self.setup.stream.entities[body.entity].collection;
        if self.server.profile.absent == Some(collection) {
            return Some("the collection is not there");
        }
        let is_create = body.kind == Kind::Create;
        let refuses_all = |how| self.server.refuses_all(collection, how);
        if is_create && (refuses_all(ByRow::Row) || refuses_all(ByRow::Whole)) {
            return Some("its collection takes nothing");
        }
        // Where life cycles ride in create requests, what comes to a body counts.
        let rider = if self.setup.config.embed == Embed::Never {
            0
        } else {
            RIDER
        };
        let limit = self.server.profile.size_limit;
        if is_create && limit.is_some_and(|most| body.body.len() + rider > most) {
            return Some("its body is too large");
        }
        match body.temper {
            Temper::Good | Temper::Shy(_) | Temper::Deadlock(_) | Temper::Silent(0 | 1) => None,
            _ => Some("its body is refused"),
        }
    }

    /// Whether random faults are so few that a loss can be judged.
    pub fn is_fair(&self) -> bool {
        let weather = &self.setup.weather;
        let sum = |stalls: bool| -> f64 {
            let such = |trouble: &Trouble| !stalls || matches!(trouble, Trouble::Stall { .. });
            let rates = weather.rates.iter().filter(|(_, trouble)| such(trouble));
            rates.map(|(rate, _)| rate).sum()
        };
        let passes = weather.spares.is_some() || weather.rates.is_empty();
        passes && sum(false) <= FAIR_RATES && sum(true) <= FAIR_STALLS && self.server.profile.vanish == 0.0
    }

    /// Times in which the token was refused, whoever asked.
    pub fn token_troubles(&self) -> Vec<Span> {
        let weather = &self.setup.weather;
        let expired = weather.token_expires.iter().map(|(at, back)| {
            let renewed = self.server.renewals.iter().find(|renewed| *renewed >= at);
            (*at, renewed.copied().unwrap_or(*back).min(*back))
        });
        expired.collect()
    }

    /// Times in which the server, or what is in front of it, refused whoever asked: 401, 407, 3xx.
    pub fn closed_doors(&self) -> Vec<Span> {
        let closed = |trouble: Trouble| matches!(trouble, Trouble::Unauthorized | Trouble::Misdirected(_));
        let outages = self
            .setup
            .weather
            .outages
            .iter()
            .filter(|outage| closed(outage.trouble));
        let outages = outages.map(|outage| (outage.from, outage.to));
        let mut doors: Vec<Span> = self.token_troubles().into_iter().chain(outages).collect();
        doors.sort_unstable();
        // Between two attempts it cannot be seen that one was open for a moment.
        doors.dedup_by(|next, door| {
            let one = next.0 <= door.1 + UNSEEN;
            door.1 = if one { door.1.max(next.1) } else { door.1 };
            one
        });
        doors
    }

    /// Times in which this body, sent alone by its route, would not have been taken.
    pub fn foul(&self, spec: usize) -> Vec<Span> {
        let body = &self.setup.stream.specs[spec];
        let collection = &*self.setup.stream.entities[body.entity].collection;
        let strikes = |whom: Whom| whom.includes(collection, true);
        let outages = self.setup.weather.outages.iter().filter(|outage| strikes(outage.whom));
        let mut foul: Vec<Span> = outages.map(|outage| (outage.from, outage.to)).collect();
        foul.extend(self.token_troubles());
        foul.extend(&self.books.wire.pauses);
        foul.extend(&self.server.crowded);
        let needed = body.refers.iter().filter(|entity| !body.keys.contains(entity));
        for entity in needed {
            self.absences(*entity, &mut foul);
        }
        if body.kind == Kind::LifeCycle {
            self.absences(body.entity, &mut foul);
        }
        foul.sort_unstable();
        foul
    }

    /// Whether an entity was there at that time.
    pub fn is_there(&self, entity: usize, at: Duration) -> bool {
        let mut foul = Vec::new();
        self.absences(entity, &mut foul);
        !foul.iter().any(|(from, to)| *from <= at && at < *to)
    }

    /// Times in which an entity was not there.
    fn absences(&self, entity: usize, foul: &mut Vec<Span>) {
        let mut missing = (!self.setup.stream.entities[entity].there_before).then_some(Duration::ZERO);
        for (at, there) in self.server.history.get(&entity).into_iter().flatten() {
            if *there {
                foul.extend(missing.take().map(|from| (from, *at)));
            } else {
                missing.get_or_insert(*at);
            }
        }
        foul.extend(missing.map(|from| (from, FOR_EVER)));
    }

    /// Times in which this body would have been taken.
    pub fn fair(&self, spec: usize) -> Vec<Span> {
        if self.nature_refuses(spec).is_some() {
            return Vec::new();
        }
        let mut fair = Vec::new();
        let mut from = Duration::ZERO;
        for (begun, ended) in self.foul(spec) {
            if begun > from {
                fair.push((from, begun));
            }
            from = from.max(ended);
        }
        fair.push((from, FOR_EVER));
        fair
    }

    /// Any request takes no longer, unless the weather wills it.
    pub fn longest_service(&self) -> Duration {
        let profile = &self.server.profile;
        let rows = u32::try_from(self.setup.config.batch_rows.max(1)).unwrap();
        let bulk = profile.base + profile.per_row * rows;
        bulk.max(profile.single)
            .max(profile.patch)
            .mul_f64(1.0 + profile.jitter)
    }

    /// A time within `within` in which this body was welcome for long enough, counted from when no attempt flies that was begun before.
    pub fn opening(&self, spec: usize, within: Span) -> Option<Span> {
        let long_enough = OPENING + self.longest_service();
        self.fair(spec).into_iter().find_map(|(from, to)| {
            if from >= within.1 || to <= within.0 {
                return None;
            }
            let stragglers = self.books.wire.passages.iter();
            let stragglers = stragglers.take_while(|passage| passage.begun < from);
            let gone = stragglers.map(|passage| passage.ended.unwrap_or(FOR_EVER)).max();
            let from = gone.unwrap_or_default().max(from).max(within.0);
            let to = to.min(within.1);
            (to >= from + long_enough).then_some((from, to))
        })
    }

    /// Whether this body was welcome for so long, at one go, within a time.
    pub fn was_welcome_for(&self, spec: usize, long: Duration, within: Span) -> bool {
        let overlap = |(from, to): Span| (from.max(within.0), to.min(within.1));
        let mut spans = self.fair(spec).into_iter().map(overlap);
        spans.any(|(from, to)| to >= from + long)
    }

    /// When a record had nothing left to wait for, and until when.
    pub fn ready(&self, sequence: Sequence) -> Option<Span> {
        let account = self.books.account(sequence);
        let settled = |other: &Sequence| {
            let other = self.books.account(*other);
            let ended = other.ended.as_ref().map_or(FOR_EVER, |(at, _)| *at);
            other.parked_first.map_or(ended, |parked| parked.min(ended))
        };
        let same = self.books.of_entity(account.entity).iter();
        let same = same.filter(|other| **other < sequence);
        let before = account.blockers.iter().chain(same).chain(&account.first);
        let from = before.map(settled).max().unwrap_or_default().max(account.submitted);
        let to = account.ended.as_ref().map_or(FOR_EVER, |(at, _)| *at);
        (from < to).then_some((from, to))
    }
}
