//! What to do about a fault (the table of E7, and the deadline of E9): facts in, one decision out. Total, and without any state.
//!
//! A fault says something about the server, or about what was sent to it. The difference shows only in what happens to others
//! meanwhile: where they are served, it is the batch, and halves find the row; where nobody is, one row goes alone.

use std::time::Duration;

use super::reading::TroubleKind;
use super::Time;

/// Faults alike of a batch before it may be blamed for them; and faults of any kind but the server's own, for what breaks on a row
/// need not break alike.
const OF_A_BATCH: u32 = 3;
const OF_A_BATCH_OF_ANY_KIND: u32 = 6;
/// Faults alike of a record that travels alone before it is lost for them, and the time over which they came.
const OF_ONE: u32 = 5;
const OF_ONE_OVER: Duration = Duration::from_secs(5);
/// The same, where no other was served: a server may answer look-ups while it can write nothing, and that passes. Longer where it
/// did not say itself that it breaks: what stands before it may be what is down.
const BROKEN_BY_ONE_OVER: Duration = Duration::from_secs(15);
const CUT_OFF_BY_ONE_OVER: Duration = Duration::from_secs(40);
/// The same, where the last was a connection that had been used before: most such ends are the connection's own.
const OF_ONE_AT_THE_END_OF_A_CONNECTION: u32 = 10;
/// The same, of a row in answers that took others.
const OF_A_ROW: u32 = 3;

/// Faults alike in a row; `kind` is the last one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streak {
    pub kind: TroubleKind,
    pub count: u32,
    /// With those of other kinds before them, but for the server's own.
    of_any_kind: u32,
    pub first: Time,
    /// How many requests had been served when the first of them came.
    served_before: u64,
    /// A look-up was answered since the last of them but one.
    pub seen_alive: bool,
}

impl Streak {
    /// Whether the record alone has met enough faults to be in doubt itself.
    pub fn is_long(&self) -> bool {
        self.count >= OF_ONE - 2
    }

    /// Whether a batch has met enough faults to be in doubt itself.
    fn is_of_a_batch(&self) -> bool {
        self.count >= OF_A_BATCH || self.of_any_kind >= OF_A_BATCH_OF_ANY_KIND
    }

    /// Whether these are of the row itself, on which the server failed while it took others. `healed`: when a record was last written on
    /// which it had failed before, for such trouble passes.
    pub fn is_of_the_row(&self, healed: Option<Time>, now: Time) -> bool {
        self.count >= OF_A_ROW && now >= self.first + OF_ONE_OVER && healed < Some(self.first)
    }

    /// Whether nobody was served from its first fault until just now, after so many served requests.
    pub fn was_everybodys(&self, served: u64) -> bool {
        served <= self.served_before + 1
    }

    /// One more fault. Another kind begins a new streak.
    pub fn one_more(streak: Option<Self>, kind: TroubleKind, served: u64, now: Time) -> Self {
        let of_any_kind = streak.map_or(0, |streak| streak.of_any_kind) + u32::from(!kind.is_of_the_server());
        match streak {
            Some(streak) if streak.kind.is_like(kind) => Self {
                kind,
                count: streak.count + 1,
                of_any_kind,
                ..streak
            },
            _ => Self {
                kind,
                count: 1,
                of_any_kind,
                first: now,
                served_before: served,
                seen_alive: false,
            },
        }
    }
}

/// What is known about a fault of a batch, or of a patch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub streak: Streak,
    pub rows: usize,
    /// How many requests had been served when the batch was found to hold what causes its faults.
    pub suspect_since: Option<u64>,
    /// How many have been served by now.
    pub served: u64,
    /// A request that was sent after the first fault was served: one that was under way says nothing of what came then.
    pub others_served: bool,
    /// Nothing else could show whether the server works.
    pub nothing_else: bool,
    /// From the first attempt to the last.
    pub patience: Duration,
    pub now: Time,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The same again, after a back-off.
    Again,
    /// In two halves, at once.
    Split,
    /// One row alone; the others wait for its answer.
    OneAlone,
    /// A look-up of its name shows whether the server works.
    Prove,
    /// Lost: the server works, and breaks on it.
    Lost,
}

impl Decision {
    /// The decision about a fault of records that are within their deadline.
    pub fn about(facts: &Facts) -> Self {
        use TroubleKind::{Closed, Connect, Overload, Rebuffed, Silent, Unavailable, Unbuildable};
        let Facts {
            streak,
            served,
            others_served,
            ..
        } = *facts;
        match (streak.kind, facts.rows) {
            (Unbuildable, 0 | 1) => Self::Lost,
            (Unbuildable, _) => Self::Split,
            (Connect, _) | (Overload | Unavailable, 0 | 1) => Self::Again,
            // Whether requests are let in again is for the gate to find out.
            (Rebuffed, 0 | 1) if !others_served => Self::Again,
            (kind, 0 | 1) => {
                let enough = if kind == Closed {
                    OF_ONE_AT_THE_END_OF_A_CONNECTION
                } else {
                    OF_ONE
                };
                let over = match kind {
                    _ if others_served => OF_ONE_OVER,
                    kind if kind.is_of_the_api() => BROKEN_BY_ONE_OVER,
                    _ => CUT_OFF_BY_ONE_OVER,
                };
                if streak.count < enough - 1 || facts.now < streak.first + over {
                    Self::Again
                } else if streak.count >= enough && (others_served || (facts.nothing_else && streak.seen_alive)) {
                    Self::Lost
                } else if facts.nothing_else && !others_served && !streak.seen_alive {
                    Self::Prove
                } else {
                    Self::Again
                }
            }
            // It says nothing about rows. But what is asked for less so long may be asked so for one of its rows.
            (Overload, _) if facts.suspect_since.is_none() => {
                if facts.now < streak.first + facts.patience / 2 {
                    Self::Again
                } else {
                    Self::OneAlone
                }
            }
            (Closed, _) if !streak.is_of_a_batch() => Self::Again,
            _ if facts.suspect_since.is_some_and(|before| served > before) => Self::Split,
            (Silent, _) if facts.suspect_since.is_none() || others_served => Self::Split,
            // A row of it passed alone, so the link works: one row tells of this half, too.
            _ if facts.suspect_since.is_some() => Self::OneAlone,
            _ if !streak.is_of_a_batch() => Self::Again,
            _ if others_served => Self::Split,
            _ => Self::OneAlone,
        }
    }
}

/// Where a record stands with its deadline when an attempt has failed, or its back-off has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// There is time for another attempt.
    InTime,
    /// The time is over, but no record is lost for time after one attempt, or while others went before it.
    LastAttempt,
    /// Nor for what says little of it, and met its last attempt: one more, after a back-off.
    LastAttemptAgain,
    Over,
}

/// What [`Due`] is decided by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When the first of its `attempts` began.
    pub first_attempt: Option<Time>,
    pub attempts: u32,
    /// This was its last one.
    pub last: bool,
    /// Others of its lane were served since its last fault.
    pub passed_over: bool,
    /// Its attempt has just met what says little of it, where others are served.
    pub does_not_count: bool,
}

impl Due {
    pub fn of(standing: &Standing, patience: Duration, now: Time) -> Self {
        let is_past = standing.first_attempt.is_some_and(|first| now >= first + patience);
        if !is_past && !standing.last {
            Self::InTime
        } else if standing.does_not_count {
            Self::LastAttemptAgain
        } else if !standing.last && (standing.attempts <= 1 || standing.passed_over) {
            Self::LastAttempt
        } else {
            Self::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TroubleKind::{
        Broken, Closed, Connect, NoEndpoint, NotSent, Overload, Rebuffed, Silent, Status, Unavailable, Unbuildable,
        Unreadable,
    };

    const KINDS: [TroubleKind; 13] = [
        Connect,
        NotSent,
        Closed,
        Broken,
        Silent,
        Overload,
        Unavailable,
        NoEndpoint,
        Status(500),
        Status(502),
        Unreadable,
        Unbuildable,
        Rebuffed,
    ];

    fn facts(kind: TroubleKind, count: u32, rows: usize) -> Facts {
        Facts {
            streak: Streak {
                kind,
                count,
                of_any_kind: count,
                first: Time::ZERO,
                served_before: 7,
                seen_alive: false,
            },
            rows,
            suspect_since: None,
            served: 7,
            others_served: false,
            nothing_else: false,
            patience: Duration::from_secs(300),
            now: Time::from_secs(40),
        }
    }

    #[test]
    fn every_line_of_the_table() {
        let others = |facts| Facts {
            served: 8,
            others_served: true,
            ..facts
        };
        let suspect = |facts| Facts {
            suspect_since: Some(7),
            ..facts
        };
        let lone = |facts| Facts {
            nothing_else: true,
            ..facts
        };
        let late = |facts| Facts {
            now: Time::from_secs(150),
            ..facts
        };
        let alive = |mut facts: Facts| {
            facts.streak.seen_alive = true;
            facts
        };
        for (what, expected) in [
            // A server that asks for less, or is not there, says nothing about rows.
            (others(facts(Overload, 9, 100)), Decision::Again),
            (late(facts(Overload, 9, 100)), Decision::OneAlone),
            (late(suspect(facts(Overload, 1, 50))), Decision::OneAlone),
            (others(suspect(facts(Overload, 1, 50))), Decision::Split),
            (late(others(facts(Overload, 9, 1))), Decision::Again),
            (others(facts(Connect, 9, 100)), Decision::Again),
            // A connection may end while it rests; it does not do so again and again.
            (others(suspect(facts(Closed, 2, 100))), Decision::Again),
            (others(facts(Closed, 3, 100)), Decision::Split),
            (facts(Closed, 3, 100), Decision::OneAlone),
            (others(facts(Closed, 9, 1)), Decision::Again),
            (others(facts(Closed, 10, 1)), Decision::Lost),
            // Three faults alike, and others were served: it is the batch.
            (others(facts(Broken, 2, 100)), Decision::Again),
            (others(facts(Broken, 3, 100)), Decision::Split),
            (others(facts(NotSent, 3, 100)), Decision::Split),
            (others(facts(Unavailable, 3, 100)), Decision::Split),
            // Nobody was: one row alone tells.
            (facts(Status(500), 3, 100), Decision::OneAlone),
            (facts(Unreadable, 7, 2), Decision::OneAlone),
            // A batch, or half of one, that is known to hold it.
            (suspect(facts(Status(502), 1, 50)), Decision::OneAlone),
            (others(suspect(facts(Status(502), 1, 50))), Decision::Split),
            // Turned away: the gate tells when it ends, unless others of the collection pass.
            (others(facts(Rebuffed, 3, 100)), Decision::Split),
            (facts(Rebuffed, 3, 100), Decision::OneAlone),
            (others(facts(Rebuffed, 5, 1)), Decision::Lost),
            (lone(facts(Rebuffed, 9, 1)), Decision::Again),
            // Too much at once; but a half that gets no answer either may be the server's silence.
            (facts(Silent, 1, 100), Decision::Split),
            (suspect(facts(Silent, 1, 50)), Decision::OneAlone),
            (others(suspect(facts(Silent, 1, 50))), Decision::Split),
            // A record alone.
            (others(facts(Broken, 4, 1)), Decision::Again),
            (others(facts(Broken, 5, 1)), Decision::Lost),
            (facts(Broken, 5, 1), Decision::Again),
            (lone(facts(Broken, 3, 1)), Decision::Again),
            (lone(facts(Broken, 4, 1)), Decision::Prove),
            (lone(alive(facts(Broken, 4, 1))), Decision::Again),
            (lone(alive(facts(Broken, 5, 1))), Decision::Lost),
            (others(facts(Unavailable, 9, 1)), Decision::Again),
            (facts(Unbuildable, 1, 1), Decision::Lost),
            (facts(Unbuildable, 1, 2), Decision::Split),
        ] {
            assert_eq!(Decision::about(&what), expected, "{what:?}");
        }
    }

    #[test]
    fn what_is_seen_of_a_request_that_is_cut_off_is_one_kind() {
        let now = Time::ZERO;
        let met = |kinds: &[TroubleKind]| {
            let first = Streak::one_more(None, kinds[0], 7, now);
            kinds[1..]
                .iter()
                .fold(first, |streak, kind| Streak::one_more(Some(streak), *kind, 7, now))
        };
        assert_eq!(met(&[NotSent, Closed, Broken]).count, 3);
        assert_eq!(met(&[NotSent, Closed, Broken]).kind, Broken);
        assert_eq!(met(&[Broken, Status(502), Broken]).count, 1);
        assert_eq!(met(&[Status(500), Status(502)]).count, 1);
    }

    #[test]
    fn faults_in_one_moment_lose_nothing() {
        let soon = Facts {
            now: Time::from_secs(4),
            served: 8,
            others_served: true,
            ..facts(Status(500), 50, 1)
        };
        assert_eq!(Decision::about(&soon), Decision::Again);
    }

    #[test]
    fn a_server_that_writes_nothing_for_a_while_loses_no_record_that_is_alone() {
        for (kind, seconds) in [(Status(500), 15), (Status(502), 40), (Broken, 40), (Silent, 40)] {
            let mut alone = facts(kind, 50, 1);
            alone.nothing_else = true;
            alone.streak.seen_alive = true;
            alone.now = Time::from_secs(seconds - 1);
            assert_eq!(Decision::about(&alone), Decision::Again, "{kind:?}");
            alone.now = Time::from_secs(seconds);
            assert_eq!(Decision::about(&alone), Decision::Lost, "{kind:?}");
        }
    }

    #[test]
    fn six_faults_of_any_kind_put_a_batch_in_doubt_but_for_the_servers_own() {
        let met = |kinds: &[TroubleKind]| {
            let streak = kinds.iter().fold(None, |streak, kind| {
                Some(Streak::one_more(streak, *kind, 7, Time::ZERO))
            });
            streak.unwrap().is_of_a_batch()
        };
        assert!(!met(&[Status(500), Silent, Status(502), Unreadable, Status(500)]));
        assert!(met(&[
            Status(500),
            Silent,
            Status(502),
            Unreadable,
            Status(500),
            Silent
        ]));
        assert!(!met(&[
            Status(500),
            Overload,
            Status(502),
            Connect,
            Status(500),
            Unavailable
        ]));
    }

    #[test]
    fn three_answers_over_five_seconds_blame_a_row_unless_such_trouble_passed_since() {
        let s = Time::from_secs;
        let streak = |count| Streak {
            first: s(10),
            ..facts(Status(500), count, 1).streak
        };
        assert!(!streak(2).is_of_the_row(None, s(60)));
        assert!(!streak(3).is_of_the_row(None, s(14)));
        assert!(streak(3).is_of_the_row(None, s(15)));
        assert!(streak(3).is_of_the_row(Some(s(9)), s(15)));
        assert!(!streak(3).is_of_the_row(Some(s(10)), s(15)));
    }

    /// Whatever comes, a batch shrinks, or its count rises until something is decided: no input keeps a record for ever but the
    /// deadline ends it.
    #[test]
    fn all_inputs_have_a_decision_that_fits_them() {
        for kind in KINDS {
            for count in 1..8 {
                for rows in [1, 2, 100] {
                    for served in [7, 8] {
                        for suspect_since in [None, Some(6), Some(7), Some(8)] {
                            for nothing_else in [false, true] {
                                for seconds in [0, 4, 5, 15, 40, 600] {
                                    let facts = Facts {
                                        suspect_since,
                                        served,
                                        others_served: served > 7,
                                        nothing_else,
                                        now: Time::from_secs(seconds),
                                        ..facts(kind, count, rows)
                                    };
                                    let fits = match Decision::about(&facts) {
                                        Decision::Again => true,
                                        Decision::Split | Decision::OneAlone => rows > 1,
                                        Decision::Prove => rows == 1 && nothing_else && served == 7,
                                        Decision::Lost => {
                                            rows == 1 && (kind == Unbuildable || (count >= OF_ONE && served > 7))
                                        }
                                    };
                                    assert!(fits, "{facts:?}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_deadline_ends_what_has_had_two_attempts() {
        let s = Time::from_secs;
        let had = |attempts| Standing {
            first_attempt: Some(s(10)),
            attempts,
            last: false,
            passed_over: false,
            does_not_count: false,
        };
        let last = |standing| Standing { last: true, ..standing };
        let passed_over = Standing {
            passed_over: true,
            ..had(2)
        };
        let in_vain = Standing {
            does_not_count: true,
            ..had(2)
        };
        let never_sent = Standing {
            first_attempt: None,
            ..had(0)
        };
        for (standing, now, due) in [
            (had(9), 309, Due::InTime),
            (in_vain, 309, Due::InTime),
            (never_sent, 999, Due::InTime),
            (had(1), 310, Due::LastAttempt),
            (had(2), 310, Due::Over),
            (last(had(1)), 20, Due::Over),
            (passed_over, 310, Due::LastAttempt),
            (last(passed_over), 310, Due::Over),
            (in_vain, 310, Due::LastAttemptAgain),
            (last(in_vain), 310, Due::LastAttemptAgain),
        ] {
            assert_eq!(Due::of(&standing, s(300), s(now)), due, "{standing:?} at {now}");
        }
    }
}
