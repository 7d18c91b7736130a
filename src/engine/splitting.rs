//! Batches that are sent again in parts, to find what is wrong in them or because they are too much (E7).

use super::batch::{Batch, Faults, Twins};
use super::defects::broken;
use super::inquest::SCOUTS;
use super::record::Ending;
use super::retry::Again;
use super::{Engine, Time, Work};

/// Equal faults of one batch before it is split.
const FAULTS_BEFORE_SPLIT: u32 = 3;

impl Engine {
    /// Counts equal faults of one batch. Whether it should be split to find the record that causes them.
    pub(super) fn fault_is_its_own(&self, batch: &mut Batch, again: &Again) -> bool {
        let Some(alike) = again.alike else {
            batch.faults = None;
            return false;
        };
        let successes = self.health.successes();
        let faults = match batch.faults {
            Some(faults) if faults.alike == alike => Faults {
                count: faults.count + 1,
                ..faults
            },
            _ => Faults {
                alike,
                count: 1,
                successes_before: successes,
            },
        };
        batch.faults = Some(faults);
        let needed = match &batch.twins {
            Some(twins) if twins.has_one_passed() => 1,
            Some(_) => 2,
            None => FAULTS_BEFORE_SPLIT,
        };
        // Anything else than that only where others get through.
        let tells = again.is_server_error() || successes > faults.successes_before;
        batch.members.len() > 1 && faults.count >= needed && tells
    }

    /// Sends both halves of a batch, the older records first.
    fn send_halves(&mut self, first: Batch, second: Batch) {
        if !broken!(self.config.defect, ForgetsHalf) {
            self.at_once.push(Work::Batch(second));
        }
        self.at_once.push(Work::Batch(first));
    }

    pub(super) fn split_with_twins(&mut self, batch: Batch, again: &Again) {
        let twins = Twins::default();
        let successes_before = self.health.successes();
        let Some((mut first, mut second)) = batch.halves() else {
            return;
        };
        for half in [&mut first, &mut second] {
            half.twins = Some(twins.clone());
            half.faults = again.alike.map(|alike| Faults {
                alike,
                count: 0,
                successes_before,
            });
        }
        self.send_halves(first, second);
    }

    pub(super) fn batch_too_slow(&mut self, batch: Batch, reason: String, sent: Time, now: Time) {
        self.met_fault(&batch.members, sent, &reason, false);
        self.overloaded(sent, None, now);
        for member in &batch.members {
            if let Some(entry) = self.order.get_mut(*member) {
                entry.unknown = true;
            }
        }
        if batch.last_attempt || batch.probe || self.health.is_open().is_some() {
            self.give_up(Work::Batch(batch), &reason, now);
            self.consider_giving_up_the_server(now);
        } else if batch.members.len() > 1 {
            let past_deadline = batch.members.iter().any(|member| self.is_past_deadline(*member, now));
            let batch = Batch {
                last_attempt: past_deadline,
                ..batch
            };
            if let Some((first, second)) = batch.halves() {
                self.send_halves(first, second);
            }
        } else {
            let attempts = batch.attempts;
            self.retry_or_give_up(Work::Batch(batch), attempts, true, None, now);
            self.consider_giving_up_the_server(now);
        }
    }

    pub(super) fn batch_too_large(&mut self, batch: Batch, text: &str, sent: Time, now: Time) {
        self.limiter.served(sent, now);
        let bytes: usize = batch
            .members
            .iter()
            .filter_map(|m| self.order.get(*m))
            .map(super::order::Entry::size)
            .sum();
        if let [only] = batch.members.as_slice() {
            let text = format!("its body has {bytes} bytes: {text}");
            self.finish(*only, Ending::Failed(text.into()));
        } else if let Some((first, second)) = batch.halves() {
            self.sealing.bytes = self.sealing.bytes.min(self.largest_accepted.max(bytes / 2).max(1));
            self.send_halves(first, second);
        }
    }

    pub(super) fn batch_refused(&mut self, batch: Batch, text: &str, sent: Time, now: Time) {
        self.limiter.served(sent, now);
        self.recovered(now);
        let collection = batch.collection;
        let suspicious = self.routes.entry(collection).or_default().refusals.refused(text);
        if let [only] = batch.members.as_slice() {
            self.finish(*only, Ending::Failed(text.into()));
        } else if suspicious && self.is_under_inquest(collection) {
            self.join_inquest(collection, batch.members);
        } else if suspicious && self.is_worth_an_inquest(collection, batch.members.len()) {
            let mut rest = batch.members;
            rest.extend(self.take_parts(collection));
            self.try_some(collection, rest, SCOUTS);
        } else if let Some((first, second)) = batch.halves() {
            self.send_halves(first, second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        all_written, eager, endings, fault, next_request, only_reason, request, respond, rows, s, submit_tables,
    };
    use crate::engine::request::{Call, Fault};

    #[test]
    fn a_batch_that_takes_too_long_is_halved_at_once() {
        let mut engine = eager(4, 100);
        submit_tables(&mut engine, 10, s(0));
        let first = request(&mut engine, s(0));
        fault(&mut engine, first.id, Fault::ReadTimeout("300 s".into()), s(310));
        let mut now = s(310);
        let half = next_request(&mut engine, &mut now);
        assert!(now < s(312) && rows(&half) == 5, "{now:?}");
        let other = request(&mut engine, now);
        all_written(&mut engine, &half, s(400));
        fault(&mut engine, other.id, Fault::ReadTimeout("300 s".into()), s(620));
        let lost = "f6 f7 f8 f9 f10";
        // Past the deadline there was one last attempt; its result is looked up.
        let mut now = s(620);
        for _ in 0..5 {
            let look_up = next_request(&mut engine, &mut now);
            assert!(matches!(look_up.call, Call::Get { .. }));
            respond(
                &mut engine,
                look_up.id,
                404,
                r#"{"message":"table instance for x not found"}"#,
                now,
            );
        }
        assert_eq!(endings(&mut engine), format!("w1 w2 w3 w4 w5 {lost}"));
    }

    #[test]
    fn three_equal_errors_split_a_batch_until_the_cause_stands_alone() {
        let mut engine = eager(1, 4);
        submit_tables(&mut engine, 4, s(0));
        let mut now = s(0);
        let mut sizes = Vec::new();
        while engine.stats(now).written < 3 {
            let sent = next_request(&mut engine, &mut now);
            sizes.push(rows(&sent));
            let Call::PutBulk { rows, .. } = &sent.call else {
                panic!("{sent:?}")
            };
            if rows.iter().any(|row| row.windows(4).any(|part| part == b"s.t2")) {
                respond(&mut engine, sent.id, 500, "", now);
            } else {
                all_written(&mut engine, &sent, now);
            }
        }
        assert_eq!(sizes[..4], [4, 4, 4, 2], "{sizes:?}");
        assert!(sizes.len() <= 12 && now < s(60), "{sizes:?} {now:?}");
        assert_eq!(engine.stats(now).pending, 1);
    }

    #[test]
    fn a_body_that_is_too_large_is_halved_and_the_size_is_remembered() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 8, s(0));
        let whole = request(&mut engine, s(0));
        respond(&mut engine, whole.id, 413, "<html>", s(0));
        for _ in 0..2 {
            let half = request(&mut engine, s(0));
            assert_eq!(rows(&half), 4);
            all_written(&mut engine, &half, s(0));
        }
        assert_eq!(endings(&mut engine).matches('w').count(), 8);
        submit_tables(&mut engine, 8, s(1));
        assert!(rows(&request(&mut engine, s(1))) <= 4);
    }

    #[test]
    fn a_record_that_is_too_large_alone_is_lost_with_its_size() {
        let mut engine = eager(1, 100);
        submit_tables(&mut engine, 1, s(0));
        let sent = request(&mut engine, s(0));
        respond(&mut engine, sent.id, 413, "", s(0));
        let reason = only_reason(&mut engine);
        assert!(
            reason.contains("its body has 38 bytes") && reason.contains("413"),
            "{reason}"
        );
    }
}
