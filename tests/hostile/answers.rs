//! An answer of any kind: the server gives it to the first requests, whatever they ask, and is well after that.
//!
//! Input: the status, a space or a line feed, and the body: `404 {"code":404}`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openmetadata_bulksink::engine::{
    Answer, Call, Config, Ending, Engine, Fqn, Outcome, Payload, Record, Request, Response, Sequence,
};

/// Requests that get the answer.
const GIVEN: usize = 8;
/// Far more than a well server needs for so few records.
const STEPS: usize = 2_000;
/// Characters in what people are told of one record.
const LONGEST_TEXT: usize = 1_000;
/// How long a request takes.
const TAKEN: Duration = Duration::from_millis(100);

/// Records that resemble each other: by quotes and case, without a name, with a phrase of the server's in what they hold.
const RECORDS: [(&str, &str, &str); 7] = [
    ("tables", "s.a", r#"{"name":"a","databaseSchema":"s"}"#),
    ("tables", "s.\"b.c\"", r#"{"name":"b.c","databaseSchema":"s"}"#),
    (
        "tables",
        "r.a",
        r#"{"name":"a","databaseSchema":"r","description":"it already exists"}"#,
    ),
    ("tables", "R.A", r#"{"name":"A","databaseSchema":"R"}"#),
    ("tables", "s.deadlock", "no JSON at all \""),
    ("queries", "q.1", r#"{"query":"select 1","service":"q"}"#),
    ("queries", "q.2", r#"{"query":"select 1","service":"q"}"#),
];

pub fn check(input: &[u8]) {
    let (status, body) = parts(input);
    let body = Bytes::copy_from_slice(body);
    let mut world = World::new();
    for given in 0..STEPS {
        let is_given = given < GIVEN;
        let Some(request) = world.next_request() else { break };
        let answer = if is_given {
            respond(status, body.clone())
        } else {
            well(&request.call)
        };
        let said = format!("{:?}", request.read(&answer));
        assert_eq!(
            said,
            format!("{:?}", request.read(&answer)),
            "one answer has one meaning"
        );
        let ended = world.answered(&request, &answer);
        let refuses = !(200..=299).contains(&status);
        let is_written = |outcome: &Outcome| outcome.ending == Ending::Written;
        assert!(
            !(is_given && refuses && ended.iter().any(is_written)),
            "{status} wrote something"
        );
    }
    world.has_ended();
}

fn parts(input: &[u8]) -> (u16, &[u8]) {
    let end = input.iter().position(|byte| matches!(byte, b' ' | b'\n')).unwrap_or(0);
    let (begin, rest) = input.split_at(end);
    match std::str::from_utf8(begin).ok().and_then(|digits| digits.parse().ok()) {
        Some(status @ 100..=999) => (status, rest.get(1..).unwrap_or_default()),
        _ => (200, input),
    }
}

fn respond(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer::Response(Response {
        status,
        retry_after: None,
        body: body.into(),
    })
}

fn well(call: &Call) -> Answer {
    match call {
        Call::PutBulk { rows, .. } => respond(200, format!("{{\"numberOfRowsPassed\":{}}}", rows.len())),
        Call::RenewToken => Answer::Token(Ok(())),
        _ => respond(200, r#"{"id":"1","version":"2.0.7"}"#),
    }
}

/// An engine with all records and a life cycle, that is about to close.
struct World {
    engine: Engine,
    now: Duration,
    in_flight: VecDeque<Request>,
    ended: BTreeSet<Sequence>,
}

impl World {
    fn new() -> Self {
        let mut engine = Engine::new(Config {
            workers: 2,
            batch_rows: 5,
            ..Config::default()
        });
        let now = Duration::ZERO;
        for (collection, fqn, body) in RECORDS {
            let body = Bytes::from_static(body.as_bytes());
            let record = Record {
                parent: Fqn::canonical(fqn).parent().map(Fqn::canonical),
                ..Record::bare(collection.into(), fqn.into(), Payload::Create(body))
            };
            engine.submit(record, now);
        }
        let life_cycle = Bytes::from_static(br#"{"accessed":{"timestamp":1}}"#);
        let (collection, fqn): (Arc<str>, Arc<str>) = ("tables".into(), "s.a".into());
        engine.submit_life_cycle(collection, fqn, life_cycle, now);
        engine.close(now);
        Self {
            engine,
            now,
            in_flight: VecDeque::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The next request, when it is due; None after the end.
    fn next_request(&mut self) -> Option<Request> {
        for _ in 0..STEPS {
            while let Some(request) = self.engine.poll_request(self.now) {
                self.in_flight.push_back(request);
            }
            self.outcomes();
            if self.engine.is_closed() {
                return None;
            }
            if let Some(request) = self.in_flight.pop_front() {
                return Some(request);
            }
            let due = self
                .engine
                .poll_timeout(self.now)
                .expect("what is pending has a time when it goes on");
            self.now = due.max(self.now);
            self.engine.handle_timeout(self.now);
        }
        panic!("nothing is asked, and nothing ends");
    }

    fn answered(&mut self, request: &Request, answer: &Answer) -> Vec<Outcome> {
        self.now += TAKEN;
        self.engine.handle_answer(request.id, request.read(answer), self.now);
        self.outcomes()
    }

    /// What has ended, and what must hold at any time.
    fn outcomes(&mut self) -> Vec<Outcome> {
        let outcomes: Vec<Outcome> = std::iter::from_fn(|| self.engine.poll_outcome()).collect();
        for outcome in &outcomes {
            assert!(self.ended.insert(outcome.sequence), "two ends of one record");
            if let Ending::Failed(text) | Ending::Warned(text) | Ending::WrittenInPart(text) = &outcome.ending {
                assert!((1..=LONGEST_TEXT).contains(&text.chars().count()), "{text}");
            }
        }
        while let Some(notice) = self.engine.poll_notice() {
            assert!(notice.chars().count() <= LONGEST_TEXT, "{notice}");
        }
        let stats = self.engine.stats(self.now);
        let accounted = stats.written + stats.failed + stats.warned + stats.pending;
        assert_eq!(stats.submitted, accounted);
        outcomes
    }

    fn has_ended(&self) {
        assert!(self.engine.is_closed(), "a server that is well again was not enough");
        let submitted = self.engine.stats(self.now).submitted;
        assert_eq!(self.ended.len() as u64, submitted);
        assert!(self.engine.custody().is_empty());
    }
}
