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
use crate::stream::Stream;

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
    /// Entities it was refused for.
    pub missing: Vec<usize>,
    /// Whatever the server, or the way to it, said about it.
    pub told: Vec<Arc<str>>,
    pub first_told: Option<Duration>,
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
    is_final: bool,
    room: Option<Scope>,
}

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
}

pub type Checked = Result<(), String>;

/// Look-ups of lost records are forgotten when they take too long, so they are left out here.
fn counts(flight: &Flight) -> bool {
    !matches!(
        flight.sent,
        Sent::Probe | Sent::RenewToken | Sent::Get { patch: None, .. }
    )
}

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
            missing: Vec::new(),
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
        let may_go = |s: &Sequence| self.may_be_sent(*s, stream).is_ok();
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
            self.may_be_sent(row.sequence, stream)?;
            let account = &mut self.accounts[at(row.sequence)];
            account.in_flight = true;
            account.attempts += 1;
        }
        Ok(())
    }

    fn may_be_sent(&self, sequence: Sequence, stream: &Stream) -> Checked {
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
            let may_be_parked = writer.kind == Kind::LifeCycle && writer.missing_at.is_some();
            if is_before && !may_be_parked {
                return Err(format!("{} was sent before {}", who(), self.describe(*other, stream)));
            }
        }
        if let Some(first) = account.first {
            if !matches!(self.account(first).ended, Some((_, Ending::Written))) {
                return Err(format!("{} was sent before {}", who(), self.describe(first, stream)));
            }
        }
        for other in &account.blockers {
            if self.is_pending(*other) && !self.parked_once.contains(&self.account(*other).entity) {
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
        if counts(flight) {
            // After an abandonment nothing counts as in flight.
            self.requests_in_flight = self.requests_in_flight.saturating_sub(1);
        }
        let rows = flight.sent.rows();
        for row in rows {
            let account = &mut self.accounts[at(row.sequence)];
            account.in_flight = false;
            account.told.extend(reply.text.clone());
        }
        for (row, text) in &reply.rows {
            self.tell(&rows[*row], text, now);
        }
        for (row, entity) in &reply.missing {
            let account = &mut self.accounts[at(rows[*row].sequence)];
            account.missing_at = Some(self.step);
            account.missing.push(*entity);
            let parked = account.entity;
            self.parked_once.insert(parked);
            self.seconds_are_parked(parked);
        }
        self.told_to_any.extend(reply.text.clone());
        self.told_to_any.extend(reply.rows.iter().map(|(_, text)| text.clone()));
        if !reply.all_well {
            self.troubled = true;
            self.trouble_at = now;
            for row in rows {
                self.accounts[at(row.sequence)].first_told.get_or_insert(now);
            }
        }
    }

    /// What must be written first is parked, and what comes second with it.
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
                if spec.once && account.attempts == 0 && !held && !others_wrote {
                    return Err(format!(
                        "{who} is reported written unsent, and the server holds another body"
                    ));
                }
                if let Some(first) = account.first {
                    if !matches!(self.account(first).ended, Some((_, Ending::Written))) {
                        return Err(format!("{who} is reported written, and what comes first is not"));
                    }
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
            Ending::Written => {
                self.written += 1;
                self.works_since.get_or_insert(now);
            }
            Ending::Failed(_) => self.failed += 1,
            Ending::Warned(_) => self.warned += 1,
        }
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
    pub fn waits(&mut self, scope: &Scope, id: Option<WaitId>, stream: &Stream, has_room: bool) -> Checked {
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
        self.waits.remove(&id);
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
        let mut called = BTreeSet::new();
        let mut stack: Vec<Sequence> = self
            .waits
            .values()
            .flat_map(|wait| wait.promised.iter().copied())
            .filter(|sequence| self.is_pending(*sequence))
            .collect();
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
        for records in ready.values() {
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
                } else if self.account(*sequence).submitted + rules.linger <= now {
                    Some("it has lingered")
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
