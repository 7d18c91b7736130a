//! A few words for driving an engine by hand in unit tests. Policy as a whole is tested in `tests/engine`.

use std::time::Duration;

use bytes::Bytes;

use super::record::{Fqn, Payload, Record, Sequence};
use super::request::{Answer, Call, Fault, Request, Response};
use super::{Config, Engine, Outcome, Time};

pub(super) const fn s(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// An engine that sends what is ready at once.
pub(super) fn eager(workers: usize, batch_rows: usize) -> Engine {
    Engine::new(Config {
        workers,
        batch_rows,
        linger: Duration::ZERO,
        ..Config::default()
    })
}

pub(super) fn create(collection: &str, fqn: &str, parent: Option<&str>) -> Record {
    let body = format!("{{\"name\":{fqn:?},\"sourceHash\":\"of {fqn}\"}}");
    Record {
        parent: parent.map(Fqn::canonical),
        ..Record::bare(collection.into(), fqn.into(), Payload::Create(body.into()))
    }
}

/// Submits tables `s.t0`, `s.t1` ...
pub(super) fn submit_tables(engine: &mut Engine, count: usize, now: Time) -> Vec<Sequence> {
    (0..count)
        .map(|table| engine.submit(create("tables", &format!("s.t{table}"), None), now))
        .collect()
}

pub(super) fn life_cycle(engine: &mut Engine, fqn: &str, number: u64, now: Time) -> Sequence {
    let body = format!("{{\"created\":{{\"timestamp\":{number}}}}}");
    engine.submit_life_cycle("tables".into(), fqn.into(), body.into(), now)
}

pub(super) fn requests(engine: &mut Engine, now: Time) -> Vec<Request> {
    std::iter::from_fn(|| engine.poll_request(now)).collect()
}

/// The next request; there must be one.
pub(super) fn request(engine: &mut Engine, now: Time) -> Request {
    engine.poll_request(now).expect("a request")
}

/// The next request, as soon as there is one.
pub(super) fn next_request(engine: &mut Engine, now: &mut Time) -> Request {
    loop {
        if let Some(request) = engine.poll_request(*now) {
            return request;
        }
        *now = engine.poll_timeout(*now).expect("something to wait for").max(*now);
        engine.handle_timeout(*now);
    }
}

/// How many create rows a request carries.
pub(super) fn rows(request: &Request) -> usize {
    match &request.call {
        Call::PutBulk { rows, .. } => rows.len(),
        Call::PutOne { .. } => 1,
        _ => 0,
    }
}

pub(super) fn is_patch(request: &Request) -> bool {
    matches!(request.call, Call::PatchLifeCycle { .. })
}

pub(super) fn respond(engine: &mut Engine, request: &Request, status: u16, body: &str, now: Time) {
    let response = Response {
        status,
        retry_after: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let reading = request.read(&Answer::Response(response));
    engine.handle_answer(request.id, reading, now);
}

pub(super) fn fault(engine: &mut Engine, request: &Request, fault: Fault, now: Time) {
    engine.handle_answer(request.id, request.read(&Answer::Fault(fault)), now);
}

/// The server took everything.
pub(super) fn all_written(engine: &mut Engine, request: &Request, now: Time) {
    let body = match &request.call {
        Call::PutBulk { rows, .. } => format!("{{\"numberOfRowsPassed\":{},\"numberOfRowsFailed\":0}}", rows.len()),
        _ => "{\"id\":\"1\"}".to_owned(),
    };
    respond(engine, request, 200, &body, now);
}

/// The server refused these rows with these texts, and took the others.
pub(super) fn some_refused(engine: &mut Engine, request: &Request, refused: &[(&str, u16, &str)], now: Time) {
    let failed: Vec<String> = refused
        .iter()
        .map(|(fqn, status, text)| format!("{{\"request\":{fqn:?},\"status\":{status},\"message\":{text:?}}}"))
        .collect();
    let passed = rows(request) - refused.len();
    let body = format!(
        "{{\"numberOfRowsPassed\":{passed},\"numberOfRowsFailed\":{},\"failedRequest\":[{}]}}",
        refused.len(),
        failed.join(",")
    );
    respond(engine, request, 200, &body, now);
}

pub(super) fn outcomes(engine: &mut Engine) -> Vec<Outcome> {
    std::iter::from_fn(|| engine.poll_outcome()).collect()
}

/// Outcomes as letters with their sequence numbers: `w1 f2` for the first written and the second failed.
pub(super) fn endings(engine: &mut Engine) -> String {
    use super::Ending::{Failed, Warned, Written, WrittenInPart};
    let letter = |outcome: &Outcome| match outcome.ending {
        Written => 'w',
        Failed(_) => 'f',
        Warned(_) => '!',
        WrittenInPart(_) => 'p',
    };
    let all = outcomes(engine);
    let words: Vec<String> = all.iter().map(|o| format!("{}{}", letter(o), o.sequence)).collect();
    words.join(" ")
}

/// The reason of the only outcome, a failure.
pub(super) fn only_reason(engine: &mut Engine) -> String {
    match outcomes(engine).as_slice() {
        [Outcome {
            ending: super::Ending::Failed(reason),
            ..
        }] => reason.to_string(),
        others => panic!("{others:?}"),
    }
}
