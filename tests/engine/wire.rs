//! What went over the wire, kept for the checks at the end: each request, and the attempts of each record.

use std::sync::Arc;
use std::time::Duration;

use openmetadata_bulksink::engine::{Answer, RequestId, Sequence};
use rustc_hash::FxHashMap;

use crate::replies::Reply;
use crate::server::{Flight, Sent};
use crate::weather::Trouble;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Bulk,
    One,
    Patch,
    Get,
    LookUp,
}

/// One request.
#[derive(Debug)]
pub struct Passage {
    pub what: What,
    pub collection: Arc<str>,
    pub rows: usize,
    pub begun: Duration,
    /// When its answer came, or it was seen to have none.
    pub ended: Option<Duration>,
    pub trouble: Option<Trouble>,
    pub status: Option<u16>,
    /// The server asked for less, or for another attempt, for the request or for a row.
    pub asked_for_less: bool,
    /// The server, or something in front of it, took what it carried or refused it for good.
    pub settled: bool,
}

/// All requests of a run.
#[derive(Debug, Default)]
pub struct Wire {
    pub passages: Vec<Passage>,
    by_id: FxHashMap<RequestId, usize>,
    /// The requests that carried each record.
    pub attempts: FxHashMap<Sequence, Vec<usize>>,
    /// Times in which the server had asked to be left alone.
    pub pauses: Vec<(Duration, Duration)>,
    /// When the server last took something, or refused it for a reason of its own.
    pub last_word: Duration,
}

impl Wire {
    pub fn sent(&mut self, flight: &Flight) {
        let what = match &flight.sent {
            Sent::Bulk(_) => What::Bulk,
            Sent::One(_) => What::One,
            Sent::PatchByName(_) | Sent::PatchById(_) => What::Patch,
            Sent::Get { patch: Some(_), .. } => What::Get,
            Sent::Get { patch: None, .. } => What::LookUp,
            Sent::Probe | Sent::RenewToken => return,
        };
        let number = self.passages.len();
        self.by_id.insert(flight.id, number);
        for row in flight.sent.rows() {
            self.attempts.entry(row.sequence).or_default().push(number);
        }
        self.passages.push(Passage {
            what,
            collection: flight.collection.clone(),
            rows: flight.sent.rows().len(),
            begun: flight.at,
            ended: None,
            trouble: None,
            status: None,
            asked_for_less: false,
            settled: false,
        });
    }

    pub fn answered(&mut self, flight: &Flight, reply: &Reply, now: Duration) {
        let Some(passage) = self.by_id.get(&flight.id).map(|number| &mut self.passages[*number]) else {
            return;
        };
        passage.ended = Some(now);
        passage.trouble = flight.plan.trouble;
        let takes = !matches!(passage.what, What::Get | What::LookUp);
        if let Answer::Response(response) = &reply.answer {
            passage.status = Some(response.status);
            let body = String::from_utf8_lossy(&response.body);
            passage.asked_for_less =
                matches!(response.status, 429 | 503) || body.contains("\"status\":503") || body.contains("Deadlock");
        }
        let refused = passage.status.is_some_and(|status| (400..500).contains(&status));
        // A firewall that objects to a row says nothing of the others.
        let is_verdict = reply.text.is_none() || passage.rows == 1 && refused;
        passage.settled = takes && flight.plan.trouble.is_none() && is_verdict;
        if passage.settled {
            self.last_word = now;
        }
    }

    /// The requests that carried a record, the first one first.
    pub fn of(&self, sequence: Sequence) -> impl Iterator<Item = &Passage> {
        let numbers = self.attempts.get(&sequence).map_or(&[][..], Vec::as_slice);
        numbers.iter().map(|number| &self.passages[*number])
    }

    pub fn first_attempt(&self, sequence: Sequence) -> Option<Duration> {
        self.of(sequence).next().map(|passage| passage.begun)
    }
}
