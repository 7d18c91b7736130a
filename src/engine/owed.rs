//! Tables that the server has without some of their foreign keys: the whole form is owed, and goes once more when what the keys refer
//! to is there, or at the final drain (E3).

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::order::{CollectionId, Entry};
use super::queues::Lane;
use super::record::{Fqn, Sequence};

/// What the missing keys of one table refer to, as far as it is not known yet, and what will not come any more.
#[derive(Debug, Default)]
struct Hopes {
    open: BTreeSet<Fqn>,
    lost: BTreeSet<Fqn>,
}

#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Those of the tables that are owed, and of those that travel without keys.
    hopes: FxHashMap<Sequence, Hopes>,
    by_hope: BTreeMap<Fqn, BTreeSet<Sequence>>,
    tables: BTreeMap<Sequence, Entry>,
    by_name: FxHashMap<(CollectionId, Fqn), Sequence>,
    bytes: usize,
}

impl Owed {
    /// A table goes without its key to `table`, which may come yet, or is lost.
    pub fn lacks(&mut self, sequence: Sequence, table: Fqn, may_come: bool) {
        let hopes = self.hopes.entry(sequence).or_default();
        if may_come {
            self.by_hope.entry(table.clone()).or_default().insert(sequence);
            hopes.open.insert(table);
        } else {
            hopes.lost.insert(table);
        }
    }

    /// Tables of that name are there, or are lost. Those owed tables for which everything is known now, to be taken.
    pub fn heard_of(&mut self, table: &Fqn, is_there: bool) -> Vec<Sequence> {
        let mut known = Vec::new();
        for sequence in self.by_hope.remove(table).unwrap_or_default() {
            let Some(hopes) = self.hopes.get_mut(&sequence) else {
                continue;
            };
            if let (Some(table), false) = (hopes.open.take(table), is_there) {
                hopes.lost.insert(table);
            }
            if hopes.open.is_empty() && self.tables.contains_key(&sequence) {
                known.push(sequence);
            }
        }
        known
    }

    /// Whether it is known of every key of a table whether it can be written.
    pub fn is_known(&self, sequence: Sequence) -> bool {
        self.hopes.get(&sequence).is_none_or(|hopes| hopes.open.is_empty())
    }

    /// The whole form of this table is owed: its second form was written.
    pub fn insert(&mut self, entry: Entry) {
        self.bytes += entry.charge();
        self.by_name
            .insert((entry.collection, entry.key.clone()), entry.sequence);
        self.tables.insert(entry.sequence, entry);
    }

    /// The owed table of that name.
    pub fn named(&self, collection: CollectionId, key: &Fqn) -> Option<Sequence> {
        self.by_name.get(&(collection, key.clone())).copied()
    }

    /// It is owed no longer.
    pub fn take(&mut self, sequence: Sequence) -> Option<Entry> {
        let entry = self.tables.remove(&sequence)?;
        self.bytes = self.bytes.saturating_sub(entry.charge());
        self.by_name.remove(&(entry.collection, entry.key.clone()));
        Some(entry)
    }

    /// Nothing more is asked about the keys of this table. What they refer to and is lost.
    pub fn forget(&mut self, sequence: Sequence) -> Vec<Fqn> {
        let Some(hopes) = self.hopes.remove(&sequence) else {
            return Vec::new();
        };
        for table in &hopes.open {
            if let Some(those) = self.by_hope.get_mut(table) {
                those.remove(&sequence);
                if those.is_empty() {
                    self.by_hope.remove(table);
                }
            }
        }
        hopes.lost.into_iter().collect()
    }

    /// All of them, oldest first.
    pub fn sequences(&self) -> impl Iterator<Item = Sequence> + '_ {
        self.tables.keys().copied()
    }

    /// Each of them, oldest first, with its lane and what it takes of the budget.
    pub fn tables(&self) -> Vec<(Sequence, Lane, usize)> {
        let all = self.tables.iter();
        all.map(|(sequence, entry)| (*sequence, (entry.collection, entry.kind()), entry.charge()))
            .collect()
    }

    /// Whether no table waits for what a key refers to.
    pub fn waits_for_nothing(&self) -> bool {
        self.by_hope.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Bytes that they take of the budget.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything. The tables, oldest first.
    pub fn take_all(&mut self) -> Vec<Entry> {
        std::mem::take(self).tables.into_values().collect()
    }
}
