//! What an answer does to a request and to its rows (E7, E8).

use std::sync::Arc;

use crate::engine::authorization::TurnedAway;
use crate::engine::batch::Batch;
use crate::engine::compression::About;
use crate::engine::decide::Streak;
use crate::engine::defects::broken;
use crate::engine::figures::Cause;
use crate::engine::inquest::{LEAST_REST, SCOUTS};
use crate::engine::lifecycle::Patch;
use crate::engine::order::{CollectionId, Entry, Met};
use crate::engine::queues::{Flight, Lane, Work};
use crate::engine::reading::{Meaning, Rebuff, Row, Trouble, TroubleKind, SAID_NOTHING};
use crate::engine::record::{Ending, Kind, Missing, Sequence};
use crate::engine::routes::{NoRoute, BETWEEN_SINGLES};
use crate::engine::{Engine, Time};

/// So many outages a record travels in full batches again after. One that meets more trouble keeps its batch: that several break on
/// rows of their own looks the same, and is told only by what each goes through.
const JOINS: u8 = 3;

/// Rows of one answer that are sent again, by how.
#[derive(Default)]
struct SentAgain {
    overloaded: Vec<Sequence>,
    after_error: Vec<Sequence>,
    /// At once, together.
    at_once: Vec<Sequence>,
    /// At once, each by itself.
    alone: Vec<Sequence>,
    /// What the server said of the overloaded ones.
    text: String,
}

impl Engine {
    /// A request has ended.
    pub(in crate::engine) fn answered(&mut self, flight: Flight, meaning: Meaning, now: Time) {
        self.figures.answered(&flight, &meaning, now);
        let Flight { work, lane, sent } = flight;
        let tries = lane.filter(|_| is_probe(&work));
        match (work, lane) {
            (Work::Batch(batch), Some(lane)) => self.batch_answered(batch, lane, meaning, sent, now),
            (Work::Patch(patch), Some(lane)) => self.patch_answered(patch, lane, meaning, sent, now),
            (Work::LookUp(sequence), _) => self.look_up_answered(sequence, meaning, sent, now),
            (Work::Probe, _) => self.probe_answered(meaning, sent, now),
            (Work::RenewToken, _) => {
                let result = match meaning {
                    Meaning::NewToken(result) => result,
                    _ => Err("the call for it failed".to_owned()),
                };
                self.token_answered(result, now);
            }
            // Its records have ended meanwhile.
            (Work::Batch(_) | Work::Patch(_), None) => {}
        }
        if let Some(lane) = tries {
            self.server.try_ended(lane);
        }
    }

    /// So has one that nobody waits for any more. What it says of the server holds.
    pub(in crate::engine) fn answered_late(&mut self, meaning: &Meaning, now: Time) {
        if let Meaning::Fault(trouble) = meaning {
            let chance = self.random.f64();
            self.server.met_beside(now, trouble, now, chance);
        }
    }

    fn batch_answered(&mut self, mut batch: Batch, lane: Lane, meaning: Meaning, sent: Time, now: Time) {
        let compressed = batch.compressed;
        let about = self
            .server
            .compression
            .answered(&mut batch, &meaning, self.config.defect);
        match about {
            About::Nothing => {}
            About::Ended(reason) => self.notices.push_back(format!(
                "requests are not compressed any more: the server, or something in front of it, does not take compressed \
                 ones ({reason})"
            )),
            About::GoesPlain => {
                self.at_once(Work::Batch(batch));
                return;
            }
        }
        match meaning {
            Meaning::Rows(rows) => {
                let bytes = (!compressed).then(|| self.bytes_of(&batch.members));
                self.sealing.taken(bytes, now);
                self.rows_answered(batch, rows, lane, sent, now);
            }
            Meaning::Done { .. } => {
                self.accepted(lane, false, sent, now);
                for member in batch.members {
                    self.finish(member, Ending::Written);
                }
            }
            Meaning::Fault(trouble) => self.in_trouble(Work::Batch(batch), lane, trouble, sent, now),
            Meaning::TooLarge(text) => self.batch_too_large(batch, &text, sent, now),
            Meaning::Missing(missing, text) => {
                self.accepted(lane, false, sent, now);
                for member in batch.members {
                    self.row_lacks(member, missing.clone(), &text, sent);
                }
            }
            Meaning::Exists(text) => {
                self.accepted(lane, false, sent, now);
                let mut again = SentAgain::default();
                for member in &batch.members {
                    self.row_exists(*member, text.clone(), &mut again);
                }
                self.send_again(&batch, lane, again, sent, now);
            }
            Meaning::Refused(text) => self.batch_refused(batch, lane, &text, sent, now),
            Meaning::Rebuffed(rebuff) => self.rebuffed(Work::Batch(batch), lane, &rebuff, sent, now),
            Meaning::NoRoute { page, text } => self.no_route(batch, lane, page, text, sent, now),
            Meaning::NewToken(_) => self.at_once(Work::Batch(batch)),
        }
    }

    fn bytes_of(&self, members: &[Sequence]) -> usize {
        let entries = members.iter().filter_map(|member| self.order.get(*member));
        entries.map(Entry::size).sum()
    }

    /// A request was served, whatever became of its rows.
    pub(super) fn served(&mut self, lane: Lane, sent: Time, now: Time) {
        self.closing.verdict_came(now);
        let recovery = self.server.served(lane, sent, now);
        self.look_ups.start_anew();
        self.notices.extend(recovery.notice);
        if recovery.was_given_up {
            self.sweeps.clear();
        }
        for batch in self.queues.take_suspects() {
            self.split(batch);
        }
        if recovery.was_in_trouble {
            self.join_fragments();
        }
    }

    /// A request was served as the API does it: what its collection takes, and what it refuses, starts anew.
    fn accepted(&mut self, lane: Lane, in_bulk: bool, sent: Time, now: Time) {
        self.served(lane, sent, now);
        let route = self.server.route(lane.0);
        route.refusals.accepted();
        route.answered(in_bulk);
    }

    /// What an outage has split goes back into the queues, to travel in full batches again.
    fn join_fragments(&mut self) {
        let served = self.server.served_so_far();
        let (order, inquests) = (&self.order, &self.inquests);
        // A scout goes on alone: others are held until it has an answer of its own.
        let is_innocent = |member: &Sequence| {
            let entry = order.get(*member);
            let alone = entry.and_then(|entry| entry.alone);
            alone.is_none_or(|streak| streak.was_everybodys(served))
                && entry.is_none_or(|entry| entry.joined < JOINS)
                && !inquests.is_scout(*member)
        };
        let is_fragment = |batch: &Batch| {
            batch.suspect_since.is_none() && !batch.last_attempt && batch.members.iter().all(is_innocent)
        };
        for batch in self.queues.take_fragments(is_fragment) {
            for member in batch.members {
                if let Some(entry) = self.order.get_mut(member) {
                    entry.alone = None;
                    entry.joined += 1;
                }
                self.order.back_in_line(member);
            }
        }
    }

    fn rows_answered(&mut self, batch: Batch, rows: Vec<(Sequence, Row)>, lane: Lane, sent: Time, now: Time) {
        self.accepted(lane, true, sent, now);
        if self.server.has_broken_on_rows(lane) {
            let broke_before = |member| self.order.get(member).is_some_and(|entry| entry.errors.is_some());
            if rows
                .iter()
                .any(|(member, row)| *row == Row::Written && broke_before(*member))
            {
                self.server.healed(lane, now);
            }
        }
        let mut again = SentAgain::default();
        for (member, row) in rows {
            self.row_answered(member, row, lane, &mut again, sent);
        }
        self.send_again(&batch, lane, again, sent, now);
    }

    fn row_answered(&mut self, member: Sequence, row: Row, lane: Lane, again: &mut SentAgain, sent: Time) {
        match row {
            Row::Written => self.finish(member, Ending::Written),
            Row::Refused(text) => self.refused(member, text),
            Row::Missing(missing, text) => self.row_lacks(member, missing, &text, sent),
            Row::Duplicate(text) => self.row_exists(member, text, again),
            Row::Overload(text) => {
                again.overloaded.push(member);
                again.text = text;
            }
            Row::ServerError(status, text) => self.row_broke(member, status, text, lane, again),
            Row::Unanswered => self.row_unanswered(member, again),
        }
    }

    /// The server failed on a record, but not on others.
    fn row_broke(&mut self, member: Sequence, status: u16, text: String, lane: Lane, again: &mut SentAgain) {
        let (served, healed) = (self.server.served_so_far(), self.server.broke_on_row(lane));
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        let errors = entry.errors.as_deref().copied();
        let errors = Streak::one_more(errors, TroubleKind::Status(status), served, self.now);
        entry.errors = Some(Box::new(errors));
        if errors.is_of_the_row(healed, self.now) {
            self.finish(member, Ending::Failed(text.into()));
        } else {
            entry.met(text.into(), self.now, Met::Itself);
            again.after_error.push(member);
        }
    }

    /// The server does not take a record.
    fn refused(&mut self, member: Sequence, text: String) {
        if self.goes_without_named(member, &text) {
            self.report_alone(member, None);
        } else {
            self.finish(member, Ending::Failed(text.into()));
        }
    }

    /// The server has a record in another form already.
    fn row_exists(&mut self, member: Sequence, reason: String, again: &mut SentAgain) {
        let Some(entry) = self.order.get_mut(member) else {
            return;
        };
        if entry.unknown && !std::mem::replace(&mut entry.exists, true) {
            // Our own earlier attempt may have put it there; the same answer once more is final.
            entry.met(reason.into(), self.now, Met::Itself);
            again.at_once.push(member);
        } else if entry.record.first_wins {
            self.finish(member, Ending::Warned(reason.into()));
        } else {
            self.lose_or_look_up(member, reason);
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
            entry.met(SAID_NOTHING.into(), self.now, Met::Itself);
            again.alone.push(member);
        }
    }

    /// A record was refused because `missing` is not there (E8).
    fn row_lacks(&mut self, member: Sequence, missing: Missing, reason: &str, sent: Time) {
        let pending = self.order.is_pending(&missing, member);
        // What it needs is pending and not parked itself: it will be there soon, or fail.
        let coming = self.order.is_coming(&missing, member);
        let meant: Vec<CollectionId> = self.order.meant_by(&missing).collect();
        let there_by_now = meant.iter().any(|c| self.written_lately.since(*c, &missing.fqn, sent));
        let has_failed = meant.iter().any(|c| self.failed.contains(&(*c, missing.fqn.clone())));
        let in_parts = self.order.get(member).is_some_and(|entry| entry.second_form.is_some());
        let is_due = there_by_now && (in_parts || !pending);
        if !is_due && self.goes_without(member, &missing, reason, pending || !has_failed) {
            self.report_alone(member, None);
            return;
        }
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
        entry.met(reason.into(), self.now, Met::Itself);
        let work = match entry.kind() {
            Kind::Create => Work::Batch(Batch::of_one(entry.collection, member)),
            Kind::LifeCycle => Work::Patch(Patch::new(member)),
        };
        if is_due {
            self.at_once(work);
        } else {
            self.figures.again(Cause::Missing, 1);
            self.order.park(member, missing);
        }
        // The collection does not refuse everything, and the server answers.
        self.report_alone(member, None);
    }

    /// Sends rows again that the server could not take this time.
    fn send_again(&mut self, batch: &Batch, lane: Lane, again: SentAgain, sent: Time, now: Time) {
        if !again.overloaded.is_empty() && !broken!(self.config.defect, ForgetsOverloadedRows) {
            let trouble = Trouble {
                kind: TroubleKind::Overload,
                reason: again.text,
                unknown: false,
                retry_after: None,
            };
            let rows = Batch {
                attempts: batch.attempts,
                probe: batch.probe,
                last_attempt: batch.last_attempt,
                ..Batch::new(batch.collection, again.overloaded)
            };
            self.figures.again(Cause::RowsOverload, rows.members.len());
            self.in_trouble(Work::Batch(rows), lane, trouble, sent, now);
        }
        if !again.after_error.is_empty() {
            let rows = self.in_time(again.after_error, batch.last_attempt, now);
            if !rows.is_empty() {
                self.figures.again(Cause::RowsFailed, rows.len());
                let attempts = batch.attempts;
                let rows = Batch {
                    attempts,
                    ..Batch::new(batch.collection, rows)
                };
                self.put_off(Work::Batch(rows), attempts, None, now);
            }
        }
        if !again.at_once.is_empty() {
            let rows = Batch::new(batch.collection, again.at_once);
            self.at_once(Work::Batch(rows));
        }
        if !again.alone.is_empty() {
            self.figures.again(Cause::RowsUnanswered, again.alone.len());
        }
        for member in again.alone.into_iter().rev() {
            let alone = Batch::of_one(batch.collection, member);
            self.at_once(Work::Batch(alone));
        }
    }

    fn batch_too_large(&mut self, batch: Batch, text: &str, sent: Time, now: Time) {
        self.server.limiter.served(sent, now);
        let bytes = self.bytes_of(&batch.members);
        if let [only] = batch.members.as_slice() {
            let text = format!("its body has {bytes} bytes: {text}");
            self.closing.verdict_came(now);
            self.finish(*only, Ending::Failed(text.into()));
        } else {
            self.sealing.too_large(bytes, now);
            self.send_halves(batch, None, Cause::TooLarge);
        }
    }

    fn batch_refused(&mut self, batch: Batch, lane: Lane, text: &str, sent: Time, now: Time) {
        self.served(lane, sent, now);
        let collection = batch.collection;
        let suspicious = self.server.route(collection).refusals.refused(text);
        if let [only] = batch.members.as_slice() {
            self.refused(*only, text.to_owned());
        } else if suspicious && self.inquests.is_under_inquest(collection) {
            self.hold(&batch.members);
            self.inquests.join(collection, batch.members);
        } else if suspicious && self.is_worth_an_inquest(&batch) {
            let inquests = &self.inquests;
            let is_part = |part: &Batch| {
                part.collection == collection && !part.members.iter().any(|member| inquests.is_scout(*member))
            };
            let parts = self.queues.take_parts(is_part);
            let mut rest = batch.members;
            rest.extend(parts);
            self.try_some(collection, rest, SCOUTS, now);
        } else {
            self.send_halves(batch, None, Cause::Refused);
        }
    }

    /// Whether so many records of a collection are still to be tried that a request for each would be a flood. Fewer are tried one by
    /// one: that costs little, and condemns nobody unheard.
    fn is_worth_an_inquest(&self, batch: &Batch) -> bool {
        let is_part = |part: &Batch| {
            part.collection == batch.collection && !part.members.iter().any(|member| self.inquests.is_scout(*member))
        };
        batch.members.len() + self.queues.count_parts(is_part) >= LEAST_REST
    }

    /// An endpoint is not there.
    fn no_route(&mut self, batch: Batch, lane: Lane, page: bool, text: String, sent: Time, now: Time) {
        match self.server.not_there(lane.0, batch.in_bulk, page, now) {
            NoRoute::Passing => {
                if page {
                    self.server.wants_version();
                } else if self.server.is_in_doubt(lane.0) {
                    self.server.pause(lane, now + BETWEEN_SINGLES);
                }
                let trouble = Trouble {
                    kind: TroubleKind::NoEndpoint,
                    reason: text,
                    unknown: false,
                    retry_after: None,
                };
                self.in_trouble(Work::Batch(batch), lane, trouble, sent, now);
            }
            // That it speaks of its routes is no record served.
            NoRoute::Singly => self.at_once(Work::Batch(batch)),
            NoRoute::Missing => {
                self.served(lane, sent, now);
                let path = self.order.path(lane.0).cloned().unwrap_or_default();
                let why: Arc<str> = format!("the server has no collection {path}: {text}").into();
                self.notices.push_back(why.to_string());
                for member in batch.members {
                    self.finish(member, Ending::Failed(why.clone()));
                }
                self.give_up_pending(Some(lane), &why);
            }
        }
    }

    /// A request was turned away, most likely whatever it holds: then one in a second tells whether that has ended. Where others of
    /// its collection pass meanwhile, something in front of the server objects to a row.
    fn rebuffed(&mut self, work: Work, lane: Lane, rebuff: &Rebuff, sent: Time, now: Time) {
        let reason: Arc<str> = rebuff.with_advice(self.server.served_so_far() > 0).into();
        self.server.stall.met(sent, &reason);
        let said: Arc<str> = rebuff.said.as_str().into();
        let how = Met::among(work.sequences().len(), false);
        for sequence in work.sequences() {
            if let Some(entry) = self.order.get_mut(*sequence) {
                entry.met(said.clone(), now, how);
            }
        }
        if is_probe(&work) {
            self.server.tried_in_vain(lane, now);
        }
        let renewable = rebuff.is_of_token && self.config.renewable_token;
        match self.server.authorization.turned_away(Some(lane), sent, renewable, now) {
            _ if self.server.given_up(lane).is_some() => self.lose_all(&work, Some(&reason), now),
            TurnedAway::Again(at) => {
                let trouble = Trouble::of_rebuff(rebuff, at.saturating_sub(now));
                self.met_fault(work, lane, &trouble, sent, now);
            }
            TurnedAway::Final => self.fail_all(&work, &reason),
            TurnedAway::FinalForAll => {
                self.fail_all(&work, &reason);
                self.server.give_up(reason.clone(), now);
                self.give_up_pending(None, &reason);
            }
        }
    }

    fn fail_all(&mut self, work: &Work, reason: &str) {
        for sequence in work.sequences() {
            let ending = self.failure(*sequence, reason);
            self.finish(*sequence, ending);
        }
    }

    fn patch_answered(&mut self, mut patch: Patch, lane: Lane, meaning: Meaning, sent: Time, now: Time) {
        let sequence = patch.sequence;
        let asks_for_id = patch.id.is_none() && self.server.patch_by_name == Some(false);
        match meaning {
            Meaning::Done { id, .. } if asks_for_id => {
                // Half of the work done says nothing of the other half: it is no success yet.
                if id.is_some() {
                    patch.id = id;
                    patch.attempts = 0;
                    self.at_once(Work::Patch(patch));
                } else {
                    let text = "the server's answer for its entity holds no id";
                    self.finish(sequence, Ending::Failed(text.into()));
                }
            }
            Meaning::Done { .. } | Meaning::Rows(_) => {
                self.served(lane, sent, now);
                if patch.id.is_none() {
                    self.server.patch_by_name = Some(true);
                }
                self.finish(sequence, Ending::Written);
            }
            Meaning::Missing(_, text) => {
                self.served(lane, sent, now);
                if let Some(entry) = self.order.get(sequence) {
                    let missing = Missing::of(&entry.record.collection, entry.key.clone());
                    self.row_lacks(sequence, missing, &text, sent);
                }
            }
            Meaning::NoRoute { .. } if self.server.patch_by_name.is_none() => {
                self.server.patch_by_name = Some(false);
                patch.attempts = 0;
                self.at_once(Work::Patch(patch));
            }
            Meaning::NoRoute { text, .. } => {
                let trouble = Trouble {
                    kind: TroubleKind::NoEndpoint,
                    reason: text,
                    unknown: false,
                    retry_after: None,
                };
                self.in_trouble(Work::Patch(patch), lane, trouble, sent, now);
            }
            Meaning::Fault(trouble) => self.in_trouble(Work::Patch(patch), lane, trouble, sent, now),
            Meaning::Rebuffed(rebuff) => self.rebuffed(Work::Patch(patch), lane, &rebuff, sent, now),
            Meaning::Refused(text) | Meaning::Exists(text) | Meaning::TooLarge(text) => {
                self.served(lane, sent, now);
                self.finish(sequence, Ending::Failed(text.into()));
            }
            Meaning::NewToken(_) => self.at_once(Work::Patch(patch)),
        }
    }

    fn probe_answered(&mut self, meaning: Meaning, sent: Time, now: Time) {
        match meaning {
            Meaning::Done { .. } => self.server.version_came(now),
            Meaning::Fault(trouble) => {
                let chance = self.random.f64();
                self.server.met_beside(sent, &trouble, now, chance);
                self.no_version(sent, &trouble.reason, now);
            }
            Meaning::Rebuffed(rebuff) => self.no_version(sent, &rebuff.with_advice(false), now),
            Meaning::NoRoute { text, .. } => self.no_version(sent, &text, now),
            // Whatever it says, somebody is there.
            _ => self.server.version_came(now),
        }
    }

    fn no_version(&mut self, sent: Time, reason: &str, now: Time) {
        self.server.no_version(sent, reason, now);
        self.consider_giving_up(now);
    }

    pub(super) fn token_answered(&mut self, result: Result<(), String>, now: Time) {
        if let Err(text) = &result {
            self.server.stall.met(now, &format!("no new token: {text}"));
        }
        self.server.authorization.renewed(result.is_ok(), now);
    }
}

/// Whether this work is one record that tells whether the server is there again.
pub(super) fn is_probe(work: &Work) -> bool {
    match work {
        Work::Batch(batch) => batch.probe,
        Work::Patch(patch) => patch.probe,
        _ => false,
    }
}
