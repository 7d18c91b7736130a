//! Carries out what the fault plan wants of an answer: other answers, other rows, other bytes.

use std::io;

use bytes::Bytes;
use serde_json::{json, Value};

use crate::bulk::Planned;
use crate::faults::Action;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::wire::Wire;

/// What is to be done to an answer.
#[derive(Default)]
pub struct Shape {
    action: Option<Action>,
    /// For actions about rows: which are meant.
    chosen: Vec<bool>,
    fqns: Vec<String>,
}

/// The answer that takes the place of the work's, for actions that have one.
pub fn instead_of_work(action: &Action) -> Option<Reply> {
    Some(match action {
        Action::Status {
            status,
            headers,
            body,
            content_type,
            retry_after,
            ..
        } => {
            let mut reply = match body {
                None => Reply::error(*status, "This answer was planned"),
                Some(Value::String(text)) => Reply::text(*status, "application/json", text.clone()),
                Some(value) => Reply::json(*status, value),
            };
            if let Some(content_type) = content_type {
                reply.content_type = "";
                reply.headers.push(("Content-Type".into(), content_type.clone()));
            }
            reply
                .headers
                .extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
            if let Some(after) = retry_after {
                reply.headers.push(("Retry-After".into(), after.render()));
            }
            reply
        }
        Action::Empty { .. } => Reply::empty(200),
        Action::Html { status, .. } => Reply::text(
            *status,
            "text/html",
            "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>",
        ),
        Action::Huge { .. } => Reply::empty(200),
        Action::DeepJson { depth, .. } => Reply::text(
            200,
            "application/json",
            format!("{}{}", "[".repeat(*depth), "]".repeat(*depth)),
        ),
        _ => return None,
    })
}

/// Whether the work is done although its answer is not given.
pub fn works(action: &Action) -> bool {
    match action {
        Action::Status { work, .. }
        | Action::Empty { work }
        | Action::Html { work, .. }
        | Action::Huge { work, .. }
        | Action::DeepJson { work, .. } => *work,
        _ => true,
    }
}

impl Shape {
    /// The shape that an action gives to the answer of a request that writes these FQNs.
    pub fn of(action: &Action, shared: &Shared, fqns: &[String]) -> Self {
        let chosen = match action {
            Action::FailRows { which, .. } | Action::DropRows { which } => shared.choose_rows(which, fqns),
            _ => Vec::new(),
        };
        Shape {
            action: Some(action.clone()),
            chosen,
            fqns: fqns.to_vec(),
        }
    }

    /// Whether the client is told the truth about every row.
    pub fn is_honest(&self) -> bool {
        matches!(
            self.action,
            None | Some(
                Action::FailRows { .. } | Action::CloseAfter {} | Action::SlowBody { .. } | Action::Stall { .. }
            )
        )
    }

    /// The failures that are planned for the rows of a request.
    pub fn planned(&self, rows: usize) -> Vec<Option<Planned>> {
        let Some(Action::FailRows {
            status, message, echo, ..
        }) = &self.action
        else {
            return Vec::new();
        };
        (0..rows)
            .map(|at| {
                let failure = || Planned {
                    status: *status,
                    message: message.clone().unwrap_or_else(|| "This failure was planned".into()),
                    echo: *echo,
                };
                self.chosen.get(at).copied().unwrap_or(false).then(failure)
            })
            .collect()
    }

    /// Changes the rows of a bulk answer.
    pub fn alter(&self, mut answer: Value) -> Value {
        match &self.action {
            Some(Action::DropRows { .. }) => {
                let dropped: Vec<&String> = self
                    .fqns
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| self.chosen.get(*at) == Some(&true))
                    .map(|(_, fqn)| fqn)
                    .collect();
                for list in ["successRequest", "failedRequest"] {
                    if let Some(rows) = answer[list].as_array_mut() {
                        rows.retain(|row| {
                            !row["request"]
                                .as_str()
                                .is_some_and(|name| dropped.iter().any(|fqn| *fqn == name))
                        });
                    }
                }
            }
            Some(Action::ExtraRows { count }) => {
                for at in 0..*count {
                    if let Some(rows) = answer["successRequest"].as_array_mut() {
                        rows.push(json!({"request": format!("never.sent.row{at}"), "status": 200}));
                    }
                }
            }
            Some(Action::OddAnswer {
                nulls,
                unknown_fields,
                lower_case,
            }) => {
                if *nulls {
                    for field in ["dryRun", "status", "abortReason", "numberOfRowsProcessed"] {
                        answer[field] = Value::Null;
                    }
                    if answer["failedRequest"].as_array().is_some_and(Vec::is_empty) {
                        answer["failedRequest"] = Value::Null;
                        answer["numberOfRowsFailed"] = Value::Null;
                    }
                }
                for list in ["successRequest", "failedRequest"] {
                    for row in answer[list].as_array_mut().into_iter().flatten() {
                        if *unknown_fields {
                            row["addedLater"] = json!({"by": "a newer server"});
                        }
                        if *nulls {
                            row["hasSideEffects"] = Value::Null;
                        }
                        if let (true, Some(text)) = (*lower_case, row["request"].as_str()) {
                            row["request"] = json!(text.to_lowercase());
                        }
                    }
                }
                if *unknown_fields {
                    answer["addedLater"] = json!([1, 2, 3]);
                }
            }
            _ => {}
        }
        answer
    }

    /// Whether the connection ends with the answer.
    pub fn closes(&self) -> bool {
        matches!(
            self.action,
            Some(Action::Truncate { .. } | Action::WrongLength { .. } | Action::CloseAfter {} | Action::Huge { .. })
        )
    }

    /// Sends the answer.
    pub async fn send(&self, wire: &mut Wire, mut reply: Reply, keep_alive: bool) -> io::Result<()> {
        match &self.action {
            Some(Action::SlowBody { bytes_per_s }) => {
                wire.answer(&reply, keep_alive, None, Some(bytes_per_s.max(1.0))).await
            }
            Some(Action::Truncate { bytes }) => {
                let whole = reply.body.len();
                let kept = bytes.unwrap_or(whole / 2).min(whole);
                reply.body.truncate(kept);
                // The head promises keeping the connection, as a server that dies does.
                wire.answer(&reply, true, Some(whole.max(kept + 1)), None).await
            }
            Some(Action::WrongLength { delta }) => {
                let length = reply
                    .body
                    .len()
                    .saturating_add_signed(isize::try_from(*delta).unwrap_or(0));
                wire.answer(&reply, true, Some(length), None).await
            }
            Some(Action::InvalidUtf8 { .. }) => {
                let mut body = reply.body.to_vec();
                let at = body.len() / 2;
                body.splice(at..at, [0xff, 0xfe, 0xc0]);
                reply.body = Bytes::from(body);
                wire.answer(&reply, keep_alive, None, None).await
            }
            Some(Action::HeaderFlood { headers, bytes }) => {
                reply
                    .headers
                    .extend((0..*headers).map(|at| (format!("X-Flood-{at}"), "x".repeat(*bytes))));
                wire.answer(&reply, keep_alive, None, None).await
            }
            Some(Action::Huge { megabytes, .. }) => {
                let block = vec![b'1'; 1 << 20];
                reply.body = Bytes::from_static(b"[");
                wire.answer(&reply, false, Some(1 + (megabytes << 20)), None).await?;
                for _ in 0..*megabytes {
                    wire.write(&block, None).await?;
                }
                Ok(())
            }
            _ => wire.answer(&reply, keep_alive, None, None).await,
        }
    }
}
