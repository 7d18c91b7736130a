//! Needless loss, planted between the simulated server and the engine: what the engine hears, or is told at the start, is bent as a
//! careless engine would understand it. The product's files need no hole for these; the books and the oracle go on seeing the truth.

use std::time::Duration;

use openmetadata_bulksink::engine::{Answer, Call, Config, Fault, Request, Response};
use serde_json::Value;

/// What is bent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A server that was given up is never seen to be back.
    DeafToProbes,
    /// A record's deadline comes far too early.
    ImpatientDeadline,
    /// `close` stops waiting a minute after it was called.
    ImpatientClose,
    /// A page of something in front of the server is a verdict on the records.
    PagesAreVerdicts,
    /// No answer is a refusal.
    TimeoutsAreRefusals,
    /// A gateway that cannot reach the server is a refusal.
    GatewaysAreRefusals,
    /// A redirect, or a proxy that wants credentials, is a refusal.
    DoorsAreRefusals,
    /// A row for which there is no room is refused.
    OverloadedRowsAreRefused,
    /// What a row lacks today it lacks for ever.
    MissingIsRefused,
    /// A look-up never finds anything.
    LookUpsFindNothing,
    /// A request that went out whole counts as never sent.
    ForgetsUnknownResults,
    /// The verdicts on two rows are exchanged.
    MixesUpRows,
}

impl Sabotage {
    pub const ALL: [Self; 12] = [
        Self::DeafToProbes,
        Self::ImpatientDeadline,
        Self::ImpatientClose,
        Self::PagesAreVerdicts,
        Self::TimeoutsAreRefusals,
        Self::GatewaysAreRefusals,
        Self::DoorsAreRefusals,
        Self::OverloadedRowsAreRefused,
        Self::MissingIsRefused,
        Self::LookUpsFindNothing,
        Self::ForgetsUnknownResults,
        Self::MixesUpRows,
    ];

    /// What the engine is told at the start.
    pub fn config(sabotage: Option<Self>, mut config: Config) -> Config {
        if sabotage == Some(Self::ImpatientDeadline) {
            config.delivery_timeout /= 20;
        }
        config
    }

    /// When the application gives up a close, if it does.
    pub fn ends_close_after(sabotage: Option<Self>) -> Option<Duration> {
        (sabotage == Some(Self::ImpatientClose)).then_some(Duration::from_secs(60))
    }

    /// What the engine hears.
    pub fn bend(self, request: &Request, answer: Answer) -> Answer {
        let is_look_up = matches!(&request.call, Call::Get { fields, .. } if !fields.is_empty());
        match (self, answer) {
            (Self::DeafToProbes, Answer::Response(_)) if matches!(request.call, Call::Probe) => {
                Answer::Fault(Fault::Connect("connection refused".to_owned()))
            }
            (Self::PagesAreVerdicts, Answer::Response(response)) if response.body.starts_with(b"<html>") => {
                refusal("the server answered a page")
            }
            (Self::TimeoutsAreRefusals, Answer::Fault(Fault::ReadTimeout(text))) => refusal(&text),
            (Self::GatewaysAreRefusals, Answer::Response(response)) if matches!(response.status, 502 | 504) => {
                refusal("the server answered 502")
            }
            (Self::DoorsAreRefusals, Answer::Response(response)) if matches!(response.status, 302 | 307 | 407) => {
                refusal(&format!("the server answered {}", response.status))
            }
            (Self::OverloadedRowsAreRefused, Answer::Response(response)) => {
                Answer::Response(refused_for_good(response))
            }
            (Self::MissingIsRefused, answer) => replaced(answer, " instance for ", " wanted: "),
            (Self::LookUpsFindNothing, Answer::Response(_)) if is_look_up => Answer::Response(Response {
                status: 404,
                retry_after: None,
                body: "{\"code\":404,\"message\":\"entity instance for it not found\"}".into(),
            }),
            (Self::ForgetsUnknownResults, Answer::Fault(Fault::Broken(text))) => Answer::Fault(Fault::NotSent(text)),
            (Self::MixesUpRows, Answer::Response(response)) => Answer::Response(exchanged(response)),
            (_, answer) => answer,
        }
    }
}

fn refusal(text: &str) -> Answer {
    Answer::Response(Response {
        status: 400,
        retry_after: None,
        body: format!("{{\"code\":400,\"message\":{text:?}}}").into(),
    })
}

fn replaced(answer: Answer, from: &str, to: &str) -> Answer {
    match answer {
        Answer::Response(mut response) => {
            let body = String::from_utf8_lossy(&response.body).replace(from, to);
            response.body = body.into();
            Answer::Response(response)
        }
        other => other,
    }
}

/// Rows for which there was no room, as if they were not valid.
fn refused_for_good(mut response: Response) -> Response {
    let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else {
        return response;
    };
    for row in body["failedRequest"].as_array_mut().into_iter().flatten() {
        if row["status"] == 503 {
            row["status"] = 400.into();
            row["message"] = "its name is too long".into();
        }
    }
    response.body = body.to_string().into();
    response
}

/// The first row that was refused and the first that was taken, exchanged.
fn exchanged(mut response: Response) -> Response {
    let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else {
        return response;
    };
    let refused = body.pointer("/failedRequest/0/request").cloned();
    let taken = body.pointer("/successRequest/0/request").cloned();
    if let (Some(refused @ Value::String(_)), Some(taken)) = (refused, taken) {
        body["failedRequest"][0]["request"] = taken;
        body["successRequest"][0]["request"] = refused;
        response.body = body.to_string().into();
    }
    response
}
