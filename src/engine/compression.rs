//! Which requests go out compressed, and when to stop that: whether the server inflates them, and lets what stands in front of
//! it let them through, shows only when it is tried (E7).
//!
//! Only a first attempt is compressed. Whatever comes after it goes plain, so no record depends on it, and no body is
//! compressed twice. Until one was served, one request at a time is the try. A refusal of a compressed request says
//! nothing about its records: the same batch goes again at once, plain, before anything is split or failed; if that is
//! served, it was the compression, and there is none from then on.

use super::batch::Batch;
use super::defects::{broken, Planted};
use super::reading::{Meaning, TroubleKind};

/// Errors of tries that may have other causes, before there are no more tries.
const ERRORS: u8 = 3;

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not wanted, or it does not work.
    Off,
    /// Not known; so many tries ended in an error.
    Untried { errors: u8 },
    /// A try is under way, or its plain repetition.
    Trying { errors: u8 },
    /// A compressed request was served.
    Works,
}

impl Compression {
    pub fn new(wanted: bool) -> Self {
        if wanted {
            Self::Untried { errors: 0 }
        } else {
            Self::Off
        }
    }

    /// Whether a request that leaves now, large enough, is compressed.
    fn begin(&mut self) -> bool {
        match *self {
            Self::Works => true,
            Self::Untried { errors } => {
                *self = Self::Trying { errors };
                true
            }
            _ => false,
        }
    }

    /// A try came to nothing; `error`: of a kind that the compression may have caused. Whether it was the last one.
    fn try_ended(&mut self, error: bool) -> bool {
        let Self::Trying { errors } = *self else { return false };
        let errors = errors + u8::from(error);
        *self = if errors < ERRORS {
            Self::Untried { errors }
        } else {
            Self::Off
        };
        *self == Self::Off
    }

    /// Whether a batch of so many bytes that leaves now goes compressed; `least`: the size from which on it is worth it.
    pub fn wants(&mut self, batch: &Batch, bytes: usize, least: usize) -> bool {
        let may = batch.in_bulk && !batch.plain && batch.attempts == 0 && !batch.probe;
        *self != Self::Off && may && bytes >= least && self.begin()
    }

    /// What an answer to a batch says about it. `defect`: for testing the tests.
    pub fn answered(&mut self, batch: &mut Batch, meaning: &Meaning, defect: Planted) -> About {
        if let Some(text) = batch.refused_compressed.take() {
            if matches!(meaning, Meaning::Rows(_)) {
                *self = Self::Off;
                return About::Ended(text.into());
            }
            self.try_ended(false);
        } else if std::mem::take(&mut batch.compressed) {
            batch.plain = true;
            let (may_be_the_cause, reason) = match meaning {
                Meaning::Rows(_) => {
                    if *self != Self::Off {
                        *self = Self::Works;
                    }
                    return About::Nothing;
                }
                Meaning::Refused(text) if !broken!(defect, BlamesRecordsForCompression) => {
                    batch.refused_compressed = Some(text.as_str().into());
                    return About::GoesPlain;
                }
                Meaning::NoRoute { .. } => {
                    batch.refused_compressed = Some("the server answered that there is no such endpoint".into());
                    return About::GoesPlain;
                }
                Meaning::Fault(trouble) => (may_be_compression(trouble.kind), trouble.reason.as_str()),
                _ => (false, ""),
            };
            if self.try_ended(may_be_the_cause) {
                return About::Ended(reason.to_owned());
            }
        }
        About::Nothing
    }
}

/// What an answer says about compression.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    Nothing,
    /// The same batch goes again, plain: that tells whether the compression was refused or the records.
    GoesPlain,
    /// There is none from now on, for this reason.
    Ended(String),
}

/// Whether a body that the other end cannot read may be the cause of a fault.
fn may_be_compression(kind: TroubleKind) -> bool {
    use TroubleKind::{Broken, NotSent, Silent, Status, Unreadable};
    matches!(kind, Broken | NotSent | Silent | Status(_) | Unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, endings, fault, next_request, request, requests, respond, rows, s, submit_tables,
    };
    use crate::engine::request::{Call, Fault, Request};
    use crate::engine::{Config, Engine, Time};

    fn engine(workers: usize, batch_rows: usize) -> Engine {
        Engine::new(Config {
            workers,
            batch_rows,
            linger: Time::ZERO,
            gzip_from: Some(60),
            ..Config::default()
        })
    }

    fn is_compressed(request: &Request) -> bool {
        matches!(request.call, Call::PutBulk { gzip: true, .. })
    }

    /// How the requests that can leave now go.
    fn compressed(engine: &mut Engine, now: Time) -> Vec<bool> {
        requests(engine, now).iter().map(is_compressed).collect()
    }

    #[test]
    fn one_request_tries_it_and_all_follow() {
        let mut engine = engine(3, 10);
        submit_tables(&mut engine, 60, s(0));
        let sent = requests(&mut engine, s(0));
        assert_eq!(sent.iter().map(is_compressed).collect::<Vec<_>>(), [true, false, false]);
        for one in &sent {
            all_written(&mut engine, one, s(1));
        }
        assert_eq!(compressed(&mut engine, s(1)), [true, true, true]);
    }

    #[test]
    fn small_bodies_and_single_requests_go_as_they_are() {
        let mut engine = engine(1, 10);
        submit_tables(&mut engine, 1, s(0));
        let small = request(&mut engine, s(0));
        assert!(!is_compressed(&small));
        respond(&mut engine, &small, 405, r#"{"code":405,"message":"HTTP 405"}"#, s(0));
        let single = request(&mut engine, s(0));
        assert!(matches!(single.call, Call::PutOne { .. }));
    }

    #[test]
    fn a_refusal_of_the_compression_loses_nothing_and_ends_it() {
        for status in [400, 403, 404, 415] {
            let mut engine = engine(1, 10);
            submit_tables(&mut engine, 30, s(0));
            let tried = request(&mut engine, s(0));
            assert!(is_compressed(&tried));
            respond(&mut engine, &tried, status, r#"{"message":"no JSON"}"#, s(0));
            let again = request(&mut engine, s(0));
            assert_eq!((is_compressed(&again), rows(&again)), (false, 10), "{status}");
            all_written(&mut engine, &again, s(0));
            let notice = engine.poll_notice().unwrap_or_default();
            assert!(notice.starts_with("requests are not compressed any more"), "{notice}");
            while let Some(next) = engine.poll_request(s(0)) {
                assert!(!is_compressed(&next));
                all_written(&mut engine, &next, s(0));
            }
            let stats = engine.stats(s(0));
            assert_eq!((stats.written, stats.requests), (30, 4), "{status}");
        }
    }

    #[test]
    fn a_refusal_that_has_another_cause_is_found_as_ever_and_compression_stays() {
        let mut engine = engine(1, 2);
        submit_tables(&mut engine, 4, s(0));
        let mut sent = 0;
        let mut shapes = Vec::new();
        while let Some(next) = engine.poll_request(s(0)) {
            sent += 1;
            shapes.push(is_compressed(&next));
            let Call::PutBulk { rows, .. } = &next.call else {
                unreachable!()
            };
            if rows.iter().any(|row| row.windows(4).any(|part| part == b"s.t1")) {
                respond(&mut engine, &next, 400, r#"{"message":"a word in it"}"#, s(0));
            } else {
                all_written(&mut engine, &next, s(0));
            }
        }
        // Both rows compressed, both plain, each alone; then the other batch.
        assert_eq!(shapes, [true, false, false, false, true]);
        assert_eq!((endings(&mut engine).as_str(), sent), ("w1 f2 w3 w4", 5));
        assert_eq!(engine.poll_notice(), None);
    }

    #[test]
    fn errors_of_a_try_are_retried_plain_and_three_of_them_end_it() {
        let mut engine = engine(1, 10);
        let mut now = s(0);
        for number in 1..=4 {
            submit_tables(&mut engine, 10, now);
            let tried = next_request(&mut engine, &mut now);
            assert_eq!(is_compressed(&tried), number <= 3, "{number}");
            if number <= 3 {
                respond(&mut engine, &tried, 500, "", now);
                let again = next_request(&mut engine, &mut now);
                assert!(!is_compressed(&again));
                all_written(&mut engine, &again, now);
            }
        }
        let notice = engine.poll_notice().unwrap_or_default();
        assert!(notice.contains("the server answered 500"), "{notice}");
        assert_eq!(engine.stats(now).failed, 0);
    }

    #[test]
    fn where_it_works_a_fault_changes_nothing_but_that_the_same_goes_plain() {
        let mut engine = engine(1, 10);
        submit_tables(&mut engine, 10, s(0));
        let tried = request(&mut engine, s(0));
        all_written(&mut engine, &tried, s(0));
        let mut now = s(0);
        for _ in 0..5 {
            submit_tables(&mut engine, 10, now);
            let sent = next_request(&mut engine, &mut now);
            assert!(is_compressed(&sent));
            fault(&mut engine, &sent, Fault::NotSent("reset".into()), now);
            let again = next_request(&mut engine, &mut now);
            assert!(!is_compressed(&again));
            all_written(&mut engine, &again, now);
        }
        assert_eq!(engine.poll_notice(), None);
    }

    #[test]
    fn a_request_that_is_too_large_even_compressed_goes_plain_in_parts() {
        let mut engine = engine(1, 10);
        submit_tables(&mut engine, 10, s(0));
        let first = request(&mut engine, s(0));
        respond(&mut engine, &first, 413, "", s(0));
        for _ in 0..2 {
            let half = request(&mut engine, s(0));
            assert_eq!((is_compressed(&half), rows(&half)), (false, 5));
            all_written(&mut engine, &half, s(0));
        }
        submit_tables(&mut engine, 10, s(1));
        assert!(
            rows(&request(&mut engine, s(1))) < 10,
            "sealed by the size that was refused"
        );
    }

    #[test]
    fn a_refusal_of_everything_still_ends() {
        let mut engine = engine(1, 10);
        submit_tables(&mut engine, 10, s(0));
        while let Some(next) = engine.poll_request(s(0)) {
            respond(&mut engine, &next, 403, r#"{"message":"not you"}"#, s(0));
        }
        assert_eq!(engine.stats(s(0)).failed, 10);
        submit_tables(&mut engine, 1, s(1));
        let last = request(&mut engine, s(1));
        respond(&mut engine, &last, 403, r#"{"message":"not you"}"#, s(1));
        assert!(only_reason_of_all(&mut engine).contains("not you"));
    }

    fn only_reason_of_all(engine: &mut Engine) -> String {
        let mut reasons: Vec<String> = super::super::testing::outcomes(engine)
            .into_iter()
            .map(|outcome| format!("{:?}", outcome.ending))
            .collect();
        reasons.dedup();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        reasons.remove(0)
    }
}
