//! A made-up world: a clock, one engine, one simulated server, and threads of an application, driven exactly as the engine's
//! documentation says. Every step is entered in the books, and the books are checked at every step.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use openmetadata_bulksink::engine::{
    Answer, Call, Ending, Engine, Entity as Target, Kind, Payload, Record, Request, RequestId, Scope, Sequence, WaitId,
};

use crate::books::{Books, Checked};
use crate::losses::END_OF_CLOSE;
use crate::sabotage::Sabotage;
use crate::server::{Flight, Row, Sent, Server};
use crate::setup::{Report, Setup, Step};
use crate::stream::{embedded, number_of, part_of};
use crate::weather::Trouble;

#[derive(Debug, Default)]
struct Thread {
    script: VecDeque<Step>,
    blocked: Option<WaitId>,
    /// What it does once the wait has ended.
    then: Option<usize>,
    blocked_since: Duration,
    /// Since when it waits for room, and how many records got in that came later.
    asked: Option<Duration>,
    overtaken: u32,
}

/// When to do what.
type Moment = (Duration, u8, u64);

#[derive(Debug, Clone, Copy)]
enum Event {
    Work(RequestId),
    Reply(RequestId),
    Thread(usize),
    GiveUp(usize, WaitId),
    /// The application's patience with `close` is at its end.
    EndClose,
    Poll,
}

pub struct World {
    pub(crate) setup: Setup,
    pub(crate) engine: Engine,
    pub(crate) server: Server,
    pub(crate) books: Books,
    pub(crate) rng: Rng,
    pub(crate) now: Duration,
    events: BTreeMap<Moment, Event>,
    pub(crate) flights: BTreeMap<RequestId, Flight>,
    /// What each of them asked, for reading its answer.
    asked: BTreeMap<RequestId, Request>,
    threads: Vec<Thread>,
    ending: bool,
    poll_planned: bool,
    pub(crate) close_called_at: Option<Duration>,
    pub(crate) abandoned: bool,
    pub(crate) report: Report,
    pub(crate) trace: bool,
    pub(crate) fruitless: (u64, u32),
    pub(crate) told_of_stall: bool,
}

/// So many records may slip past somebody who waits for room: those that were let in at the same moment.
const MAY_OVERTAKE: u32 = 3;
/// Nothing simulated lasts longer.
const END_OF_TIME: Duration = Duration::from_secs(24 * 3600);
pub const ABANDONED: &str = "the run was abandoned";

/// How long a probe may take.
const PROBE_TIME_OUT: Duration = Duration::from_secs(10);

impl World {
    pub fn new(setup: Setup, trace: bool) -> Self {
        let server = Server::new(setup.profile.clone(), &setup.weather, &setup.stream);
        let threads = setup
            .threads
            .iter()
            .map(|script| Thread {
                script: script.iter().cloned().collect(),
                ..Thread::default()
            })
            .collect();
        let mut engine = Engine::new(Sabotage::config(setup.sabotage, setup.config.clone()));
        if setup.seed % 2 == 0 {
            engine.cut_chains();
        }
        let mut world = Self {
            engine,
            server,
            books: Books::default(),
            rng: Rng::with_seed(setup.seed ^ 0x5eed),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            flights: BTreeMap::new(),
            asked: BTreeMap::new(),
            threads,
            ending: false,
            poll_planned: false,
            close_called_at: None,
            abandoned: false,
            report: Report::default(),
            trace,
            fruitless: (0, 0),
            told_of_stall: false,
            setup,
        };
        world.say(|| {
            format!(
                "{:#?}\n{:?}\n{:?}",
                world.setup.config, world.setup.profile, world.setup.weather
            )
        });
        for thread in 0..world.threads.len() {
            world.plan(Duration::ZERO, 2, Event::Thread(thread));
        }
        world
    }

    fn say(&self, line: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12.6} {}", self.now.as_secs_f64(), line());
        }
    }

    fn plan(&mut self, at: Duration, order: u8, event: Event) {
        let mut moment = (at, order, self.rng.u64(..));
        while self.events.contains_key(&moment) {
            moment.2 = moment.2.wrapping_add(1);
        }
        self.events.insert(moment, event);
    }

    /// Lets the world run to its end.
    ///
    /// # Errors
    /// The first promise that was not kept.
    pub fn run(mut self) -> Result<Report, String> {
        self.run_to_end()
            .and_then(|()| self.check_the_end())
            .map_err(|text| format!("{}, at {:.3} s: {text}", self.setup.kind, self.now.as_secs_f64()))?;
        self.report.ended_at = self.now;
        self.report.requests = self.server.requests;
        self.report.bulk_requests = self.server.bulk_requests;
        self.report.rows = self.server.rows;
        self.report.written = self.books.written;
        self.report.failed = self.books.failed;
        self.report.warned = self.books.warned;
        self.report.most_in_flight = self.books.most_in_flight;
        self.report.retries = self.engine.stats(self.now).retries;
        Ok(self.report)
    }

    fn run_to_end(&mut self) -> Checked {
        loop {
            if self.engine.is_closed() && self.threads.iter().all(|t| t.script.is_empty() && t.blocked.is_none()) {
                return Ok(());
            }
            self.end_if_all_threads_have();
            let due = self.engine.poll_timeout(self.now);
            let next = self.events.first_key_value().map(|(moment, _)| moment.0);
            match (next, due) {
                (Some(at), due) if due.is_none_or(|due| at <= due) => {
                    self.advance(at)?;
                    let Some((_, event)) = self.events.pop_first() else {
                        continue;
                    };
                    self.happen(event)?;
                }
                (_, Some(due)) => {
                    let lag = self.setup.lag.mul_f64(self.rng.f64());
                    let due = due + lag;
                    self.advance(due.max(self.now))?;
                    self.time_out()?;
                }
                (_, None) => return Err(self.deadlock()),
            }
        }
    }

    fn deadlock(&self) -> String {
        let blocked = self.threads.iter().filter(|thread| thread.blocked.is_some()).count();
        format!(
            "nothing will ever happen again: {} records are pending, {blocked} threads wait, {:?}",
            self.books.pending.len(),
            self.engine.stats(self.now)
        )
    }

    fn advance(&mut self, to: Duration) -> Checked {
        self.now = to;
        if to > END_OF_TIME {
            return Err("this never ends".to_owned());
        }
        if self.engine.is_closed() {
            return Ok(());
        }
        self.ends_in_time(to)
    }

    /// A drain, and close, end within a bounded time after the last record that the server took or refused (E12).
    fn ends_in_time(&self, to: Duration) -> Checked {
        let config = &self.setup.config;
        // Look-ups take ten seconds, and a server is given up by a probe.
        let others = Duration::from_secs(10) + PROBE_TIME_OUT;
        let bound = config.delivery_timeout + config.attempt_timeout + others + self.setup.lag * 4;
        let last = self.books.wire.last_word.max(self.books.last_submitted());
        let drain = self.books.drains_since().map(|since| ("a drain", since.max(last)));
        let close = self
            .close_called_at
            .map(|since| ("close", since.max(self.books.wire.last_word)));
        for (what, since) in drain.into_iter().chain(close) {
            // The server may ask to be left alone.
            let pauses = self
                .books
                .wire
                .pauses
                .iter()
                .filter(|(_, until)| what == "a drain" && *until > since);
            let asked: Duration = pauses.map(|(from, until)| *until - (*from).max(since)).sum();
            // That an attempt gets no answer is known when it ends; close does not wait for that.
            let first_fault = if what == "a drain" {
                config.attempt_timeout
            } else {
                Duration::ZERO
            };
            if to > since + bound + asked + first_fault {
                return Err(format!("no end: {what} takes longer than {bound:?} after {since:?}"));
            }
        }
        Ok(())
    }

    fn end_if_all_threads_have(&mut self) {
        let all = self.threads.iter().all(|t| t.script.is_empty() && t.blocked.is_none());
        if all && !self.ending {
            self.ending = true;
            self.report.submitted_at = self.now;
            self.threads[0].script = self.setup.ending.iter().cloned().collect();
            self.plan(self.now, 2, Event::Thread(0));
        }
    }

    fn happen(&mut self, event: Event) -> Checked {
        self.books.step += 1;
        match event {
            Event::Work(id) => self.server_works(id),
            Event::Reply(id) => self.server_replies(id),
            Event::Thread(thread) => self.thread_goes_on(thread),
            Event::GiveUp(thread, wait) => self.thread_gives_up(thread, wait),
            Event::EndClose => {
                self.engine.abandon(END_OF_CLOSE);
                self.books.forgotten();
                self.told()
            }
            Event::Poll => {
                self.poll_planned = false;
                self.poll().map(drop)
            }
        }
    }

    /// The engine asked to be called now.
    fn time_out(&mut self) -> Checked {
        for spin in 0.. {
            self.engine.handle_timeout(self.now);
            let fruitful = self.collect()? | self.poll()?;
            let second = self.now.as_secs();
            if fruitful || self.fruitless.0 != second {
                self.fruitless = (second, 0);
            }
            self.fruitless.1 += 1;
            if self.fruitless.1 > 20 {
                return Err("a busy loop: many time-outs in one second, and none of them did anything".to_owned());
            }
            if self.engine.poll_timeout(self.now).is_none_or(|due| due > self.now) {
                return Ok(());
            }
            if spin > 4 {
                return Err("a busy loop: the time-out stays in the past".to_owned());
            }
        }
        Ok(())
    }

    /// Something was told to the engine: what is new is collected at once, and the driver is woken.
    fn told(&mut self) -> Checked {
        self.collect()?;
        if self.setup.lag.is_zero() {
            return self.poll().map(drop);
        }
        if !self.poll_planned {
            self.poll_planned = true;
            let at = self.now + self.setup.lag.mul_f64(self.rng.f64());
            self.plan(at, 3, Event::Poll);
        }
        Ok(())
    }

    /// Everything that the engine has to say now. Whether that was anything.
    fn poll(&mut self) -> Result<bool, String> {
        self.report.rounds += 1;
        if self.setup.wakes_often && self.rng.u8(..) < 64 {
            self.engine.handle_timeout(self.now);
            self.collect()?;
        }
        let mut fruitful = false;
        loop {
            while let Some(request) = self.engine.poll_request(self.now) {
                fruitful = true;
                if self.engine.is_closed() {
                    return Err("a request after the end".to_owned());
                }
                // What need not be sent ends while requests are asked for.
                self.collect()?;
                self.send(&request)?;
            }
            // Whoever is told of an end may submit at once.
            if !self.collect()? {
                break;
            }
            fruitful = true;
        }
        self.check_custody()?;
        self.check_quiet()?;
        Ok(fruitful)
    }

    fn collect_outcomes(&mut self) -> Result<bool, String> {
        let mut fruitful = false;
        while let Some(outcome) = self.engine.poll_outcome() {
            fruitful = true;
            self.say(|| format!("  outcome {} {} {:?}", outcome.sequence, outcome.fqn, outcome.ending));
            self.books.ended(&outcome, &self.setup.stream, &self.server, self.now)?;
            if let Ending::Failed(reason) | Ending::WrittenInPart(reason) = &outcome.ending {
                *self.report.reasons.entry(reason.to_string()).or_default() += 1;
            }
        }
        Ok(fruitful)
    }

    pub(crate) fn collect(&mut self) -> Result<bool, String> {
        let mut fruitful = self.collect_outcomes()?;
        let mut admitted = false;
        while let Some(wait) = self.engine.poll_wait() {
            fruitful = true;
            // A record that came with a ticket may have ended before the wait did.
            self.collect_outcomes()?;
            self.say(|| format!("  {wait:?} ended"));
            let for_room = matches!(
                self.books.wait_ended(wait, &self.setup.stream)?,
                Some(Scope::Room { .. })
            );
            let now = self.now;
            let Some(thread) = self.threads.iter().position(|t| t.blocked == Some(wait)) else {
                return Err(format!("{wait:?} ended, and no thread waits for it"));
            };
            self.threads[thread].blocked = None;
            if let (true, Some(spec)) = (for_room, self.threads[thread].then.take()) {
                // As the driver does it: it comes with its record at once.
                let waited = now - self.threads[thread].blocked_since;
                self.report.blocked += waited;
                self.take(thread, spec, Some(wait))?;
                admitted = true;
            }
            self.plan(now, 2, Event::Thread(thread));
        }
        if admitted {
            return self.collect().map(|_| true);
        }
        while let Some(notice) = self.engine.poll_notice() {
            fruitful = true;
            self.say(|| format!("  notice: {notice}"));
            self.check_notice(&notice)?;
            self.report.notices.push(notice);
        }
        let stats = self.engine.stats(self.now);
        let books = &self.books;
        let counted = (
            stats.submitted,
            stats.written,
            stats.failed,
            stats.warned,
            stats.pending,
        );
        let known = (
            books.accounts.len() as u64,
            books.written,
            books.failed,
            books.warned,
            books.pending.len() as u64,
        );
        if counted != known {
            return Err(format!("the engine counts {counted:?}, the books say {known:?}"));
        }
        if stats.submitted != stats.written + stats.failed + stats.warned + stats.pending {
            return Err(format!("the counts do not add up: {stats:?}"));
        }
        Ok(fruitful)
    }

    fn row(&mut self, body: &[u8]) -> Result<Row, String> {
        let rides = if number_of(body).is_some() {
            None
        } else {
            embedded(body)
        };
        let spec = match &rides {
            Some(rides) => rides.number,
            None => number_of(body).ok_or_else(|| format!("unknown body {}", String::from_utf8_lossy(body)))?,
        };
        let sequence = self.books.record_of(spec, &self.setup.stream)?;
        let submitted = &self.setup.stream.specs[spec];
        let mut without = 0;
        if submitted.body != body && !(submitted.keys.is_empty() && rides.is_some()) {
            let part = part_of(body, &submitted.body);
            let part = part.ok_or_else(|| format!("the body of record {sequence} was changed"))?;
            without = part.without;
            if let Some(hash) = part.hash {
                self.server.hashes.insert(spec, hash);
            }
        }
        let row = Row {
            sequence,
            spec,
            embedded: rides.as_ref().map(|rides| rides.life_cycle),
            without,
        };
        if let Some(hash) = rides.and_then(|rides| rides.hash) {
            self.server.hashes.insert(spec, hash);
        }
        Ok(row)
    }

    fn send(&mut self, request: &Request) -> Checked {
        let sent = match &request.call {
            Call::PutBulk { collection, rows, gzip } => {
                let bytes: usize = rows.iter().map(bytes::Bytes::len).sum();
                if *gzip && self.setup.config.gzip_from.is_none_or(|least| bytes < least) {
                    return Err(format!("{bytes} bytes are compressed"));
                }
                if rows.is_empty() || rows.len() > self.setup.config.batch_rows.max(1) {
                    return Err(format!("a batch of {} rows", rows.len()));
                }
                if rows.len() > 1 && bytes > self.setup.config.batch_bytes {
                    return Err(format!("a batch of {bytes} bytes"));
                }
                self.report.batches.push(rows.len());
                let rows: Result<Vec<Row>, String> = rows.iter().map(|body| self.row(body)).collect();
                let rows = rows?;
                let of_another = |row: &&Row| {
                    let spec = &self.setup.stream.specs[row.spec];
                    self.setup.stream.entities[spec.entity].collection != *collection
                };
                if let Some(row) = rows.iter().find(of_another) {
                    return Err(format!("record {} was sent to {collection}", row.sequence));
                }
                Sent::Bulk(rows)
            }
            Call::PutOne { row, .. } => Sent::One(self.row(row)?),
            Call::PatchLifeCycle { entity, life_cycle, .. } => {
                let row = self.row(life_cycle)?;
                match entity {
                    Target::Name(_) => Sent::PatchByName(row),
                    Target::Id(_) => Sent::PatchById(row),
                }
            }
            Call::Get {
                collection,
                fqn,
                fields,
            } => {
                let entity = self.setup.stream.find(collection, fqn);
                let patch = if fields.is_empty() {
                    let entity = entity.ok_or_else(|| format!("unknown {collection} {fqn}"))?;
                    let (sequence, spec) = self
                        .books
                        .next_patch_of(entity, &self.setup.stream)
                        .ok_or("a look-up for nobody")?;
                    Some(Row {
                        sequence,
                        spec,
                        embedded: None,
                        without: 0,
                    })
                } else {
                    None
                };
                Sent::Get { entity, patch }
            }
            Call::Probe => Sent::Probe,
            Call::RenewToken => Sent::RenewToken,
        };
        self.say(|| {
            let rows: Vec<Sequence> = sent.rows().iter().map(|row| row.sequence).collect();
            let what = match &sent {
                Sent::Bulk(_) => "PUT bulk",
                Sent::One(_) => "PUT",
                Sent::PatchByName(_) => "PATCH name",
                Sent::PatchById(_) => "PATCH id",
                Sent::Get { .. } => "GET",
                Sent::Probe => "probe",
                Sent::RenewToken => "renew token",
            };
            format!("  {} -> {what} {rows:?}", request.id.0)
        });
        let is_request = !matches!(sent, Sent::RenewToken);
        let (stream, weather) = (&self.setup.stream, &self.setup.weather);
        let time_out = match sent {
            Sent::Probe => self.setup.time_out.min(PROBE_TIME_OUT),
            _ => self.setup.time_out,
        };
        let flight = self
            .server
            .receive(request, sent, stream, weather, time_out, self.now, &mut self.rng);
        if is_request {
            self.report.requests_while_down += u64::from(weather.is_down(self.now));
            self.report.sent_at.push(self.now);
        }
        let workers = self.setup.config.workers.max(1);
        let patience = self.setup.config.linger * 5;
        self.books.overtakes(&flight, stream, workers, patience)?;
        self.books.sent(&flight, stream, workers)?;
        if let Some(at) = flight.plan.work_at {
            self.plan(at, 0, Event::Work(flight.id));
        }
        self.plan(flight.plan.reply_at, 1, Event::Reply(flight.id));
        self.asked.insert(request.id, request.clone());
        self.flights.insert(flight.id, flight);
        Ok(())
    }

    fn server_works(&mut self, id: RequestId) -> Checked {
        let Some(mut flight) = self.flights.remove(&id) else {
            return Ok(());
        };
        if !flight.worked {
            self.say(|| format!("  {} is worked on", id.0));
            self.server
                .work(&mut flight, &self.setup.stream, &mut self.rng, self.now)?;
        }
        self.server.at_work -= usize::from(std::mem::take(&mut flight.has_place));
        if !flight.answered {
            self.flights.insert(id, flight);
        }
        self.count_ghosts();
        Ok(())
    }

    fn server_replies(&mut self, id: RequestId) -> Checked {
        let Some(mut flight) = self.flights.remove(&id) else {
            return Ok(());
        };
        let reply = flight.plan.instead.take().or_else(|| flight.reply.take());
        let Some(reply) = reply else {
            return Err("the simulated server has no answer".to_owned());
        };
        flight.answered = true;
        self.say(|| match &reply.answer {
            Answer::Response(response) => {
                let text: String = String::from_utf8_lossy(&response.body).chars().take(300).collect();
                format!("{} <- {} {text}", id.0, response.status)
            }
            other => format!("{} <- {other:?}", id.0),
        });
        if let Answer::Response(response) = &reply.answer {
            if let Some(asked) = response.retry_after {
                let until = self.now + asked.min(Duration::from_secs(60));
                self.books.asked_to_wait_until = self.books.asked_to_wait_until.max(until);
                self.books.wire.pauses.push((self.now, until));
            }
        }
        self.books.answered(&flight, &reply, self.now);
        if !flight.worked && flight.plan.work_at.is_some() {
            let gateway_goes_on = matches!(flight.plan.trouble, Some(Trouble::Gateway { .. }));
            if self.setup.profile.stops_with_connection && !gateway_goes_on {
                flight.worked = true;
            }
            self.flights.insert(id, flight);
        }
        self.count_ghosts();
        self.hand_over(id, reply.answer);
        self.told()
    }

    /// Work whose answer has come, or was seen not to come.
    fn count_ghosts(&mut self) {
        let ghosts = self
            .flights
            .values()
            .filter(|flight| flight.answered && flight.has_place);
        self.server.ghosts(ghosts.count(), self.now);
    }

    /// The only way in which an answer reaches the engine.
    pub(crate) fn hand_over(&mut self, id: RequestId, answer: Answer) {
        let Some(request) = self.asked.remove(&id) else { return };
        let answer = match self.setup.sabotage {
            Some(sabotage) => sabotage.bend(&request, answer),
            None => answer,
        };
        self.engine.handle_answer(id, request.read(&answer), self.now);
    }

    fn thread_goes_on(&mut self, thread: usize) -> Checked {
        if self.threads[thread].blocked.is_some() {
            return Ok(());
        }
        let step = match self.threads[thread].then.take() {
            Some(spec) => {
                let waited = self.now - self.threads[thread].blocked_since;
                self.report.blocked += waited;
                Step::Submit(spec)
            }
            None => match self.threads[thread].script.pop_front() {
                Some(step) => step,
                None => return Ok(()),
            },
        };
        let mut go_on_at = self.now;
        match step {
            Step::Submit(spec) => self.submit(thread, spec)?,
            Step::Pause(time) => go_on_at += time,
            Step::Wait { scope, ago, patience } => {
                let scope = up_to(scope, self.engine.last_sequence().saturating_sub(ago));
                self.wait(thread, &scope, patience)?;
            }
            Step::Meddle => {
                self.say(|| "meddle".to_owned());
                self.server.meddle(&self.setup.stream);
                self.engine.forget_written();
                self.told()?;
            }
            Step::Close => {
                self.say(|| "close".to_owned());
                self.close_called_at.get_or_insert(self.now);
                self.books.last_chances = true;
                self.engine.close(self.now);
                if let Some(after) = Sabotage::ends_close_after(self.setup.sabotage) {
                    self.plan(self.now + after, 2, Event::EndClose);
                }
                self.told()?;
            }
            Step::Abandon => {
                self.say(|| "abandon".to_owned());
                self.abandoned = true;
                self.engine.abandon(ABANDONED);
                self.books.forgotten();
                self.told()?;
            }
        }
        if self.threads[thread].blocked.is_none() {
            self.plan(go_on_at, 2, Event::Thread(thread));
        }
        Ok(())
    }

    fn submit(&mut self, thread: usize, spec: usize) -> Checked {
        let record = self.setup.stream.record(spec);
        let bytes = record.size();
        let place = matches!(record.payload, Payload::Create(_));
        if !self.engine.has_room(bytes, place) {
            self.threads[thread].then = Some(spec);
            self.threads[thread].asked.get_or_insert(self.now);
            return self.wait(thread, &Scope::Room { bytes, place }, None);
        }
        self.take(thread, spec, None)?;
        self.told()
    }

    /// The engine takes a record, with the ticket that was given for it.
    fn take(&mut self, thread: usize, spec: usize, ticket: Option<WaitId>) -> Checked {
        let record = self.setup.stream.record(spec);
        let place = matches!(record.payload, Payload::Create(_));
        // What comes after close fails at once, and takes no room.
        if ticket.is_some() || self.close_called_at.is_none() {
            self.keeps_the_line(thread, place)?;
        }
        let (collection, fqn) = (record.collection.clone(), record.fqn.clone());
        let sequence = match (ticket, record.payload) {
            (Some(ticket), payload) => self
                .engine
                .submit_with_ticket(ticket, Record { payload, ..record }, self.now),
            (None, Payload::LifeCycle(life_cycle)) => {
                self.engine.submit_life_cycle(collection, fqn, life_cycle, self.now)
            }
            (None, payload) => self.engine.submit(Record { payload, ..record }, self.now),
        };
        self.say(|| {
            let spec = &self.setup.stream.specs[spec];
            format!(
                "submit {sequence} {:?} {} parent {:?} needs {:?} {:?}",
                spec.kind, spec.spelled, spec.parent, spec.needs, spec.temper
            )
        });
        let first = self.setup.stream.specs[spec].first;
        if let Some(first) = first {
            self.books
                .submitted(sequence - 1, first, None, &self.setup.stream, self.now)?;
        }
        let before = first.map(|_| sequence - 1);
        self.books
            .submitted(sequence, spec, before, &self.setup.stream, self.now)?;
        let stats = self.engine.stats(self.now);
        let (most, embedded) = (self.setup.config.budget_bytes, 100 * self.books.accounts.len());
        let admitted = 1 + u64::from(first.is_some());
        if stats.pending > admitted && stats.pending_bytes > most + embedded {
            return Err(format!(
                "{} bytes are pending, and {most} are allowed",
                stats.pending_bytes
            ));
        }
        Ok(())
    }

    /// Who waits for room gets it before those who ask later.
    fn keeps_the_line(&mut self, thread: usize, place: bool) -> Checked {
        let asked = self.threads[thread].asked.take().unwrap_or(self.now);
        self.threads[thread].overtaken = 0;
        for (number, other) in self.threads.iter_mut().enumerate() {
            let waits = other.blocked.is_some() && other.asked.is_some_and(|since| since < asked);
            let same_line = other
                .then
                .is_some_and(|spec| (self.setup.stream.specs[spec].kind == Kind::Create) == place);
            if number == thread || !waits || !same_line {
                continue;
            }
            other.overtaken += 1;
            if other.overtaken > MAY_OVERTAKE {
                return Err(format!(
                    "room: thread {number} waits since {:?}, and {} records that came later got in",
                    other.asked, other.overtaken
                ));
            }
        }
        Ok(())
    }

    fn wait(&mut self, thread: usize, scope: &Scope, patience: Option<Duration>) -> Checked {
        let has_room = match scope {
            Scope::Room { bytes, place } => self.engine.has_room(*bytes, *place),
            _ => true,
        };
        let id = self.engine.wait_for(scope, self.now);
        self.say(|| format!("wait {id:?} for {scope:?}"));
        self.books.waits(scope, id, &self.setup.stream, has_room, self.now)?;
        if let Some(id) = id {
            self.threads[thread].blocked = Some(id);
            self.threads[thread].blocked_since = self.now;
            if let Some(patience) = patience {
                self.plan(self.now + patience, 2, Event::GiveUp(thread, id));
            }
        }
        self.told()
    }

    fn thread_gives_up(&mut self, thread: usize, wait: WaitId) -> Checked {
        if self.threads[thread].blocked != Some(wait) {
            return Ok(());
        }
        self.say(|| format!("cancel {wait:?}"));
        self.engine.cancel(wait);
        self.books.wait_cancelled(wait);
        self.threads[thread].blocked = None;
        self.plan(self.now, 2, Event::Thread(thread));
        self.told()
    }
}

fn up_to(mut scope: Scope, last: Sequence) -> Scope {
    match &mut scope {
        Scope::Name { up_to, .. } | Scope::Collection { up_to, .. } | Scope::All { up_to } => *up_to = last,
        Scope::FinalDrain | Scope::Room { .. } => {}
    }
    scope
}
