//! A simulated server: what it stores, how long it works, what it answers. It has no clock of its own and never looks at the engine.
//!
//! A request comes in (`receive`), is worked on (`work`, which changes what is stored), and is answered. The two moments differ, so that
//! answers overtake each other, get lost, or come before the work is done.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use openmetadata_bulksink::engine::{Answer, Call, Fault, Kind, Request, RequestId, Sequence};

use rustc_hash::FxHashMap;

use crate::replies::{error, page, reset, respond, stalled, trouble_plan, Plan, Reply};
use crate::stream::{Poison, Stream, Temper};
use crate::weather::{Trouble, Weather};

/// What a firewall answers to a body that it dislikes.
pub const FIREWALL: &str = "the firewall objects";
/// The first words of its page.
const PAGE: &str = "Request rejected, support id 4711";
const UNREADABLE: &str = "the body is no JSON";

/// How the server is made and how fast it is.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Collections without a bulk endpoint, and what that answers.
    pub no_bulk: Vec<&'static str>,
    pub no_bulk_status: u16,
    /// What `PATCH` by name answers where it does not exist.
    pub no_patch_by_name: Option<u16>,
    /// References are looked up when a request comes in, not when its rows are written.
    pub checks_at_start: bool,
    /// Work ends with the connection.
    pub stops_with_connection: bool,
    /// Requests that it takes at once.
    pub places: Option<usize>,
    /// What it answers to one more: 429 or 503.
    pub refusal: u16,
    /// It answers 503 to each row instead (1.11).
    pub refuses_by_row: bool,
    pub base: Duration,
    pub per_row: Duration,
    pub single: Duration,
    /// Life cycle requests and look-ups.
    pub patch: Duration,
    /// The work takes up to this much longer, as a share.
    pub jitter: f64,
    pub size_limit: Option<usize>,
    /// What it answers to a compressed request that it does not take.
    pub no_gzip: Option<u16>,
    /// It refuses whatever is sent to this collection: row by row, or the whole request.
    pub refuses_all: Option<(&'static str, ByRow)>,
    /// A collection that it does not have.
    pub absent: Option<&'static str>,
    /// A request with more rows is cut while it is being sent.
    pub cut_above: Option<usize>,
    /// A row that an unanswered attempt created is reported as a duplicate once.
    pub reports_duplicates: bool,
    /// Refused rows are echoed as whole objects.
    pub echoes: bool,
    /// Chance that somebody else deletes an entity that a request has just written.
    pub vanish: f64,
    /// A server that takes and writes all rows answers by counters alone.
    pub counts_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByRow {
    Row,
    Whole,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            no_bulk: Vec::new(),
            no_bulk_status: 404,
            no_patch_by_name: None,
            checks_at_start: false,
            stops_with_connection: true,
            places: None,
            refusal: 503,
            refuses_by_row: false,
            base: Duration::from_millis(105),
            per_row: Duration::from_millis(26),
            single: Duration::from_millis(131),
            patch: Duration::from_millis(39),
            jitter: 0.0,
            size_limit: None,
            no_gzip: None,
            refuses_all: None,
            absent: None,
            cut_above: None,
            reports_duplicates: false,
            echoes: false,
            vanish: 0.0,
            counts_only: false,
        }
    }
}

/// A row in flight, and the record that it stands for.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub sequence: Sequence,
    pub spec: usize,
    /// The life cycle inside a create request, by number.
    pub embedded: Option<usize>,
    /// Which of its keys a create request comes without, one bit each.
    pub without: u32,
}

/// What a request is, as the server understands it.
#[derive(Debug, Clone)]
pub enum Sent {
    Bulk(Vec<Row>),
    One(Row),
    PatchByName(Row),
    PatchById(Row),
    /// A look-up: of a life cycle's entity, for its id, or of a record whose fate is unknown.
    Get {
        entity: Option<usize>,
        patch: Option<Row>,
    },
    /// Whether the server is there.
    Probe,
    RenewToken,
}

impl Sent {
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Bulk(rows) => rows,
            Self::One(row) | Self::PatchByName(row) | Self::PatchById(row) => std::slice::from_ref(row),
            Self::Get { patch: Some(row), .. } => std::slice::from_ref(row),
            Self::Get { patch: None, .. } | Self::Probe | Self::RenewToken => &[],
        }
    }
}

/// One attempt on its way.
#[derive(Debug)]
pub struct Flight {
    pub id: RequestId,
    pub collection: Arc<str>,
    pub sent: Sent,
    pub at: Duration,
    pub plan: Plan,
    /// What the work gave.
    pub reply: Option<Reply>,
    pub answered: bool,
    pub worked: bool,
    /// Holds one of the server's places.
    pub has_place: bool,
    /// References that were not there when the request came in, for each row.
    missing_at_start: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub there: bool,
    /// The body that was applied last, and the record that it stood for.
    pub spec: Option<usize>,
    /// The keys that this body came without, one bit each.
    pub without: u32,
    pub sequence: Sequence,
    pub life_cycle: Option<usize>,
    pub life_cycle_sequence: Sequence,
}

pub struct Server {
    pub profile: Profile,
    pub stored: Vec<Stored>,
    /// Whether a record was applied, by sequence number.
    applied: Vec<bool>,
    /// Duplicates that were reported, by sequence number.
    reported: Vec<bool>,
    seen: Vec<u8>,
    /// Troubles that each body has met.
    met: Vec<u8>,
    pub at_work: usize,
    pub most_at_work: usize,
    pub requests: u64,
    pub bulk_requests: u64,
    pub rows: u64,
    pub renewed: Option<Duration>,
    /// When the callable gave a good token.
    pub renewals: Vec<Duration>,
    same_token: bool,
    /// From when on each entity was there, or was not.
    pub history: FxHashMap<usize, Vec<(Duration, bool)>>,
    /// Times in which work that nobody waits for any more took all its places.
    pub crowded: Vec<(Duration, Duration)>,
    crowded_since: Option<Duration>,
    /// Source hashes that are not those of the submitted bodies.
    pub hashes: FxHashMap<usize, String>,
    token_failures: u32,
    /// Entities that somebody else has deleted once.
    pub vanished: Vec<bool>,
    /// An attempt committed after a later one was answered, for these entities: the last body may be an older one.
    pub overtaken: Vec<bool>,
    /// Somebody else has written to these entities.
    pub meddled: Vec<bool>,
}

enum Verdict {
    Well,
    Silent,
    Refused(u16, Option<String>, Option<usize>),
}

impl Server {
    pub fn new(profile: Profile, weather: &Weather, stream: &Stream) -> Self {
        let stored = stream
            .entities
            .iter()
            .map(|entity| Stored {
                there: entity.there_before,
                ..Stored::default()
            })
            .collect();
        Self {
            profile,
            stored,
            applied: Vec::new(),
            reported: Vec::new(),
            seen: vec![0; stream.specs.len()],
            met: vec![0; stream.specs.len()],
            at_work: 0,
            most_at_work: 0,
            requests: 0,
            bulk_requests: 0,
            rows: 0,
            renewed: None,
            renewals: Vec::new(),
            same_token: weather.same_token,
            history: FxHashMap::default(),
            crowded: Vec::new(),
            crowded_since: None,
            hashes: FxHashMap::default(),
            token_failures: weather.token_failures,
            vanished: vec![false; stream.entities.len()],
            overtaken: vec![false; stream.entities.len()],
            meddled: vec![false; stream.entities.len()],
        }
    }

    /// Somebody else writes to everything of which bodies repeat.
    pub fn meddle(&mut self, stream: &Stream) {
        for spec in stream.specs.iter().filter(|spec| spec.once) {
            self.stored[spec.entity].spec = None;
            self.meddled[spec.entity] = true;
        }
    }

    pub fn was_applied(&self, sequence: Sequence) -> bool {
        self.applied.get(usize::try_from(sequence).unwrap()).copied() == Some(true)
    }

    /// So many attempts that were answered are still at work.
    pub fn ghosts(&mut self, count: usize, now: Duration) {
        if self.profile.places.is_some_and(|places| count >= places) {
            self.crowded_since.get_or_insert(now);
        } else if let Some(since) = self.crowded_since.take() {
            self.crowded.push((since, now));
        }
    }

    /// Takes a request in: what will become of it, and when.
    pub fn receive(
        &mut self,
        request: &Request,
        sent: Sent,
        stream: &Stream,
        weather: &Weather,
        time_out: Duration,
        now: Duration,
        rng: &mut Rng,
    ) -> Flight {
        let collection = match &request.call {
            Call::PutBulk { collection, .. }
            | Call::PutOne { collection, .. }
            | Call::PatchLifeCycle { collection, .. }
            | Call::Get { collection, .. } => collection.clone(),
            Call::Probe | Call::RenewToken => "".into(),
        };
        let mut flight = Flight {
            id: request.id,
            collection,
            sent,
            at: now,
            plan: Plan::default(),
            reply: None,
            answered: false,
            worked: false,
            has_place: false,
            missing_at_start: Vec::new(),
        };
        if matches!(flight.sent, Sent::RenewToken) {
            flight.plan.work_at = Some(now + Duration::from_millis(300));
            flight.plan.reply_at = now + Duration::from_millis(300);
            return flight;
        }
        self.requests += 1;
        self.rows += flight.sent.rows().len() as u64;
        self.bulk_requests += u64::from(matches!(flight.sent, Sent::Bulk(_)));
        flight.plan = self.plan(request, &flight, weather, time_out, now, rng, stream);
        if flight.plan.work_at.is_some() {
            self.at_work += 1;
            self.most_at_work = self.most_at_work.max(self.at_work);
            flight.has_place = true;
            if self.profile.checks_at_start {
                let missing = |row: &Row| self.missing_reference(row, stream);
                flight.missing_at_start = flight.sent.rows().iter().map(missing).collect();
            }
        }
        flight
    }

    fn plan(
        &mut self,
        request: &Request,
        flight: &Flight,
        weather: &Weather,
        time_out: Duration,
        now: Duration,
        rng: &mut Rng,
        stream: &Stream,
    ) -> Plan {
        let soon = now + Duration::from_millis(5);
        let mut takes = match &flight.sent {
            Sent::Bulk(rows) => self.profile.base + self.profile.per_row * u32::try_from(rows.len()).unwrap(),
            Sent::One(_) => self.profile.single,
            _ => self.profile.patch,
        };
        takes += takes.mul_f64(self.profile.jitter * rng.f64());
        let instead = |reply: Reply, at: Duration, work_at: Option<Duration>, trouble: Option<Trouble>| Plan {
            work_at,
            reply_at: at,
            instead: Some(reply),
            trouble,
        };
        if weather.token_is_refused(now, self.renewed) {
            let reply = error(401, "Expired token!", None);
            return instead(reply, soon, None, Some(Trouble::Unauthorized));
        }
        let rows = flight.sent.rows();
        let met = rows.iter().map(|row| self.met[row.spec]).max().unwrap_or(0);
        if let Some(trouble) = weather.strikes(
            self.requests,
            &flight.collection,
            !matches!(flight.sent, Sent::Get { .. }),
            met,
            now,
            rng,
        ) {
            for row in rows {
                self.met[row.spec] = self.met[row.spec].saturating_add(1);
            }
            let mut plan = trouble_plan(trouble, takes, time_out, now, weather);
            if self.refuses_whole(request, flight, stream, time_out).is_some() {
                plan.work_at = None;
            }
            return plan;
        }
        if let Some(places) = self.profile.places {
            if self.at_work >= places && !self.profile.refuses_by_row {
                let status = self.profile.refusal;
                let reply = error(status, "no room, come back later", weather.retry_after);
                return instead(reply, soon, None, Some(Trouble::Status(status)));
            }
        }
        if let Some(reply) = self.refuses_whole(request, flight, stream, time_out) {
            let hangs = matches!(reply.answer, Answer::Fault(Fault::ReadTimeout(_)));
            return instead(reply, if hangs { now + time_out } else { soon }, None, None);
        }
        if takes > time_out {
            let reply = stalled(time_out);
            return instead(
                reply,
                now + time_out,
                Some(now + takes),
                Some(Trouble::Stall { done: true }),
            );
        }
        Plan {
            work_at: Some(now + takes),
            reply_at: now + takes,
            instead: None,
            trouble: None,
        }
    }

    /// Refusals of a whole request that come from the server's own rules.
    fn refuses_whole(&self, request: &Request, flight: &Flight, stream: &Stream, time_out: Duration) -> Option<Reply> {
        let rows = flight.sent.rows();
        let is_create = matches!(flight.sent, Sent::Bulk(_) | Sent::One(_));
        let collection = &*flight.collection;
        if self.profile.absent == Some(collection) {
            return Some(error(404, "HTTP 404 Not Found", None));
        }
        if matches!(flight.sent, Sent::Bulk(_)) && self.profile.no_bulk.contains(&collection) {
            let status = self.profile.no_bulk_status;
            return Some(error(status, &format!("HTTP {status} Not Found"), None));
        }
        if let (Sent::PatchByName(_), Some(status)) = (&flight.sent, self.profile.no_patch_by_name) {
            return Some(error(status, &format!("HTTP {status}"), None));
        }
        if let (Call::PutBulk { gzip: true, .. }, Some(status)) = (&request.call, self.profile.no_gzip) {
            return Some(error(status, UNREADABLE, None));
        }
        if let (true, Some(limit)) = (is_create, self.profile.size_limit) {
            let bytes: usize = match &request.call {
                Call::PutBulk { rows, .. } => rows.iter().map(bytes::Bytes::len).sum(),
                Call::PutOne { row, .. } => row.len(),
                _ => 0,
            };
            if bytes > limit {
                let body = "<html>too large</html>".to_owned();
                return Some(Reply::whole(respond(413, body), "the server answered 413"));
            }
        }
        if is_create && self.refuses_all(collection, ByRow::Whole) {
            return Some(error(400, "this collection takes nothing today", None));
        }
        let temper = |wanted| rows.iter().find(|row| stream.specs[row.spec].temper == wanted);
        if temper(Temper::Offensive).is_some() {
            return Some(error(400, FIREWALL, None));
        }
        let poison = rows.iter().find_map(|row| match stream.specs[row.spec].temper {
            Temper::Poison(poison) => Some(poison),
            _ => None,
        });
        if let Some(poison) = poison {
            return Some(match poison {
                Poison::Fickle if self.requests % 2 == 0 => reset(),
                Poison::Reset => reset(),
                Poison::Page => Reply::whole(respond(200, page(PAGE)), PAGE),
                Poison::BadGateway | Poison::Fickle => Reply::whole(respond(502, page(PAGE)), PAGE),
                Poison::Hang => stalled(time_out),
                Poison::Redirect => Reply::whole(respond(302, String::new()), "the server answered 302"),
            });
        }
        if let (true, Some(most)) = (is_create, self.profile.cut_above) {
            if rows.len() > most {
                let text = "cut while it was being sent";
                // What is seen of that is chance.
                let seen = [Fault::NotSent, Fault::Closed, Fault::Broken];
                let fault = seen[self.requests as usize % seen.len()](text.to_owned());
                return Some(Reply::whole(Answer::Fault(fault), text));
            }
        }
        if temper(Temper::Toxic).is_some() {
            return Some(error(500, "UnhandledServerException: toxic row", None));
        }
        None
    }

    pub fn refuses_all(&self, collection: &str, how: ByRow) -> bool {
        self.profile
            .refuses_all
            .is_some_and(|(path, by)| path == collection && by == how)
    }

    fn missing_reference(&self, row: &Row, stream: &Stream) -> Option<usize> {
        let spec = &stream.specs[row.spec];
        let lacks_key = |entity: &usize| spec.keys_to(*entity).is_some_and(|at| row.without & (1 << at) != 0);
        let mut refers = spec.refers.iter().copied().filter(|entity| !lacks_key(entity));
        refers.find(|entity| !self.stored[*entity].there)
    }

    /// Does the work of a request now.
    ///
    /// # Errors
    /// What the engine must never make the server do.
    pub fn work(&mut self, flight: &mut Flight, stream: &Stream, rng: &mut Rng, now: Duration) -> Result<(), String> {
        flight.worked = true;
        let reply = match &flight.sent {
            Sent::RenewToken => self.renew(now),
            Sent::Probe => Reply::well("{\"version\":\"2.0.7\"}".to_owned()),
            Sent::Get { entity, patch } => self.look_up(*entity, patch.is_some(), stream),
            Sent::PatchByName(row) | Sent::PatchById(row) => {
                let row = *row;
                self.patch(row, flight.answered, stream, now)?
            }
            Sent::One(row) => {
                let row = *row;
                let missing = flight.missing_at_start.first().copied().flatten();
                match self.write(row, missing, flight, stream, now)? {
                    Verdict::Well | Verdict::Silent => {
                        let entity = &stream.entities[stream.specs[row.spec].entity];
                        Reply::well(format!(
                            "{{\"fullyQualifiedName\":{:?},\"id\":\"x\"}}",
                            entity.key.as_str()
                        ))
                    }
                    Verdict::Refused(_, Some(text), Some(entity)) => {
                        let mut reply = error(404, &text, None);
                        reply.missing.push((0, entity));
                        reply
                    }
                    Verdict::Refused(status, text, _) => {
                        let says = |words: &str| text.as_deref().is_some_and(|text| text.contains(words));
                        let status = match status {
                            _ if says("already exists") => 409,
                            _ if says("Deadlock") => 500,
                            status => status,
                        };
                        let text = text.unwrap_or_else(|| format!("the server answered {status}"));
                        error(status, &text, None)
                    }
                }
            }
            Sent::Bulk(rows) => {
                let rows = rows.clone();
                let crowded =
                    self.profile.refuses_by_row && self.profile.places.is_some_and(|places| self.at_work > places);
                let mut verdicts = Vec::with_capacity(rows.len());
                for (at, row) in rows.iter().enumerate() {
                    if crowded {
                        let text = "System overloaded, please retry later: Failed to acquire a permit".to_owned();
                        verdicts.push(Verdict::Refused(503, Some(text), None));
                        continue;
                    }
                    let missing = flight.missing_at_start.get(at).copied().flatten();
                    verdicts.push(self.write(*row, missing, flight, stream, now)?);
                }
                self.bulk_reply(&rows, &verdicts, stream, rng)
            }
        };
        if rng.f64() < self.profile.vanish {
            if let Some(row) = rng.choice(flight.sent.rows()) {
                let entity = stream.specs[row.spec].entity;
                self.stored[entity].there = false;
                self.vanished[entity] = true;
                self.history.entry(entity).or_default().push((now, false));
            }
        }
        flight.reply = Some(reply);
        Ok(())
    }

    fn renew(&mut self, now: Duration) -> Reply {
        if self.token_failures > 0 {
            self.token_failures -= 1;
            let text = "the vault is sealed";
            return Reply::whole(Answer::Token(Err(text.to_owned())), text);
        }
        if !self.same_token {
            self.renewed = Some(now);
            self.renewals.push(now);
        }
        Reply {
            answer: Answer::Token(Ok(())),
            ..Reply::well(String::new())
        }
    }

    fn look_up(&self, entity: Option<usize>, for_patch: bool, stream: &Stream) -> Reply {
        let Some(entity) = entity else {
            return error(404, "entity instance for a name that was never used not found", None);
        };
        if !self.stored[entity].there {
            let mut reply = error(404, &not_found(entity, stream), None);
            reply.missing.extend(for_patch.then_some((0, entity)));
            return reply;
        }
        let hash = |spec: usize| self.hashes.get(&spec).cloned().unwrap_or_else(|| format!("h{spec}"));
        let whole = self.stored[entity].without == 0;
        let hash = self.stored[entity]
            .spec
            .filter(|_| whole)
            .map(|spec| format!(",\"sourceHash\":\"{}\"", hash(spec)));
        Reply::well(format!("{{\"id\":\"id-{entity}\"{}}}", hash.unwrap_or_default()))
    }

    fn patch(&mut self, row: Row, late: bool, stream: &Stream, now: Duration) -> Result<Reply, String> {
        let spec = &stream.specs[row.spec];
        if !self.stored[spec.entity].there {
            let mut reply = error(404, &not_found(spec.entity, stream), None);
            reply.missing.push((0, spec.entity));
            return Ok(reply);
        }
        if spec.temper == Temper::Refused {
            return Ok(error(400, &format!("life cycle {} is malformed", row.spec), None));
        }
        self.apply(row, late, stream, now)?;
        Ok(Reply::well("{\"id\":\"x\"}".to_owned()))
    }

    /// Writes one row, or says why not.
    fn write(
        &mut self,
        row: Row,
        missing: Option<usize>,
        flight: &Flight,
        stream: &Stream,
        now: Duration,
    ) -> Result<Verdict, String> {
        let spec = &stream.specs[row.spec];
        let refused = |status, text: &str| Ok(Verdict::Refused(status, Some(text.to_owned()), None));
        if self.refuses_all(&flight.collection, ByRow::Row) {
            return refused(400, "this collection takes nothing today");
        }
        if let Some(entity) = missing.or_else(|| self.missing_reference(&row, stream)) {
            return Ok(Verdict::Refused(400, Some(not_found(entity, stream)), Some(entity)));
        }
        let seen = self.seen[row.spec];
        let again = |times: u8| seen < times;
        match spec.temper {
            Temper::Refused => return refused(400, &format!("body {} is not valid", row.spec)),
            Temper::Named => {
                let name = &stream.entities[spec.entity].key;
                return refused(
                    400,
                    &format!("Invalid {name}: description must not exceed 100 characters"),
                );
            }
            Temper::RefusedAlike => return refused(400, "name must match the rule"),
            Temper::RefusedMutely => return Ok(Verdict::Refused(400, None, None)),
            Temper::RowError => return refused(500, &format!("body {} breaks the server", row.spec)),
            Temper::Duplicate => return refused(400, "duplicate key value violates \"unique_query_checksum\""),
            Temper::Shy(times) if again(times) => {
                self.seen[row.spec] += 1;
                return refused(503, "System overloaded, please retry later");
            }
            Temper::Deadlock(times) if again(times) => {
                self.seen[row.spec] += 1;
                return refused(400, "Deadlock found when trying to get lock");
            }
            Temper::Silent(times) if again(times) && matches!(flight.sent, Sent::Bulk(_)) => {
                self.seen[row.spec] += 1;
                // Written or not: nobody is told.
                if row.spec % 2 == 0 {
                    self.apply(row, flight.answered, stream, now)?;
                }
                return Ok(Verdict::Silent);
            }
            _ => {}
        }
        let is_repeat = self.was_applied(row.sequence) && self.stored[spec.entity].without == row.without;
        if self.profile.reports_duplicates && is_repeat && !is_set(&self.reported, row.sequence) {
            set(&mut self.reported, row.sequence);
            return refused(400, "Entity already exists");
        }
        self.apply(row, flight.answered, stream, now)?;
        Ok(Verdict::Well)
    }

    /// Stores a body. `late`: its attempt was answered before.
    fn apply(&mut self, row: Row, late: bool, stream: &Stream, now: Duration) -> Result<(), String> {
        let spec = &stream.specs[row.spec];
        let entity = spec.entity;
        let stored = &mut self.stored[entity];
        let is_patch = spec.kind == Kind::LifeCycle;
        let before = if is_patch {
            stored.life_cycle_sequence
        } else {
            stored.sequence
        };
        if row.sequence < before && !late && !self.overtaken[entity] {
            return Err(format!(
                "an older body after a newer one: record {} of {} was applied after record {before}",
                row.sequence, stream.entities[entity].key
            ));
        }
        self.overtaken[entity] |= late;
        if is_patch {
            stored.life_cycle = Some(row.spec);
            stored.life_cycle_sequence = row.sequence;
        } else {
            if !std::mem::replace(&mut stored.there, true) {
                self.history.entry(entity).or_default().push((now, true));
            }
            stored.spec = Some(row.spec);
            stored.without = row.without;
            stored.sequence = row.sequence;
            if row.embedded.is_some() {
                stored.life_cycle = row.embedded;
            }
        }
        set(&mut self.applied, row.sequence);
        Ok(())
    }

    fn bulk_reply(&self, rows: &[Row], verdicts: &[Verdict], stream: &Stream, rng: &mut Rng) -> Reply {
        let mut reply = Reply::well(String::new());
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for (at, (row, verdict)) in rows.iter().zip(verdicts).enumerate() {
            let spec = &stream.specs[row.spec];
            let name = format!("{:?}", stream.entities[spec.entity].key.as_str());
            match verdict {
                Verdict::Well => passed.push(format!("{{\"request\":{name},\"status\":200}}")),
                Verdict::Silent => {
                    reply.rows.push((at, "said nothing about this record".into()));
                    reply.all_well = false;
                }
                Verdict::Refused(status, text, missing) => {
                    reply.all_well = false;
                    let request = if self.profile.echoes && *status == 400 {
                        std::str::from_utf8(&spec.body).unwrap().to_owned()
                    } else {
                        name
                    };
                    let mut line = format!("{{\"request\":{request},\"status\":{status},\"message\":");
                    match text {
                        Some(text) => drop(write!(line, "{text:?}}}")),
                        None => line.push_str("null}"),
                    }
                    failed.push(line);
                    let told = text.as_deref().unwrap_or("no text");
                    reply.rows.push((at, told.into()));
                    reply.missing.extend(missing.map(|entity| (at, entity)));
                }
            }
        }
        rng.shuffle(&mut passed);
        rng.shuffle(&mut failed);
        let mut body = format!(
            "{{\"status\":\"{}\"",
            rng.choice(["success", "failure", "partialSuccess"]).unwrap()
        );
        let _ = write!(
            body,
            ",\"numberOfRowsProcessed\":{},\"numberOfRowsPassed\":{}",
            rows.len(),
            passed.len()
        );
        let _ = write!(body, ",\"numberOfRowsFailed\":{}", failed.len());
        if !(passed.is_empty() || self.profile.counts_only && passed.len() == rows.len()) {
            let _ = write!(body, ",\"successRequest\":[{}]", passed.join(","));
        }
        if !failed.is_empty() {
            let _ = write!(body, ",\"failedRequest\":[{}]", failed.join(","));
        }
        body.push('}');
        reply.answer = respond(200, body);
        reply
    }
}

fn is_set(marks: &[bool], sequence: Sequence) -> bool {
    marks.get(usize::try_from(sequence).unwrap()).copied() == Some(true)
}

fn set(marks: &mut Vec<bool>, sequence: Sequence) {
    let at = usize::try_from(sequence).unwrap();
    if marks.len() <= at {
        marks.resize(at + 1, false);
    }
    marks[at] = true;
}

fn not_found(entity: usize, stream: &Stream) -> String {
    let entity = &stream.entities[entity];
    format!("{} instance for {} not found", entity.word, entity.key)
}
