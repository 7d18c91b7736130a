//! What a server does that turns requests away whatever they hold: 401, a proxy that wants credentials, a redirection (E7). One
//! request a second for thirty seconds, first with a new token if there is one; then it is final.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::queues::Lane;
use super::Time;

/// Requests that are turned away get so long to be taken again: a token is renewed, a balancer is being deployed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
/// Where nothing was turned away for so long, what is turned away then is another incident.
const GAP: Duration = Duration::from_secs(10);

/// Since when requests are turned away, one after the other, and when that was seen last.
#[derive(Debug, Clone, Copy)]
struct Door {
    since: Time,
    last: Time,
}

impl Door {
    fn closed(now: Time) -> Self {
        Self { since: now, last: now }
    }

    /// A request that was sent at `sent` is turned away as well. For how long that has lasted: what was sent before says nothing of
    /// what a later request would meet.
    fn refuses(&mut self, sent: Time, now: Time) -> Duration {
        if sent > self.last + GAP {
            self.since = now;
        }
        self.last = now;
        sent.saturating_sub(self.since)
    }
}

/// Whether requests are let in.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    door: Option<Door>,
    hold_until: Time,
    renewal: Renewal,
    /// When the last renewal ended, and how many there were since requests are turned away.
    renewed_at: Time,
    renewals: u32,
    /// Those of lanes that are turned away while others are let in.
    of_lanes: FxHashMap<Lane, Door>,
    /// When the last request was sent that was let in.
    let_in: Option<Time>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Renewal {
    #[default]
    None,
    Wanted,
    Running {
        since: Time,
    },
}

/// What becomes of work that was turned away.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// It goes again then.
    Again(Time),
    /// Others are let in: it alone is given up.
    Final,
    /// Everything is given up.
    FinalForAll,
}

impl Authorization {
    pub fn wants_renewal(&self) -> bool {
        self.renewal == Renewal::Wanted
    }

    pub fn is_renewing(&self) -> bool {
        matches!(self.renewal, Renewal::Running { .. })
    }

    pub fn start_renewal(&mut self, now: Time) {
        self.renewal = Renewal::Running { since: now };
    }

    /// When a new token is waited for no longer.
    pub fn renewal_until(&self, patience: Duration) -> Option<Time> {
        match self.renewal {
            Renewal::Running { since } => Some(since + patience),
            Renewal::None | Renewal::Wanted => None,
        }
    }

    /// A renewal has ended, with a new token or without one. The first new token is tried at once.
    pub fn renewed(&mut self, with_success: bool, now: Time) {
        self.renewal = Renewal::None;
        self.renewed_at = now;
        self.renewals += 1;
        let is_first = with_success && self.renewals == 1;
        self.hold_until = if is_first { now } else { now + PAUSE };
        // The first new token has its own patience. A callable that gives none, or none that is better, wins no time.
        if let Some(door) = self.door.as_mut().filter(|_| !is_first) {
            door.last = now;
        }
    }

    /// A request leaves. While requests are turned away, one each pause tells whether they are let in again.
    pub fn departs(&mut self, now: Time) {
        if self.door.is_some() {
            self.hold_until = now + PAUSE;
        }
    }

    /// A request that was sent at `sent` was let in.
    pub fn let_in(&mut self, lane: Option<Lane>, sent: Time) {
        self.let_in = self.let_in.max(Some(sent));
        if let Some(lane) = lane {
            self.of_lanes.remove(&lane);
        }
        if self.door.take().is_some() {
            self.hold_until = Time::ZERO;
            self.renewals = 0;
        }
    }

    pub fn hold_until(&self) -> Time {
        self.hold_until
    }

    /// A request of `lane` that was sent at `sent` was turned away; `renewable`: for a token of which there may be another.
    pub fn turned_away(&mut self, lane: Option<Lane>, sent: Time, renewable: bool, now: Time) -> TurnedAway {
        if let Some(lane) = lane {
            let door = self.of_lanes.entry(lane).or_insert_with(|| Door::closed(now));
            let last = door.last;
            let lasts = door.refuses(sent, now);
            if self.let_in.is_some_and(|let_in| let_in >= last && last < now) {
                return if lasts >= PATIENCE {
                    TurnedAway::Final
                } else {
                    TurnedAway::Again(now + PAUSE)
                };
            }
        }
        let lasts = self.door.get_or_insert_with(|| Door::closed(now)).refuses(sent, now);
        if renewable && sent >= self.renewed_at && self.renewal == Renewal::None {
            self.renewal = Renewal::Wanted;
        }
        self.hold_until = now + PAUSE;
        if lasts >= PATIENCE {
            TurnedAway::FinalForAll
        } else {
            TurnedAway::Again(now + PAUSE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Order;
    use super::super::record::Kind;
    use super::super::testing::{
        all_written, endings, next_request, outcomes, request, requests, respond, s, submit_tables,
    };
    use super::super::Engine;
    use super::*;
    use crate::engine::request::{Answer, Call};
    use crate::engine::Config;

    fn engine(renewable_token: bool) -> Engine {
        Engine::new(Config {
            linger: Duration::ZERO,
            batch_rows: 1,
            renewable_token,
            ..Config::default()
        })
    }

    #[test]
    fn what_is_turned_away_while_others_are_let_in_is_final_alone() {
        let mut order = Order::default();
        let queries = Some((order.collection(&"queries".into()), Kind::Create));
        let tables = Some((order.collection(&"tables".into()), Kind::Create));
        let mut gate = Authorization::default();
        assert_eq!(gate.turned_away(queries, s(0), false, s(0)), TurnedAway::Again(s(1)));
        for second in 1..30 {
            gate.let_in(tables, s(second));
            assert_eq!(
                gate.turned_away(queries, s(second), false, s(second)),
                TurnedAway::Again(s(second + 1))
            );
            assert!(gate.hold_until() <= s(second), "the others go on");
        }
        gate.let_in(tables, s(30));
        assert_eq!(gate.turned_away(queries, s(30), false, s(30)), TurnedAway::Final);
    }

    #[test]
    fn two_refusals_with_other_troubles_between_are_two_incidents() {
        let mut order = Order::default();
        let tables = Some((order.collection(&"tables".into()), Kind::Create));
        let mut gate = Authorization::default();
        assert_eq!(gate.turned_away(tables, s(0), false, s(0)), TurnedAway::Again(s(1)));
        assert_eq!(gate.turned_away(tables, s(40), false, s(40)), TurnedAway::Again(s(41)));
        for second in 41..70 {
            assert_eq!(
                gate.turned_away(tables, s(second), false, s(second)),
                TurnedAway::Again(s(second + 1))
            );
        }
        assert_eq!(gate.turned_away(tables, s(70), false, s(70)), TurnedAway::FinalForAll);
    }

    #[test]
    fn a_late_answer_says_nothing_of_a_token_that_came_meanwhile() {
        let mut order = Order::default();
        let tables = Some((order.collection(&"tables".into()), Kind::Create));
        let mut gate = Authorization::default();
        assert_eq!(gate.turned_away(tables, s(0), true, s(1)), TurnedAway::Again(s(2)));
        gate.start_renewal(s(1));
        gate.renewed(true, s(32));
        assert_eq!(gate.turned_away(tables, s(0), true, s(33)), TurnedAway::Again(s(34)));
    }

    #[test]
    fn a_new_token_is_asked_for_once_and_tried_at_once() {
        let mut engine = engine(true);
        submit_tables(&mut engine, 4, s(0));
        let sent = requests(&mut engine, s(0));
        assert_eq!(sent.len(), 4);
        respond(&mut engine, &sent[0], 401, "", s(1));
        let renewal = request(&mut engine, s(1));
        assert!(matches!(renewal.call, Call::RenewToken));
        for late in &sent[1..] {
            respond(&mut engine, late, 401, "", s(1));
        }
        assert_eq!(
            requests(&mut engine, s(1)).len(),
            0,
            "nothing is sent with a token that is refused"
        );
        engine.handle_answer(renewal.id, renewal.read(&Answer::Token(Ok(()))), s(3));
        let mut now = s(3);
        let again = next_request(&mut engine, &mut now);
        assert_eq!(now, s(3));
        assert_eq!(requests(&mut engine, s(3)).len(), 0, "one goes first");
        all_written(&mut engine, &again, s(3));
        assert_eq!(
            requests(&mut engine, s(3)).len(),
            3,
            "the token is good: no more pauses"
        );
    }

    #[test]
    fn a_refused_token_meets_one_request_a_second_and_is_final_after_thirty() {
        for renewable in [false, true] {
            let mut engine = engine(renewable);
            submit_tables(&mut engine, 16, s(0));
            let mut asked = 0;
            let mut now = s(0);
            for sent in requests(&mut engine, now) {
                respond(&mut engine, &sent, 401, "", now);
            }
            while engine.stats(now).failed < 16 {
                let sent = next_request(&mut engine, &mut now);
                if matches!(sent.call, Call::RenewToken) {
                    // The callable gives the same token each time.
                    engine.handle_answer(sent.id, sent.read(&Answer::Token(Ok(()))), now);
                } else {
                    asked += 1;
                    respond(&mut engine, &sent, 401, "", now);
                }
            }
            assert!(asked <= 31 && now <= s(31), "{asked} {now:?}");
            let lost = outcomes(&mut engine);
            assert!(lost
                .iter()
                .all(|lost| format!("{:?}", lost.ending).contains("renew it (jwtToken)")));
        }
    }

    #[test]
    fn a_callable_that_never_answers_ends_the_run_by_the_deadline() {
        let mut engine = engine(true);
        submit_tables(&mut engine, 20, s(0));
        let sent = requests(&mut engine, s(0));
        all_written(&mut engine, &sent[0], s(1));
        for refused in &sent[1..] {
            respond(&mut engine, refused, 401, "", s(2));
        }
        let mut now = s(2);
        assert!(matches!(request(&mut engine, now).call, Call::RenewToken));
        while engine.stats(now).pending > 0 {
            let Some(sent) = engine.poll_request(now) else {
                now = engine.poll_timeout(now).expect("it waits for ever").max(now);
                engine.handle_timeout(now);
                continue;
            };
            if !matches!(sent.call, Call::RenewToken) {
                respond(&mut engine, &sent, 401, "", now);
            }
        }
        assert!(now <= s(304), "{now:?}");
        assert_eq!(outcomes(&mut engine).len(), 20);
    }

    #[test]
    fn a_token_or_an_address_that_is_good_again_costs_nothing() {
        for status in [401, 407, 302] {
            let mut engine = engine(false);
            submit_tables(&mut engine, 1, s(0));
            let mut now = s(0);
            for _ in 0..20 {
                let sent = next_request(&mut engine, &mut now);
                respond(&mut engine, &sent, status, "", now);
            }
            let sent = next_request(&mut engine, &mut now);
            all_written(&mut engine, &sent, now);
            assert_eq!(endings(&mut engine), "w1", "{status}");
        }
    }
}
