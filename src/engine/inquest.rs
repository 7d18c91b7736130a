//! Whether a collection refuses one record or everything (E7): a batch-wide refusal must not cost a request for each record.
//!
//! After many equal refusals without one success, three records spread over the rest are tried alone. All refused alike: the rest
//! fails with that text, and the next batch tries one record first.

use super::batch::{Batch, InquestId};
use super::defects::broken;
use super::order::CollectionId;
use super::record::{Ending, Sequence};
use super::{Engine, Work};

const SCOUTS: usize = 3;

/// Records that are held back until their scouts have an answer.
#[derive(Debug)]
pub(super) struct Inquest {
    collection: CollectionId,
    rest: Vec<Sequence>,
    /// Scouts without an answer.
    open: usize,
    /// A scout got through, or ended in some other way than by the same refusal.
    differs: bool,
    /// The first record of a batch after a collection refused everything: its refusal alone condemns nobody.
    wary: bool,
}

impl Inquest {
    pub fn wary(collection: CollectionId, rest: Vec<Sequence>) -> Self {
        Self {
            collection,
            rest,
            open: 0,
            differs: false,
            wary: true,
        }
    }
}

impl Engine {
    /// Holds the rest back until the scouts have an answer.
    pub(super) fn open_inquest(&mut self, mut inquest: Inquest, scouts: &[Sequence]) {
        let id = InquestId(self.number());
        inquest.open = scouts.len();
        self.scouts.extend(scouts.iter().map(|scout| (*scout, id)));
        self.inquests.insert(id, inquest);
    }

    /// Sends three of these records alone, from both ends and the middle, and holds the others back.
    pub(super) fn try_three(&mut self, collection: CollectionId, mut rest: Vec<Sequence>) {
        let mut scouts = Vec::with_capacity(SCOUTS);
        for at in [rest.len().saturating_sub(1), rest.len() / 2, 0] {
            if at < rest.len() {
                scouts.push(rest.remove(at));
            }
        }
        let inquest = Inquest {
            wary: false,
            ..Inquest::wary(collection, rest)
        };
        self.open_inquest(inquest, &scouts);
        self.at_once.extend(
            scouts
                .into_iter()
                .map(|scout| Work::Batch(Batch::new(collection, vec![scout]))),
        );
    }

    /// A record has ended; if it was a scout, its inquest goes on.
    pub(super) fn report_scout(&mut self, sequence: Sequence, ending: &Ending) {
        let Some(id) = self.scouts.remove(&sequence) else {
            return;
        };
        let Some(inquest) = self.inquests.get_mut(&id) else {
            return;
        };
        let alike = match ending {
            Ending::Failed(reason) => self
                .routes
                .get(&inquest.collection)
                .is_some_and(|route| route.refusals.is_alike(reason)),
            _ => false,
        };
        inquest.differs |= !alike;
        inquest.open = inquest.open.saturating_sub(1);
        if inquest.open > 0 {
            return;
        }
        let Some(inquest) = self.inquests.remove(&id) else {
            return;
        };
        let refusals = &mut self.routes.entry(inquest.collection).or_default().refusals;
        if inquest.differs {
            refusals.accepted();
            if !broken!(self.config.defect, ForgetsTheInquest) {
                // The rest of several batches may have come together.
                let batches = self.sealing.cut(&inquest.rest, &self.order).into_iter().rev();
                self.at_once
                    .extend(batches.map(|members| Work::Batch(Batch::new(inquest.collection, members))));
            }
        } else if inquest.wary {
            self.try_three(inquest.collection, inquest.rest);
        } else if let Ending::Failed(reason) = ending {
            refusals.wary = true;
            for sequence in inquest.rest {
                self.finish(sequence, Ending::Failed(reason.clone()));
            }
        }
    }

    /// A scout was set aside rather than ended: the collection does not refuse everything.
    pub(super) fn report_parked_scout(&mut self, sequence: Sequence) {
        self.report_scout(sequence, &Ending::Written);
    }
}
