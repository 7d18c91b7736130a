//! The request log, and the sums over it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::route::Class;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its number, from 1.
    pub n: u64,
    /// When its head had been read, in milliseconds since the server's start.
    pub t_start_ms: f64,
    /// When its answer had been written, or the connection was gone.
    pub t_end_ms: f64,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// The class.
    pub class: Class,
    /// The path of the collection.
    pub collection: String,
    /// Rows of a bulk request.
    pub rows: usize,
    /// Bytes of the body, as they came.
    pub bytes: usize,
    /// The status that was answered; 0 for no answer.
    pub status: u16,
    /// The connection, from 1.
    pub connection: u64,
    /// The fault that was applied.
    pub fault: Option<String>,
    /// Whether this server does not know the route.
    pub unknown: bool,
    /// The body, where bodies are logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// All requests so far.
#[derive(Default)]
pub struct Log {
    /// In the order of their answers.
    pub entries: Vec<Entry>,
    /// Numbers given.
    pub given: u64,
    /// Requests in work.
    in_work: usize,
    /// The most there ever were.
    pub max_in_work: usize,
    /// The same by class.
    by_class: BTreeMap<Class, (usize, usize)>,
    /// Connections accepted.
    pub connections: u64,
    /// TLS handshakes that came to nothing.
    pub failed_handshakes: u64,
    /// Requests whose client left while they were in work.
    pub left: u64,
}

/// The sums.
#[derive(Serialize)]
pub struct Summary {
    requests: usize,
    requests_by_class: BTreeMap<Class, usize>,
    rows_by_collection: BTreeMap<String, usize>,
    statuses: BTreeMap<u16, usize>,
    bytes: usize,
    max_in_flight: usize,
    max_in_flight_by_class: BTreeMap<Class, usize>,
    in_flight: usize,
    connections: u64,
    failed_handshakes: u64,
    left: u64,
    unknown_routes: Vec<String>,
    faults: BTreeMap<String, usize>,
    order_violations: u64,
}

impl Log {
    /// A request begins; its number.
    pub fn begin(&mut self, class: Class) -> u64 {
        self.given += 1;
        self.in_work += 1;
        self.max_in_work = self.max_in_work.max(self.in_work);
        let (now, most) = self.by_class.entry(class).or_default();
        *now += 1;
        *most = (*most).max(*now);
        self.given
    }

    /// How many requests are in work, and how many of a class.
    pub fn in_work(&self, class: Class) -> (usize, usize) {
        (self.in_work, self.by_class.get(&class).map_or(0, |(now, _)| *now))
    }

    /// A request turns out to be of another class.
    pub fn reclassify(&mut self, from: Class, to: Class) {
        if from == to {
            return;
        }
        if let Some((now, _)) = self.by_class.get_mut(&from) {
            *now = now.saturating_sub(1);
        }
        let (now, most) = self.by_class.entry(to).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    /// A request is about to be answered, or came to an end without an answer; its place in the log. From here on it is not
    /// in work: its client may have the answer and send the next one before this connection is looked at again.
    pub fn end(&mut self, entry: Entry) -> usize {
        self.in_work = self.in_work.saturating_sub(1);
        if let Some((now, _)) = self.by_class.get_mut(&entry.class) {
            *now = now.saturating_sub(1);
        }
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// The answer of a request has been written.
    pub fn written(&mut self, place: usize, n: u64, t_end_ms: f64) {
        if let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.n == n) {
            entry.t_end_ms = t_end_ms;
        }
    }

    /// Forgets all requests that ended; those in work stay counted.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.max_in_work = self.in_work;
        for (now, most) in self.by_class.values_mut() {
            *most = *now;
        }
        self.connections = 0;
        self.failed_handshakes = 0;
        self.left = 0;
    }

    /// The requests with a number above `since`, in order.
    pub fn since(&self, since: u64, bodies: bool) -> Vec<Entry> {
        let mut found: Vec<Entry> = self.entries.iter().filter(|entry| entry.n > since).cloned().collect();
        found.sort_unstable_by_key(|entry| entry.n);
        if !bodies {
            found.iter_mut().for_each(|entry| entry.body = None);
        }
        found
    }

    /// The sums.
    pub fn summary(&self, order_violations: u64) -> Summary {
        let mut summary = Summary {
            requests: self.entries.len(),
            requests_by_class: BTreeMap::new(),
            rows_by_collection: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bytes: 0,
            max_in_flight: self.max_in_work,
            max_in_flight_by_class: self.by_class.iter().map(|(class, (_, most))| (*class, *most)).collect(),
            in_flight: self.in_work,
            connections: self.connections,
            failed_handshakes: self.failed_handshakes,
            left: self.left,
            unknown_routes: Vec::new(),
            faults: BTreeMap::new(),
            order_violations,
        };
        for entry in &self.entries {
            *summary.requests_by_class.entry(entry.class).or_default() += 1;
            *summary.statuses.entry(entry.status).or_default() += 1;
            summary.bytes += entry.bytes;
            if entry.rows > 0 {
                *summary.rows_by_collection.entry(entry.collection.clone()).or_default() += entry.rows;
            }
            if let Some(fault) = &entry.fault {
                *summary.faults.entry(fault.clone()).or_default() += 1;
            }
            let route = format!("{} {}", entry.method, entry.path);
            if entry.unknown && !summary.unknown_routes.contains(&route) {
                summary.unknown_routes.push(route);
            }
        }
        summary
    }
}
