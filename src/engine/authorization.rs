//! Whether the server accepts the token (E7, 401): again for a while, with a new one if there is one, then everything is given up.

use std::sync::Arc;
use std::time::Duration;

use super::request::Answer;
use super::{Engine, Time, Work};

/// A rejected token gets so long to be accepted again.
const UNAUTHORIZED_FOR: Duration = Duration::from_secs(30);
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(1);

/// Whether the server accepts the token.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    refused_since: Option<Time>,
    hold_until: Time,
    renewal: Renewal,
    renewed_at: Time,
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

    /// A request leaves. While the token is refused, one each pause tells whether it is accepted again.
    pub fn one_more(&mut self, now: Time) {
        if self.refused_since.is_some() {
            self.hold_until = now + UNAUTHORIZED_PAUSE;
        }
    }

    pub fn accepted(&mut self) {
        if self.refused_since.take().is_some() {
            self.hold_until = Time::ZERO;
        }
    }

    pub fn hold_until(&self) -> Time {
        self.hold_until
    }

    /// A request sent at `sent` was refused for its token. Whether it has been refused for too long.
    fn refused(&mut self, sent: Time, now: Time, renewable: bool) -> bool {
        let since = *self.refused_since.get_or_insert(now);
        if renewable && sent >= self.renewed_at && self.renewal == Renewal::None {
            self.renewal = Renewal::Wanted;
        }
        self.hold_until = now + UNAUTHORIZED_PAUSE;
        now.saturating_sub(since) >= UNAUTHORIZED_FOR
    }
}

impl Engine {
    /// The server does not accept the token: again for a while, then everything is given up.
    pub(super) fn unauthorized(&mut self, work: Work, text: String, sent: Time, now: Time) {
        if self.authorization.refused(sent, now, self.config.renewable_token) {
            self.fail_in_doubt(&work, &text);
            self.health.open(text);
            self.give_everything_up(now);
        } else if let Some(why) = self.health.is_open().map(str::to_owned) {
            self.fail_in_doubt(&work, &why);
        } else {
            let text: Arc<str> = text.into();
            for sequence in work.sequences() {
                if let Some(entry) = self.order.get_mut(sequence) {
                    entry.last_fault = Some(text.clone());
                }
            }
            self.put_off(work, now + UNAUTHORIZED_PAUSE);
        }
    }

    /// A callable that does not answer counts as one without another token. Should it answer later, its token is used all the same.
    pub(super) fn expire_renewal(&mut self, now: Time) {
        let patience = self.config.delivery_timeout;
        if self
            .authorization
            .renewal_until(patience)
            .is_some_and(|until| until <= now)
        {
            self.flights
                .retain(|_, flight| !matches!(flight.work, Work::RenewToken));
            let text = format!("the token callable has not answered for {} s", patience.as_secs());
            self.token_answered(Answer::Token(Err(text)), now);
        }
    }

    pub(super) fn token_answered(&mut self, answer: Answer, now: Time) {
        self.authorization.renewal = Renewal::None;
        self.authorization.renewed_at = now;
        match answer {
            Answer::Token(Ok(())) => self.authorization.hold_until = now,
            Answer::Token(Err(text)) => {
                self.health.fault(now, &format!("no new token: {text}"), None);
                self.authorization.hold_until = now + UNAUTHORIZED_PAUSE;
            }
            Answer::Response(_) | Answer::Fault(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, endings, next_request, outcomes, request, requests, respond, s, submit_tables,
    };
    use super::*;
    use crate::engine::request::Call;
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
    fn a_new_token_is_asked_for_once_and_tried_at_once() {
        let mut engine = engine(true);
        submit_tables(&mut engine, 4, s(0));
        let sent = requests(&mut engine, s(0));
        assert_eq!(sent.len(), 4);
        respond(&mut engine, sent[0].id, 401, "", s(1));
        let renewal = request(&mut engine, s(1));
        assert!(matches!(renewal.call, Call::RenewToken));
        for late in &sent[1..] {
            respond(&mut engine, late.id, 401, "", s(1));
        }
        assert_eq!(
            requests(&mut engine, s(1)).len(),
            0,
            "nothing is sent with a token that is refused"
        );
        engine.handle_answer(renewal.id, Answer::Token(Ok(())), s(3));
        let mut now = s(3);
        let again = next_request(&mut engine, &mut now);
        assert_eq!(now, s(3));
        all_written(&mut engine, &again, s(3));
        assert_eq!(
            requests(&mut engine, s(3)).len(),
            3,
            "the token is good: no more pauses"
        );
    }

    #[test]
    fn a_refused_token_meets_one_request_a_second_and_is_final_after_thirty() {
        let mut engine = engine(false);
        submit_tables(&mut engine, 16, s(0));
        let mut asked = 0;
        let mut now = s(0);
        for sent in requests(&mut engine, now) {
            respond(&mut engine, sent.id, 401, "", now);
        }
        while engine.stats(now).failed == 0 {
            let sent = next_request(&mut engine, &mut now);
            asked += 1;
            respond(&mut engine, sent.id, 401, "", now);
        }
        assert_eq!((asked, now), (30, s(30)));
        let lost = outcomes(&mut engine);
        assert_eq!(lost.len(), 16);
        assert!(lost
            .iter()
            .all(|lost| format!("{:?}", lost.ending).contains("renew it (jwtToken)")));
    }

    #[test]
    fn a_callable_that_never_answers_ends_the_run_by_the_deadline() {
        let mut engine = engine(true);
        submit_tables(&mut engine, 20, s(0));
        let sent = requests(&mut engine, s(0));
        all_written(&mut engine, &sent[0], s(1));
        for refused in &sent[1..] {
            respond(&mut engine, refused.id, 401, "", s(2));
        }
        let mut now = s(2);
        assert!(matches!(request(&mut engine, now).call, Call::RenewToken));
        while engine.stats(now).pending > 0 {
            let Some(sent) = engine.poll_request(now) else {
                now = engine.poll_timeout(now).expect("it waits for ever").max(now);
                engine.handle_timeout(now);
                continue;
            };
            respond(&mut engine, sent.id, 401, "", now);
        }
        assert!(now <= s(304), "{now:?}");
        assert_eq!(outcomes(&mut engine).len(), 20);
    }

    #[test]
    fn a_token_that_is_accepted_again_costs_nothing() {
        let mut engine = engine(false);
        submit_tables(&mut engine, 1, s(0));
        let mut now = s(0);
        for _ in 0..20 {
            let sent = next_request(&mut engine, &mut now);
            respond(&mut engine, sent.id, 401, "", now);
        }
        let sent = next_request(&mut engine, &mut now);
        all_written(&mut engine, &sent, now);
        assert_eq!(endings(&mut engine), "w1");
    }
}
