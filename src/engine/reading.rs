//! What an answer means (E5, E7, E8): bytes, and what the request carried, become a [`Meaning`].
//!
//! It is pure and needs nothing of the engine, so that whoever performed the attempt reads its answer, however large, before
//! anybody has to wait for it. What is to be done about it is for the engine to decide. Beside `retry.rs` this is the only place
//! in the engine that knows HTTP status codes.
//!
//! | file | what it reads |
//! |---|---|
//! | `verdicts.rs` | a bulk answer |
//! | `names.rs` | which row an answer speaks of |
//! | `words.rs` | the server's phrases in a text |
//! | `page.rs` | the first words of a page |
//! | `said.rs` | an answer that is no success |
//! | `trouble.rs` | a fault |
//! | `properties.rs` | what holds for any answer, as tests |
//! | `testing.rs` | what the unit tests of these files share |

mod names;
mod page;
#[cfg(test)]
mod properties;
mod said;
#[cfg(test)]
mod testing;
mod trouble;
mod verdicts;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::record::{Fqn, Missing, Sequence};
use super::request::{Answer, Fault, Response};
use crate::engine::shallow::{field, fields, text};
use said::Said;
pub(super) use trouble::{Trouble, TroubleKind};
use verdicts::{BulkAnswer, Verdict};
use words::{shorten, Told};

/// What a request asked and carried, so that its answer can be read anywhere, without the engine.
#[derive(Debug, Clone)]
pub struct Question {
    pub(super) asked: Asked,
    /// The records of a `PUT`, or the one that a `PATCH` or a look-up is about; none for a probe.
    pub(super) rows: Vec<Carried>,
}

/// A record as far as its answer is read.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub sequence: Sequence,
    /// Its canonical name, lower-case where the server folds case.
    pub fqn: Fqn,
    pub parent: Option<Fqn>,
    /// Every other name that it holds: a word that is part of a name is none of the server's.
    pub needs: Vec<Fqn>,
    pub body: Bytes,
}

/// What kind of request an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A bulk `PUT`.
    Bulk,
    /// A single `PUT`.
    One,
    PatchByName,
    PatchById,
    /// A look-up, by name or by id.
    Get,
    /// Whether the server is there.
    Probe,
}

/// Of a record that an answer does not speak of.
pub(super) const SAID_NOTHING: &str = "the server answered the request, but said nothing about this record";

/// A meaning, on its way to the engine.
#[derive(Debug)]
pub struct Reading(pub(super) Meaning);

/// What an answer means for the request as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// One verdict for each carried row, with its sequence.
    Rows(Vec<(Sequence, Row)>),
    /// A single request was served; what came back of the entity.
    Done {
        id: Option<Arc<str>>,
        source_hash: Option<Arc<str>>,
    },
    /// No answer, or one that says nothing about what was sent.
    Fault(Trouble),
    /// The body is larger than the server, or something in front of it, accepts.
    TooLarge(String),
    /// What this names is not there.
    Missing(Missing, String),
    /// The server has it already.
    Exists(String),
    /// Refused for good, in these words.
    Refused(String),
    /// No such endpoint. `page`: no word of the API's own, so perhaps something in front of it that speaks.
    NoRoute { page: bool, text: String },
    /// Turned away, most likely whatever it holds.
    Rebuffed(Rebuff),
    /// A new token, or why there is none.
    NewToken(Result<(), String>),
}

/// An answer that turns a request away: 401, a proxy that wants credentials, a redirection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rebuff {
    pub said: String,
    /// What to change, should it be so for every request.
    pub advice: &'static str,
    /// It is for the token.
    pub is_of_token: bool,
}

impl Rebuff {
    /// What was said, and what to change. `others_passed`: requests to the same address were served before, so it is no setting.
    pub fn with_advice(&self, others_passed: bool) -> String {
        let advice = if others_passed && !self.is_of_token {
            "others have passed, so something in front of the server (a firewall, a login page) turned this one away"
        } else {
            self.advice
        };
        format!("{}; {advice}", self.said)
    }
}

/// What the server says about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Written,
    /// Refused for good, in these words.
    Refused(String),
    /// It names something that is not there.
    Missing(Missing, String),
    /// It is there already, by another request.
    Duplicate(String),
    /// The server had no room for it.
    Overload(String),
    /// The server failed on it.
    ServerError(u16, String),
    /// The answer says nothing about it.
    Unanswered,
}

impl Reading {
    /// What a fault means that came without a request.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self(Meaning::Fault(Trouble::of(&fault)))
    }

    /// A new token, or why there is none.
    #[must_use]
    pub fn token(result: Result<(), String>) -> Self {
        Self(Meaning::NewToken(result))
    }
}

impl Question {
    /// The meaning of `answer`.
    #[must_use]
    pub fn read(&self, answer: &Answer) -> Reading {
        Reading(match answer {
            Answer::Response(response) => self.of_response(response),
            Answer::Fault(fault) => Meaning::Fault(Trouble::of(fault)),
            Answer::Token(result) => Meaning::NewToken(result.clone()),
        })
    }

    fn of_response(&self, response: &Response) -> Meaning {
        let status = response.status;
        let body = String::from_utf8_lossy(&response.body);
        if (200..=299).contains(&status) {
            let read = match self.asked {
                Asked::Bulk => BulkAnswer::read(&body).map(|answer| self.of_bulk(&answer, response)),
                Asked::Probe => of_version(&body),
                Asked::One | Asked::Get | Asked::PatchByName | Asked::PatchById => of_entity(&body),
            };
            return read.unwrap_or_else(|| unreadable(response));
        }
        let said = Said::of(&body);
        let text = said.text(response);
        let fault = |kind, unknown| Meaning::Fault(Trouble::new(kind, text.clone(), unknown, response.retry_after));
        match (status, self.asked) {
            (401 | 407 | 300..=399, _) => Meaning::Rebuffed(said.rebuff(response)),
            (409, Asked::One) => Meaning::Exists(text),
            (413, _) => Meaning::TooLarge(text),
            (429, _) => fault(TroubleKind::Overload, false),
            (503, _) if said.own || response.retry_after.is_some() => fault(TroubleKind::Overload, false),
            (503, _) => fault(TroubleKind::Unavailable, false),
            // Of gateways, which do not know what became of the request behind them.
            (502 | 504 | 520..=599, _) => fault(TroubleKind::Status(status), true),
            (400 | 500..=599, _) if said.own && Told::of(&said.words, &self.rows).is_overload() => {
                fault(TroubleKind::Overload, false)
            }
            (408 | 425 | 500..=599, _) => fault(TroubleKind::Status(status), false),
            (404, _) => match (Told::of(&said.words, &self.rows).missing(), self.rows.len()) {
                // One of several lacks something: which one, only they alone can tell.
                (Some(_), 2..) => Meaning::Refused(text),
                (Some(missing), _) => Meaning::Missing(missing, text),
                (None, _) => Meaning::NoRoute { page: !said.own, text },
            },
            (405, _) => Meaning::NoRoute { page: !said.own, text },
            // What lets upstream's requests through need not know this one, which upstream does not make.
            (400..=499, Asked::PatchByName) if !said.own => Meaning::NoRoute { page: true, text },
            _ => Meaning::Refused(text),
        }
    }

    /// A bulk answer. One that speaks of no row is none to what was sent.
    fn of_bulk(&self, answer: &BulkAnswer<'_>, response: &Response) -> Meaning {
        if answer.is_of_nothing() && !self.rows.is_empty() {
            let reason = match answer.why_aborted() {
                Some(why) => format!("{SAID_NOTHING}: {}", shorten(&why)),
                None => SAID_NOTHING.to_owned(),
            };
            return Meaning::Fault(Trouble::new(
                TroubleKind::Unreadable,
                reason,
                true,
                response.retry_after,
            ));
        }
        self.of_rows(&answer.judge(&self.rows), response)
    }

    /// What a bulk answer says of its rows. Where the server failed on each of them it failed on the request.
    fn of_rows(&self, verdicts: &[Verdict], response: &Response) -> Meaning {
        let rows: Vec<(Sequence, Row)> = (self.rows.iter().zip(verdicts))
            .map(|(row, verdict)| {
                let told = match verdict {
                    Verdict::Written => Row::Written,
                    Verdict::Unanswered => Row::Unanswered,
                    Verdict::Refused(status, text) => Told::of(text, std::slice::from_ref(row)).row(*status),
                };
                (row.sequence, told)
            })
            .collect();
        let failed = |(_, row): &(Sequence, Row)| matches!(row, Row::ServerError(..) | Row::Overload(_));
        if rows.is_empty() || !rows.iter().all(failed) {
            return Meaning::Rows(rows);
        }
        let first = rows.iter().find_map(|(_, row)| match row {
            Row::ServerError(status, text) => Some((TroubleKind::Status(*status), text)),
            _ => None,
        });
        let turned_away = rows.iter().find_map(|(_, row)| match row {
            Row::Overload(text) => Some((TroubleKind::Overload, text)),
            _ => None,
        });
        match first.or(turned_away) {
            Some((kind, text)) => Meaning::Fault(Trouble::new(kind, text.clone(), false, response.retry_after)),
            None => Meaning::Rows(rows),
        }
    }
}

/// The answer to a single request that was served: the entity, which has one of these fields at least. Any other object is somebody
/// else's, such as a login page for programs.
fn of_entity(body: &str) -> Option<Meaning> {
    let fields = fields(body)?;
    let (id, source_hash) = (word(&fields, "id"), word(&fields, "sourceHash"));
    let is_named = || {
        ["fullyQualifiedName", "name"]
            .iter()
            .any(|name| word(&fields, name).is_some())
    };
    (id.is_some() || source_hash.is_some() || is_named()).then_some(Meaning::Done { id, source_hash })
}

/// The server's version.
fn of_version(body: &str) -> Option<Meaning> {
    word(&fields(body)?, "version").map(|_| Meaning::Done {
        id: None,
        source_hash: None,
    })
}

/// A field's text, unless it is empty.
fn word(fields: &[(String, &RawValue)], name: &str) -> Option<Arc<str>> {
    field(fields, name)
        .and_then(text)
        .filter(|word| !word.is_empty())
        .map(Into::into)
}

fn unreadable(response: &Response) -> Meaning {
    let words = page::first_words(&response.body);
    let reason = format!("the server answered {} without a readable result", response.status);
    let reason = if words.is_empty() {
        reason
    } else {
        format!("{reason}: {words}")
    };
    Meaning::Fault(Trouble::new(TroubleKind::Unreadable, reason, true, None))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::testing::carried;
    use super::*;
    use crate::engine::limiter::LONGEST_RETRY_AFTER;
    use crate::engine::request::Fault;

    fn ask(asked: Asked, rows: &[&str], response: Response) -> Meaning {
        let rows = (1..).zip(rows).map(|(sequence, fqn)| Carried {
            sequence,
            ..carried(fqn, "{}")
        });
        let question = Question {
            asked,
            rows: rows.collect(),
        };
        question.read(&Answer::Response(response)).0
    }

    fn respond(asked: Asked, status: u16, body: &str) -> Meaning {
        let response = Response {
            status,
            retry_after: None,
            body: body.to_owned().into(),
        };
        ask(asked, &["s.t"], response)
    }

    fn fault_of(meaning: Meaning) -> Trouble {
        match meaning {
            Meaning::Fault(trouble) => trouble,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn overload_is_429_and_503_in_the_servers_own_words_or_with_a_pause() {
        let asked = |status, retry_after, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            fault_of(ask(
                Asked::Bulk,
                &["s.t"],
                Response {
                    status,
                    retry_after,
                    body,
                },
            ))
        };
        let own = r#"{"code":503,"message":"Too many concurrent bulk jobs"}"#;
        let long = Some(Duration::from_secs(100));
        for (status, pause, body) in [(429, None, ""), (503, None, own), (503, long, "<html>")] {
            let trouble = asked(status, pause, body);
            assert_eq!(
                (trouble.kind, trouble.unknown),
                (TroubleKind::Overload, false),
                "{status} {body}"
            );
            assert_eq!(trouble.retry_after, pause.map(|_| LONGEST_RETRY_AFTER));
        }
        assert_eq!(
            asked(503, None, "<h1>Service Unavailable</h1>").kind,
            TroubleKind::Unavailable
        );
    }

    #[test]
    fn what_never_reached_the_server_is_known_not_to_be_done() {
        let read = |fault| fault_of(Reading::fault(fault).0);
        let refused = read(Fault::Connect("refused".into()));
        assert_eq!((refused.kind, refused.unknown), (TroubleKind::Connect, false));
        assert_eq!(refused.reason, "no connection to the server: refused");
        let silent = read(Fault::ReadTimeout("300 s".into()));
        assert_eq!((silent.kind, silent.unknown), (TroubleKind::Silent, true));
        let unbuildable = read(Fault::Unbuildable("\"..\" cannot be part of an address".into()));
        assert_eq!(
            (unbuildable.kind, unbuildable.unknown),
            (TroubleKind::Unbuildable, false)
        );
        let closed = read(Fault::Closed("connection reset".into()));
        assert_eq!((closed.kind, closed.unknown), (TroubleKind::Closed, true));
        assert!(read(Fault::Broken("reset".into())).unknown && !read(Fault::NotSent("reset".into())).unknown);
    }

    #[test]
    fn a_token_comes_or_not() {
        assert_eq!(Reading::token(Ok(())).0, Meaning::NewToken(Ok(())));
        let question = Question {
            asked: Asked::Probe,
            rows: Vec::new(),
        };
        let none = question.read(&Answer::Token(Err("asleep".to_owned())));
        assert_eq!(none.0, Meaning::NewToken(Err("asleep".to_owned())));
    }

    #[test]
    fn a_result_is_unknown_after_502_504_and_a_cut_answer() {
        for status in [502, 504, 520, 524] {
            let trouble = fault_of(respond(Asked::Bulk, status, "<html>"));
            assert_eq!((trouble.kind, trouble.unknown), (TroubleKind::Status(status), true));
        }
        for asked in [Asked::Bulk, Asked::One, Asked::PatchById, Asked::Get, Asked::Probe] {
            for body in ["", "<html>", "{\"numberOfRows", "[]"] {
                let trouble = fault_of(respond(asked, 200, body));
                assert_eq!(
                    (trouble.kind, trouble.unknown),
                    (TroubleKind::Unreadable, true),
                    "{asked:?} {body}"
                );
            }
        }
        assert!(!fault_of(respond(Asked::Bulk, 500, "")).unknown);
    }

    #[test]
    fn a_database_in_trouble_asks_for_less_whatever_the_request_and_its_status() {
        let own = r#"{"code":500,"message":"Deadlock found when trying to get lock"}"#;
        for (asked, status) in [
            (Asked::Bulk, 500),
            (Asked::One, 500),
            (Asked::One, 400),
            (Asked::PatchById, 503),
        ] {
            let trouble = fault_of(respond(asked, status, own));
            assert_eq!(
                (trouble.kind, trouble.unknown),
                (TroubleKind::Overload, false),
                "{asked:?} {status}"
            );
        }
        // What stands in front of the server knows nothing of its database.
        let page = "<html><title>Deadlock found when trying to get lock</title></html>";
        assert_eq!(fault_of(respond(Asked::One, 500, page)).kind, TroubleKind::Status(500));
    }

    #[test]
    fn an_object_that_is_no_entity_is_no_success() {
        let other = r#"{"message":"session expired","login":"https://sso/"}"#;
        for asked in [
            Asked::One,
            Asked::PatchByName,
            Asked::PatchById,
            Asked::Get,
            Asked::Probe,
        ] {
            let trouble = fault_of(respond(asked, 200, other));
            assert_eq!(
                (trouble.kind, trouble.unknown),
                (TroubleKind::Unreadable, true),
                "{asked:?}"
            );
            assert!(trouble.reason.contains("session expired"), "{}", trouble.reason);
        }
        for entity in [r#"{"id":"1"}"#, r#"{"name":"t"}"#, r#"{"fullyQualifiedName":"s.t"}"#] {
            assert!(
                matches!(respond(Asked::One, 200, entity), Meaning::Done { .. }),
                "{entity}"
            );
        }
        assert!(matches!(
            respond(Asked::Probe, 200, r#"{"version":"2.0.7"}"#),
            Meaning::Done { .. }
        ));
    }

    #[test]
    fn a_page_that_refuses_a_patch_by_name_says_nothing_of_the_other_way() {
        let page = "<html>Forbidden</html>";
        for status in [400, 403, 404, 405] {
            assert!(matches!(
                respond(Asked::PatchByName, status, page),
                Meaning::NoRoute { page: true, .. }
            ));
        }
        assert!(matches!(respond(Asked::PatchById, 403, page), Meaning::Refused(_)));
        let own = r#"{"code":403,"message":"not allowed"}"#;
        assert!(matches!(respond(Asked::PatchByName, 403, own), Meaning::Refused(_)));
    }

    #[test]
    fn a_page_is_quoted_whatever_its_status() {
        let page = "<html><title>Blocked</title><p>Support ID: 123456789</p></html>";
        let reason = fault_of(respond(Asked::Bulk, 200, page)).reason;
        assert_eq!(
            reason,
            "the server answered 200 without a readable result: Blocked Support ID: 123456789"
        );
        let Meaning::Refused(text) = respond(Asked::Bulk, 403, page) else {
            panic!()
        };
        assert_eq!(text, "the server answered 403: Blocked Support ID: 123456789");
        let Meaning::Refused(text) = respond(Asked::Bulk, 400, r#"{"blocked":{"by":"rule 7"}}"#) else {
            panic!()
        };
        assert_eq!(text, r#"the server answered 400: {"blocked":{"by":"rule 7"}}"#);
    }

    #[test]
    fn a_route_is_missing_in_whose_words() {
        for asked in [Asked::Bulk, Asked::One, Asked::PatchByName] {
            for status in [404, 405] {
                let own = respond(asked, status, r#"{"code":404,"message":"HTTP 404 Not Found"}"#);
                assert!(matches!(own, Meaning::NoRoute { page: false, .. }), "{own:?}");
                for body in [
                    "<h1>404 Not Found</h1>nginx",
                    "",
                    r#"{"message":"no Route matched with those values"}"#,
                ] {
                    let foreign = respond(asked, status, body);
                    assert!(matches!(foreign, Meaning::NoRoute { page: true, .. }), "{foreign:?}");
                }
            }
        }
    }

    #[test]
    fn a_missing_entity_is_one_where_one_was_asked_for() {
        let body = r#"{"code":404,"message":"chart instance for x.y not found"}"#;
        for asked in [
            Asked::Bulk,
            Asked::One,
            Asked::PatchByName,
            Asked::PatchById,
            Asked::Get,
        ] {
            let told = respond(asked, 404, body);
            assert!(
                matches!(&told, Meaning::Missing(missing, _) if missing.fqn.as_str() == "x.y"),
                "{told:?}"
            );
        }
        let response = Response {
            status: 404,
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        assert!(matches!(
            ask(Asked::Bulk, &["s.a", "s.b"], response),
            Meaning::Refused(_)
        ));
    }

    #[test]
    fn texts_name_the_status_the_words_and_what_to_change() {
        let rebuff = |status, body| match respond(Asked::Bulk, status, body) {
            Meaning::Rebuffed(rebuff) => rebuff,
            other => panic!("{other:?}"),
        };
        let token = rebuff(401, r#"{"code":401,"message":"Expired token!"}"#);
        assert!(token.is_of_token);
        assert_eq!(
            token.with_advice(false),
            "the server answered 401: Expired token!; the server does not accept the token: renew it (jwtToken), or check that it belongs to this server"
        );
        assert!(rebuff(302, "").advice.contains("hostPort"));
        assert!(matches!(respond(Asked::One, 409, ""), Meaning::Exists(_)));
        assert!(matches!(respond(Asked::Bulk, 409, ""), Meaning::Refused(_)));
        assert!(matches!(respond(Asked::Bulk, 413, "<html>"), Meaning::TooLarge(_)));
    }

    #[test]
    fn of_an_entity_only_its_id_and_hash_are_read() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let body = format!(r#"{{"id":"17","columns":{deep},"sourceHash":"ab"}}"#);
        let done = Meaning::Done {
            id: Some("17".into()),
            source_hash: Some("ab".into()),
        };
        assert_eq!(respond(Asked::Get, 200, &body), done);
        let nothing = Meaning::Done {
            id: None,
            source_hash: None,
        };
        assert_eq!(
            respond(Asked::Probe, 200, r#"{"version":"2.0.7","id":7,"sourceHash":""}"#),
            nothing
        );
    }

    fn bulk(failures: &str) -> Meaning {
        let body = format!(r#"{{"numberOfRowsPassed":0,"failedRequest":[{failures}]}}"#);
        let response = Response {
            status: 200,
            retry_after: None,
            body: body.into(),
        };
        ask(Asked::Bulk, &["s.a", "s.b"], response)
    }

    #[test]
    fn an_answer_whose_rows_all_failed_in_the_server_is_a_fault_of_the_request() {
        let failed =
            r#"{"request":"s.a","status":500,"message":"boom"},{"request":"s.b","status":503,"message":"busy"}"#;
        let trouble = fault_of(bulk(failed));
        assert_eq!(
            (trouble.kind, trouble.reason.as_str()),
            (TroubleKind::Status(500), "the server refused it: boom")
        );
        let busy = r#"{"request":"s.a","status":503,"message":"x"},{"request":"s.b","status":503,"message":"y"}"#;
        assert_eq!(fault_of(bulk(busy)).kind, TroubleKind::Overload);
        let database = r#"{"request":"s.a","status":400,"message":"Deadlock detected"},{"request":"s.b","status":400,"message":"Deadlock detected"}"#;
        assert_eq!(fault_of(bulk(database)).kind, TroubleKind::Overload);
        let both = r#"{"request":"s.a","status":400,"message":"Deadlock detected"},{"request":"s.b","status":500,"message":"boom"}"#;
        assert_eq!(fault_of(bulk(both)).kind, TroubleKind::Status(500));
    }

    #[test]
    fn rows_go_by_their_sequence() {
        let mixed = r#"{"request":"s.b","status":400,"message":"no type"},{"request":"s.a","status":400,"message":"Deadlock detected"}"#;
        let Meaning::Rows(rows) = bulk(mixed) else { panic!() };
        assert!(
            matches!(&rows[..], [(1, Row::Overload(_)), (2, Row::Refused(_))]),
            "{rows:?}"
        );
        let one = r#"{"request":"s.b","status":500,"message":"boom"}"#;
        let Meaning::Rows(rows) = bulk(one) else { panic!() };
        assert!(
            matches!(&rows[..], [(1, Row::Unanswered), (2, Row::ServerError(500, _))]),
            "{rows:?}"
        );
    }
}
