//! A bulk answer -> what it tells of each row that was sent (E8).
//!
//! Answers are read leniently (unknown fields, nulls, any order, whole objects echoed) and judged by the rows and the counters,
//! never by the `status` word, which the server sets inconsistently. Rows are never matched by position.

use serde_json::value::RawValue;

use super::names::Names;
use super::Carried;
use crate::engine::shallow::{field, fields, items, number, text};

/// What the server says about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Written,
    /// The row's own status, if any, and the server's text.
    Refused(Option<u16>, String),
    /// No row of the answer is about it.
    Unanswered,
}

/// A bulk answer, as far as it could be read.
pub(super) struct BulkAnswer<'a> {
    passed: Option<u64>,
    failed: Option<u64>,
    /// Rows that were taken, unread.
    successes: Vec<&'a RawValue>,
    failures: Vec<Failure<'a>>,
    abort_reason: Option<&'a RawValue>,
}

/// One refused row. The order is there so that the order of the answer does not count.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Failure<'a> {
    status: Option<u16>,
    message: String,
    /// The record that it is about, as JSON.
    request: &'a str,
}

impl<'a> BulkAnswer<'a> {
    /// None where the text is not a bulk answer: empty, cut off, HTML, or JSON of another shape.
    pub fn read(answer: &'a str) -> Option<Self> {
        let all = fields(answer)?;
        let count = |name| field(&all, name).and_then(number);
        let list = |name| field(&all, name).and_then(items);
        let (passed, failed) = (count("numberOfRowsPassed"), count("numberOfRowsFailed"));
        let (successes, failures) = (list("successRequest"), list("failedRequest"));
        if passed.is_none() && failed.is_none() && successes.is_none() && failures.is_none() {
            return None;
        }
        let mut failures: Vec<Failure<'_>> = failures.iter().flatten().map(|row| Failure::read(row)).collect();
        failures.sort();
        Some(Self {
            passed,
            failed,
            successes: successes.unwrap_or_default(),
            failures,
            abort_reason: field(&all, "abortReason"),
        })
    }

    /// Whether it speaks of no row at all.
    pub fn is_of_nothing(&self) -> bool {
        let none = |count: Option<u64>| count.unwrap_or(0) == 0;
        none(self.passed) && none(self.failed) && self.successes.is_empty() && self.failures.is_empty()
    }

    /// Why the server gave the request up, if it says so.
    pub fn why_aborted(&self) -> Option<String> {
        self.abort_reason.and_then(text).filter(|why| !why.is_empty())
    }

    /// One verdict for each row, in the order in which they were sent.
    pub fn judge(&self, sent: &[Carried]) -> Vec<Verdict> {
        let all = |verdict: Verdict| vec![verdict; sent.len()];
        let count = sent.len() as u64;
        if self.failures.is_empty() && self.failed.unwrap_or(0) == 0 && self.passed.is_some_and(|n| n >= count) {
            return all(Verdict::Written);
        }
        if let [_] = sent {
            return all(match self.failures.first() {
                Some(failure) => failure.verdict(),
                None if self.passed.unwrap_or(0) > 0 || !self.successes.is_empty() => Verdict::Written,
                None => Verdict::Unanswered,
            });
        }
        let mut names = Names::of(sent);
        let mut verdicts = all(Verdict::Unanswered);
        let mut matched = 0;
        for failure in &self.failures {
            let found = names.find(failure.request);
            if let Some(verdict @ Verdict::Unanswered) = found.and_then(|at| verdicts.get_mut(at)) {
                matched += 1;
                *verdict = failure.verdict();
            }
        }
        for success in &self.successes {
            let found = names.find(request_of(success));
            if let Some(verdict @ Verdict::Unanswered) = found.and_then(|at| verdicts.get_mut(at)) {
                *verdict = Verdict::Written;
            }
        }
        // Every failure is accounted for and the server counts all others as passed: its spelling of their names does not matter.
        let failed = self.failed.unwrap_or(matched);
        if failed == matched
            && self.failures.len() as u64 == matched
            && self.passed == Some(count.saturating_sub(matched))
        {
            for verdict in &mut verdicts {
                if *verdict == Verdict::Unanswered {
                    *verdict = Verdict::Written;
                }
            }
        }
        verdicts
    }
}

impl<'a> Failure<'a> {
    fn read(row: &'a RawValue) -> Self {
        let Some(fields) = fields(row.get()) else {
            return Self {
                status: None,
                message: String::new(),
                request: row.get(),
            };
        };
        let message = field(&fields, "message").filter(|message| message.get() != "null");
        Self {
            status: field(&fields, "status")
                .and_then(number)
                .and_then(|status| u16::try_from(status).ok()),
            message: message
                .map(|message| text(message).unwrap_or_else(|| message.get().to_owned()))
                .unwrap_or_default(),
            request: field(&fields, "request").map_or("null", RawValue::get),
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::Refused(self.status, self.message.clone())
    }
}

/// The record that a row is about, as JSON. In some other shape the row itself may still be a name.
fn request_of(row: &RawValue) -> &str {
    match fields(row.get()) {
        Some(fields) => field(&fields, "request").map_or("null", RawValue::get),
        None => row.get(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::carried;
    use super::*;

    fn judge(answer: &str, fqns: &[&str]) -> Vec<Verdict> {
        let rows: Vec<Carried> = fqns.iter().map(|fqn| carried(fqn, "{}")).collect();
        BulkAnswer::read(answer).expect("readable").judge(&rows)
    }

    fn refused(status: u16, text: &str) -> Verdict {
        Verdict::Refused(Some(status), text.to_owned())
    }

    #[test]
    fn what_is_no_bulk_answer_is_not_read() {
        for body in [
            "",
            "<html>",
            "[]",
            "{\"numberOfRowsPassed\": 1",
            "{\"message\": \"error code 413\"}",
            "null",
        ] {
            assert!(BulkAnswer::read(body).is_none(), "{body}");
        }
    }

    #[test]
    fn all_passed_by_count_needs_no_names() {
        let answer = r#"{"status":"failure","numberOfRowsPassed":2,"numberOfRowsFailed":null,"successRequest":null}"#;
        assert_eq!(judge(answer, &["s.a", "s.b"]), [Verdict::Written, Verdict::Written]);
    }

    #[test]
    fn rows_are_matched_by_name_not_by_position() {
        let answer = r#"{"numberOfRowsPassed":1,"numberOfRowsFailed":1,"new":{},
            "successRequest":[{"request":"s.\"b\"","status":200}],
            "failedRequest":[{"request":"s.a","status":400,"message":"no"}]}"#;
        assert_eq!(judge(answer, &["s.a", "s.b"]), [refused(400, "no"), Verdict::Written]);
    }

    #[test]
    fn a_row_that_is_not_answered_and_one_that_was_never_sent() {
        let answer = r#"{"numberOfRowsPassed":2,"successRequest":[{"request":"s.a"},{"request":"s.zzz"}],
            "failedRequest":[{"request":"s.yyy","status":400,"message":"x"}]}"#;
        assert_eq!(judge(answer, &["s.a", "s.b"]), [Verdict::Written, Verdict::Unanswered]);
    }

    #[test]
    fn rows_that_nobody_can_tell_apart_are_not_taken_for_one() {
        let failure = r#"{"request":{},"status":400,"message":"x"}"#;
        let answer = format!(
            r#"{{"numberOfRowsPassed":0,"numberOfRowsFailed":3,"failedRequest":[{failure},{failure},{failure}]}}"#
        );
        assert_eq!(judge(&answer, &["s.a", "s.b", "s.c"]), vec![refused(400, "x"); 3]);
    }

    #[test]
    fn a_batch_of_one_needs_no_match() {
        let answer = r#"{"failedRequest":[{"request":null,"status":400,"message":"x"}]}"#;
        assert_eq!(judge(answer, &["s.a"]), [refused(400, "x")]);
        assert_eq!(judge(r#"{"numberOfRowsPassed":0}"#, &["s.a"]), [Verdict::Unanswered]);
    }

    #[test]
    fn a_refusal_that_echoes_a_row_of_any_depth_is_read() {
        let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        let answer = format!(
            r#"{{"numberOfRowsPassed":1,"numberOfRowsFailed":1,"failedRequest":[
                {{"request":{{"name":"a","columns":{deep}}},"message":"tag instance for PII.x not found","status":400}}]}}"#
        );
        let refused = refused(400, "tag instance for PII.x not found");
        assert_eq!(judge(&answer, &["s.a", "s.b"]), [refused, Verdict::Written]);
    }

    #[test]
    fn odd_shapes_of_rows_are_read_as_far_as_they_go() {
        let answer = r#"{"numberOfRowsPassed":"1","failedRequest":[{"request":"s.a","status":"400","message":{"why":1}},"s.b"]}"#;
        let odd = Verdict::Refused(None, "{\"why\":1}".to_owned());
        let bare = Verdict::Refused(None, String::new());
        assert_eq!(judge(answer, &["s.a", "s.b", "s.c"]), [odd, bare, Verdict::Unanswered]);
    }
}
