//! A table that travels without some of its foreign keys (E3).

use bytes::Bytes;

use super::{Entry, Order, Place};
use crate::engine::record::{Ending, Fqn, Payload, Sequence};

/// What is known of a table that is written in parts.
#[derive(Debug, Clone)]
pub(in crate::engine) struct SecondForm {
    /// The body with all keys.
    pub whole: Bytes,
    /// Tables without the keys to which it travels now.
    pub without: Vec<Fqn>,
    /// Those without the keys to which the server has it; None where it does not have it.
    pub written_without: Option<Vec<Fqn>>,
    /// Why the last of them had to go.
    pub reason: String,
}

impl SecondForm {
    /// Whether what travels has a key that the server's form lacks.
    pub fn has_more(&self) -> bool {
        let has = |table: &Fqn| !self.without.contains(table);
        self.written_without
            .as_ref()
            .is_none_or(|lacking| lacking.iter().any(has))
    }

    /// How the record ends where this happens to it: what the server has is not lost.
    #[cold]
    pub fn stands(&self, ending: Ending) -> Ending {
        let (lacking, reason) = match (&self.written_without, &ending) {
            (Some(lacking), Ending::Failed(reason)) => (lacking, &**reason),
            (Some(_), Ending::Written) if !self.without.is_empty() => (&self.without, &*self.reason),
            _ => return ending,
        };
        let tables: Vec<&str> = lacking.iter().map(Fqn::as_str).collect();
        let keys = if tables.len() == 1 { "key" } else { "keys" };
        Ending::WrittenInPart(format!("written without its foreign {keys} to {}: {reason}", tables.join(", ")).into())
    }
}

impl Order {
    /// A new record travels in this form.
    pub fn begin_form(&mut self, sequence: Sequence, form: SecondForm) {
        if let Some(entry) = self.entries.get_mut(&sequence) {
            self.bytes += form.whole.len();
            entry.second_form = Some(Box::new(form));
        }
    }

    /// From now on a record in a request that has ended travels in this form.
    pub fn change_form(&mut self, sequence: Sequence, form: SecondForm, body: Bytes) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let old = entry.charge();
        entry.record.payload = Payload::Create(body);
        entry.second_form = Some(Box::new(form));
        entry.first_attempt = None;
        entry.alone = None;
        self.bytes = (self.bytes + entry.charge()).saturating_sub(old);
    }

    /// A record that has left comes back, under its number, as a writer of its entity.
    pub fn put_back(&mut self, mut entry: Entry) {
        let sequence = entry.sequence;
        entry.place = Place::Blocked;
        self.places += usize::from(entry.has_place());
        self.unparked.change((entry.collection, entry.kind()), 1);
        self.bytes += entry.charge();
        self.entries.insert(sequence, entry);
        self.join_chain(sequence);
        self.make_ready_if_free(sequence);
    }
}
