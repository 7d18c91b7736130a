//! The books: what was submitted, sent, told and ended, kept apart from the engine, and the promises that are checked against them.
//!
//! The rules are written here a second time, as a reader of the design would, and as simply as possible: no queues, no edges, only lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openmetadata_bulksink::engine::{Ending, Fqn, Kind, Outcome, Scope, Sequence, WaitId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::replies::Reply;
use crate::server::{Flight, Row, Sent, Server};
use crate::stream::{part_of, Stream};
use crate::wire::Wire;

/// One record.
#[derive(Debug)]
pub struct Account {
    pub spec: usize,
    pub entity: usize,
    pub kind: Kind,
    pub submitted: Duration,
    pub ended: Option<(Duration, Ending)>,
    pub attempts: u32,
    pub in_flight: bool,
    /// The record that must be written first.
    pub first: Option<Sequence>,
    /// Earlier records that it names, pending when it was submitted.
    pub blockers: Vec<Sequence>,
    /// Step at which it was last refused for a missing reference.
    pub missing_at: Option<u64>,
    /// When it was first refused for one.
    pub parked_first: Option<Duration>,
    /// Entities it was refused for.
    pub missing: Vec<usize>,
    /// How often the server refused it for its own sake.
    pub refusals: u32,
    /// Whatever the server, or the way to it, said about it.
    pub told: Vec<Arc<str>>,
    pub first_told: Option<Duration>,
}

impl Account {
    /// Whether it has ended well, if only without some of its keys.
    pub fn is_written(&self) -> bool {
        matches!(self.ended, Some((_, Ending::Written | Ending::WrittenInPart(_))))
    }

    /// Whether it was a create request that was lost, by then.
    pub fn was_lost_by(&self, at: Duration) -> bool {
        let lost = matches!(&self.ended, Some((ended, Ending::Failed(_))) if *ended <= at);
        self.kind == Kind::Create && lost
    }
}

/// A wait that the application has opened.
#[derive(Debug)]
struct OpenWait {
    what: String,
    /// Records that must be settled when it ends.
    promised: Vec<Sequence>,
    /// Records that it may be waiting for too.
    others: Vec<Sequence>,
    opened: u64,
    opened_at: Duration,
    is_final: bool,
    room: Option<Scope>,
}

/// A batch may fill for so many lingers while its collection goes on growing.
const LINGERS: u32 = 5;

/// What was promised, and what became of it.
#[derive(Debug, Default)]
pub struct Books {
    pub accounts: Vec<Account>,
    pub pending: BTreeSet<Sequence>,
    pub by_entity: FxHashMap<usize, Vec<Sequence>>,
    by_name: FxHashMap<Fqn, Vec<usize>>,
    /// Entities of which a record was refused for a missing reference: it may be parked, and then it holds nobody up.
    parked_once: FxHashSet<usize>,
    waits: BTreeMap<WaitId, OpenWait>,
    pub written: u64,
    pub failed: u64,
    pub warned: u64,
    /// Counts commands and answers.
    pub step: u64,
    /// Texts of troubles that anything met.
    pub told_to_any: FxHashSet<Arc<str>>,
    /// Whether anything but complete success was ever answered.
    pub troubled: bool,
    /// When something was written for the first time.
    pub works_since: Option<Duration>,
    pub trouble_at: Duration,
    /// Whether parked records may have had their last chance: somebody drained, closed, or waited for room.
    pub last_chances: bool,
    pub requests_in_flight: usize,
    pub most_in_flight: usize,
    /// The shared pause that the server asked for.
    pub asked_to_wait_until: Duration,
    pub wire: Wire,
    overtaken: FxHashMap<Sequence, u32>,
    /// Records that somebody waited for who then gave that up: they may be in a hurry still.
    once_called_for: BTreeSet<Sequence>,
    troubled_collections: FxHashSet<Arc<str>>,
    /// Entities that are being looked up, and until when the engine may wait for that.
    looked_up: FxHashMap<usize, Duration>,
    look_ups_end: Duration,
}

pub type Checked = Result<(), String>;

/// Look-ups of lost records are forgotten when they take too long, so they are left out here.
fn counts(flight: &Flight) -> bool {
    !matches!(
        flight.sent,
        Sent::Probe | Sent::RenewToken | Sent::Get { patch: None, .. }
    )
}

/// A look-up that takes longer is forgotten.
const LOOK_UP_LASTS: Duration = Duration::from_secs(10);

fn at(sequence: Sequence) -> usize {
    usize::try_from(sequence).unwrap() - 1
}

impl Books {
    pub fn account(&self, sequence: Sequence) -> &Account {
        &self.accounts[at(sequence)]
    }

    fn is_pending(&self, sequence: Sequence) -> bool {
        self.account(sequence).ended.is_none()
    }

    pub fn of_entity(&self, entity: usize) -> &[Sequence] {
        self.by_entity.get(&entity).map_or(&[], Vec::as_slice)
    }

    pub fn describe(&self, sequence: Sequence, stream: &Stream) -> String {
        let account = self.account(sequence);
        let entity = &stream.entities[account.entity];
        format!(
            "record {sequence} ({:?} of {} {})",
            account.kind, entity.collection, entity.key
        )
    }

    pub fn submitted(
        &mut self,
        sequence: Sequence,
        spec: usize,
        first: Option<Sequence>,
        stream: &Stream,
        now: Duration,
    ) -> Checked {
        if sequence != self.accounts.len() as u64 + 1 {
            return Err(format!("record {} got the number {sequence}", self.accounts.len() + 1));
        }
        let body = &stream.specs[spec];
        let mut blockers = Vec::new();
        for named in body.parent.iter().chain(&body.needs) {
            for entity in self.by_name.get(named).into_iter().flatten() {
                if *entity != body.entity {
                    blockers.extend(
                        self.of_entity(*entity)
                            .iter()
                            .copied()
                            .filter(|s| self.is_pending(*s) && self.account(*s).kind == Kind::Create),
                    );
                }
            }
        }
        self.accounts.push(Account {
            spec,
            entity: body.entity,
            kind: body.kind,
            submitted: now,
            ended: None,
            attempts: 0,
            in_flight: false,
            first,
            blockers,
            missing_at: None,
            parked_first: None,
            missing: Vec::new(),
            refusals: 0,
            told: Vec::new(),
            first_told: None,
        });
        if first.is_some_and(|first| self.parked_once.contains(&self.account(first).entity)) {
            self.parked_once.insert(body.entity);
        }
        self.pending.insert(sequence);
        self.by_entity.entry(body.entity).or_default().push(sequence);
        let names = self
            .by_name
            .entry(stream.entities[body.entity].key.clone())
            .or_default();
        if !names.contains(&body.entity) {
            names.push(body.entity);
        }
        Ok(())
    }

    /// The record that a row in a request stands for: the first pending one of its entity with that body.
    pub fn record_of(&self, spec: usize, stream: &Stream) -> Result<Sequence, String> {
        let entity = stream.specs[spec].entity;
        self.of_entity(entity)
            .iter()
            .copied()
            .find(|s| self.is_pending(*s) && self.account(*s).spec == spec)
            .ok_or_else(|| format!("body {spec} was sent, and no record with it is pending"))
    }

    /// The life cycle of an entity that a look-up is for.
    pub fn next_patch_of(&self, entity: usize, stream: &Stream) -> Option<(Sequence, usize)> {
        let waiting = |sequence: &Sequence| {
            let account = self.account(*sequence);
            account.ended.is_none() && account.kind == Kind::LifeCycle
        };
        let all: Vec<Sequence> = self.of_entity(entity).iter().copied().filter(waiting).collect();
        let may_go = |s: &Sequence| self.may_be_sent(*s, 0, stream).is_ok();
        let fresh = |s: &Sequence| self.account(*s).missing_at.is_none();
        let sequence = all
            .iter()
            .copied()
            .find(|s| may_go(s) && fresh(s))
            .or_else(|| all.iter().copied().find(may_go))
            .or_else(|| all.first().copied())?;
        Some((sequence, self.account(sequence).spec))
    }

    /// Whether a record is pending that no refusal can have parked.
    pub fn anything_unparked(&self) -> bool {
        let unparked = |sequence: &Sequence| !self.parked_once.contains(&self.account(*sequence).entity);
        self.pending.iter().any(unparked)
    }

    /// A request leaves.
    pub fn sent(&mut self, flight: &Flight, stream: &Stream, workers: usize) -> Checked {
        self.wire.sent(flight);
        self.is_in_one_place(flight, stream)?;
        if !counts(flight) {
            return Ok(());
        }
        self.requests_in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.requests_in_flight);
        if self.requests_in_flight > workers {
            return Err(format!(
                "{} requests in flight with {workers} workers",
                self.requests_in_flight
            ));
        }
        if flight.at < self.asked_to_wait_until {
            return Err(format!(
                "a request was sent although the server asked to be left alone until {:?}",
                self.asked_to_wait_until
            ));
        }
        let rows = flight.sent.rows();
        for row in rows {
            self.may_be_sent(row.sequence, row.without, stream)?;
            let account = &mut self.accounts[at(row.sequence)];
            account.in_flight = true;
            account.attempts += 1;
        }
        Ok(())
    }

    /// What is being looked up is not sent, and the other way round.
    fn is_in_one_place(&mut self, flight: &Flight, stream: &Stream) -> Checked {
        if let Sent::Get {
            entity: Some(entity),
            patch: None,
        } = &flight.sent
        {
            let in_flight = |s: &&Sequence| self.account(**s).in_flight && self.account(**s).kind == Kind::Create;
            if let Some(sequence) = self.of_entity(*entity).iter().find(in_flight) {
                return Err(format!(
                    "two places: {} is looked up while it is in flight",
                    self.describe(*sequence, stream)
                ));
            }
            // All look-ups of an incident end together.
            if self.look_ups_end <= flight.at {
                self.look_ups_end = flight.at + LOOK_UP_LASTS;
            }
            self.looked_up.insert(*entity, self.look_ups_end);
        }
        for row in flight.sent.rows() {
            let account = self.account(row.sequence);
            let until = self.looked_up.get(&account.entity);
            if account.kind == Kind::Create && until.is_some_and(|until| *until > flight.at) {
                return Err(format!(
                    "two places: {} is sent while it is looked up",
                    self.describe(row.sequence, stream)
                ));
            }
        }
        Ok(())
    }

    /// `without`: the keys that it goes without, one bit each.
    fn may_be_sent(&self, sequence: Sequence, without: u32, stream: &Stream) -> Checked {
        let account = self.account(sequence);
        let who = || self.describe(sequence, stream);
        for other in self.of_entity(account.entity) {
            let writer = self.account(*other);
            if writer.in_flight {
                return Err(format!(
                    "{} was sent while {} is in flight",
                    who(),
                    self.describe(*other, stream)
                ));
            }
            let is_before = *other < sequence && writer.ended.is_none();
            // What is parked keeps nobody back; repeats and life cycles are parked with it.
            let may_be_parked = self.parked_once.contains(&account.entity);
            let is_newer = *other > sequence && writer.kind == Kind::Create && account.kind == Kind::Create;
            if is_newer && writer.attempts > 0 && writer.is_written() {
                return Err(format!(
                    "{} was sent after the newer {}",
                    who(),
                    self.describe(*other, stream)
                ));
            }
            if is_before && !may_be_parked {
                return Err(format!("{} was sent before {}", who(), self.describe(*other, stream)));
            }
        }
        if let Some(first) = account.first {
            // A parked one is as good as written once a later record of its entity is.
            let of_first = self.of_entity(self.account(first).entity).iter();
            let is_written = |one: &Sequence| self.account(*one).is_written();
            if !of_first.filter(|one| **one >= first).any(is_written) {
                return Err(format!("{} was sent before {}", who(), self.describe(first, stream)));
            }
        }
        for other in &account.blockers {
            let entity = self.account(*other).entity;
            // What a key names may be pending in several collections.
            let key = stream.key_named(account.spec, &stream.entities[entity].key);
            // Written without a key it goes whole as soon as the table is there, whatever else comes for that.
            let does_without = key.is_some_and(|at| without & (1 << at) != 0 || account.parked_first.is_some());
            if self.is_pending(*other) && !self.parked_once.contains(&entity) && !does_without {
                return Err(format!(
                    "{} was sent before the end of {}",
                    who(),
                    self.describe(*other, stream)
                ));
            }
        }
        Ok(())
    }

    /// An answer arrives.
    pub fn answered(&mut self, flight: &Flight, reply: &Reply, now: Duration) {
        self.wire.answered(flight, reply, now);
        if let Sent::Get {
            entity: Some(entity), ..
        } = &flight.sent
        {
            self.looked_up.remove(entity);
            if flight.plan.trouble.is_some() {
                // The others would not be answered either: they end with it.
                self.looked_up.clear();
            }
        }
        if counts(flight) {
            // After an abandonment nothing counts as in flight.
            self.requests_in_flight = self.requests_in_flight.saturating_sub(1);
        }
        let rows = flight.sent.rows();
        for row in rows {
            let account = &mut self.accounts[at(row.sequence)];
            account.in_flight = false;
            account.told.extend(reply.text.clone());
            if row.without != 0 {
                self.counts_as_parked(row.sequence, now);
            }
        }
        let is_own = flight.plan.trouble.is_none() && !reply.all_well;
        for (row, text) in &reply.rows {
            self.tell(&rows[*row], text, now);
            let no_room = text.contains("System overloaded");
            self.accounts[at(rows[*row].sequence)].refusals += u32::from(is_own && !no_room);
        }
        if let (true, [row], Some(_)) = (is_own, rows, &reply.text) {
            self.accounts[at(row.sequence)].refusals += 1;
        }
        for (row, entity) in &reply.missing {
            let account = &mut self.accounts[at(rows[*row].sequence)];
            account.missing.push(*entity);
            self.counts_as_parked(rows[*row].sequence, now);
        }
        self.told_to_any.extend(reply.text.clone());
        self.told_to_any.extend(reply.rows.iter().map(|(_, text)| text.clone()));
        if !reply.all_well {
            self.troubled = true;
            self.troubled_collections.insert(flight.collection.clone());
            self.trouble_at = now;
            for row in rows {
                self.accounts[at(row.sequence)].first_told.get_or_insert(now);
            }
        }
    }

    /// What must be written first is parked, and what comes second with it.
    /// A record was refused for what is not there, or travels without some of its keys: others wait for it no longer.
    fn counts_as_parked(&mut self, sequence: Sequence, now: Duration) {
        let account = &mut self.accounts[at(sequence)];
        account.missing_at = Some(self.step);
        account.parked_first.get_or_insert(now);
        let entity = account.entity;
        self.parked_once.insert(entity);
        self.seconds_are_parked(entity);
    }

    fn seconds_are_parked(&mut self, first: usize) {
        let is_second = |sequence: &Sequence| {
            let before = self.account(*sequence).first;
            before.is_some_and(|before| self.account(before).entity == first)
        };
        let seconds: Vec<Sequence> = self.pending.iter().copied().filter(is_second).collect();
        for second in seconds {
            let account = &mut self.accounts[at(second)];
            account.missing_at = Some(self.step);
            self.parked_once.insert(account.entity);
        }
    }

    fn tell(&mut self, row: &Row, text: &Arc<str>, now: Duration) {
        let account = &mut self.accounts[at(row.sequence)];
        account.told.push(text.clone());
        account.first_told.get_or_insert(now);
    }

    /// The engine has forgotten what was in flight.
    pub fn forgotten(&mut self) {
        self.requests_in_flight = 0;
        for account in &mut self.accounts {
            account.in_flight = false;
        }
    }

    /// A record has ended.
    pub fn ended(&mut self, outcome: &Outcome, stream: &Stream, server: &Server, now: Duration) -> Checked {
        let who = self.describe(outcome.sequence, stream);
        let account = &self.accounts[at(outcome.sequence)];
        if let Some((when, ending)) = &account.ended {
            return Err(format!(
                "{who} has a second outcome, {:?}; at {when:?} it was {ending:?}",
                outcome.ending
            ));
        }
        let spec = &stream.specs[account.spec];
        let entity = &stream.entities[account.entity];
        if outcome.label.as_deref().map(str::to_owned) != spec.once.then(|| account.spec.to_string()) {
            return Err(format!("{who} has the label of another record: {outcome:?}"));
        }
        if outcome.kind != spec.kind || outcome.collection != entity.collection || outcome.fqn != spec.spelled {
            return Err(format!("{who} has the outcome of another record: {outcome:?}"));
        }
        match &outcome.ending {
            Ending::Written => {
                if !self.is_on_the_server(outcome.sequence, stream, server) {
                    return Err(format!("{who} is reported written, and the server never took it"));
                }
                let held = server.stored[account.entity].spec == Some(account.spec);
                let others_wrote = server.overtaken[account.entity] || server.vanished[account.entity];
                let holds = &server.stored[account.entity];
                if holds.sequence == outcome.sequence && holds.without != 0 && !others_wrote {
                    return Err(format!("{who} is reported written, and the server has it without keys"));
                }
                if spec.once && account.attempts == 0 && !held && !others_wrote {
                    return Err(format!(
                        "{who} is reported written unsent, and the server holds another body"
                    ));
                }
                if let Some(first) = account.first {
                    let of_first = self.of_entity(self.account(first).entity).iter();
                    let is_written = |one: &Sequence| self.account(*one).is_written();
                    if !of_first.filter(|one| **one >= first).any(is_written) {
                        return Err(format!("{who} is reported written, and what comes first is not"));
                    }
                }
            }
            Ending::WrittenInPart(reason) => {
                if spec.keys.is_empty() || !self.is_on_the_server(outcome.sequence, stream, server) {
                    return Err(format!("{who} is reported written in part: {reason}"));
                }
                let whole = |body: &bytes::Bytes| {
                    *body == spec.body || part_of(body, &spec.body).is_some_and(|part| part.without == 0)
                };
                if !outcome.body.as_ref().is_some_and(whole) {
                    return Err(format!(
                        "{who} was written in part, and its whole body is not in its outcome"
                    ));
                }
            }
            Ending::Warned(_) if self.first_wins(account.entity, stream) => {}
            Ending::Warned(reason) => return Err(format!("{who} has a warning: {reason}")),
            Ending::Failed(reason) => {
                let body = outcome.body.as_ref();
                if body.is_none_or(|body| spec.kind == Kind::LifeCycle && body != &spec.body) {
                    return Err(format!("{who} failed, and its body is not in its outcome"));
                }
                if reason.is_empty() {
                    return Err(format!("{who} failed without a reason"));
                }
                let says_so = [
                    "may have written",
                    "the server answered 404",
                    "said nothing",
                    "already exists",
                    "refused it",
                ];
                let leaves_open = says_so.iter().any(|text| reason.contains(text));
                let is_there = server.was_applied(outcome.sequence) && !server.vanished[account.entity];
                if is_there && !leaves_open {
                    return Err(format!(
                        "{who} is on the server, and its failure does not say that it may be: {reason}"
                    ));
                }
            }
        }
        match &outcome.ending {
            Ending::Written | Ending::WrittenInPart(_) => {
                self.written += 1;
                self.works_since.get_or_insert(now);
            }
            Ending::Failed(_) => self.failed += 1,
            Ending::Warned(_) => self.warned += 1,
        }
        if matches!(&outcome.ending, Ending::Failed(reason) if reason.contains("the server has no collection")) {
            // That was a word of the server's, if a wrong one.
            self.wire.last_word = self.wire.last_word.max(now);
        }
        // What its look-up says comes too late.
        self.looked_up.remove(&account.entity);
        self.pending.remove(&outcome.sequence);
        self.accounts[at(outcome.sequence)].ended = Some((now, outcome.ending.clone()));
        Ok(())
    }

    fn first_wins(&self, entity: usize, stream: &Stream) -> bool {
        let of_such = |s: &Sequence| stream.specs[self.account(*s).spec].first_wins;
        self.of_entity(entity).iter().any(of_such)
    }

    /// Whether the server took this record, or an earlier one whose outcome it shares.
    fn is_on_the_server(&self, sequence: Sequence, stream: &Stream, server: &Server) -> bool {
        if server.was_applied(sequence) {
            return true;
        }
        let account = self.account(sequence);
        let spec = &stream.specs[account.spec];
        let stored = &server.stored[account.entity];
        if account.attempts > 0 && stored.spec == Some(account.spec) && stored.without == 0 {
            // The same body, from an earlier record: a look-up cannot tell them apart, and need not.
            return true;
        }
        let shares = |other: &Sequence| {
            let leader = self.account(*other);
            let same = leader.spec == account.spec || spec.first_wins;
            let carried = account.kind == Kind::LifeCycle
                && leader.kind == Kind::Create
                && server.stored[account.entity].life_cycle == Some(account.spec);
            (same || carried) && server.was_applied(*other)
        };
        account.attempts == 0
            && self
                .of_entity(account.entity)
                .iter()
                .filter(|other| **other < sequence)
                .any(shares)
    }

    /// The pending records of a scope: those that a wait must wait for, and those that may be parked.
    fn in_scope(&self, scope: &Scope, stream: &Stream) -> (Vec<Sequence>, Vec<Sequence>) {
        let inside = |sequence: &Sequence| {
            let entity = &stream.entities[self.account(*sequence).entity];
            let lower = |fqn: &Fqn| fqn.to_lowercase();
            match scope {
                Scope::Name { fqn, subtree, up_to } => {
                    let named = [fqn.clone(), lower(fqn)]
                        .iter()
                        .any(|fqn| entity.key == *fqn || (*subtree && entity.key.is_below(fqn)));
                    named && sequence <= up_to
                }
                Scope::Collection {
                    collection,
                    under,
                    except,
                    up_to,
                } => {
                    let below = |fqn: &Fqn| entity.key == *fqn || entity.key.is_below(fqn);
                    *entity.collection == **collection
                        && under.as_ref().is_none_or(below)
                        && !except.contains(&entity.key)
                        && sequence <= up_to
                }
                Scope::All { up_to } => sequence <= up_to,
                Scope::FinalDrain => true,
                Scope::Room { .. } => false,
            }
        };
        self.pending
            .iter()
            .copied()
            .filter(inside)
            .partition(|sequence| !self.parked_once.contains(&self.account(*sequence).entity))
    }

    /// The application has asked for a wait.
    pub fn waits(
        &mut self,
        scope: &Scope,
        id: Option<WaitId>,
        stream: &Stream,
        has_room: bool,
        now: Duration,
    ) -> Checked {
        let what = format!("{scope:?}");
        let what: String = what.chars().take(200).collect();
        let is_room = matches!(scope, Scope::Room { .. });
        self.last_chances |= matches!(scope, Scope::FinalDrain | Scope::Room { .. });
        let (promised, others) = self.in_scope(scope, stream);
        let Some(id) = id else {
            if is_room && !has_room {
                return Err("there is no room, and nothing to wait for".to_owned());
            }
            return match promised.first() {
                Some(sequence) => Err(format!(
                    "{what} counts as settled, and {} is pending",
                    self.describe(*sequence, stream)
                )),
                None => Ok(()),
            };
        };
        if !is_room && promised.is_empty() && others.is_empty() {
            return Err(format!("{what} waits for nothing"));
        }
        let wait = OpenWait {
            what,
            promised,
            others,
            opened: self.step,
            opened_at: now,
            is_final: matches!(scope, Scope::FinalDrain),
            room: is_room.then(|| scope.clone()),
        };
        self.waits.insert(id, wait);
        Ok(())
    }

    /// A wait has ended: its promise must hold now.
    /// The room that it was for.
    pub fn wait_ended(&mut self, id: WaitId, stream: &Stream) -> Result<Option<Scope>, String> {
        let Some(wait) = self.waits.remove(&id) else {
            return Err(format!("{id:?} ended, and nobody has it"));
        };
        if wait.is_final && !self.pending.is_empty() {
            return Err(format!(
                "a final drain ended with {} records pending",
                self.pending.len()
            ));
        }
        for sequence in &wait.promised {
            let settled = |other: &Sequence| {
                let other = self.account(*other);
                other.missing_at.is_some_and(|step| step >= wait.opened)
            };
            let account = self.account(*sequence);
            let earlier = self.of_entity(account.entity).iter().filter(|other| *other <= sequence);
            if account.ended.is_none() && !earlier.into_iter().any(settled) {
                return Err(format!(
                    "the wait for {} ended, and {} is still pending",
                    wait.what,
                    self.describe(*sequence, stream)
                ));
            }
        }
        Ok(wait.room)
    }

    pub fn wait_cancelled(&mut self, id: WaitId) {
        let called = self.perhaps_called_for();
        self.once_called_for.extend(called);
        self.waits.remove(&id);
    }

    /// Since when somebody drains everything.
    pub fn drains_since(&self) -> Option<Duration> {
        let finals = self.waits.values().filter(|wait| wait.is_final);
        finals.map(|wait| wait.opened_at).min()
    }

    pub fn last_submitted(&self) -> Duration {
        self.accounts.last().map_or(Duration::ZERO, |account| account.submitted)
    }

    /// A request leaves: the oldest record that is ready, and has waited longer than a batch may fill, is not overtaken for ever by
    /// younger ones that nobody waits for.
    pub fn overtakes(&mut self, flight: &Flight, stream: &Stream, workers: usize, patience: Duration) -> Checked {
        let rows = flight.sent.rows();
        // Where there is no bulk endpoint, what would have been one batch goes row by row.
        if !matches!(flight.sent, Sent::Bulk(_)) {
            return Ok(());
        }
        let Some(oldest) = self.oldest_ready(stream, flight.at.saturating_sub(patience)) else {
            return Ok(());
        };
        let is_new_and_younger = |row: &Row| row.sequence > oldest && self.account(row.sequence).attempts == 0;
        if !rows.iter().all(is_new_and_younger) {
            return Ok(());
        }
        let mut called = self.perhaps_called_for();
        called.extend(&self.once_called_for);
        let carried: FxHashSet<Sequence> = rows.iter().map(|row| row.sequence).collect();
        let needed = |s: &Sequence| self.account(*s).blockers.iter().any(|other| carried.contains(other));
        if carried.iter().any(|s| called.contains(s)) || self.pending.iter().any(needed) {
            return Ok(());
        }
        let times = self.overtaken.entry(oldest).or_default();
        *times += 1;
        if *times as usize > 2 * workers {
            let times = *times;
            return Err(format!(
                "held up: {} is ready, and was overtaken by {times} requests of younger records that nobody waits for",
                self.describe(oldest, stream)
            ));
        }
        Ok(())
    }

    /// The oldest create request that nothing holds up: submitted before `before`, never sent, its collection untroubled.
    fn oldest_ready(&self, stream: &Stream, before: Duration) -> Option<Sequence> {
        let old = self
            .pending
            .iter()
            .copied()
            .take_while(|s| self.account(*s).submitted < before);
        old.into_iter().find(|sequence| {
            let account = self.account(*sequence);
            let earlier = |other: &Sequence| *other < *sequence && self.is_pending(*other);
            let is_first = !self.of_entity(account.entity).iter().any(earlier);
            let fresh = account.kind == Kind::Create && account.attempts == 0 && !account.in_flight;
            let free = !account
                .blockers
                .iter()
                .chain(&account.first)
                .any(|other| self.is_pending(*other));
            let collection = &stream.entities[account.entity].collection;
            let parked = self.parked_once.contains(&account.entity);
            fresh && free && is_first && !parked && !self.troubled_collections.contains(collection)
        })
    }

    pub fn open_waits(&self) -> usize {
        self.waits.len()
    }

    /// No wait is open whose records have all ended.
    pub fn waits_are_prompt(&self, has_room: impl Fn() -> bool) -> Checked {
        for wait in self.waits.values() {
            let open = |sequence: &Sequence| self.is_pending(*sequence);
            let due = if wait.room.is_some() {
                // Rooms are first come first served, and their sizes differ.
                self.pending.is_empty() && has_room()
            } else if wait.is_final {
                self.pending.is_empty()
            } else {
                !wait.promised.iter().chain(&wait.others).any(open)
            };
            if due {
                return Err(format!(
                    "the wait for {} goes on, and nothing is left to wait for",
                    wait.what
                ));
            }
        }
        Ok(())
    }

    /// The records that a wait, or another record, has called for.
    fn called_for(&self) -> BTreeSet<Sequence> {
        self.wanted(|wait| wait.promised.clone())
    }

    /// The same with what was parked once, which a wait may wait for.
    fn perhaps_called_for(&self) -> BTreeSet<Sequence> {
        self.wanted(|wait| [&wait.promised[..], &wait.others].concat())
    }

    fn wanted(&self, of: impl Fn(&OpenWait) -> Vec<Sequence>) -> BTreeSet<Sequence> {
        let mut called = BTreeSet::new();
        let wanted = self.waits.values().flat_map(of);
        let mut stack: Vec<Sequence> = wanted.filter(|sequence| self.is_pending(*sequence)).collect();
        while let Some(sequence) = stack.pop() {
            if !called.insert(sequence) {
                continue;
            }
            let account = self.account(sequence);
            let is_earlier = |s: &Sequence| *s < sequence && self.is_pending(*s);
            let earlier: Vec<Sequence> = self
                .of_entity(account.entity)
                .iter()
                .copied()
                .filter(is_earlier)
                .collect();
            // One that shares the outcome of an earlier one waits for nothing itself.
            if earlier.is_empty() {
                stack.extend(account.blockers.iter().copied().filter(|s| self.is_pending(*s)));
            }
            stack.extend(earlier);
        }
        called
    }

    /// Nothing idles while something is ready and wanted. Only meaningful while no trouble has set a pause.
    pub fn nothing_idles(&self, rules: &Rules, stream: &Stream, now: Duration) -> Checked {
        let called = self.called_for();
        let draining = rules.closing || self.waits.values().any(|wait| wait.is_final);
        let blocked_on_room = self.waits.values().any(|wait| wait.room.is_some());
        let mut ready: FxHashMap<&str, Vec<Sequence>> = FxHashMap::default();
        // Those that may go without the keys for which they wait fill a batch as well.
        let mut newest: FxHashMap<&str, Duration> = FxHashMap::default();
        let mut with_children: FxHashSet<Sequence> = FxHashSet::default();
        for sequence in &self.pending {
            let account = self.account(*sequence);
            let earlier = |other: &Sequence| *other < *sequence && self.is_pending(*other);
            let is_first = !self.of_entity(account.entity).iter().any(earlier);
            // One that is not the first may share the outcome of an earlier one, and then waits for nothing itself.
            if let (Some(parent), true) = (&stream.specs[account.spec].parent, is_first) {
                let is_parent = |other: &&Sequence| stream.entities[self.account(**other).entity].key == *parent;
                with_children.extend(account.blockers.iter().filter(is_parent).copied());
            }
            let of_a_key = |other: &&Sequence| {
                let blocks = &stream.entities[self.account(**other).entity].key;
                stream.key_named(account.spec, blocks).is_some()
            };
            let mut blockers = account.blockers.iter().filter(|other| self.is_pending(**other));
            if is_first && account.attempts == 0 && blockers.all(|other| of_a_key(&other)) {
                let newest = newest.entry(&stream.entities[account.entity].collection).or_default();
                *newest = account.submitted.max(*newest);
            }
            let is_free = !account.blockers.iter().any(|other| self.is_pending(*other));
            if is_first && is_free && !account.in_flight && account.attempts == 0 {
                if account.kind == Kind::LifeCycle {
                    return Err(format!(
                        "{} is ready, and a worker is idle",
                        self.describe(*sequence, stream)
                    ));
                }
                ready
                    .entry(&stream.entities[account.entity].collection)
                    .or_default()
                    .push(*sequence);
            }
        }
        for (collection, records) in &ready {
            let newest = newest.get(collection).copied().unwrap_or(now);
            let why = |sequence: &Sequence| {
                if draining {
                    Some("there is a drain")
                } else if records.len() >= rules.batch_rows {
                    Some("its batch is full")
                } else if blocked_on_room {
                    Some("a submit waits for room")
                } else if called.contains(sequence) {
                    Some("somebody waits for it")
                } else if with_children.contains(sequence) {
                    Some("its children wait for it")
                } else if self.account(*sequence).submitted + rules.linger * LINGERS <= now {
                    Some("it has lingered")
                } else if newest + rules.linger <= now {
                    Some("nobody comes to fill its batch")
                } else {
                    None
                }
            };
            if let Some((sequence, why)) = records.iter().find_map(|s| why(s).map(|why| (*s, why))) {
                return Err(format!(
                    "a worker is idle, and {} is ready; {why}",
                    self.describe(sequence, stream)
                ));
            }
        }
        Ok(())
    }
}

/// What the application was promised about sealing.
pub struct Rules {
    pub batch_rows: usize,
    pub linger: Duration,
    pub closing: bool,
}
