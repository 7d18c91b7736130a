//! One pending record: what is known of it, where it is, what shares its outcome.

use std::sync::Arc;

use super::{CollectionId, SecondForm};
use crate::engine::decide::Streak;
use crate::engine::record::{Fqn, Kind, Missing, Record, Sequence};
use crate::engine::waits::WaitId;
use crate::engine::Time;

/// Why one record waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// It is the parent.
    Parent,
    /// It is named in the body.
    Need,
    /// It writes the same entity.
    Writer,
}

/// Where a pending record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Waits for its edges.
    Blocked,
    /// May be sent.
    Ready,
    /// Refused because something that it names is not there; outside the queues.
    Parked,
    /// In work that goes as soon as a worker is free.
    AtOnce,
    /// In work that waits for its back-off.
    Later,
    /// In a request.
    Flying,
    /// Held back until others of its collection were tried alone.
    Held,
    /// To be looked up at the server.
    LookUp,
    /// Written without some of its foreign keys: the whole form is owed.
    Owed,
}

impl Place {
    /// Whether no request has it and none is about to.
    pub(super) fn is_idle(self) -> bool {
        matches!(self, Self::Blocked | Self::Ready)
    }
}

/// A record that shares the outcome of another one.
#[derive(Debug)]
pub(in crate::engine) struct Sharer {
    pub sequence: Sequence,
    pub kind: Kind,
    pub fqn: Arc<str>,
    pub body: bytes::Bytes,
    pub label: Option<Arc<str>>,
}

/// What a record without a place takes of the budget beside its body (measured: a million life cycles).
pub(in crate::engine) const WITHOUT_PLACE: usize = 1_200;
/// What a record that shares an outcome takes beside its body.
const SHARED: usize = 250;

impl Sharer {
    pub fn of(sequence: Sequence, record: &Record) -> Self {
        Self {
            sequence,
            kind: record.payload.kind(),
            fqn: record.fqn.clone(),
            body: record.payload.bytes().clone(),
            label: record.label.clone(),
        }
    }
}

/// What a record was told last, and when.
#[derive(Debug)]
pub(in crate::engine) struct LastFault {
    pub text: Arc<str>,
    pub at: Time,
    /// When it met the one before.
    pub before: Option<Time>,
    pub how: Met,
}

/// How a record met a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Met {
    /// In a request that carried others as well.
    InCompany,
    /// Alone, and it says little of the record.
    InPassing,
    /// Alone, or it is what an answer says of this row.
    Itself,
}

impl Met {
    /// In a request of so many records. `in_passing`: it says little of any of them.
    pub fn among(records: usize, in_passing: bool) -> Self {
        match records {
            2.. => Self::InCompany,
            _ if in_passing => Self::InPassing,
            _ => Self::Itself,
        }
    }
}

/// One pending record.
#[derive(Debug)]
pub(in crate::engine) struct Entry {
    pub sequence: Sequence,
    pub record: Record,
    pub collection: CollectionId,
    /// The canonical FQN; lower-case where the server folds case.
    pub key: Fqn,
    pub submitted: Time,
    pub first_attempt: Option<Time>,
    pub attempts: u32,
    /// An earlier attempt may have been carried out.
    pub unknown: bool,
    /// The server said, after an unknown result, that it has it already.
    pub exists: bool,
    /// An answer came that did not mention it.
    pub unanswered: bool,
    /// Row answers of 5xx, in answers that took others.
    pub errors: Option<Box<Streak>>,
    /// How often it went back into line after trouble, to travel in a full batch again.
    pub joined: u8,
    /// How many last attempts it had that did not count.
    pub not_counted: u8,
    /// Faults alike that it met alone.
    pub alone: Option<Streak>,
    /// It has had the long pause that follows an unknown result.
    pub paused: bool,
    /// Its next refusal is final.
    pub last_chance: bool,
    /// The last fault that a request with it met.
    pub last_fault: Option<LastFault>,
    /// Why the create request before this life cycle failed.
    pub entity_failed: Option<Arc<str>>,
    /// What it was refused for already.
    pub refused_for: Vec<Missing>,
    /// A table that travels without some of its foreign keys, or has.
    pub second_form: Option<Box<SecondForm>>,
    sharers: Vec<Sharer>,
    /// What its sharers take of the budget.
    shared: usize,
    /// Records that must not be sent before this one is written.
    pub seconds: Vec<Sequence>,
    /// The record of which this is a second.
    pub(super) first: Option<Sequence>,
    pub waits: Vec<WaitId>,
    pub(super) place: Place,
    pub(super) urgent: bool,
    /// It is counted among the ready records that others wait for.
    pub(super) awaited: bool,
    pub(super) edges: Vec<(Sequence, Edge)>,
    pub(super) dependants: Vec<(Sequence, Edge)>,
    pub(super) parked_for: Option<Missing>,
}

impl Entry {
    /// One that was submitted now. named: its collection and its canonical FQN. first: the pending record that must be written
    /// before. edges: what it waits for.
    pub(super) fn new(
        sequence: Sequence,
        record: Record,
        named: (CollectionId, Fqn),
        first: Option<Sequence>,
        edges: Vec<(Sequence, Edge)>,
        now: Time,
    ) -> Self {
        let (collection, key) = named;
        Self {
            sequence,
            record,
            collection,
            key,
            submitted: now,
            first_attempt: None,
            attempts: 0,
            unknown: false,
            exists: false,
            unanswered: false,
            errors: None,
            joined: 0,
            not_counted: 0,
            alone: None,
            paused: false,
            last_chance: false,
            last_fault: None,
            entity_failed: None,
            refused_for: Vec::new(),
            second_form: None,
            sharers: Vec::new(),
            shared: 0,
            seconds: Vec::new(),
            first,
            waits: Vec::new(),
            place: Place::Blocked,
            urgent: false,
            awaited: false,
            edges,
            dependants: Vec::new(),
            parked_for: None,
        }
    }

    pub fn kind(&self) -> Kind {
        self.record.payload.kind()
    }

    pub fn size(&self) -> usize {
        self.record.payload.bytes().len()
    }

    /// The body as it was submitted, also where it travels without some of it.
    pub fn whole(&self) -> &bytes::Bytes {
        let form = self.second_form.as_deref();
        form.map_or(self.record.payload.bytes(), |form| &form.whole)
    }

    /// Bytes that it takes of the budget, with what shares its outcome.
    pub fn charge(&self) -> usize {
        let without_place = if self.kind() == Kind::Create { 0 } else { WITHOUT_PLACE };
        let whole = self.second_form.as_ref().map_or(0, |form| form.whole.len());
        self.size() + without_place + self.shared + whole
    }

    pub(super) fn is_patch_of(&self, entity: &Self) -> bool {
        self.kind() == Kind::LifeCycle && self.collection == entity.collection && self.key == entity.key
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether a wait goes past it.
    pub fn is_parked(&self) -> bool {
        self.place == Place::Parked
    }

    /// It, or a request with it, met a fault.
    pub fn met(&mut self, text: Arc<str>, at: Time, how: Met) {
        let before = self.last_fault.as_ref().map(|fault| fault.at);
        self.last_fault = Some(LastFault { text, at, before, how });
    }

    /// Whether it has met so many faults alone that it may be what causes them.
    pub fn is_in_doubt(&self) -> bool {
        self.alone.is_some_and(|streak| streak.is_long())
    }

    pub(super) fn has_place(&self) -> bool {
        self.kind() == Kind::Create && !self.is_parked()
    }

    /// Whether no request has carried it and none is about to.
    pub(super) fn is_unsent(&self) -> bool {
        self.attempts == 0 && self.place.is_idle()
    }

    pub(super) fn slot(&self) -> Slot {
        (self.key.clone(), self.collection)
    }

    /// One more shares its outcome. Bytes that it takes of the budget.
    pub fn share(&mut self, sharer: Sharer) -> usize {
        let charge = sharer.body.len() + SHARED;
        self.shared += charge;
        self.sharers.push(sharer);
        charge
    }

    /// The life cycles that ride in it, which share its outcome no longer.
    pub fn take_riders(&mut self) -> Vec<Sharer> {
        let sharers = std::mem::take(&mut self.sharers).into_iter();
        let (riders, others): (Vec<Sharer>, Vec<Sharer>) = sharers.partition(|sharer| sharer.kind == Kind::LifeCycle);
        self.sharers = others;
        let charge: usize = riders.iter().map(|rider| rider.body.len() + SHARED).sum();
        self.shared = self.shared.saturating_sub(charge);
        riders
    }

    /// The record, its whole body where it travelled without some of it, and those that share its outcome.
    pub fn into_parts(self) -> (Record, Option<bytes::Bytes>, Vec<Sharer>) {
        (self.record, self.second_form.map(|form| form.whole), self.sharers)
    }
}

/// What names an entity here.
pub(super) type Slot = (Fqn, CollectionId);
