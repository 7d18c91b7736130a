//! A bulk answer -> one verdict for each row that was sent.
//!
//! Answers are read leniently (unknown fields, nulls, any order, whole objects echoed) and judged by the rows and the counters,
//! never by the `status` word, which the server sets inconsistently. Rows are never matched by position.

use std::collections::HashMap;

use serde_json::Value;

use super::record::Fqn;

/// A row that was sent, as far as matching needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentRow<'a> {
    pub fqn: &'a Fqn,
    pub parent: Option<&'a Fqn>,
    pub body: &'a [u8],
}

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
#[derive(Debug)]
pub(super) struct BulkAnswer {
    passed: Option<u64>,
    failed: Option<u64>,
    successes: Vec<Value>,
    failures: Vec<Failure>,
}

#[derive(Debug)]
struct Failure {
    request: Value,
    status: Option<u16>,
    message: String,
}

impl BulkAnswer {
    /// None where the body is not a bulk answer: empty, cut off, HTML, or JSON of another shape.
    pub fn read(body: &[u8]) -> Option<Self> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
            return None;
        };
        let number = |value: Option<&Value>| value.and_then(Value::as_u64);
        let passed = number(fields.get("numberOfRowsPassed"));
        let failed = number(fields.get("numberOfRowsFailed"));
        let mut list = |name| match fields.remove(name) {
            Some(Value::Array(rows)) => Some(rows),
            _ => None,
        };
        let (successes, failures) = (list("successRequest"), list("failedRequest"));
        if passed.is_none() && failed.is_none() && successes.is_none() && failures.is_none() {
            return None;
        }
        Some(Self {
            passed,
            failed,
            successes: successes
                .unwrap_or_default()
                .into_iter()
                .map(|row| split_row(row).request)
                .collect(),
            failures: failures.unwrap_or_default().into_iter().map(split_row).collect(),
        })
    }

    /// One verdict for each row, in the order in which they were sent.
    pub fn judge(&self, sent: &[SentRow<'_>]) -> Vec<Verdict> {
        let all = |verdict: Verdict| vec![verdict; sent.len()];
        let count = sent.len() as u64;
        if self.failures.is_empty() && self.failed.unwrap_or(0) == 0 && self.passed.is_some_and(|n| n >= count) {
            return all(Verdict::Written);
        }
        if sent.len() == 1 {
            return all(match self.failures.first() {
                Some(failure) => failure.verdict(),
                None if self.passed.unwrap_or(0) > 0 || !self.successes.is_empty() => Verdict::Written,
                None => Verdict::Unanswered,
            });
        }
        let names = Names::of(sent);
        let mut verdicts = all(Verdict::Unanswered);
        let mut matched = 0;
        for failure in &self.failures {
            let found = names.find(&failure.request, sent, &verdicts);
            if let Some(verdict) = found.and_then(|at| verdicts.get_mut(at)) {
                matched += u64::from(*verdict == Verdict::Unanswered);
                *verdict = failure.verdict();
            }
        }
        for request in &self.successes {
            let found = names.find(request, sent, &verdicts);
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

impl Failure {
    fn verdict(&self) -> Verdict {
        Verdict::Refused(self.status, self.message.clone())
    }
}

fn split_row(row: Value) -> Failure {
    let Value::Object(mut fields) = row else {
        // Some other shape: the row itself may still be a name.
        return Failure {
            request: row,
            status: None,
            message: String::new(),
        };
    };
    Failure {
        request: fields.remove("request").unwrap_or(Value::Null),
        status: fields
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|status| u16::try_from(status).ok()),
        message: match fields.remove("message") {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        },
    }
}

/// The names of the sent rows, for finding the row that an answer speaks of.
struct Names<'a> {
    exact: HashMap<&'a str, usize>,
    /// The server lower-cases user names. None where two rows differ by case only.
    folded: HashMap<String, Option<usize>>,
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn of(sent: &[SentRow<'a>]) -> Self {
        let mut names = Self {
            exact: HashMap::with_capacity(sent.len()),
            folded: HashMap::with_capacity(sent.len()),
            by_name: HashMap::with_capacity(sent.len()),
        };
        for (at, row) in sent.iter().enumerate() {
            names.exact.insert(row.fqn.as_str(), at);
            names
                .folded
                .entry(row.fqn.as_str().to_lowercase())
                .and_modify(|found| *found = None)
                .or_insert(Some(at));
            names.by_name.entry(row.fqn.name()).or_default().push(at);
        }
        names
    }

    /// The row that `request` speaks of. Rows of equal text are taken in turn.
    fn find(&self, request: &Value, sent: &[SentRow<'a>], verdicts: &[Verdict]) -> Option<usize> {
        match request {
            Value::String(text) => self.find_fqn(text),
            Value::Object(fields) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str);
                if let Some(found) = text("fullyQualifiedName").and_then(|fqn| self.find_fqn(fqn)) {
                    return Some(found);
                }
                let Some(name) = text("name") else {
                    // A query without a name: only its whole text tells it from the others.
                    return sent.iter().zip(verdicts).position(|(row, verdict)| {
                        *verdict == Verdict::Unanswered
                            && serde_json::from_slice::<Value>(row.body).is_ok_and(|body| is_echo(&body, request))
                    });
                };
                let candidates = self.by_name.get(name)?;
                if let [only] = candidates.as_slice() {
                    return Some(*only);
                }
                candidates.iter().copied().find(|&at| {
                    sent.get(at).and_then(|row| row.parent).is_some_and(|parent| {
                        fields
                            .values()
                            .filter_map(Value::as_str)
                            .any(|text| Fqn::canonical(text) == *parent)
                    })
                })
            }
            _ => None,
        }
    }

    fn find_fqn(&self, text: &str) -> Option<usize> {
        let fqn = Fqn::canonical(text);
        self.exact
            .get(fqn.as_str())
            .copied()
            .or_else(|| self.folded.get(&fqn.as_str().to_lowercase()).copied().flatten())
    }
}

/// Whether `echo` holds every field of `body`; the server may have added some.
fn is_echo(body: &Value, echo: &Value) -> bool {
    let (Value::Object(body), Value::Object(echo)) = (body, echo) else {
        return body == echo;
    };
    body.iter().all(|(key, value)| echo.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(answer: &str, fqns: &[&str]) -> Vec<Verdict> {
        let fqns: Vec<Fqn> = fqns.iter().map(|fqn| Fqn::canonical(fqn)).collect();
        let parents: Vec<Option<Fqn>> = fqns.iter().map(|f| f.parent().map(Fqn::canonical)).collect();
        let rows: Vec<SentRow<'_>> = fqns
            .iter()
            .zip(&parents)
            .map(|(fqn, parent)| SentRow {
                fqn,
                parent: parent.as_ref(),
                body: b"{}",
            })
            .collect();
        BulkAnswer::read(answer.as_bytes()).expect("readable").judge(&rows)
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
            assert!(BulkAnswer::read(body.as_bytes()).is_none(), "{body}");
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
    fn an_echoed_object_is_matched_by_parent_and_name() {
        let answer = r#"{"numberOfRowsPassed":1,"numberOfRowsFailed":1,
            "failedRequest":[{"request":{"name":"t","databaseSchema":"x.d.\"s2\""},"status":400,"message":null}]}"#;
        assert_eq!(
            judge(answer, &["x.d.s1.t", "x.d.s2.t"]),
            [Verdict::Written, refused(400, "")]
        );
    }

    #[test]
    fn a_lower_cased_name_is_found_and_twins_by_case_are_not_mixed_up() {
        let answer = r#"{"numberOfRowsFailed":1,"successRequest":[{"request":"bob"}],"failedRequest":[{"request":"eve","status":400,"message":"x"}]}"#;
        assert_eq!(judge(answer, &["Bob", "Eve"]), [Verdict::Written, refused(400, "x")]);
        let answer = r#"{"successRequest":[{"request":"s.T"}]}"#;
        assert_eq!(judge(answer, &["s.T", "s.t"]), [Verdict::Written, Verdict::Unanswered]);
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
}
