//! An engine with a clock and a server that treats each request as a test says.

use std::time::Duration;

use crate::engine::record::{Ending, Outcome};
use bytes::Bytes;

use crate::engine::request::{Answer, Call, Fault, Request, Response};
use crate::engine::testing::{all_written, fault, outcomes, requests, respond, s, some_refused};
use crate::engine::{Config, Engine, Time};

/// How the server treats requests in a world with a clock: what it answers, and when; None for a request that gets no answer within
/// the read time-out.
type Treat<'a> = Box<dyn FnMut(&Request, Time) -> Reply + 'a>;

pub(super) struct World<'a> {
    pub engine: Engine,
    pub now: Time,
    flying: Vec<(Time, Request, Reply)>,
    timeout: Time,
    treat: Treat<'a>,
    /// Requests so far.
    pub sent: usize,
}

#[derive(Clone)]
pub(super) enum Reply {
    Written,
    Status(u16, &'static str),
    /// 429, with `Retry-After` of so many seconds.
    TurnedAway(u64),
    /// 200, with these rows refused by these status and texts.
    Refused(Vec<(String, u16, &'static str)>),
    Broken,
    Closed,
    NotSent,
    Silent,
}

impl<'a> World<'a> {
    pub fn new(config: Config, treat: impl FnMut(&Request, Time) -> Reply + 'a) -> Self {
        Self {
            timeout: config.attempt_timeout,
            engine: Engine::new(config),
            now: Time::ZERO,
            flying: Vec::new(),
            treat: Box::new(treat),
            sent: 0,
        }
    }

    /// One event; false where there is none any more.
    pub fn advance(&mut self) -> bool {
        for sent in requests(&mut self.engine, self.now) {
            self.sent += 1;
            let reply = (self.treat)(&sent, self.now);
            let takes = match reply {
                Reply::Silent => self.timeout,
                _ => Duration::from_millis(50),
            };
            self.flying.push((self.now + takes, sent, reply));
        }
        let answers = self.flying.iter().map(|(at, ..)| *at);
        let timeout = self.engine.poll_timeout(self.now);
        let Some(next) = answers.chain(timeout).min() else {
            return false;
        };
        self.now = next.max(self.now);
        self.engine.handle_timeout(self.now);
        let (due, rest): (Vec<_>, Vec<_>) = self.flying.drain(..).partition(|(at, ..)| *at <= self.now);
        self.flying = rest;
        for (_, sent, reply) in due {
            match reply {
                Reply::Written if matches!(sent.call, Call::Get { .. }) => {
                    let text = r#"{"message":"table instance for x not found"}"#;
                    respond(&mut self.engine, &sent, 404, text, self.now);
                }
                Reply::Written if matches!(sent.call, Call::Probe) => {
                    respond(&mut self.engine, &sent, 200, r#"{"version":"2.0.7"}"#, self.now);
                }
                Reply::Written => all_written(&mut self.engine, &sent, self.now),
                Reply::Status(status, body) => respond(&mut self.engine, &sent, status, body, self.now),
                Reply::TurnedAway(seconds) => {
                    let response = Response {
                        status: 429,
                        retry_after: Some(s(seconds)),
                        body: Bytes::new(),
                    };
                    let reading = sent.read(&Answer::Response(response));
                    self.engine.handle_answer(sent.id, reading, self.now);
                }
                Reply::Refused(failed) => {
                    let failed: Vec<_> = failed
                        .iter()
                        .map(|(fqn, status, text)| (&**fqn, *status, *text))
                        .collect();
                    some_refused(&mut self.engine, &sent, &failed, self.now);
                }
                Reply::Broken => fault(&mut self.engine, &sent, Fault::Broken("reset".into()), self.now),
                Reply::Closed => fault(&mut self.engine, &sent, Fault::Closed("closed".into()), self.now),
                Reply::NotSent => fault(&mut self.engine, &sent, Fault::NotSent("reset".into()), self.now),
                Reply::Silent => fault(&mut self.engine, &sent, Fault::ReadTimeout("300 s".into()), self.now),
            }
        }
        true
    }

    /// Until nothing is pending. The outcomes.
    pub fn drain(&mut self) -> Vec<Outcome> {
        let mut steps = 0;
        while self.engine.stats(self.now).pending > 0 {
            assert!(
                self.advance() || self.engine.stats(self.now).pending == 0,
                "it waits for ever"
            );
            steps += 1;
            assert!(steps < 1_000_000, "it does not end");
        }
        outcomes(&mut self.engine)
    }
}

pub(super) fn is_lost(outcome: &Outcome) -> bool {
    matches!(outcome.ending, Ending::Failed(_))
}

pub(super) fn reason(outcome: &Outcome) -> &str {
    match &outcome.ending {
        Ending::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

pub(super) fn carries(request: &Request, name: &str) -> bool {
    let wanted = format!("{name:?}");
    let holds = |row: &Bytes| String::from_utf8_lossy(row).contains(&wanted);
    match &request.call {
        Call::PutBulk { rows, .. } => rows.iter().any(holds),
        Call::PutOne { row, .. } => holds(row),
        _ => false,
    }
}

/// The names of the create rows of a request.
pub(super) fn names(request: &Request) -> Vec<String> {
    let rows = match &request.call {
        Call::PutBulk { rows, .. } => rows.as_slice(),
        Call::PutOne { row, .. } => std::slice::from_ref(row),
        _ => &[],
    };
    let name = |row: &Bytes| String::from_utf8_lossy(row).split('"').nth(3).map(str::to_owned);
    rows.iter().filter_map(name).collect()
}

pub(super) fn is_of(request: &Request, wanted: &str) -> bool {
    match &request.call {
        Call::PutBulk { collection, .. } | Call::PutOne { collection, .. } => &**collection == wanted,
        _ => false,
    }
}

pub(super) fn patient(workers: usize) -> Config {
    Config {
        workers,
        linger: Duration::ZERO,
        attempt_timeout: s(300),
        ..Config::default()
    }
}
