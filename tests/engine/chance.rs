//! One seed -> one run: which entities arrive in which order, how the server is made, what goes wrong, and who waits for what.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use openmetadata_bulksink::engine::{Config, Embed, Fqn, Scope};
use rustc_hash::FxHashSet;

use crate::books::Tolerance;
use crate::server::{ByRow, Profile};
use crate::stream::{Draft, Stream, Temper};
use crate::weather::{Garbled, Outage, Trouble, Weather, Work};
use crate::world::{Setup, Step};

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Season {
    /// Nothing, apart from what the server refuses for good.
    Calm,
    /// Troubles that pass before any delivery time-out: nothing may be lost.
    Rough,
    /// Anything.
    Hostile,
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// The run of a seed.
pub fn setup(seed: u64) -> Setup {
    let mut rng = Rng::with_seed(seed);
    let rng = &mut rng;
    let season = match rng.u8(0..100) {
        0..30 => Season::Calm,
        30..75 => Season::Rough,
        _ => Season::Hostile,
    };
    let most = [3, 12, 40, 120, 400][usize::from(rng.u8(0..5))];
    let stream = stream(rng, most);
    let config = config(rng);
    let time_out = config.attempt_timeout.saturating_sub(seconds(10)).max(seconds(10));
    let profile = profile(rng, season, &stream);
    let weather = weather(rng, season, &config, time_out);
    let threads = threads(rng, &stream);
    let mut ending = Vec::new();
    if rng.u8(0..4) > 0 {
        ending.push(Step::Wait {
            scope: Scope::FinalDrain,
            ago: 0,
            patience: None,
        });
    }
    ending.push(if rng.u8(0..30) == 0 { Step::Abandon } else { Step::Close });
    Setup {
        seed,
        stream,
        profile,
        weather,
        threads,
        ending,
        tolerance: if season == Season::Hostile {
            Tolerance::Undelivered
        } else {
            Tolerance::Nothing
        },
        lag: if rng.bool() {
            Duration::ZERO
        } else {
            millis(rng.u64(0..5))
        },
        time_out,
        wakes_often: rng.bool(),
        config,
    }
}

fn config(rng: &mut Rng) -> Config {
    let small_budget = rng.u8(0..4) == 0;
    Config {
        workers: *rng.choice(&[1, 2, 3, 4, 4, 4, 8, 16]).unwrap(),
        batch_rows: *rng.choice(&[1, 2, 5, 20, 100, 100, 200]).unwrap(),
        batch_bytes: if rng.u8(0..5) == 0 {
            rng.usize(200..5000)
        } else {
            4 << 20
        },
        linger: *rng
            .choice(&[Duration::ZERO, millis(100), seconds(2), seconds(2)])
            .unwrap(),
        delivery_timeout: seconds(300),
        attempt_timeout: seconds(*rng.choice(&[20, 40, 70]).unwrap()),
        budget_bytes: if small_budget { rng.usize(100..20_000) } else { 64 << 20 },
        embed: if rng.u8(0..5) == 0 {
            Embed::WithNewHash
        } else {
            Embed::Never
        },
        renewable_token: rng.bool(),
        seed: rng.u64(..),
        #[cfg(feature = "defects")]
        defect: None,
    }
}

// ---------------------------------------------------------------------------------------------------- the stream

/// Bodies, in the order in which a source would yield them.
struct Source<'a> {
    rng: &'a mut Rng,
    stream: Stream,
    left: usize,
    /// Share of bodies that the server does not like, in thousandths.
    ill: u32,
    /// What half of all bodies are like.
    mood: Option<Temper>,
    sizes: usize,
}

fn stream(rng: &mut Rng, most: usize) -> Stream {
    let ill = *rng.choice(&[0, 0, 10, 50, 300]).unwrap();
    let sizes = *rng.choice(&[60, 300, 2000]).unwrap();
    let moods = [
        Temper::Offensive,
        Temper::Offensive,
        Temper::RefusedAlike,
        Temper::Shy(2),
        Temper::Silent(1),
    ];
    let mood = rng.choice(moods);
    let mood = mood.filter(|_| rng.u8(0..8) == 0);
    let mut source = Source {
        stream: Stream::default(),
        left: rng.usize(1..=most),
        ill,
        mood,
        sizes,
        rng,
    };
    let services = ["svc", "\"tw.in\"", "third"];
    for service in services {
        source.stay("databases_service", service);
    }
    while source.left > 0 {
        let service = services[source.rng.usize(0..services.len())];
        match source.rng.u8(0..100) {
            0..60 => source.database(service),
            60..78 => source.dashboards(),
            78..88 => source.directories(),
            88..94 => source.users(),
            _ => source.queries(service),
        }
    }
    source.updates_and_life_cycles();
    let Source { mut stream, rng, .. } = source;
    disorder(&mut stream, rng);
    if rng.u8(0..4) == 0 {
        for entity in &mut stream.entities {
            entity.there_before |= rng.u8(0..3) == 0;
        }
    }
    stream
}

impl Source<'_> {
    fn odds(&mut self, one_in: u32) -> bool {
        self.rng.u32(0..one_in) == 0
    }

    /// An entity that is on the server already.
    fn stay(&mut self, collection: &'static str, fqn: &str) {
        let entity = self.stream.entity(collection, fqn);
        self.stream.entities[entity].there_before = true;
    }

    fn temper(&mut self) -> Temper {
        if let Some(mood) = self.mood.filter(|_| self.rng.bool()) {
            return mood;
        }
        if self.rng.u32(0..1000) >= self.ill {
            return Temper::Good;
        }
        let times = self.rng.u8(1..4);
        match self.rng.u8(0..14) {
            0..3 => Temper::Refused,
            3 => Temper::RefusedAlike,
            4 => Temper::RefusedMutely,
            5 => Temper::RowError,
            6..8 => Temper::Shy(times),
            8..10 => Temper::Deadlock(times),
            10 => Temper::Silent(if times == 1 { 1 } else { 200 }),
            11 => Temper::Toxic,
            12 => Temper::Offensive,
            _ => Temper::Duplicate,
        }
    }

    fn yields(&mut self, mut draft: Draft) -> usize {
        draft.size = self.rng.usize(0..=self.sizes);
        if draft.temper == Temper::Good {
            draft.temper = self.temper();
        }
        draft.unhashed = self.odds(10);
        if self.odds(8) {
            let parts: Vec<String> = draft.fqn.split('.').map(|part| format!("\"{part}\"")).collect();
            if !draft.fqn.contains('"') {
                draft.spelled = Some(parts.join("."));
            }
        }
        self.left = self.left.saturating_sub(1);
        let number = self.stream.create(draft);
        self.stream.arrivals.push(number);
        number
    }

    fn database(&mut self, service: &str) {
        let database = format!("{service}.db{}", self.rng.u8(0..3));
        self.yields(Draft {
            collection: "databases",
            fqn: database.clone(),
            parent: Some(("databases_service", service.to_owned())),
            ..Draft::default()
        });
        for schema in 0..self.rng.usize(1..4) {
            if self.left == 0 {
                return;
            }
            let schema = if self.odds(6) {
                format!("{database}.\"sch.{schema}\"")
            } else {
                format!("{database}.s{schema}")
            };
            // Now and then a schema never comes.
            if !self.odds(25) {
                self.yields(Draft {
                    collection: "databaseSchemas",
                    fqn: schema.clone(),
                    parent: Some(("databases", database.clone())),
                    ..Draft::default()
                });
            }
            self.tables(&schema);
        }
    }

    fn tables(&mut self, schema: &str) {
        let tables = self.rng.usize(0..=self.left.min(60));
        let table = |at: usize| format!("{schema}.t{at}");
        let keys = self.rng.u8(0..6);
        for at in 0..tables {
            let mut fqn = table(at);
            if self.odds(20) {
                fqn = format!("{schema}.T{at}");
            }
            let mut needs = Vec::new();
            match keys {
                0 if at > 0 => needs.push(("tables", table(at - 1))),
                1 => needs.push(("tables", table(0))),
                2 if self.odds(3) => needs.push(("tables", table(self.rng.usize(0..tables)))),
                3 if self.odds(10) => {
                    // Two tables that refer to each other.
                    needs.push(("tables", table(if at % 2 == 0 { at + 1 } else { at - 1 })));
                }
                _ => {}
            }
            let mut hidden = Vec::new();
            if self.odds(40) {
                hidden.push(("users", format!("user{}", self.rng.u8(0..4))));
            }
            let procedure = self.odds(15);
            self.yields(Draft {
                collection: if procedure { "storedProcedures" } else { "tables" },
                fqn,
                parent: Some(("databaseSchemas", schema.to_owned())),
                needs: if procedure { Vec::new() } else { needs },
                hidden,
                ..Draft::default()
            });
        }
    }

    fn dashboards(&mut self) {
        self.stay("dashboard_service", "bi");
        let parent = Some(("dashboard_service", "bi".to_owned()));
        for _ in 0..self.rng.usize(1..=self.left.clamp(1, 12)) {
            let number = self.rng.u8(0..40);
            // Charts and dashboards are numbered by the tool: equal names in different collections.
            let charts: Vec<String> = (0..self.rng.usize(0..4))
                .map(|_| format!("bi.{}", self.rng.u8(0..40)))
                .collect();
            let model = format!("bi.model{}", self.rng.u8(0..5));
            let with_model = self.odds(3);
            let mut needs: Vec<(&'static str, String)> = charts.iter().map(|chart| ("charts", chart.clone())).collect();
            if with_model {
                needs.push(("dashboard/datamodels", model.clone()));
                self.yields(Draft {
                    collection: "dashboard/datamodels",
                    fqn: model,
                    parent: parent.clone(),
                    first_wins: true,
                    ..Draft::default()
                });
            }
            let never = self.odds(6);
            let mut order: VecDeque<Draft> = charts
                .iter()
                .filter(|_| !never)
                .map(|chart| Draft {
                    collection: "charts",
                    fqn: chart.clone(),
                    parent: parent.clone(),
                    ..Draft::default()
                })
                .collect();
            let dashboard = Draft {
                collection: "dashboards",
                fqn: format!("bi.{number}"),
                parent: parent.clone(),
                needs,
                ..Draft::default()
            };
            if self.odds(3) {
                order.push_front(dashboard);
            } else {
                order.push_back(dashboard);
            }
            for draft in order {
                self.yields(draft);
            }
        }
    }

    fn directories(&mut self) {
        self.stay("drive_service", "drv");
        let mut path = "drv".to_owned();
        let mut parent = ("drive_service", path.clone());
        for _ in 0..self.rng.usize(1..6) {
            path = format!("{path}.d{}", self.rng.u8(0..3));
            self.yields(Draft {
                collection: "drives/directories",
                fqn: path.clone(),
                parent: Some(parent),
                ..Draft::default()
            });
            parent = ("drives/directories", path.clone());
            for file in 0..self.rng.usize(0..3) {
                self.yields(Draft {
                    collection: "drives/files",
                    fqn: format!("{path}.f{file}"),
                    parent: Some(parent.clone()),
                    ..Draft::default()
                });
            }
        }
    }

    fn users(&mut self) {
        for _ in 0..self.rng.usize(1..4) {
            let name = *self.rng.choice(&["user", "User", "USER"]).unwrap();
            let number = self.rng.u8(0..6);
            self.yields(Draft {
                collection: "users",
                fqn: format!("{name}{number}"),
                ..Draft::default()
            });
        }
    }

    fn queries(&mut self, service: &str) {
        for _ in 0..self.rng.usize(1..=self.left.clamp(1, 8)) {
            let checksum = self.rng.u8(0..20);
            let known = self.stream.find("queries", &format!("{service}.{checksum}")).is_some();
            let temper = if known && self.odds(4) {
                Temper::Duplicate
            } else {
                Temper::Good
            };
            self.yields(Draft {
                collection: "queries",
                fqn: format!("{service}.{checksum}"),
                parent: Some(("databases_service", service.to_owned())),
                first_wins: true,
                temper,
                ..Draft::default()
            });
        }
    }

    /// Entities that are written more than once, and life cycles: after, before and without their entity.
    fn updates_and_life_cycles(&mut self) {
        let updates = *self.rng.choice(&[0, 0, 20, 4]).unwrap();
        let life_cycles = *self.rng.choice(&[0, 0, 10, 2, 1]).unwrap();
        let arrivals = std::mem::take(&mut self.stream.arrivals);
        for number in arrivals {
            let entity = self.stream.specs[number].entity;
            if life_cycles > 0 && self.odds(life_cycles * 6) {
                let early = self.stream.life_cycle(entity, Temper::Good);
                self.stream.arrivals.push(early);
            }
            self.stream.arrivals.push(number);
            if updates > 0 && self.odds(updates) {
                let next = if self.odds(3) { number } else { self.updated(number) };
                self.later(next);
                if self.odds(3) {
                    self.later(number);
                }
            }
            if life_cycles > 0 && self.odds(life_cycles) {
                let temper = if self.rng.u32(0..1000) < self.ill {
                    Temper::Refused
                } else {
                    Temper::Good
                };
                let life_cycle = self.stream.life_cycle(entity, temper);
                self.later(life_cycle);
                if self.odds(5) {
                    let second = self.stream.life_cycle(entity, Temper::Good);
                    self.later(second);
                }
            }
        }
        if life_cycles > 0 {
            for at in 0..self.rng.usize(0..3) {
                let entity = self.stream.entity("tables", &format!("svc.db0.old.t{at}"));
                self.stream.entities[entity].there_before = self.rng.bool();
                let life_cycle = self.stream.life_cycle(entity, Temper::Good);
                self.later(life_cycle);
            }
        }
    }

    fn later(&mut self, number: usize) {
        if self.odds(2) {
            self.stream.arrivals.push(number);
        } else {
            let at = self.rng.usize(0..=self.stream.arrivals.len());
            let at = at.max(self.stream.arrivals.len().saturating_sub(30));
            self.stream.arrivals.insert(at, number);
        }
    }

    /// Another body for the same entity.
    fn updated(&mut self, number: usize) -> usize {
        let (collection, draft) = {
            let spec = &self.stream.specs[number];
            let entity = &self.stream.entities[spec.entity];
            let fqn = entity.key.as_str().to_owned();
            let refers = |fqn: &Fqn| {
                let known = spec
                    .refers
                    .iter()
                    .find(|entity| self.stream.entities[**entity].key == *fqn)?;
                Some((&self.stream.entities[*known].collection, fqn.as_str().to_owned()))
            };
            (
                entity.collection.clone(),
                (
                    fqn,
                    spec.parent.as_ref().and_then(refers).map(|(c, f)| (c.clone(), f)),
                    spec.first_wins,
                ),
            )
        };
        let (fqn, parent, first_wins) = draft;
        let temper = self.temper();
        self.stream.create(Draft {
            collection: path(&collection),
            fqn,
            parent: parent.map(|(collection, fqn)| (path(&collection), fqn)),
            first_wins,
            size: self.rng.usize(0..=self.sizes),
            temper,
            ..Draft::default()
        })
    }
}

fn path(collection: &str) -> &'static str {
    const PATHS: [&str; 13] = [
        "databases_service",
        "dashboard_service",
        "drive_service",
        "databases",
        "databaseSchemas",
        "tables",
        "storedProcedures",
        "queries",
        "charts",
        "dashboards",
        "dashboard/datamodels",
        "drives/directories",
        "users",
    ];
    PATHS
        .into_iter()
        .find(|path| *path == collection)
        .unwrap_or("drives/files")
}

/// Some records come earlier than their parents, and some of them far too early.
fn disorder(stream: &mut Stream, rng: &mut Rng) {
    let one_in = *rng.choice(&[0, 0, 0, 50, 10, 2]).unwrap();
    if one_in == 0 {
        return;
    }
    let count = stream.arrivals.len();
    for at in 0..count {
        if rng.usize(0..one_in) == 0 {
            let other = rng.usize(0..count);
            let number = stream.arrivals.remove(at);
            stream.arrivals.insert(other.min(count - 1), number);
        }
    }
}

// ---------------------------------------------------------------------------------------------------- the server

fn profile(rng: &mut Rng, season: Season, stream: &Stream) -> Profile {
    let mut profile = Profile {
        checks_at_start: rng.bool(),
        base: millis(*rng.choice(&[1, 20, 105]).unwrap()),
        per_row: Duration::from_micros(*rng.choice(&[100, 3000, 26_000]).unwrap()),
        single: millis(*rng.choice(&[3, 131]).unwrap()),
        patch: millis(*rng.choice(&[3, 39]).unwrap()),
        jitter: *rng.choice(&[0.0, 0.3, 3.0]).unwrap(),
        echoes: rng.bool(),
        counts_only: rng.bool(),
        vanish: if rng.u8(0..12) == 0 { 0.05 } else { 0.0 },
        reports_duplicates: rng.u8(0..3) == 0,
        no_bulk_status: *rng.choice(&[404, 405]).unwrap(),
        ..Profile::default()
    };
    if rng.u8(0..6) == 0 {
        profile.no_bulk.push("tables");
        if rng.bool() {
            profile
                .no_bulk
                .extend(["databases", "charts", "users", "queries", "databaseSchemas"]);
        }
    }
    if rng.u8(0..4) == 0 {
        profile.no_patch_by_name = Some(*rng.choice(&[404, 405]).unwrap());
    }
    if rng.u8(0..12) == 0 {
        let largest = stream.specs.iter().map(|spec| spec.body.len()).max().unwrap_or(0);
        profile.size_limit = Some(rng.usize(largest / 2..=largest * 20));
    }
    if rng.u8(0..20) == 0 {
        let by = if rng.bool() { ByRow::Row } else { ByRow::Whole };
        profile.refuses_all = Some(("tables", by));
    }
    if season != Season::Calm {
        if rng.u8(0..3) == 0 {
            profile.places = Some(rng.usize(1..4));
            profile.refusal = *rng.choice(&[429, 503]).unwrap();
            profile.refuses_by_row = rng.u8(0..3) == 0;
        }
        profile.stops_with_connection = rng.u8(0..4) > 0;
    }
    profile
}

// ---------------------------------------------------------------------------------------------------- the weather

fn passing_trouble(rng: &mut Rng) -> Trouble {
    let done = rng.bool();
    match rng.u8(0..12) {
        0 => Trouble::Refused,
        1 => Trouble::NotSent,
        2 | 3 => Trouble::Broken { done },
        4 => Trouble::Status(*rng.choice(&[500, 408, 425, 500]).unwrap()),
        5 => Trouble::Status(429),
        6 => Trouble::Status(503),
        7 | 8 => Trouble::Gateway {
            status: *rng.choice(&[502, 504]).unwrap(),
            work: *rng
                .choice(&[
                    Work::NotDone,
                    Work::Done,
                    Work::Later(millis(800)),
                    Work::Later(seconds(4)),
                    Work::Later(seconds(20)),
                ])
                .unwrap(),
        },
        9 | 10 => Trouble::Garbled {
            what: *rng.choice(&[Garbled::Empty, Garbled::Html, Garbled::CutOff]).unwrap(),
            done,
        },
        _ => Trouble::Stall { done },
    }
}

fn weather(rng: &mut Rng, season: Season, config: &Config, time_out: Duration) -> Weather {
    let mut weather = Weather::default();
    if season == Season::Calm {
        return weather;
    }
    weather.retry_after = match rng.u8(0..6) {
        0 => Some(seconds(1)),
        1 => Some(seconds(10)),
        2 => Some(seconds(1_000_000)),
        _ => None,
    };
    if weather.retry_after.is_some_and(|asked| asked > seconds(60)) && season == Season::Rough {
        weather.retry_after = Some(seconds(3));
    }
    weather.spares = (season == Season::Rough).then_some(4);
    let most = if season == Season::Rough { 0.3 } else { 0.9 };
    let mut total = rng.f64() * rng.f64() * most;
    if rng.u8(0..4) > 0 {
        for _ in 0..rng.usize(1..5) {
            let rate = total * rng.f64();
            total -= rate;
            match passing_trouble(rng) {
                // Each stops everything for a time-out, once few requests are allowed at once: two are enough.
                stall @ Trouble::Stall { .. } if season == Season::Rough => {
                    weather
                        .by_number
                        .extend([(rng.u64(1..50), stall), (rng.u64(1..500), stall)]);
                }
                Trouble::Gateway {
                    status,
                    work: Work::Later(_),
                } if season == Season::Rough => {
                    // What is at work for long keeps others out.
                    let work = Work::Later(seconds(2));
                    weather.rates.push((rate, Trouble::Gateway { status, work }));
                }
                trouble => weather.rates.push((rate, trouble)),
            }
        }
    }
    if rng.bool() {
        // A stall makes the outage longer than it is: what was sent just before its end waits for its time-out.
        let trouble = passing_trouble(rng);
        let most = if matches!(trouble, Trouble::Stall { .. }) {
            60
        } else {
            150
        };
        let from = millis(rng.u64(0..20_000));
        let to = from + millis(rng.u64(100..most * 1000));
        weather.outages.push(Outage { from, to, trouble });
        if season == Season::Rough && to - from > seconds(60) {
            weather.rates.clear();
        }
    }
    if rng.u8(0..6) == 0 {
        let at = millis(rng.u64(0..10_000));
        let back = at
            + if config.renewable_token {
                seconds(3600)
            } else {
                seconds(rng.u64(1..20))
            };
        weather.token_expires.push((at, back));
        weather.token_failures = rng.u32(0..3);
    }
    if season == Season::Hostile {
        hostile(rng, &mut weather, time_out);
    }
    weather
}

/// Troubles that may last for ever.
fn hostile(rng: &mut Rng, weather: &mut Weather, _time_out: Duration) {
    let trouble = match rng.u8(0..12) {
        0 => Trouble::Refused,
        1 => Trouble::Status(503),
        2 => Trouble::Status(500),
        3 => Trouble::Stall { done: rng.bool() },
        4 => Trouble::Unauthorized,
        5 => Trouble::Misdirected(*rng.choice(&[302, 407]).unwrap()),
        6 => Trouble::Broken { done: true },
        7 => Trouble::Status(404),
        _ => passing_trouble(rng),
    };
    let from = millis(rng.u64(0..20_000));
    let to = if rng.bool() {
        seconds(1 << 30)
    } else {
        from + seconds(rng.u64(100..1500))
    };
    if rng.u8(0..3) > 0 {
        weather.outages.push(Outage { from, to, trouble });
    }
    if rng.u8(0..8) == 0 {
        weather.token_expires.push((from, from + seconds(rng.u64(30..2000))));
        weather.token_failures = rng.u32(0..2000);
    }
}

// ---------------------------------------------------------------------------------------------------- the application

fn threads(rng: &mut Rng, stream: &Stream) -> Vec<Vec<Step>> {
    let count = if rng.u8(0..3) == 0 { rng.usize(2..5) } else { 1 };
    let pace = *rng.choice(&[0, 0, 1, 10, 39]).unwrap();
    let waits = *rng.choice(&[0, 0, 100, 20, 3]).unwrap();
    let mut threads = vec![Vec::new(); count];
    let mut at_hand = 0;
    for (at, number) in stream.arrivals.iter().enumerate() {
        if rng.u8(0..20) == 0 {
            at_hand = rng.usize(0..count);
        }
        let script = &mut threads[at_hand];
        script.push(Step::Submit(*number));
        if pace > 0 {
            script.push(Step::Pause(millis(rng.u64(0..pace * 2))));
        }
        if rng.u16(0..400) == 0 {
            script.push(Step::Pause(seconds(rng.u64(1..40))));
        }
        if waits > 0 && rng.usize(0..waits) == 0 {
            script.push(wait(rng, stream, at));
        }
    }
    if rng.u8(0..40) == 0 {
        let at = rng.usize(0..count);
        let script = &mut threads[at];
        let middle = script.len() / 2;
        script.insert(middle, if rng.bool() { Step::Close } else { Step::Abandon });
    }
    threads
}

fn wait(rng: &mut Rng, stream: &Stream, at: usize) -> Step {
    let near = at.saturating_sub(rng.usize(0..30));
    let entity = &stream.entities[stream.specs[stream.arrivals[near]].entity];
    let ancestor = |fqn: &Fqn| fqn.parent().map_or_else(|| fqn.clone(), Fqn::canonical);
    let mut except = FxHashSet::default();
    if rng.bool() {
        except.insert(entity.key.clone());
    }
    let scope = match rng.u8(0..10) {
        0..4 => Scope::Name {
            fqn: entity.key.clone(),
            subtree: false,
            up_to: 0,
        },
        4 | 5 => Scope::Name {
            fqn: ancestor(&entity.key),
            subtree: rng.bool(),
            up_to: 0,
        },
        6 | 7 => Scope::Collection {
            collection: entity.collection.to_string(),
            under: rng.bool().then(|| ancestor(&entity.key)),
            except,
            up_to: 0,
        },
        8 => Scope::All { up_to: 0 },
        _ => Scope::FinalDrain,
    };
    Step::Wait {
        scope,
        ago: if rng.bool() { 0 } else { rng.u64(0..20) },
        patience: (rng.u8(0..4) == 0).then(|| millis(rng.u64(1..3000))),
    }
}
