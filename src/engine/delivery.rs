//! What an answer does to a batch and to its rows (E7, E8).

use std::sync::Arc;
use std::time::Duration;

use super::answer::{BulkAnswer, SentRow, Verdict};
use super::batch::Batch;
use super::defects::broken;
use super::lifecycle::Patch;
use super::order::CollectionId;
use super::record::{Ending, Kind, Missing, Sequence};
use super::request::Answer;
use super::retry::{meaning, row_meaning, shorten, Again, Asked, Meaning, RowMeaning};
use super::{Engine, Time, Work};

/// Row answers of 5xx before the row is refused for good.
const SERVER_ERRORS: u8 = 3;

/// Rows of one answer that are sent again, by how.
#[derive(Default)]
struct SentAgain {
    overloaded: Vec<Sequence>,
    after_error: Vec<Sequence>,
    /// At once, together.
    at_once: Vec<Sequence>,
    /// At once, each by itself.
    alone: Vec<Sequence>,
}

impl Engine {
    pub(super) fn batch_answered(&mut self, batch: Batch, answer: Answer, sent: Time, now: Time) {
        let proven = self.routes.entry(batch.collection).or_default().bulk == Some(true);
        let asked = if batch.in_bulk {
            Asked::Bulk { proven }
        } else {
            Asked::One
        };
        let meaning = meaning(asked, answer);
        let compressed = batch.compressed;
        let Some(batch) = self.compression_answered(batch, &meaning, sent, now) else {
            return;
        };
        match meaning {
            Meaning::Rows(rows) => self.rows_answered(batch, &rows, compressed, sent, now),
            Meaning::Done(_) => {
                self.served(batch.collection, sent, now);
                for member in batch.members {
                    self.finish(member, Ending::Written);
                }
            }
            Meaning::Again(again) => self.batch_again(batch, again, sent, now),
            Meaning::TooSlow(reason) => self.batch_too_slow(batch, reason, sent, now),
            Meaning::TooLarge(text) => self.batch_too_large(batch, &text, sent, now),
            Meaning::Missing(missing, text) => {
                self.served(batch.collection, sent, now);
                for member in batch.members {
                    self.row_lacks(member, missing.clone(), &text, sent);
                }
            }
            Meaning::Exists(text) => {
                self.served(batch.collection, sent, now);
                let mut again = SentAgain::default();
                for member in batch.members.iter().copied() {
                    self.row_exists(member, text.clone(), &mut again);
                }
                self.send_again(&batch, again, &text, sent, now);
            }
            Meaning::Refused(text) => self.batch_refused(batch, &text, sent, now),
            Meaning::Unauthorized(text) => self.unauthorized(Work::Batch(batch), text, sent, now),
            Meaning::NoSuchRoute => {
                self.recovered(now);
                self.routes.entry(batch.collection).or_default().bulk = Some(false);
                let collection = batch.collection;
                let singles = batch
                    .members
                    .into_iter()
                    .rev()
                    .map(|member| Batch::new(collection, vec![member]));
                self.at_once.extend(singles.map(Work::Batch));
            }
            Meaning::Misdirected(text) => self.fail_in_doubt(&Work::Batch(batch), &text),
        }
    }

    fn rows_answered(&mut self, batch: Batch, rows: &BulkAnswer, compressed: bool, sent: Time, now: Time) {
        let entries: Vec<_> = batch
            .members
            .iter()
            .filter_map(|member| self.order.get(*member))
            .collect();
        let sent_rows: Vec<SentRow<'_>> = entries
            .iter()
            .map(|entry| SentRow {
                fqn: &entry.key,
                parent: entry.record.parent.as_ref(),
                body: entry.record.payload.bytes(),
            })
            .collect();
        let bytes = entries.iter().map(|entry| entry.size()).sum();
        let verdicts = rows.judge(&sent_rows);
        if !compressed {
            // Compressed it may have been smaller than what is too large.
            self.largest_accepted = self.largest_accepted.max(bytes);
        }
        self.routes.entry(batch.collection).or_default().bulk = Some(true);

        let mut again = SentAgain::default();
        let mut texts = String::new();
        let turned_away = |verdict: &Verdict| matches!(verdict, Verdict::Refused(status, text) if row_meaning(*status, text) == RowMeaning::Overload);
        // Where the server turned all of it away, that is no sign of life.
        if !verdicts.iter().all(turned_away) {
            self.served(batch.collection, sent, now);
            if let Some(twins) = &batch.twins {
                twins.one_passed();
            }
        }
        for (member, verdict) in batch.members.iter().copied().zip(verdicts) {
            match verdict {
                Verdict::Written => self.finish(member, Ending::Written),
                Verdict::Refused(status, text) => {
                    self.row_refused(member, status, &text, &mut again, &mut texts, sent);
                }
                Verdict::Unanswered => self.row_unanswered(member, &mut again),
            }
        }
        self.send_again(&batch, again, &texts, sent, now);
    }

    fn row_refused(
        &mut self,
        member: Sequence,
        status: Option<u16>,
        text: &str,
        again: &mut SentAgain,
        texts: &mut String,
        sent: Time,
    ) {
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        let reason = match (text.is_empty(), status) {
            (true, Some(status)) => format!("the server refused it with status {status} and no text"),
            (true, None) => "the server refused it without a reason".to_owned(),
            (false, _) => format!("the server refused it: {}", shorten(text)),
        };
        match row_meaning(status, text) {
            RowMeaning::Overload => {
                again.overloaded.push(member);
                *texts = reason;
            }
            RowMeaning::ServerError => {
                entry.server_errors += 1;
                if entry.server_errors < SERVER_ERRORS {
                    again.after_error.push(member);
                } else {
                    self.finish(member, Ending::Failed(reason.into()));
                }
            }
            RowMeaning::Missing(missing) => self.row_lacks(member, missing, &reason, sent),
            RowMeaning::Duplicate => self.row_exists(member, reason, again),
            RowMeaning::Refused => self.finish(member, Ending::Failed(reason.into())),
        }
    }

    /// The server has a record in another form already.
    fn row_exists(&mut self, member: Sequence, reason: String, again: &mut SentAgain) {
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        if entry.unknown && !std::mem::replace(&mut entry.exists, true) {
            // Our own earlier attempt may have put it there; the same answer once more is final.
            again.at_once.push(member);
        } else if entry.record.first_wins {
            self.finish(member, Ending::Warned(reason.into()));
        } else {
            self.finish(member, Ending::Failed(reason.into()));
        }
    }

    fn row_unanswered(&mut self, member: Sequence, again: &mut SentAgain) {
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        if broken!(self.config.defect, TakesSilenceForConsent) {
            self.finish(member, Ending::Written);
        } else if entry.unanswered {
            let text = "the server answered the request, but twice said nothing about this record";
            self.finish(member, Ending::Failed(text.into()));
        } else {
            entry.unanswered = true;
            entry.unknown = true;
            again.alone.push(member);
        }
    }

    /// A record was refused because `missing` is not there (E8).
    pub(super) fn row_lacks(&mut self, member: Sequence, missing: Missing, reason: &str, sent: Time) {
        let pending = self.order.is_pending(&missing, member);
        // What it needs is pending and not parked itself: it will be there soon, or fail.
        let coming = self.order.is_coming(&missing, member);
        let meant: Vec<CollectionId> = self.order.meant_by(&missing).collect();
        let there_by_now = meant.iter().any(|c| self.written_lately.since(*c, &missing.fqn, sent));
        let has_failed = meant.iter().any(|c| self.failed.contains(&(*c, missing.fqn.clone())));
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        let final_text = if !coming && !there_by_now && (entry.last_chance || entry.refused_for.contains(&missing)) {
            Some(reason.to_owned())
        } else if has_failed && !pending && !there_by_now {
            Some(match &entry.entity_failed {
                Some(why) => format!("its entity {} failed: {why}", missing.fqn),
                None => format!("{reason}; {} failed in this run", missing.fqn),
            })
        } else {
            None
        };
        if let Some(text) = final_text {
            self.finish(member, Ending::Failed(text.into()));
            return;
        }
        entry.refused_for.push(missing.clone());
        let work = match entry.kind() {
            Kind::Create => Work::Batch(Batch::new(entry.collection, vec![member])),
            Kind::LifeCycle => Work::Patch(Patch::new(member)),
        };
        self.report_parked_scout(member);
        if there_by_now && !pending {
            self.at_once.push(work);
        } else {
            self.order.park(member, missing);
        }
    }

    /// Sends rows again that the server could not take this time.
    fn send_again(&mut self, batch: &Batch, again: SentAgain, text: &str, sent: Time, now: Time) {
        if !again.overloaded.is_empty() {
            self.met_fault(&again.overloaded, sent, text, false);
            self.overloaded(sent, None, now);
            let rows = Batch {
                attempts: batch.attempts,
                probe: batch.probe,
                ..Batch::new(batch.collection, again.overloaded)
            };
            if batch.probe || self.health.is_open().is_some() {
                self.give_up(Work::Batch(rows), text, now);
            } else if !broken!(self.config.defect, ForgetsOverloadedRows) {
                self.retry_or_give_up(Work::Batch(rows), batch.attempts, false, None, now);
                self.consider_giving_up_the_server(now);
            }
        }
        if !again.after_error.is_empty() {
            let rows = Batch::new(batch.collection, again.after_error);
            self.retry_or_give_up(Work::Batch(rows), batch.attempts, false, None, now);
        }
        if !again.at_once.is_empty() {
            self.at_once
                .push(Work::Batch(Batch::new(batch.collection, again.at_once)));
        }
        let alone = again.alone.into_iter().rev();
        self.at_once
            .extend(alone.map(|member| Work::Batch(Batch::new(batch.collection, vec![member]))));
    }

    /// A request was served, whatever became of its rows.
    pub(super) fn served(&mut self, collection: CollectionId, sent: Time, now: Time) {
        self.limiter.served(sent, now);
        self.routes.entry(collection).or_default().refusals.accepted();
        self.recovered(now);
    }

    /// The server works.
    pub(super) fn recovered(&mut self, now: Time) {
        self.authorization.accepted();
        self.read_back.start_anew();
        if let Some(since) = self.health.success(now) {
            if std::mem::take(&mut self.stall_told) {
                self.notices.push_back(format!(
                    "writing goes on after {} s without success",
                    now.saturating_sub(since).as_secs()
                ));
            }
        }
    }

    /// An attempt at these records met a fault; `its_own`: of a kind that a record alone can cause. Whether faults without one success between them amount to overload.
    pub(super) fn met_fault(&mut self, members: &[Sequence], sent: Time, reason: &str, its_own: bool) -> bool {
        let text: Arc<str> = reason.into();
        for member in members {
            if let Some(entry) = self.order.get_mut(*member) {
                entry.last_fault = Some(text.clone());
            }
        }
        let suspect = match members {
            [only] if its_own => Some(*only),
            _ => None,
        };
        self.health.fault(sent, reason, suspect)
    }

    fn batch_again(&mut self, mut batch: Batch, again: Again, sent: Time, now: Time) {
        let streak = self.met_fault(&batch.members, sent, &again.reason, again.may_be_its_own());
        if again.overload || streak {
            self.overloaded(sent, again.retry_after, now);
        }
        for member in &batch.members {
            if let Some(entry) = self.order.get_mut(*member) {
                entry.unknown |= again.unknown && !broken!(self.config.defect, ForgetsDoubts);
            }
        }
        if batch.last_attempt || batch.probe || self.health.is_open().is_some() {
            self.give_up(Work::Batch(batch), &again.reason, now);
            self.consider_giving_up_the_server(now);
            return;
        }
        if self.fault_is_its_own(&mut batch, &again) {
            self.split_with_twins(batch, &again);
        } else {
            let attempts = batch.attempts;
            self.retry_or_give_up(Work::Batch(batch), attempts, again.unknown, again.retry_after, now);
        }
        self.consider_giving_up_the_server(now);
    }

    /// Something met an overload: fewer requests for a while, and none before a pause.
    pub(super) fn overloaded(&mut self, sent: Time, asked: Option<Duration>, now: Time) {
        let asked = asked.filter(|_| !broken!(self.config.defect, IgnoresRetryAfter));
        let chance = self.random.f64();
        self.limiter.overloaded(sent, now, asked, chance);
    }

    /// Fails records for good, and says where an earlier attempt may have written them.
    pub(super) fn fail_in_doubt(&mut self, work: &Work, why: &str) {
        for sequence in work.sequences() {
            let ending = self.failure(sequence, why);
            self.finish(sequence, ending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, create, eager, endings, fault, next_request, only_reason, request, requests, respond, rows, s,
        some_refused, submit_tables,
    };
    use super::*;
    use crate::engine::request::{Call, Fault};
    use crate::engine::Scope;

    #[test]
    fn the_same_batch_goes_again_after_its_back_off() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 10, s(0));
        let first = request(&mut engine, s(0));
        respond(&mut engine, first.id, 503, "", s(1));
        let mut now = s(1);
        let second = next_request(&mut engine, &mut now);
        assert!(now > s(1) && now < s(2), "{now:?}");
        assert_eq!(rows(&second), 10);
        all_written(&mut engine, &second, now);
        assert_eq!(endings(&mut engine).split(' ').count(), 10);
        assert_eq!(engine.stats(now).retries, 1);
    }

    #[test]
    fn one_batch_alone_notices_within_ten_seconds_that_the_server_is_back() {
        for status in [500, 503] {
            let mut engine = eager(4, 100);
            submit_tables(&mut engine, 10, s(0));
            let mut now = s(0);
            while now < s(250) {
                let before = now;
                let sent = next_request(&mut engine, &mut now);
                assert!(now <= before + s(10), "{status}: {before:?} {now:?}");
                respond(&mut engine, sent.id, status, "", now);
            }
        }
    }

    #[test]
    fn an_attempt_that_may_still_be_at_work_gets_five_seconds() {
        for status in [502, 504] {
            let mut engine = eager(4, 100);
            submit_tables(&mut engine, 1, s(0));
            let first = request(&mut engine, s(0));
            respond(&mut engine, first.id, status, "<html>", s(1));
            let mut now = s(1);
            next_request(&mut engine, &mut now);
            assert_eq!(now, s(6), "{status}");
        }
    }

    #[test]
    fn a_server_without_the_bulk_route_gets_single_requests() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 3, s(0));
        let bulk = request(&mut engine, s(0));
        respond(&mut engine, bulk.id, 404, "", s(0));
        let singles = requests(&mut engine, s(0));
        assert_eq!(singles.len(), 3);
        for single in &singles {
            assert!(matches!(single.call, Call::PutOne { .. }));
            all_written(&mut engine, single, s(1));
        }
        assert_eq!(endings(&mut engine), "w1 w2 w3");
    }

    #[test]
    fn one_refused_row_costs_no_neighbour() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 3, s(0));
        let sent = request(&mut engine, s(0));
        some_refused(&mut engine, &sent, &[("s.t1", 400, "its name is too long")], s(1));
        assert_eq!(engine.stats(s(1)).written, 2);
        let lost: Vec<_> = super::super::testing::outcomes(&mut engine)
            .into_iter()
            .filter(|outcome| outcome.body.is_some())
            .collect();
        assert_eq!((lost.len(), &*lost[0].fqn), (1, "s.t1"));
        assert_eq!(
            lost[0].ending,
            Ending::Failed("the server refused it: its name is too long".into())
        );
    }

    #[test]
    fn rows_without_room_go_again_and_rows_without_an_answer_go_alone() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 4, s(0));
        let sent = request(&mut engine, s(0));
        let answer = r#"{"numberOfRowsPassed":1,"numberOfRowsFailed":2,"successRequest":[{"request":"s.t0"}],"failedRequest":[
            {"request":"s.t1","status":503,"message":"System overloaded"},{"request":"s.t2","status":400,"message":"Deadlock found"}]}"#;
        respond(&mut engine, sent.id, 200, answer, s(0));
        let mut now = s(0);
        let again = [next_request(&mut engine, &mut now), next_request(&mut engine, &mut now)];
        let mut sizes: Vec<usize> = again.iter().map(rows).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn silence_twice_is_a_loss() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        for _ in 0..2 {
            let sent = request(&mut engine, s(0));
            respond(&mut engine, sent.id, 200, r#"{"numberOfRowsPassed":0}"#, s(0));
        }
        assert!(only_reason(&mut engine).contains("twice said nothing"));
    }

    #[test]
    fn a_duplicate_after_an_unknown_result_is_tried_once_more() {
        let exists = |engine: &mut Engine, now| {
            let sent = request(engine, now);
            some_refused(engine, &sent, &[("s.t0", 400, "Entity already exists")], now);
        };
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        exists(&mut engine, s(0));
        assert_eq!(endings(&mut engine), "f1", "nothing was unknown");
        submit_tables(&mut engine, 1, s(0));
        let sent = request(&mut engine, s(0));
        fault(&mut engine, sent.id, Fault::Broken("reset".into()), s(0));
        exists(&mut engine, s(10));
        let sent = request(&mut engine, s(10));
        all_written(&mut engine, &sent, s(10));
        assert_eq!(endings(&mut engine), "w2");
    }

    fn refused_for(engine: &mut Engine, fqn: &str, word: &str, missing: &str, now: Time) {
        let sent = request(engine, now);
        let text = format!("{word} instance for {missing} not found");
        some_refused(engine, &sent, &[(fqn, 400, &text)], now);
    }

    #[test]
    fn a_record_waits_for_what_the_server_misses_and_goes_when_that_is_there() {
        let mut engine = eager(4, 100);
        engine.submit(create("dashboards", "bi.1", None), s(0));
        refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
        assert_eq!(engine.stats(s(0)).parked, 1);
        for (collection, parked) in [("dashboards", 1), ("charts", 0)] {
            engine.submit(create(collection, "bi.7", None), s(1));
            let sent = request(&mut engine, s(1));
            all_written(&mut engine, &sent, s(1));
            assert_eq!(engine.stats(s(1)).parked, parked, "{collection}");
        }
        let again = request(&mut engine, s(1));
        all_written(&mut engine, &again, s(1));
        assert_eq!(endings(&mut engine), "w2 w3 w1");
    }

    #[test]
    fn what_was_written_while_the_refused_attempt_was_under_way_is_there_now() {
        let mut engine = eager(4, 100);
        engine.submit(create("dashboards", "bi.1", None), s(0));
        let dashboard = request(&mut engine, s(0));
        engine.submit(create("charts", "bi.7", None), s(0));
        let chart = request(&mut engine, s(0));
        all_written(&mut engine, &chart, s(1));
        let text = "chart instance for bi.7 not found";
        some_refused(&mut engine, &dashboard, &[("bi.1", 400, text)], s(2));
        let again = request(&mut engine, s(2));
        some_refused(&mut engine, &again, &[("bi.1", 400, text)], s(3));
        assert_eq!(endings(&mut engine), "w2 f1", "nothing has changed since that was sent");
    }

    #[test]
    fn what_needs_something_that_failed_fails_at_once() {
        let mut engine = eager(4, 100);
        engine.submit(create("dashboards", "bi.1", None), s(0));
        refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
        engine.submit(create("charts", "bi.7", None), s(1));
        let chart = request(&mut engine, s(1));
        some_refused(&mut engine, &chart, &[("bi.7", 400, "no")], s(1));
        assert_eq!(endings(&mut engine), "f2 f1");
        engine.submit(create("dashboards", "bi.2", None), s(2));
        refused_for(&mut engine, "bi.2", "chart", "bi.7", s(2));
        assert!(only_reason(&mut engine).contains("bi.7 failed in this run"));
    }

    #[test]
    fn the_final_drain_sends_parked_records_once_more() {
        let mut engine = eager(4, 100);
        engine.submit(create("dashboards", "bi.1", None), s(0));
        refused_for(&mut engine, "bi.1", "chart", "bi.7", s(0));
        assert_eq!(
            engine.wait_for(&Scope::All { up_to: 1 }, s(1)),
            None,
            "a wait goes past it"
        );
        let drain = engine.wait_for(&Scope::FinalDrain, s(1)).unwrap();
        refused_for(&mut engine, "bi.1", "chart", "bi.7", s(1));
        assert_eq!((endings(&mut engine).as_str(), engine.poll_wait()), ("f1", Some(drain)));
    }

    #[test]
    fn a_redirect_is_final_and_says_what_to_change() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 1, s(0));
        let sent = request(&mut engine, s(0));
        respond(&mut engine, sent.id, 302, "", s(0));
        assert!(only_reason(&mut engine).contains("hostPort"));
    }
}
