//! Whether a record that was lost had to be. A loss is justified only if
//!
//! | | |
//! |---|---|
//! | a | nature refuses it, it was told so itself, and the reason quotes that |
//! | b | it had two attempts, no opening within the deadline of the first, and the reason quotes its last answer |
//! | c | server or collection given up: no ready record had an opening in the deadline before, and it was pending then, or came before 15 s of fair weather |
//! | d | what it refers to is lost, and its last answer, or its reason, names that (the other loss is judged by itself) |
//! | e | 401, 407 or 3xx for 30 s; no such collection; an inquest whose collection refuses 0.8 by nature, and the reason says that it was not tried |
//! | f | its last chance at a final drain, or forced by room: what it lacked was not there then |
//! | g | abandoned, submitted after close, not delivered before the bounded end of close |
//!
//! `almanac.rs` says what an opening is. Where random faults are too many for a verdict, a reason that was told is enough.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use openmetadata_bulksink::engine::{Ending, Kind, Sequence};
use rustc_hash::FxHashMap;

use crate::almanac::{Almanac, Span};
use crate::books::{Account, Checked};
use crate::stream::Temper;
use crate::verdicts::Tolerance;
use crate::world::ABANDONED;

/// Words of the engine's reasons that the rules refer to.
const GIVEN_UP: &str = "given up";
const NOT_TRIED: &str = "not tried";
pub const END_OF_CLOSE: &str = "not delivered before the end of close";
const AFTER_CLOSE: &str = "submitted after close";
const SUPERSEDED: &str = "a later record of it came";
const NEEDED_FIRST: &str = "which must be written first: ";

/// After so much fair weather the engine must know that a server, or a collection, is back.
const NOTICED_AFTER: Duration = Duration::from_secs(15);
/// A closed door (401, 407, 3xx) is waited at for so long.
const DOOR: Duration = Duration::from_secs(30);
/// Shorter delays say nothing: lags, look-ups, pauses between two probes.
const SLACK: Duration = Duration::from_secs(1);
/// Unknown results are looked up for so long.
const LOOK_UPS: Duration = Duration::from_secs(10);
/// So large a share of a collection must be refused by nature before the rest may be lost untried.
const HOPELESS: f64 = 0.8;
/// Of a smaller share the records that are tried alone, two dozen drawn at random, are all bad now and then: 0.8^24 is 0.5 %. That is
/// what a loss is called then, which may happen as often as chance has it and no more.
const BAD_LUCK: f64 = 0.7;
pub const BY_CHANCE: &str = "by chance alone it looked as if all were refused";

pub struct Losses<'a> {
    pub almanac: Almanac<'a>,
    pub tolerance: Tolerance,
    pub close_called_at: Option<Duration>,
    /// Times at which a server or a collection may have been given up, and whether any ready record had an opening in the deadline
    /// before: of all, of each collection.
    given_up: RefCell<FxHashMap<(Duration, Option<String>), bool>>,
    moments: Vec<Duration>,
}

impl<'a> Losses<'a> {
    pub fn new(almanac: Almanac<'a>, tolerance: Tolerance, close_called_at: Option<Duration>) -> Self {
        let accounts = almanac.books.accounts.iter();
        let given_up = accounts.filter_map(|account| match &account.ended {
            Some((at, Ending::Failed(reason))) if reason.contains(GIVEN_UP) && account.submitted < *at => Some(*at),
            _ => None,
        });
        let mut moments: Vec<Duration> = given_up.collect();
        moments.sort_unstable();
        moments.dedup();
        Self {
            almanac,
            tolerance,
            close_called_at,
            given_up: RefCell::default(),
            moments,
        }
    }

    /// Each loss is justified.
    pub fn check(&self) -> Checked {
        for (account, sequence) in self.almanac.books.accounts.iter().zip(1..) {
            let (what, reason, justified) = match &account.ended {
                Some((at, Ending::Failed(reason))) => ("failed", reason, self.justify(sequence, account, *at, reason)),
                Some((at, Ending::WrittenInPart(reason))) => {
                    let justified = self.justify_part(sequence, account, *at, reason);
                    ("was written without keys", reason, justified)
                }
                _ => continue,
            };
            if let Err(why) = justified {
                return Err(format!(
                    "needless loss: {} {what}, {why}: {reason}\n{}",
                    self.almanac.books.describe(sequence, &self.almanac.setup.stream),
                    self.timeline(sequence)
                ));
            }
        }
        Ok(())
    }

    /// Keys are lost justly where one of them refers to what is not there, where a later record of the table came, and where the
    /// loss of a record would be just.
    fn justify_part(
        &self,
        sequence: Sequence,
        account: &Account,
        ended: Duration,
        reason: &str,
    ) -> Result<char, String> {
        let books = self.almanac.books;
        if reason.contains(SUPERSEDED) {
            let is_later = |other: &Sequence| *other > sequence && books.account(*other).submitted <= ended;
            let came = books.of_entity(account.entity).iter().any(is_later);
            return came.then_some('f').ok_or_else(|| "and none came".to_owned());
        }
        let spec = &self.almanac.setup.stream.specs[account.spec];
        // A loss that leaves open whether the server has it is one, too; it is judged by itself.
        let was_lost = |entity: &usize| {
            books
                .of_entity(*entity)
                .iter()
                .any(|other| books.account(*other).was_lost_by(ended))
        };
        let is_gone = |entity: &usize| !self.almanac.is_there(*entity, ended) || self.almanac.server.vanished[*entity];
        if spec.keys.iter().any(|entity| is_gone(entity) || was_lost(entity)) {
            return Ok('d');
        }
        self.justify(sequence, account, ended, reason)
    }

    /// The letter of the rule that justifies a loss.
    fn justify(&self, sequence: Sequence, account: &Account, ended: Duration, reason: &str) -> Result<char, String> {
        if reason.contains(AFTER_CLOSE) || reason.contains(ABANDONED) {
            return Ok('g');
        }
        if reason.contains(END_OF_CLOSE) {
            return self.close_was_at_its_end(ended);
        }
        if let (true, Some(_)) = (reason.contains(NEEDED_FIRST), account.first) {
            let first = account.first.map(|first| &self.almanac.books.account(first).ended);
            return match first {
                Some(Some((_, Ending::Failed(_)))) => Ok('d'),
                _ => Err("and what had to be written first did not".to_owned()),
            };
        }
        if reason.contains(NEEDED_FIRST) && account.kind == Kind::LifeCycle {
            // It rode in a create request that failed for that.
            return Ok('d');
        }
        // A record that no request has carried may share the outcome of an earlier one of its entity; a life cycle may ride in it.
        let shares = self.almanac.books.wire.first_attempt(sequence).is_none() || account.kind == Kind::LifeCycle;
        let of_entity = self.almanac.books.of_entity(account.entity).iter().copied();
        let others = of_entity.filter(|other| shares && *other != sequence);
        let tellers: Vec<Sequence> = std::iter::once(sequence).chain(others).collect();
        let turned_away = ["answered 302", "answered 401", "answered 407"]
            .iter()
            .any(|text| reason.contains(text));
        if turned_away && self.door_was_closed(account, ended) {
            return Ok('e');
        }
        if reason.contains(GIVEN_UP) && self.was_given_up(account, ended, reason).is_ok() {
            return Ok('c');
        }
        if reason.contains("the server has no collection") {
            let told = self.almanac.books.told_to_any.iter().any(|text| text.contains("40"));
            return told.then_some('e').ok_or_else(|| "and nobody was told so".to_owned());
        }
        if reason.contains("which this needs: ") || reason.starts_with("its entity ") {
            let judged = tellers.iter().map(|teller| {
                let told = self.almanac.books.account(*teller);
                self.needed_something_that_failed(account, told, reason)
            });
            return first_ok(judged);
        }
        if reason.contains(" instance for ") {
            let judged = tellers
                .iter()
                .map(|teller| self.lacked_something(*teller, ended, reason));
            let judged = first_ok(judged);
            // What was given up quotes its last answer, which need not be why.
            if judged.is_ok() || !reason.contains(GIVEN_UP) || self.almanac.is_fair() {
                return judged;
            }
        }
        let by_nature = tellers.iter().map(|teller| self.was_refused(*teller, reason));
        let Err(not_by_nature) = first_ok(by_nature) else {
            return Ok('a');
        };
        if self.door_was_closed(account, ended) {
            return Ok('e');
        }
        if let Some(share) = self.refused_share(account, reason) {
            if share >= HOPELESS {
                return Ok('e');
            } else if share >= BAD_LUCK {
                return Err(format!("{BY_CHANCE}: {share}"));
            }
        }
        if self.tolerance == Tolerance::Nothing {
            return Err(format!("and nothing had to be lost; {not_by_nature}"));
        }
        if !self.almanac.is_fair() {
            let told = self
                .almanac
                .books
                .told_to_any
                .iter()
                .any(|text| reason.contains(&**text));
            return told
                .then_some('?')
                .ok_or_else(|| "and its reason was never told".to_owned());
        }
        let Err(not_in_vain) = first_ok(tellers.iter().map(|teller| self.was_tried_in_vain(*teller, reason))) else {
            return Ok('b');
        };
        let Err(not_given_up) = self.was_given_up(account, ended, reason) else {
            return Ok('c');
        };
        Err(format!("{not_by_nature}; {not_in_vain}; {not_given_up}"))
    }

    /// a
    fn was_refused(&self, teller: Sequence, reason: &str) -> Result<(), String> {
        let account = self.almanac.books.account(teller);
        let Some(why) = self.almanac.nature_refuses(account.spec) else {
            return Err("the server would have taken it".to_owned());
        };
        let quotes = account.told.iter().any(|text| reason.contains(&**text));
        let mutely = match self.almanac.setup.stream.specs[account.spec].temper {
            Temper::RefusedMutely => reason.contains("no text") || reason.contains("the server answered 400"),
            Temper::Silent(_) => reason.contains("said nothing"),
            _ => reason.contains("the server answered 413"),
        };
        if quotes || mutely {
            Ok(())
        } else {
            Err(format!("{why}, and its reason quotes nothing that it was told itself"))
        }
    }

    /// b
    fn was_tried_in_vain(&self, teller: Sequence, reason: &str) -> Result<(), String> {
        let books = self.almanac.books;
        let account = books.account(teller);
        let attempts = books.wire.of(teller).count();
        let Some(first) = books.wire.first_attempt(teller).filter(|_| attempts >= 2) else {
            return Err(format!("it had {attempts} attempts"));
        };
        let deadline = self.almanac.setup.config.delivery_timeout;
        let mut within = (first, first + deadline);
        if account.parked_first.is_some() {
            // Its clock stood while it was parked.
            let ended = account.ended.as_ref().map_or(first, |(at, _)| *at);
            within = (first.max(ended.saturating_sub(deadline)), ended);
        }
        if let Some((from, to)) = self.almanac.opening(account.spec, within) {
            return Err(format!("it would have been taken from {from:?} to {to:?}"));
        }
        match account.told.last() {
            Some(last) if reason.contains(&**last) => Ok(()),
            last => Err(format!("its reason does not quote its last answer {last:?}")),
        }
    }

    /// c
    fn was_given_up(&self, account: &Account, ended: Duration, reason: &str) -> Result<(), String> {
        if !reason.contains(GIVEN_UP) {
            return Err("nothing was given up".to_owned());
        }
        let collection = &self.almanac.setup.stream.entities[account.entity].collection;
        let lasts = self.almanac.setup.config.attempt_timeout + LOOK_UPS + SLACK;
        let mut why = "it came when nothing was given up".to_owned();
        for given_up in self.moments.iter().copied().filter(|at| *at <= ended) {
            let was_pending = account.submitted <= given_up && ended <= given_up + lasts;
            let fair = (given_up, account.submitted);
            let came_too_soon = account.submitted > given_up
                && !self
                    .almanac
                    .was_welcome_for(account.spec, NOTICED_AFTER + self.almanac.longest_service(), fair);
            if !(was_pending || came_too_soon) {
                continue;
            }
            let all = self.had_opening(given_up, None);
            if !all || !self.had_opening(given_up, Some(collection)) {
                return Ok(());
            }
            why = format!("what was given up at {given_up:?} would have taken records before");
        }
        Err(why)
    }

    /// Whether a ready record, of that collection, had an opening in the deadline before something was given up. A collection of
    /// which nothing was tried cannot be given up.
    fn had_opening(&self, given_up: Duration, collection: Option<&str>) -> bool {
        let key = (given_up, collection.map(str::to_owned));
        if let Some(known) = self.given_up.borrow().get(&key) {
            return *known;
        }
        let deadline = self.almanac.setup.config.delivery_timeout;
        let since = given_up.saturating_sub(deadline);
        let stream = &self.almanac.setup.stream;
        let (mut any_tried, mut any_opening) = (collection.is_none(), false);
        for (account, sequence) in self.almanac.books.accounts.iter().zip(1..) {
            if collection.is_some_and(|path| path != &*stream.entities[account.entity].collection) {
                continue;
            }
            let Some((from, to)) = self.almanac.ready(sequence) else {
                continue;
            };
            let within = (from.max(since), to.min(given_up));
            if within.0 >= within.1 {
                continue;
            }
            any_tried |= self.almanac.books.wire.of(sequence).any(|p| p.begun < given_up);
            if self.almanac.opening(account.spec, within).is_some() {
                any_opening = true;
                break;
            }
        }
        let had = any_opening || !any_tried;
        self.given_up.borrow_mut().insert(key, had);
        had
    }

    /// e, first half
    fn door_was_closed(&self, account: &Account, ended: Duration) -> bool {
        let closed = |(from, to): &Span| {
            let long_enough = *from + DOOR <= ended + SLACK && *to >= *from + DOOR.saturating_sub(SLACK);
            long_enough && account.submitted <= *to + NOTICED_AFTER && ended <= *to + NOTICED_AFTER + SLACK
        };
        self.almanac.closed_doors().iter().any(closed)
    }

    /// e, second half: the share of a collection that is refused by nature, if the reason says that the record was lost for that.
    fn refused_share(&self, account: &Account, reason: &str) -> Option<f64> {
        let stream = &self.almanac.setup.stream;
        let collection = &stream.entities[account.entity].collection;
        let of_it =
            |other: &&Account| other.kind == Kind::Create && stream.entities[other.entity].collection == *collection;
        let (mut all, mut refused) = (0.0, 0.0);
        for other in self.almanac.books.accounts.iter().filter(of_it) {
            all += 1.0;
            refused += f64::from(u8::from(self.almanac.nature_refuses(other.spec).is_some()));
        }
        let quotes = self
            .almanac
            .books
            .told_to_any
            .iter()
            .any(|text| reason.contains(&**text));
        (reason.contains(NOT_TRIED) && quotes).then_some(refused / all)
    }

    /// d
    fn needed_something_that_failed(&self, account: &Account, told: &Account, reason: &str) -> Result<char, String> {
        let others = if account.kind == Kind::LifeCycle && reason.starts_with("its entity ") {
            vec![account.entity]
        } else {
            told.missing.clone()
        };
        if let Some(key) = self.can_do_without(told, others.last().copied()) {
            return Err(format!("and it could have been written without its key to {key}"));
        }
        let failed = |entity: &usize| {
            self.almanac.books.of_entity(*entity).iter().any(|s| {
                let other = self.almanac.books.account(*s);
                other.kind == Kind::Create && matches!(other.ended, Some((_, Ending::Failed(_))))
            })
        };
        if others.iter().any(failed) {
            Ok('d')
        } else {
            Err("and nothing that it names did".to_owned())
        }
    }

    /// What a record could have been written without.
    fn can_do_without(&self, account: &Account, entity: Option<usize>) -> Option<&str> {
        let entity =
            entity.filter(|entity| self.almanac.setup.stream.specs[account.spec].keys_to(*entity).is_some())?;
        Some(self.almanac.setup.stream.entities[entity].key.as_str())
    }

    /// d and f
    fn lacked_something(&self, teller: Sequence, ended: Duration, reason: &str) -> Result<char, String> {
        let books = self.almanac.books;
        let told = books.account(teller);
        let Some(named) = told.missing.iter().rev().find(|entity| {
            let entity = &self.almanac.setup.stream.entities[**entity];
            reason.contains(&format!("{} instance for {} not found", entity.word, entity.key))
        }) else {
            return Err("and it was never told so".to_owned());
        };
        if let Some(key) = self.can_do_without(told, Some(*named)) {
            return Err(format!("and it could have been written without its key to {key}"));
        }
        let came = books.of_entity(*named).iter().find_map(|s| {
            let other = books.account(*s);
            match &other.ended {
                Some((at, Ending::Written | Ending::WrittenInPart(_))) if other.kind == Kind::Create => Some(*at),
                _ => None,
            }
        });
        let failed_before = books.of_entity(*named).iter().any(|s| {
            let other = &books.account(*s).ended;
            matches!(other, Some((at, Ending::Failed(_))) if *at <= ended)
        });
        if reason.contains("failed in this run") && failed_before {
            return Ok('d');
        }
        match came {
            _ if self.almanac.server.vanished[*named] => Ok('f'),
            Some(at) if at <= ended => Err("and that was there by then".to_owned()),
            Some(_) if !books.last_chances => Err("and that came later".to_owned()),
            _ => Ok('f'),
        }
    }

    /// g: the end of close is bounded by E12.
    fn close_was_at_its_end(&self, ended: Duration) -> Result<char, String> {
        let config = &self.almanac.setup.config;
        let since = self
            .close_called_at
            .unwrap_or_default()
            .max(self.last_word_before(ended));
        let bound = config.delivery_timeout + config.attempt_timeout;
        if ended + SLACK >= since + bound {
            Ok('g')
        } else {
            Err(format!(
                "and the server took or refused something at {since:?}, {:?} before",
                ended - since
            ))
        }
    }

    fn last_word_before(&self, at: Duration) -> Duration {
        let passages = self
            .almanac
            .books
            .wire
            .passages
            .iter()
            .filter(|passage| passage.settled);
        passages
            .filter_map(|passage| passage.ended.filter(|ended| *ended < at))
            .max()
            .unwrap_or_default()
    }

    /// What happened to one record, for people.
    pub fn timeline(&self, sequence: Sequence) -> String {
        let almanac = &self.almanac;
        let account = almanac.books.account(sequence);
        let mut text = String::new();
        let s = |at: Duration| at.as_secs_f64();
        let _ = writeln!(text, "  {:>10.3} submitted", s(account.submitted));
        if let Some((from, _)) = almanac.ready(sequence) {
            let _ = writeln!(text, "  {:>10.3} had nothing left to wait for", s(from));
        }
        let attempts: Vec<_> = almanac.books.wire.of(sequence).collect();
        for (number, passage) in attempts.iter().enumerate() {
            if number == 8 && attempts.len() > 16 {
                let _ = writeln!(text, "             ... {} attempts more ...", attempts.len() - 16);
            }
            if (8..attempts.len().saturating_sub(8)).contains(&number) {
                continue;
            }
            let ended = passage.ended.map_or(f64::NAN, s);
            let (what, rows) = (passage.what, passage.rows);
            let met = passage
                .trouble
                .map(|trouble| format!(", met {trouble:?}"))
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "  {:>10.3} {what:?} of {rows} rows, answered {ended:.3}{met}",
                s(passage.begun)
            );
        }
        for told in account.told.iter().rev().take(3).rev() {
            let _ = writeln!(text, "             told: {told}");
        }
        if let Some((at, _)) = &account.ended {
            let _ = writeln!(text, "  {:>10.3} ended", s(*at));
        }
        match almanac.nature_refuses(account.spec) {
            Some(why) => drop(writeln!(text, "  nature: {why}")),
            None => {
                let fair = almanac.fair(account.spec);
                let fair: Vec<String> = fair
                    .iter()
                    .map(|(from, to)| format!("{:.3}..{:.3}", s(*from), s(*to)))
                    .collect();
                let _ = writeln!(text, "  would have been taken at {}", fair.join(", "));
            }
        }
        let _ = write!(text, "  given up at {:?}", self.moments);
        text
    }
}

fn first_ok<T>(judged: impl Iterator<Item = Result<T, String>>) -> Result<T, String> {
    let mut why = None;
    for one in judged {
        match one {
            Ok(good) => return Ok(good),
            Err(text) => drop(why.get_or_insert(text)),
        }
    }
    Err(why.unwrap_or_default())
}
