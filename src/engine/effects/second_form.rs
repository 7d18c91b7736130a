//! A table that is refused for a foreign key goes without it, counts as written, and goes whole once more (E3).

use std::sync::Arc;

use crate::engine::keys;
use crate::engine::order::{CollectionId, Entry, SecondForm};
use crate::engine::record::{Ending, Fqn, Kind, Missing, Payload, Record, Sequence};
use crate::engine::Engine;

/// Only tables have foreign keys.
const TABLES: &str = "tables";
const SUPERSEDED: &str = "a later record of it came before they could be added";
/// A new table does not wait for so many others one after the other: each would be written by itself.
const LONGEST_CHAIN: usize = 4;

impl Engine {
    /// A new table that would be the end of a long chain of keys goes without those to the chain, beside it.
    pub(super) fn cut_chain(&self, record: &mut Record, collection: CollectionId) -> Option<SecondForm> {
        if !self.cuts_chains || record.payload.kind() != Kind::Create || &*record.collection != TABLES {
            return None;
        }
        let ends_a_chain = |fqn: &Fqn| self.order.chain_to(fqn, collection, LONGEST_CHAIN) >= LONGEST_CHAIN;
        let mut without: Vec<Fqn> = record.needs.iter().filter(|fqn| ends_a_chain(fqn)).cloned().collect();
        if without.is_empty() {
            return None;
        }
        let whole = record.payload.bytes().clone();
        let keys = keys::referred(&whole);
        without.retain(|table| keys.contains(table));
        record.payload = Payload::Create(keys::without(&whole, &without)?);
        record.needs.retain(|table| !without.contains(table));
        Some(SecondForm {
            whole,
            without,
            written_without: None,
            reason: "what it refers to was not written".to_owned(),
        })
    }

    /// The keys that a table goes without come when what they refer to is there.
    pub(super) fn goes_ahead(&mut self, sequence: Sequence, form: SecondForm) {
        for table in &form.without {
            self.owed.lacks(sequence, table.clone(), true);
        }
        self.order.begin_form(sequence, form);
    }

    /// A table that lacks what one of its foreign keys refers to goes without that key. Whether it is one.
    pub(super) fn goes_without(&mut self, member: Sequence, missing: &Missing, reason: &str, may_come: bool) -> bool {
        missing.is_in(TABLES) && self.drops_keys(member, reason, may_come, |table| *table == missing.fqn)
    }

    /// A table that is refused in words that name what its foreign keys refer to goes without those keys. Whether it has such.
    pub(super) fn goes_without_named(&mut self, member: Sequence, reason: &str) -> bool {
        self.drops_keys(member, reason, false, |table| reason.contains(table.as_str()))
    }

    fn drops_keys(&mut self, member: Sequence, reason: &str, may_come: bool, which: impl Fn(&Fqn) -> bool) -> bool {
        let Some(entry) = self.order.get(member).filter(|entry| entry.kind() == Kind::Create) else {
            return false;
        };
        let mut refused = keys::referred(entry.record.payload.bytes());
        refused.retain(which);
        if refused.is_empty() {
            return false;
        }
        let mut form = entry.second_form.as_deref().cloned().unwrap_or_else(|| SecondForm {
            whole: entry.record.payload.bytes().clone(),
            without: Vec::new(),
            written_without: None,
            reason: String::new(),
        });
        form.without.extend(refused.iter().cloned());
        form.reason = reason.to_owned();
        let body = keys::without(&form.whole, &form.without).filter(|_| form.has_more());
        let Some(body) = body else {
            let coming = |table: &Fqn| self.order.is_coming(&Missing::of(TABLES, table.clone()), member);
            if refused.iter().any(coming) {
                self.owe_again(member, &refused);
            } else {
                self.finish(member, Ending::Failed(reason.into()));
            }
            return true;
        };
        for table in refused {
            self.owed.lacks(member, table, may_come);
        }
        self.order.change_form(member, form, body);
        self.order.back_in_line(member);
        true
    }

    /// The whole form went before its time: what it was refused for is on its way.
    fn owe_again(&mut self, member: Sequence, refused: &[Fqn]) {
        let Some(entry) = self.order.end(member) else { return };
        if self.is_superseded(&entry) {
            self.owed.forget(member);
            self.conclude(entry, Ending::Failed(SUPERSEDED.into()));
            return;
        }
        let without = entry.second_form.iter().flat_map(|form| form.without.iter());
        for table in without {
            self.owed.lacks(member, table.clone(), false);
        }
        for table in refused {
            self.owed.lacks(member, table.clone(), true);
        }
        self.owed.insert(entry);
    }

    /// The outcome of a record that has left.
    pub(super) fn conclude(&mut self, entry: Entry, ending: Ending) {
        let ending = match &entry.second_form {
            Some(form) => form.stands(ending),
            None => ending,
        };
        self.books.conclude(entry, ending, false);
    }

    /// A record has ended that travelled without keys.
    #[cold]
    pub(super) fn end_in_parts(&mut self, entry: Entry, ending: Ending) {
        if let Some(entry) = self.owe(entry, &ending) {
            self.conclude(entry, ending);
        }
    }

    /// Where the missing keys may come yet, the whole form is owed; else the record is given back.
    fn owe(&mut self, mut entry: Entry, ending: &Ending) -> Option<Entry> {
        let sequence = entry.sequence;
        let written = entry.second_form.as_ref()?.written_without.is_some();
        if *ending != Ending::Written || written {
            self.owed.forget(sequence);
            return Some(entry);
        }
        let had_riders = self.books.riders_arrived(&mut entry);
        let form = entry.second_form.as_mut()?;
        form.written_without = Some(form.without.clone());
        if had_riders {
            // What follows may set another life cycle.
            form.whole = keys::without_life_cycle(&form.whole).unwrap_or_else(|| form.whole.clone());
        }
        if self.is_superseded(&entry) {
            self.owed.forget(sequence);
            self.conclude(entry, Ending::Failed(SUPERSEDED.into()));
            return None;
        }
        if self.owed.is_known(sequence) {
            return self.goes_whole(entry);
        }
        self.owed.insert(entry);
        None
    }

    /// A table is there, or is lost: what is owed for it is paid.
    #[cold]
    pub(super) fn pay_for(&mut self, table: &Entry, is_there: bool) {
        if &*table.record.collection != TABLES {
            return;
        }
        for sequence in self.owed.heard_of(&table.key, is_there) {
            self.pay(sequence);
        }
    }

    /// An owed table goes with all keys but those that are lost, or ends where nothing would be gained.
    fn pay(&mut self, sequence: Sequence) {
        let Some(entry) = self.owed.take(sequence) else { return };
        if let Some(entry) = self.goes_whole(entry) {
            self.conclude(entry, Ending::Written);
        }
    }

    /// Nothing else is left to do: what is owed is paid as far as it can be, up to so many bytes.
    pub(super) fn call_in(&mut self, wanted: &mut usize) {
        for (sequence, lane, bytes) in self.owed.tables() {
            if *wanted == 0 {
                return;
            }
            *wanted = wanted.saturating_sub(bytes);
            match self.server.given_up(lane).cloned() {
                Some(why) => self.write_off(sequence, why),
                None => {
                    self.pay(sequence);
                    self.order.hurry(sequence);
                }
            }
        }
    }

    fn write_off(&mut self, sequence: Sequence, why: Arc<str>) {
        if let Some(entry) = self.owed.take(sequence) {
            self.owed.forget(sequence);
            self.conclude(entry, Ending::Failed(why));
        }
    }

    /// With all keys but those that are lost. It is given back where nothing would be gained.
    fn goes_whole(&mut self, mut entry: Entry) -> Option<Entry> {
        let lost = self.owed.forget(entry.sequence);
        let form = entry.second_form.as_deref_mut()?;
        form.without = lost;
        if !form.has_more() {
            return Some(entry);
        }
        let whole = form.whole.clone();
        let body = keys::without(&whole, &form.without).unwrap_or(whole);
        entry.record.payload = Payload::Create(body);
        entry.first_attempt = None;
        entry.alone = None;
        self.order.put_back(entry);
        None
    }

    /// Whether a later record of the entity of one that has left is pending: nothing of the earlier one goes after it.
    fn is_superseded(&self, entry: &Entry) -> bool {
        self.order.last_create(&entry.record.collection, &entry.key).is_some()
    }

    /// A later record of an entity came: what is owed of the one before is not paid any more.
    #[cold]
    pub(super) fn supersede(&mut self, collection: CollectionId, key: &Fqn) {
        if let Some(owed) = self.owed.named(collection, key) {
            self.write_off(owed, SUPERSEDED.into());
        }
    }
}
