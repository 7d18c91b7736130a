//! What an answer means, and how long to wait before another attempt: the rules E5 and E7, each small.
//!
//! This is the only place in the engine that knows HTTP status codes.

use std::time::Duration;

use serde_json::Value;

use super::answer::BulkAnswer;
use super::limiter::{LONGEST_PAUSE, LONGEST_RETRY_AFTER};
use super::record::{Fqn, Missing};
use super::request::{Answer, Fault, Response};

const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// Where the first attempt may still be at work, it gets some time to end before the second starts.
const UNKNOWN_BACK_OFF: Duration = Duration::from_secs(5);
/// Server texts in reasons are cut to this many characters: a failed row may echo a whole request.
const TEXT_LENGTH: usize = 400;

/// What kind of request an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A bulk PUT; `proven`: this collection has answered one before.
    Bulk {
        proven: bool,
    },
    /// A single PUT.
    One,
    /// A PATCH by name; `proven`: one has succeeded before.
    PatchByName {
        proven: bool,
    },
    PatchById,
    Get,
}

/// What an answer means for the request as a whole.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Look at the rows.
    Rows(BulkAnswer),
    /// The single request was served; the body.
    Done(bytes::Bytes),
    /// Try the same again.
    Again(Again),
    /// No answer in time: what was asked for was too much, or the server hangs.
    TooSlow(String),
    /// The body is larger than the server, or something in front of it, accepts.
    TooLarge(String),
    /// What this names is not there (a single request; in bulk it is a row's text).
    Missing(Missing, String),
    /// The server has it already (a single request; in bulk it is a row's text).
    Exists(String),
    /// Refused for good, in these words.
    Refused(String),
    /// The token is not accepted.
    Unauthorized(String),
    /// This server has no such endpoint.
    NoSuchRoute,
    /// Refused whatever is sent: a proxy or an address that must be changed.
    Misdirected(String),
}

/// Why, and how, to try again.
#[derive(Debug, Clone)]
pub(super) struct Again {
    pub reason: String,
    /// The server asks for less.
    pub overload: bool,
    /// The first attempt may still be at work, or done.
    pub unknown: bool,
    pub retry_after: Option<Duration>,
    /// Equal faults of one batch are counted by this; None for faults that say nothing about the batch.
    pub alike: Option<u16>,
}

impl Again {
    /// Whether one record alone can cause that: the server itself answered, and broke on something.
    pub fn may_be_its_own(&self) -> bool {
        self.is_server_error() && !self.overload && !self.unknown
    }

    /// Whether a body that the other end cannot read may be the cause.
    pub fn may_be_compression(&self) -> bool {
        !self.overload && self.alike.is_some()
    }

    /// Whether the server itself broke on it. A broken connection says less about the batch.
    pub fn is_server_error(&self) -> bool {
        self.alike.is_some_and(|status| status >= 500)
    }
}

/// `alike` of answers that have no status of their own.
const BROKEN: u16 = 1;
const UNREADABLE: u16 = 2;

/// The meaning of an answer (E7).
pub(super) fn meaning(asked: Asked, answer: Answer) -> Meaning {
    match answer {
        Answer::Response(response) => of_response(asked, response),
        Answer::Token(result) => Meaning::Unauthorized(result.err().unwrap_or_default()),
        Answer::Fault(fault) => of_fault(fault),
    }
}

fn of_fault(fault: Fault) -> Meaning {
    let again = |reason, overload, unknown, alike| {
        Meaning::Again(Again {
            reason,
            overload,
            unknown,
            retry_after: None,
            alike,
        })
    };
    match fault {
        Fault::Connect(text) => again(format!("no connection to the server: {text}"), true, false, None),
        Fault::NotSent(text) => again(format!("the request could not be sent: {text}"), false, false, None),
        Fault::Closed(text) => again(
            format!("a connection that was used before ended before an answer came: {text}"),
            false,
            false,
            None,
        ),
        // Refused by ourselves, whatever the server would have said.
        Fault::Unbuildable(text) => Meaning::Misdirected(format!("the request cannot be built: {text}")),
        Fault::Broken(text) => again(
            format!("the connection broke before a whole answer came: {text}"),
            false,
            true,
            Some(BROKEN),
        ),
        Fault::ReadTimeout(text) => Meaning::TooSlow(format!("no answer in time: {text}")),
    }
}

fn of_response(asked: Asked, response: Response) -> Meaning {
    let status = response.status;
    let text = error_text(&response);
    let again = |overload, unknown, alike| {
        Meaning::Again(Again {
            reason: text.clone(),
            overload,
            unknown,
            retry_after: response.retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)),
            alike,
        })
    };
    match (status, asked) {
        (200..=299, Asked::Bulk { .. }) => match BulkAnswer::read(&response.body) {
            Some(rows) => Meaning::Rows(rows),
            None => Meaning::Again(Again {
                reason: format!("the server answered {status} without a readable result"),
                overload: false,
                unknown: true,
                retry_after: None,
                alike: Some(UNREADABLE),
            }),
        },
        (200..=299, _) => {
            if serde_json::from_slice::<Value>(&response.body).is_ok_and(|body| body.is_object()) {
                Meaning::Done(response.body)
            } else {
                Meaning::Again(Again {
                    reason: format!("the server answered {status} without a readable result"),
                    overload: false,
                    unknown: true,
                    retry_after: None,
                    alike: Some(UNREADABLE),
                })
            }
        }
        (401, _) => Meaning::Unauthorized(text),
        (409, Asked::One) => Meaning::Exists(text),
        (413, _) => Meaning::TooLarge(text),
        (407 | 300..=399, _) => Meaning::Misdirected(text),
        (429 | 503, _) => again(true, false, None),
        (502 | 504, _) => again(false, true, Some(status)),
        (408 | 425 | 500..=599, _) => again(false, false, Some(status)),
        (404 | 405, Asked::Bulk { proven: false }) => Meaning::NoSuchRoute,
        (404, Asked::One | Asked::PatchByName { .. } | Asked::PatchById | Asked::Get) => match missing_reference(&text)
        {
            Some(missing) => Meaning::Missing(missing, text),
            None if matches!(asked, Asked::PatchByName { proven: false }) => Meaning::NoSuchRoute,
            None => again(false, false, Some(status)),
        },
        (405, Asked::PatchByName { proven: false }) => Meaning::NoSuchRoute,
        // A route that worked before is not gone for good: something in front of the server is being changed.
        (404 | 405, _) => again(false, false, Some(status)),
        _ => Meaning::Refused(text),
    }
}

/// The server's own words where there are some, with the status.
fn error_text(response: &Response) -> String {
    let status = response.status;
    let words = match serde_json::from_slice::<Value>(&response.body) {
        Ok(Value::Object(fields)) => ["message", "responseMessage", "error", "errorMessage"]
            .iter()
            .find_map(|key| fields.get(*key).and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_default(),
        _ => String::new(),
    };
    let hint = match status {
        401 => "; the server does not accept the token: renew it (jwtToken), or check that it belongs to this server",
        407 => "; the proxy wants credentials: put them into the proxy's URL",
        300..=399 => "; the server redirects: set hostPort to the address it points to, with /api at the end",
        413 => "; the body is larger than the server or a proxy in front of it accepts",
        _ => "",
    };
    if words.is_empty() {
        format!("the server answered {status}{hint}")
    } else {
        format!("the server answered {status}: {}{hint}", shorten(&words))
    }
}

/// A server's text, cut to what a person reads.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_LENGTH) {
        Some((at, _)) => format!("{} ...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The X of "<type> instance for X not found"; the type may be missing.
pub(super) fn missing_reference(text: &str) -> Option<Missing> {
    const WORDS: &str = "instance for ";
    let at = text.to_ascii_lowercase().find(WORDS)?;
    let (before, after) = (text.get(..at)?, text.get(at + WORDS.len()..)?);
    let (name, _) = after.split_once(" not found")?;
    let word = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
    (!name.is_empty()).then(|| Missing::new(word, Fqn::canonical(name.trim())))
}

/// What a refused row means (E8).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowMeaning {
    /// The server had no room for it: again.
    Overload,
    /// The server failed on it: again, a few times.
    ServerError,
    /// It names something that is not there.
    Missing(Missing),
    /// It is there already, by another request.
    Duplicate,
    /// Refused for good.
    Refused,
}

/// What a row's text says when not the row was at fault but the server's database: locks, a pool without a free connection, a
/// database that restarts or fails over (MySQL and PostgreSQL, through their drivers). Such rows come with status 400.
const TROUBLE: &[&str] = &[
    "system overloaded",
    "deadlock",
    "lock wait timeout",
    "could not serialize access",
    "connection is not available",
    "unable to acquire jdbc connection",
    "too many connections",
    "too many clients already",
    "remaining connection slots are reserved",
    "communications link failure",
    "connection has been closed",
    "connection attempt failed",
    "no operations allowed after connection closed",
    "i/o error occurred while sending to the backend",
    "terminating connection due to administrator command",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
];

/// The meaning of a refused row's status and text.
pub(super) fn row_meaning(status: Option<u16>, text: &str) -> RowMeaning {
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if matches!(status, Some(429 | 503)) || says(TROUBLE) {
        RowMeaning::Overload
    } else if let Some(missing) = missing_reference(text) {
        RowMeaning::Missing(missing)
    } else if says(&[
        "duplicate key",
        "duplicate entry",
        "already exists",
        "unique_query_checksum",
    ]) {
        RowMeaning::Duplicate
    } else if matches!(status, Some(500..=599)) {
        RowMeaning::ServerError
    } else {
        RowMeaning::Refused
    }
}

/// How long to wait before attempt number `attempts + 1` (full jitter). `chance` is in [0, 1). Where the whole server seems
/// dead, the limiter's pauses spare it already, and a longer wait of one batch would only delay the news that it is back.
pub(super) fn back_off(attempts: u32, unknown: bool, seems_dead: bool, chance: f64) -> Duration {
    if unknown && attempts <= 1 {
        return UNKNOWN_BACK_OFF;
    }
    FIRST_BACK_OFF
        .saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(if seems_dead { LONGEST_PAUSE } else { LONGEST_BACK_OFF })
        .mul_f64(chance)
}

/// Counts equal refusals in one collection, to tell one bad record from a setting that refuses them all.
#[derive(Debug)]
pub(super) struct Refusals {
    text: String,
    count: u32,
    /// So many in a row look like a refusal of everything.
    suspicious: u32,
    /// The last batch was refused whatever was in it: try one record before the next.
    pub wary: bool,
}

/// At first; twice as many each time it turned out to be wrong.
const SUSPICIOUS: u32 = 12;

impl Default for Refusals {
    fn default() -> Self {
        Self {
            text: String::new(),
            count: 0,
            suspicious: SUSPICIOUS,
            wary: false,
        }
    }
}

impl Refusals {
    /// A request was refused with `text`. Whether that looks like a refusal of everything.
    pub fn refused(&mut self, text: &str) -> bool {
        if self.text == text {
            self.count += 1;
        } else {
            text.clone_into(&mut self.text);
            self.count = 1;
        }
        self.count >= self.suspicious
    }

    /// A record was accepted, or a record was refused in its own right.
    pub fn accepted(&mut self) {
        *self = Self {
            suspicious: self.suspicious,
            ..Self::default()
        };
    }

    /// What looked like a refusal of everything was none.
    pub fn differ(&mut self) {
        self.suspicious = self.suspicious.saturating_mul(2);
        self.accepted();
    }

    pub fn is_alike(&self, text: &str) -> bool {
        self.text == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(asked: Asked, status: u16, body: &'static str) -> Meaning {
        let response = Response {
            status,
            retry_after: Some(Duration::from_secs(100)),
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        meaning(asked, Answer::Response(response))
    }

    const BULK: Asked = Asked::Bulk { proven: true };

    #[test]
    fn overload_is_429_and_503_and_what_never_reached_the_server() {
        for status in [429, 503] {
            let Meaning::Again(again) = respond(BULK, status, "") else {
                panic!("{status}")
            };
            assert!(again.overload && !again.unknown && again.alike.is_none());
            assert_eq!(again.retry_after, Some(LONGEST_RETRY_AFTER));
        }
        let fault = meaning(BULK, Answer::Fault(Fault::Connect("refused".into())));
        assert!(matches!(
            fault,
            Meaning::Again(Again {
                overload: true,
                unknown: false,
                ..
            })
        ));
    }

    #[test]
    fn a_keep_alive_race_takes_the_short_back_off_and_a_call_that_cannot_be_made_is_over() {
        let race = meaning(BULK, Answer::Fault(Fault::Closed("connection closed".into())));
        assert!(matches!(
            race,
            Meaning::Again(Again {
                overload: false,
                unknown: false,
                alike: None,
                ..
            })
        ));
        let call = meaning(BULK, Answer::Fault(Fault::Unbuildable("..".into())));
        assert!(matches!(call, Meaning::Misdirected(_)));
    }

    #[test]
    fn a_result_is_unknown_after_502_504_and_a_cut_answer() {
        for status in [502, 504] {
            assert!(matches!(
                respond(BULK, status, "<html>"),
                Meaning::Again(Again { unknown: true, .. })
            ));
        }
        for body in ["", "<html>", "{\"numberOfRows"] {
            assert!(
                matches!(respond(BULK, 200, body), Meaning::Again(Again { unknown: true, .. })),
                "{body}"
            );
        }
        assert!(matches!(
            respond(BULK, 500, ""),
            Meaning::Again(Again { unknown: false, .. })
        ));
    }

    #[test]
    fn a_missing_bulk_route_is_believed_only_before_the_first_success() {
        assert!(matches!(
            respond(Asked::Bulk { proven: false }, 404, ""),
            Meaning::NoSuchRoute
        ));
        assert!(matches!(respond(BULK, 404, ""), Meaning::Again(_)));
    }

    #[test]
    fn texts_name_the_status_the_words_and_what_to_change() {
        let Meaning::Unauthorized(text) = respond(BULK, 401, r#"{"code":401,"message":"Expired token!"}"#) else {
            panic!()
        };
        assert_eq!(
            text,
            "the server answered 401: Expired token!; the server does not accept the token: renew it (jwtToken), or check that it belongs to this server"
        );
        assert!(matches!(respond(BULK, 302, ""), Meaning::Misdirected(text) if text.contains("hostPort")));
    }

    #[test]
    fn missing_references_are_read_from_the_text() {
        let text = "databaseSchema instance for a.\"b.c\".d not found";
        let missing = Missing::new("databaseSchema", Fqn::canonical("a.\"b.c\".d"));
        assert_eq!(missing_reference(text), Some(missing));
        assert!(matches!(
            respond(Asked::One, 404, r#"{"message":"chart instance for x.y not found"}"#),
            Meaning::Missing(missing, _) if missing.fqn.as_str() == "x.y"
        ));
        assert_eq!(missing_reference("not found"), None);
        let untyped = missing_reference("Instance for a.b not found");
        assert!(untyped.is_some_and(|missing| missing.fqn.as_str() == "a.b" && missing.is_in("tables")));
    }

    #[test]
    fn rows_are_told_apart_by_status_and_words() {
        assert_eq!(row_meaning(Some(503), "System overloaded"), RowMeaning::Overload);
        assert_eq!(
            row_meaning(Some(400), "Deadlock found when trying to get lock"),
            RowMeaning::Overload
        );
        let failover = "java.sql.SQLException: FATAL: the database system is starting up";
        assert_eq!(row_meaning(Some(400), failover), RowMeaning::Overload);
        assert_eq!(row_meaning(Some(400), "Entity already exists"), RowMeaning::Duplicate);
        assert_eq!(row_meaning(Some(500), "boom"), RowMeaning::ServerError);
        assert_eq!(row_meaning(None, "name must not be null"), RowMeaning::Refused);
    }

    #[test]
    fn back_off_doubles_to_half_a_minute_and_waits_where_the_result_is_unknown() {
        assert_eq!(back_off(1, true, false, 0.0), UNKNOWN_BACK_OFF);
        assert_eq!(back_off(1, false, false, 0.5), Duration::from_millis(100));
        assert_eq!(back_off(3, true, false, 0.5), Duration::from_millis(400));
        assert_eq!(back_off(100, false, false, 0.5), LONGEST_BACK_OFF / 2);
        assert_eq!(back_off(100, false, true, 0.5), LONGEST_PAUSE / 2);
    }

    #[test]
    fn twelve_equal_refusals_are_suspicious() {
        let mut refusals = Refusals::default();
        assert!((0..11).all(|_| !refusals.refused("no")));
        assert!(refusals.refused("no"));
        assert!(!refusals.refused("other"));
    }
}
