//! What is believed of the server: how much it takes, whether it is there at all, which endpoints it has, whether it lets us in. It
//! alone decides that the server, or one lane of it, is given up (E5, E7, E9).
//!
//! Giving up takes a full deadline without a success and a probe that fails: `GET /system/version` first, which asks for
//! little, then one record alone, for a server without its database answers that, too. While it is given up a probe goes
//! out every few seconds, whether anything is pending or not.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::authorization::Authorization;
use super::compression::Compression;
use super::health::{Carried, Health};
use super::lane_health::LaneHealth;
use super::limiter::{Limiter, LONGEST_PAUSE};
use super::order::CollectionId;
use super::queues::Lane;
use super::reading::{Trouble, TroubleKind};
use super::routes::{NoRoute, Route};
use super::stall::Stall;
use super::Time;

/// Retryable answers in a row without one success that amount to overload.
const IN_A_ROW: u32 = 3;

/// Everything that is believed.
#[derive(Debug)]
pub(super) struct Server {
    pub limiter: Limiter,
    pub authorization: Authorization,
    pub compression: Compression,
    pub stall: Stall,
    /// Whether life cycles can be patched by the entity's name, once that is known.
    pub patch_by_name: Option<bool>,
    routes: FxHashMap<CollectionId, Route>,
    whole: Health,
    lanes: FxHashMap<Lane, LaneHealth>,
    probe: Probe,
    /// When the next probe may go.
    probe_at: Time,
    version_read: Option<Time>,
    /// Somebody wants to know whether the server is there at all.
    version_wanted: bool,
    served: u64,
    /// When the last of them was sent.
    served_sent: Option<Time>,
    /// A lane may have met faults since it was served.
    in_trouble: bool,
    in_a_row: u32,
    /// The last of them may be what was sent, not the server.
    perhaps_rows: bool,
    patience: Duration,
}

/// How far a probe has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Probe {
    #[default]
    None,
    /// The version is asked for.
    Asking,
    /// It was answered: the next record goes alone.
    Answered,
    /// That record is on its way.
    Trying,
}

/// What becomes of a record as it comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Open,
    /// It fails at once, for this reason.
    GivenUp(Arc<str>),
}

/// What may be sent in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Send,
    /// One record alone, to see whether it is served.
    SendOne,
    Nothing,
}

/// What a success has ended.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The server, or the lane, had been given up.
    pub was_given_up: bool,
    /// There was more than a passing fault.
    pub was_in_trouble: bool,
    /// For people.
    pub notice: Option<String>,
}

impl Server {
    pub fn new(workers: usize, gzip: bool, patience: Duration) -> Self {
        Self {
            limiter: Limiter::new(workers),
            authorization: Authorization::default(),
            compression: Compression::new(gzip),
            stall: Stall::default(),
            patch_by_name: None,
            routes: FxHashMap::default(),
            whole: Health::default(),
            lanes: FxHashMap::default(),
            probe: Probe::None,
            probe_at: Time::ZERO,
            version_read: None,
            version_wanted: false,
            served: 0,
            served_sent: None,
            in_a_row: 0,
            in_trouble: false,
            perhaps_rows: false,
            patience,
        }
    }

    pub fn route(&mut self, collection: CollectionId) -> &mut Route {
        self.routes.entry(collection).or_default()
    }

    /// Whether a collection's records go in bulk.
    pub fn is_bulk(&self, collection: CollectionId, now: Time) -> bool {
        self.routes.get(&collection).is_none_or(|route| route.is_bulk(now))
    }

    /// A request was answered as if its endpoint were not there.
    pub fn not_there(&mut self, collection: CollectionId, in_bulk: bool, page: bool, now: Time) -> NoRoute {
        let read = self.version_read;
        self.route(collection).not_there(in_bulk, page, read, now)
    }

    /// Whether there may be no such collection.
    pub fn is_in_doubt(&self, collection: CollectionId) -> bool {
        self.routes.get(&collection).is_some_and(Route::is_in_doubt)
    }

    /// Requests that were served so far.
    pub fn served_so_far(&self) -> u64 {
        self.served
    }

    /// When the last request was sent that was served.
    pub fn last_served_sent(&self) -> Option<Time> {
        self.served_sent
    }

    /// A request was served: something was written, or refused for a reason of its own.
    pub fn served(&mut self, lane: Lane, sent: Time, now: Time) -> Recovery {
        self.served += 1;
        self.served_sent = self.served_sent.max(Some(sent));
        let was_in_trouble = self.in_a_row >= IN_A_ROW;
        self.in_a_row = 0;
        self.limiter.served(sent, now);
        self.authorization.let_in(Some(lane), sent);
        self.probe = Probe::None;
        let lane_was = self.lanes.entry(lane).or_default().served(sent, now);
        let was_given_up = self.whole.served(now) || lane_was;
        Recovery {
            was_given_up,
            was_in_trouble,
            notice: self.stall.served(now),
        }
    }

    /// An attempt met a fault. `first`: what it carried; `chance` is in [0, 1).
    pub fn failed(&mut self, lane: Lane, first: Carried, sent: Time, trouble: &Trouble, now: Time, chance: f64) {
        let silent = trouble.kind == TroubleKind::Silent;
        let others_served = self.others_served_since(lane, sent);
        self.whole.failed(Some(first), sent, silent, now);
        let of_lane = &mut self.lanes.entry(lane).or_default().health;
        of_lane.failed(Some(first), sent, silent, now);
        self.in_a_row += 1;
        self.in_trouble = true;
        self.perhaps_rows = !trouble.kind.is_of_the_server();
        self.stall.met(sent, &trouble.reason);
        if trouble.kind.is_of_the_api() {
            self.authorization.let_in(Some(lane), sent);
        }
        let overload = match trouble.kind {
            kind if kind.is_of_the_server() => true,
            TroubleKind::Silent => !others_served,
            TroubleKind::Closed | TroubleKind::Unbuildable => false,
            _ => self.in_a_row >= IN_A_ROW,
        };
        if overload {
            self.limiter.overloaded(sent, now, trouble.retry_after, chance);
        }
    }

    /// A look-up, or what nobody waits for any more, met a fault: that is news of the server, not of a lane.
    pub fn met_beside(&mut self, sent: Time, trouble: &Trouble, now: Time, chance: f64) {
        if trouble.kind.is_of_the_server() {
            self.limiter.overloaded(sent, now, trouble.retry_after, chance);
        }
    }

    /// When the last request of a lane was sent that was served.
    pub fn last_served_sent_in(&self, lane: Lane) -> Option<Time> {
        self.lanes.get(&lane)?.last_served_sent()
    }

    /// The server has failed on a row, while it took others of the lane. When one was last written on which it had failed so before.
    pub fn broke_on_row(&mut self, lane: Lane) -> Option<Time> {
        self.lanes.entry(lane).or_default().broke_on_row()
    }

    /// Whether it ever has.
    pub fn has_broken_on_rows(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(LaneHealth::has_broken_on_rows)
    }

    /// One of these was written.
    pub fn healed(&mut self, lane: Lane, now: Time) {
        self.lanes.entry(lane).or_default().healed(now);
    }

    /// When a lane was last served.
    pub fn last_success(&self, lane: Lane) -> Option<Time> {
        self.lanes.get(&lane)?.health.last_success()
    }

    fn others_served_since(&self, lane: Lane, sent: Time) -> bool {
        let mut others = self.lanes.iter().filter(|(other, _)| **other != lane);
        others.any(|(_, other)| other.health.last_success().is_some_and(|at| at >= sent))
    }

    /// When the last request of another lane was sent that was served.
    fn others_served_sent(&self, lane: Lane) -> Option<Time> {
        let others = self.lanes.iter().filter(|(other, _)| **other != lane);
        others.filter_map(|(_, other)| other.last_served_sent()).max()
    }

    /// A lane is asked for less.
    pub fn overloaded(&mut self, lane: Lane, retry_after: Option<Duration>, others_are_ready: bool, now: Time) {
        let others_sent = self.others_served_sent(lane);
        let of_lane = self.lanes.entry(lane).or_default();
        of_lane.overloaded(retry_after, others_are_ready, others_sent, now);
    }

    /// Nothing of a lane is sent before `until`.
    pub fn pause(&mut self, lane: Lane, until: Time) {
        self.lanes.entry(lane).or_default().pause(until);
    }

    /// When the next pause of one lane alone ends.
    pub fn next_end_of_a_pause(&self, now: Time) -> Option<Time> {
        let ends = self.lanes.values().map(LaneHealth::pause_until);
        ends.filter(|end| *end > now).min()
    }

    /// Whether any lane has met faults since it was served.
    pub fn is_in_trouble(&self) -> bool {
        self.in_trouble
    }

    /// Lanes of which nothing is pending that could be sent are not to be blamed later for what was.
    pub fn rest_where(&mut self, is_idle: impl Fn(Lane) -> bool, now: Time) {
        self.in_trouble = false;
        for (lane, of_lane) in &mut self.lanes {
            if is_idle(*lane) {
                of_lane.health.rest(now);
            }
            self.in_trouble |= of_lane.health.first_fault().is_some();
        }
    }

    /// Nothing is pending that could be sent.
    pub fn rest(&mut self, now: Time) {
        self.whole.rest(now);
        self.rest_where(|_| true, now);
        if self.whole.given_up().is_none() {
            self.stall.rest();
            self.probe = Probe::None;
        }
    }

    /// Why a lane is given up, if it or the whole server is.
    pub fn given_up(&self, lane: Lane) -> Option<&Arc<str>> {
        let of_lane = || self.lanes.get(&lane).and_then(|lane| lane.health.given_up());
        self.whole.given_up().or_else(of_lane)
    }

    pub fn is_given_up(&self) -> bool {
        self.whole.given_up().is_some()
    }

    /// What becomes of a record that comes now.
    pub fn admission(&self, lane: Lane, now: Time) -> Admission {
        if let Some(why) = self.whole.given_up() {
            return match self.probe {
                Probe::Answered | Probe::Trying => Admission::Open,
                Probe::None | Probe::Asking => Admission::GivenUp(why.clone()),
            };
        }
        match self.lanes.get(&lane).and_then(|lane| lane.refuses(now)) {
            Some(why) => Admission::GivenUp(why.clone()),
            None => Admission::Open,
        }
    }

    /// What may be sent in a lane now.
    pub fn may_send(&self, lane: Lane, now: Time) -> May {
        match (self.whole.given_up().is_some(), self.probe) {
            (_, Probe::Answered) => return May::SendOne,
            (true, _) => return May::Nothing,
            _ => {}
        }
        match self.lanes.get(&lane) {
            Some(lane) if now < lane.pause_until() || lane.is_tried() => May::Nothing,
            Some(lane) if lane.health.given_up().is_some() => May::SendOne,
            _ => May::Send,
        }
    }

    /// Whether one record of any lane is to show whether the server works.
    pub fn wants_one_of_any_lane(&self) -> bool {
        self.probe == Probe::Answered
    }

    /// Requests that may be in flight now. What hangs must not take the last place from others.
    pub fn limit(&self) -> usize {
        let limit = self.limiter.limit();
        if limit == 1 && self.lanes.values().any(|lane| lane.health.is_slow()) {
            self.limiter.most().min(2)
        } else {
            limit
        }
    }

    /// Whether a lane has left requests without an answer, and has answered none since.
    pub fn is_slow(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_some_and(|lane| lane.health.is_slow())
    }

    /// Whether a lane has met no fault since it was served, if it ever was.
    pub fn is_untried(&self, lane: Lane) -> bool {
        self.lanes
            .get(&lane)
            .is_none_or(|lane| lane.health.first_fault().is_none())
    }

    /// Whether other lanes have been served, and none of them has met a fault since.
    pub fn is_alone_in_trouble(&self, lane: Lane) -> bool {
        let others = || self.lanes.iter().filter(|(other, _)| **other != lane);
        others().any(|(_, other)| other.health.last_success().is_some())
            && others().all(|(_, other)| other.health.first_fault().is_none())
    }

    /// One record leaves alone, to see whether it is served.
    pub fn tries(&mut self, lane: Lane) {
        if self.probe == Probe::Answered {
            self.probe = Probe::Trying;
        }
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.tries();
        }
    }

    /// That record was not served; when another one may try.
    pub fn tried_in_vain(&mut self, lane: Lane, now: Time) {
        if self.probe == Probe::Trying {
            self.probe = Probe::None;
            self.probe_at = now + LONGEST_PAUSE;
        }
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.tried_in_vain(now);
        }
    }

    /// The request of that record has ended. Where that did not tell whether it is served, for it has two requests or was too large,
    /// another may tell.
    pub fn try_ended(&mut self, lane: Lane) {
        if self.probe == Probe::Trying {
            self.probe = Probe::Answered;
        }
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.try_ended();
        }
    }

    /// When the next probe is due, if one is.
    pub fn probe_due(&self) -> Option<Time> {
        if self.probe != Probe::None {
            return None;
        }
        if self.whole.given_up().is_some() || self.version_wanted {
            return Some(self.probe_at);
        }
        self.whole
            .suspect_from(self.patience)
            .map(|suspect| suspect.max(self.probe_at))
    }

    pub fn asks_for_version(&mut self, now: Time) {
        self.probe = Probe::Asking;
        self.probe_at = now + LONGEST_PAUSE;
    }

    /// The server's version came.
    pub fn version_came(&mut self, now: Time) {
        self.version_read = Some(now);
        self.version_wanted = false;
        let suspect = self.whole.suspect_from(self.patience).is_some_and(|from| from <= now);
        self.probe = if suspect || self.whole.given_up().is_some() {
            Probe::Answered
        } else {
            Probe::None
        };
    }

    /// It did not.
    pub fn no_version(&mut self, sent: Time, reason: &str, now: Time) {
        self.probe = Probe::None;
        self.probe_at = now + LONGEST_PAUSE;
        if self.whole.first_fault().is_some() {
            self.whole.failed(None, sent, false, now);
        }
        if self.whole.given_up().is_none() {
            self.stall.met(sent, reason);
        }
    }

    /// Whether an endpoint that is not there is the server's answer depends on whether the server is.
    pub fn wants_version(&mut self) {
        self.version_wanted = true;
    }

    /// After a probe that failed: whether the server is given up, and why.
    pub fn consider_giving_up(&mut self, now: Time) -> Option<Arc<str>> {
        if self.whole.given_up().is_some() || !self.whole.is_ripe(self.patience, now) {
            return None;
        }
        let since = self.whole.first_fault().unwrap_or(now);
        let why: Arc<str> = format!(
            "the server is given up after {} s without one success: {}",
            now.saturating_sub(since).as_secs(),
            self.stall.reason()
        )
        .into();
        self.give_up(why.clone(), now);
        Some(why)
    }

    /// After a fault in a lane: whether it alone is given up, and why. `alone`: it is known that no other lane is in trouble.
    pub fn consider_giving_up_lane(&mut self, lane: Lane, what: &str, alone: bool, now: Time) -> Option<Arc<str>> {
        if self.whole.given_up().is_some() {
            return None;
        }
        let of_lane = self.lanes.get(&lane)?;
        if of_lane.health.given_up().is_some() || !of_lane.health.is_ripe(self.patience, now) {
            return None;
        }
        let since = of_lane.health.first_fault().unwrap_or(now);
        if !alone && !self.others_served_since(lane, since) {
            // Nobody is: that is for a probe to decide.
            return None;
        }
        let of_lane = self.lanes.get_mut(&lane)?;
        let why: Arc<str> = format!(
            "{what} are given up after {} s without one success: {}",
            now.saturating_sub(since).as_secs(),
            self.stall.reason()
        )
        .into();
        of_lane.give_up(why.clone(), now);
        Some(why)
    }

    pub fn give_up(&mut self, why: Arc<str>, now: Time) {
        self.whole.give_up(why);
        self.probe = Probe::None;
        self.probe_at = now + LONGEST_PAUSE;
    }

    /// Whether faults come one after the other, without a success between them.
    pub fn seems_dead(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }

    /// Whether nothing was served for several faults that may be the rows' own: only other rows can tell.
    pub fn may_break_on_rows(&self) -> bool {
        self.seems_dead() && self.perhaps_rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Order;
    use super::super::record::Kind;
    use super::*;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn trouble(kind: TroubleKind) -> Trouble {
        Trouble {
            kind,
            reason: "503".into(),
            unknown: false,
            retry_after: None,
        }
    }

    fn lanes() -> (Lane, Lane) {
        let mut order = Order::default();
        let mut lane = |path: &str| (order.collection(&path.into()), Kind::Create);
        (lane("tables"), lane("storedProcedures"))
    }

    /// A server that has answered nothing but 503 for a deadline.
    fn suspect() -> (Server, Lane) {
        let (tables, _) = lanes();
        let mut server = Server::new(4, false, s(300));
        for second in 0..=300 {
            server.failed(
                tables,
                (second, 1),
                s(second),
                &trouble(TroubleKind::Unavailable),
                s(second),
                0.0,
            );
        }
        (server, tables)
    }

    #[test]
    fn a_server_is_given_up_by_a_probe_that_fails() {
        let (mut server, tables) = suspect();
        assert_eq!(server.probe_due(), Some(s(300)));
        server.asks_for_version(s(300));
        assert_eq!(
            (server.probe_due(), server.may_send(tables, s(9_999))),
            (None, May::Send)
        );
        server.no_version(s(300), "refused", s(301));
        assert!(server.consider_giving_up(s(301)).is_some());
        assert_eq!(server.may_send(tables, s(9_999)), May::Nothing);
        assert!(matches!(server.admission(tables, s(302)), Admission::GivenUp(_)));
        assert_eq!(server.probe_due(), Some(s(306)), "pending records or not");
    }

    #[test]
    fn between_an_answered_probe_and_its_record_what_comes_is_held() {
        let (mut server, tables) = suspect();
        server.asks_for_version(s(300));
        server.no_version(s(300), "refused", s(301));
        server.consider_giving_up(s(301));
        server.asks_for_version(s(306));
        server.version_came(s(307));
        assert_eq!(server.admission(tables, s(400)), Admission::Open);
        assert_eq!(server.may_send(tables, s(9_999)), May::SendOne);
        server.tries(tables);
        assert_eq!(server.admission(tables, s(400)), Admission::Open);
        assert_eq!(server.may_send(tables, s(9_999)), May::Nothing);
        let recovery = server.served(tables, s(400), s(401));
        assert!(recovery.was_given_up);
        assert_eq!(server.may_send(tables, s(9_999)), May::Send);
    }

    #[test]
    fn a_lane_that_hangs_lowers_no_limit_while_another_is_served() {
        let (tables, procedures) = lanes();
        let mut server = Server::new(4, false, s(300));
        server.served(procedures, s(1), s(2));
        server.failed(tables, (1, 1), s(0), &trouble(TroubleKind::Silent), s(300), 0.5);
        assert_eq!(server.limiter.limit(), 4);
        server.failed(tables, (1, 1), s(300), &trouble(TroubleKind::Silent), s(600), 0.5);
        assert_eq!(server.limiter.limit(), 3);
        assert!(server.is_slow(tables) && !server.is_slow(procedures));
    }

    #[test]
    fn a_lane_is_given_up_alone_and_tried_again_after_a_pause() {
        let (tables, procedures) = lanes();
        let mut server = Server::new(4, false, s(300));
        for (record, second) in [(1, 0), (2, 0), (3, 300), (4, 300)] {
            server.failed(
                tables,
                (record, 1),
                s(second),
                &trouble(TroubleKind::Silent),
                s(second + 300),
                0.0,
            );
            server.served(procedures, s(second), s(second + 300));
        }
        let why = server.consider_giving_up_lane(tables, "tables", false, s(600)).unwrap();
        assert!(why.starts_with("tables are given up after 300 s"), "{why}");
        assert_eq!(server.admission(procedures, s(600)), Admission::Open);
        assert!(matches!(server.admission(tables, s(604)), Admission::GivenUp(_)));
        assert_eq!(
            (server.admission(tables, s(605)), server.may_send(tables, s(9_999))),
            (Admission::Open, May::SendOne)
        );
        server.tries(tables);
        assert_eq!(server.may_send(tables, s(9_999)), May::Nothing);
        server.try_ended(tables);
        assert_eq!(
            server.may_send(tables, s(9_999)),
            May::SendOne,
            "it told nothing: another may"
        );
        server.tries(tables);
        server.tried_in_vain(tables, s(606));
        assert!(matches!(server.admission(tables, s(607)), Admission::GivenUp(_)));
        server.served(tables, s(700), s(701));
        assert_eq!(server.may_send(tables, s(9_999)), May::Send);
    }

    #[test]
    fn a_request_that_broke_the_server_was_let_in() {
        use super::super::authorization::TurnedAway;

        for (status, then) in [(500, TurnedAway::Again(s(32))), (502, TurnedAway::FinalForAll)] {
            let (tables, _) = lanes();
            let mut server = Server::new(4, false, s(300));
            for second in 0..20 {
                let refused = server
                    .authorization
                    .turned_away(Some(tables), s(second), false, s(second));
                assert_eq!(refused, TurnedAway::Again(s(second + 1)));
            }
            server.failed(tables, (1, 1), s(20), &trouble(TroubleKind::Status(status)), s(20), 0.0);
            for second in 21..30 {
                server
                    .authorization
                    .turned_away(Some(tables), s(second), false, s(second));
            }
            assert_eq!(
                server.authorization.turned_away(Some(tables), s(31), false, s(31)),
                then
            );
        }
    }

    #[test]
    fn three_faults_without_a_success_amount_to_overload() {
        let (tables, _) = lanes();
        let mut server = Server::new(4, false, s(300));
        for (fault, limit) in [(1, 4), (2, 4), (3, 3)] {
            server.failed(
                tables,
                (1, 1),
                s(fault),
                &trouble(TroubleKind::Status(500)),
                s(fault),
                0.0,
            );
            assert_eq!(server.limiter.limit(), limit);
        }
    }
}
