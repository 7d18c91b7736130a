//! Worlds that turn on one thing each: kinds of trouble in which records were lost without need. Every third seed is one of them.

use std::time::Duration;

use fastrand::Rng;
use openmetadata_bulksink::engine::{Config, Fqn, Scope};

use crate::server::Profile;
use crate::setup::{Setup, Step};
use crate::stream::{Draft, Poison, Stream, Temper};
use crate::verdicts::Tolerance;
use crate::weather::{Garbled, Outage, Trouble, Weather, Whom, Work};

const FOR_EVER: Duration = Duration::from_secs(1 << 30);

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

type Kind = (&'static str, fn(&mut Rng, &mut Setup));

/// The kinds of worlds, by name.
pub const KINDS: [Kind; 21] = [
    ("an answer lost at the very start", lost_at_the_start),
    ("a collection that hangs", a_collection_hangs),
    ("an outage shorter than the deadline", a_short_outage),
    (
        "an outage longer than the deadline, then life cycles only",
        then_life_cycles_only,
    ),
    ("a silent source, then ten seconds of outage", a_silent_source),
    ("a flapping server", a_flapping_server),
    (
        "attempts nearly as long as the deadline",
        attempts_as_long_as_the_deadline,
    ),
    ("a firewall on one row of the only batch", a_firewall_on_one_row),
    ("redirects", redirects),
    ("texts that hold names", texts_that_hold_names),
    ("close on a slow server", close_on_a_slow_server),
    ("tasks that submit at once", tasks_at_once),
    ("a callable that gives the same token", the_same_token),
    ("two incidents of writing", two_incidents),
    ("large requests are cut", large_requests_are_cut),
    ("a collection that is not there", an_absent_collection),
    ("a page of 404 at first", a_page_at_first),
    ("many bad rows", many_bad_rows),
    ("keys that are refused, and life cycles", keys_and_life_cycles),
    ("keys in circles", keys_in_circles),
    ("looked up and sent", looked_up_and_sent),
];

/// The world of a seed, if it is one of these.
pub fn setup(seed: u64) -> Option<Setup> {
    if seed % 3 != 0 {
        return None;
    }
    let number = usize::try_from(seed / 3).unwrap() % KINDS.len();
    let (kind, make) = KINDS[number];
    let mut rng = Rng::with_seed(seed);
    let mut setup = plain(seed, kind, &mut rng);
    make(&mut rng, &mut setup);
    Some(setup)
}

/// A well server that a user has by default, one thread, nothing to do yet.
fn plain(seed: u64, kind: &'static str, rng: &mut Rng) -> Setup {
    let workers = *rng.choice(&[1, 2, 4, 4, 4]).unwrap();
    Setup {
        seed,
        kind,
        config: Config {
            workers,
            attempt_timeout: seconds(70),
            seed: rng.u64(..),
            ..Config::default()
        },
        stream: Stream::default(),
        profile: Profile::default(),
        weather: Weather::default(),
        threads: vec![Vec::new()],
        ending: vec![
            Step::Wait {
                scope: Scope::FinalDrain,
                ago: 0,
                patience: None,
            },
            Step::Close,
        ],
        tolerance: Tolerance::Undelivered,
        lag: if rng.bool() {
            Duration::ZERO
        } else {
            millis(rng.u64(0..5))
        },
        time_out: seconds(60),
        sabotage: None,
        wakes_often: rng.bool(),
    }
}

impl Setup {
    fn there(&mut self, collection: &'static str, fqn: &str) -> usize {
        let entity = self.stream.entity(collection, fqn);
        self.stream.entities[entity].there_before = true;
        entity
    }

    /// Something of a schema that is there, submitted next.
    fn give(&mut self, collection: &'static str, name: &str, temper: Temper) -> usize {
        self.there("databaseSchemas", "svc.db.s");
        self.draft(Draft {
            collection,
            fqn: format!("svc.db.s.{name}"),
            parent: Some(("databaseSchemas", "svc.db.s".to_owned())),
            temper,
            ..Draft::default()
        })
    }

    fn draft(&mut self, draft: Draft) -> usize {
        let number = self.stream.create(draft);
        self.submit(number);
        number
    }

    fn submit(&mut self, number: usize) {
        self.stream.arrivals.push(number);
        self.threads[0].push(Step::Submit(number));
    }

    fn tables(&mut self, count: usize) {
        for table in 0..count {
            self.give("tables", &format!("t{table}"), Temper::Good);
        }
    }

    fn procedures(&mut self, count: usize) {
        for procedure in 0..count {
            self.give("storedProcedures", &format!("p{procedure}"), Temper::Good);
        }
    }

    /// The life cycle of a table that is there.
    fn life_cycle_of(&mut self, table: &str) {
        let entity = self.there("tables", &format!("svc.db.s.{table}"));
        let number = self.stream.life_cycle(entity, Temper::Good);
        self.submit(number);
    }

    fn pause(&mut self, time: Duration) {
        self.threads[0].push(Step::Pause(time));
    }

    fn outage(&mut self, from: Duration, to: Duration, whom: Whom, trouble: Trouble) {
        self.weather.outages.push(Outage {
            from,
            to,
            trouble,
            whom,
        });
    }

    fn times_out_after(&mut self, time: Duration) {
        self.time_out = time;
        self.config.attempt_timeout = time + seconds(10);
    }
}

fn down(rng: &mut Rng) -> Trouble {
    *rng.choice(&[
        Trouble::Refused,
        Trouble::NotSent,
        Trouble::Broken { done: false },
        Trouble::Status(500),
        Trouble::Status(503),
        Trouble::Gateway {
            status: 502,
            work: Work::NotDone,
        },
        Trouble::Garbled {
            what: Garbled::Html,
            done: false,
        },
    ])
    .unwrap()
}

/// Everything waits behind one schema, whose answer is lost after the work; the time-out is the deadline, as by default.
fn lost_at_the_start(rng: &mut Rng, setup: &mut Setup) {
    setup.times_out_after(seconds(300));
    setup.there("databases", "svc.db");
    setup.draft(Draft {
        collection: "databaseSchemas",
        fqn: "svc.db.new".to_owned(),
        parent: Some(("databases", "svc.db".to_owned())),
        ..Draft::default()
    });
    for table in 0..rng.usize(1..150) {
        setup.draft(Draft {
            collection: "tables",
            fqn: format!("svc.db.new.t{table}"),
            parent: Some(("databaseSchemas", "svc.db.new".to_owned())),
            ..Draft::default()
        });
    }
    setup.weather.by_number.push((1, Trouble::Stall { done: rng.bool() }));
}

fn a_collection_hangs(rng: &mut Rng, setup: &mut Setup) {
    setup.times_out_after(seconds(*rng.choice(&[60, 300]).unwrap()));
    let from = millis(rng.u64(0..4000));
    let trouble = Trouble::Stall { done: rng.bool() };
    let whom = *rng
        .choice(&[Whom::Collections(&["tables"]), Whom::WritesTo(&["tables"])])
        .unwrap();
    setup.outage(from, FOR_EVER, whom, trouble);
    setup.tables(rng.usize(1..400));
    setup.pause(millis(rng.u64(0..4000)));
    setup.procedures(rng.usize(1..100));
}

fn a_short_outage(rng: &mut Rng, setup: &mut Setup) {
    let from = millis(rng.u64(0..2000));
    let to = from + seconds(rng.u64(60..220));
    let trouble = down(rng);
    setup.outage(from, to, Whom::All, trouble);
    setup.tables(rng.usize(1..400));
}

fn then_life_cycles_only(rng: &mut Rng, setup: &mut Setup) {
    let deadline = setup.config.delivery_timeout;
    let to = deadline.mul_f64(1.5 + 2.0 * rng.f64());
    let trouble = down(rng);
    setup.outage(Duration::ZERO, to, Whom::All, trouble);
    if rng.bool() {
        setup.tables(rng.usize(1..50));
    }
    for early in 0..rng.usize(1..50) {
        setup.life_cycle_of(&format!("early{early}"));
    }
    setup.pause(to + seconds(rng.u64(20..120)));
    for late in 0..rng.usize(1..100) {
        setup.life_cycle_of(&format!("late{late}"));
        setup.pause(millis(rng.u64(0..2000)));
    }
}

fn a_silent_source(rng: &mut Rng, setup: &mut Setup) {
    if rng.bool() {
        setup.tables(rng.usize(1..30));
    }
    let silent = setup.config.delivery_timeout + seconds(rng.u64(20..600));
    setup.pause(silent);
    let trouble = down(rng);
    setup.outage(silent, silent + seconds(10), Whom::All, trouble);
    for table in 0..rng.usize(1..150) {
        setup.give("tables", &format!("late{table}"), Temper::Good);
        setup.pause(millis(rng.u64(0..100)));
    }
}

fn a_flapping_server(rng: &mut Rng, setup: &mut Setup) {
    let trouble = down(rng);
    let mut at = Duration::ZERO;
    for _ in 0..10 {
        let to = at + seconds(rng.u64(5..60));
        setup.outage(at, to, Whom::All, trouble);
        at = to + seconds(rng.u64(70..120));
    }
    setup.tables(rng.usize(1..5));
    if rng.bool() {
        setup.life_cycle_of("other");
    }
}

/// Tables hang, and others are served all the time: the server is well.
fn attempts_as_long_as_the_deadline(rng: &mut Rng, setup: &mut Setup) {
    setup.times_out_after(setup.config.delivery_timeout.mul_f64(0.97));
    setup.config.workers = *rng.choice(&[1, 4, 8]).unwrap();
    let trouble = Trouble::Stall { done: rng.bool() };
    setup.outage(Duration::ZERO, FOR_EVER, Whom::Collections(&["tables"]), trouble);
    setup.tables(rng.usize(1..100));
    for procedure in 0..rng.usize(20..100) {
        setup.pause(seconds(rng.u64(1..40)));
        setup.give("storedProcedures", &format!("p{procedure}"), Temper::Good);
    }
}

fn a_firewall_on_one_row(rng: &mut Rng, setup: &mut Setup) {
    let rows = *rng.choice(&[1, 2, 16, 100]).unwrap();
    let poisons = [
        Poison::Reset,
        Poison::Page,
        Poison::BadGateway,
        Poison::Redirect,
        Poison::Fickle,
        Poison::Hang,
    ];
    let poison = *rng.choice(&poisons).unwrap();
    let temper = if rng.u8(0..4) == 0 {
        Temper::Toxic
    } else {
        Temper::Poison(poison)
    };
    let ill = rng.usize(0..rows);
    for table in 0..rows {
        let temper = if table == ill { temper } else { Temper::Good };
        setup.give("tables", &format!("t{table}"), temper);
    }
    if rng.bool() {
        setup.procedures(rng.usize(1..100));
    }
}

fn redirects(rng: &mut Rng, setup: &mut Setup) {
    let trouble = Trouble::Misdirected(*rng.choice(&[302, 307, 407]).unwrap());
    if rng.bool() {
        setup.weather.by_number.push((rng.u64(1..4), trouble));
    } else {
        let from = millis(rng.u64(0..3000));
        let to = from + seconds(*rng.choice(&[5, 20, 60, 400]).unwrap());
        setup.outage(from, to, Whom::All, trouble);
    }
    setup.tables(rng.usize(1..150));
    setup.pause(seconds(rng.u64(1..100)));
    setup.procedures(rng.usize(1..20));
}

fn texts_that_hold_names(rng: &mut Rng, setup: &mut Setup) {
    let names = [
        "deadlock_events",
        "system overloaded",
        "too many connections",
        "lock wait timeout",
        "already exists",
        "duplicate key",
    ];
    let name = *rng.choice(&names).unwrap();
    let name = if rng.bool() {
        format!("\"{name}\"")
    } else {
        format!("\"a {name}.b\"")
    };
    let (before, behind) = (rng.usize(0..60), rng.usize(0..60));
    setup.tables(before);
    setup.give("tables", &name, Temper::Named);
    setup.procedures(behind);
}

fn close_on_a_slow_server(rng: &mut Rng, setup: &mut Setup) {
    setup.profile.patch = seconds(rng.u64(4..8));
    let count = 110 * setup.config.workers;
    for table in 0..count {
        setup.life_cycle_of(&format!("t{table}"));
    }
    setup.ending = vec![Step::Close];
}

/// Several threads, little room, records of all sizes.
fn tasks_at_once(rng: &mut Rng, setup: &mut Setup) {
    setup.config.budget_bytes = rng.usize(1500..4000);
    setup.config.batch_rows = rng.usize(1..10);
    setup.config.linger = Duration::ZERO;
    setup.there("databaseSchemas", "svc.db.s");
    let threads = rng.usize(3..7);
    setup.threads = vec![Vec::new(); threads];
    for (at, script) in setup.threads.iter_mut().enumerate() {
        for table in 0..rng.usize(10..40) {
            let large = at == 0 || rng.u8(0..30) == 0;
            let number = setup.stream.create(Draft {
                collection: "tables",
                fqn: format!("svc.db.s.t{at}_{table}"),
                parent: Some(("databaseSchemas", "svc.db.s".to_owned())),
                size: if large {
                    setup.config.budget_bytes - 100
                } else {
                    rng.usize(80..300)
                },
                ..Draft::default()
            });
            script.push(Step::Submit(number));
            setup.stream.arrivals.push(number);
        }
    }
}

fn the_same_token(rng: &mut Rng, setup: &mut Setup) {
    setup.config.renewable_token = true;
    setup.config.batch_rows = 20;
    setup.weather.same_token = true;
    let at = millis(rng.u64(0..2000));
    let back = at + seconds(*rng.choice(&[10, 25, 100]).unwrap());
    setup.weather.token_expires.push((at, back));
    setup.tables(rng.usize(1..300));
}

/// Writing breaks off twice, reading goes on: what was written is found.
fn two_incidents(rng: &mut Rng, setup: &mut Setup) {
    let deadline = setup.config.delivery_timeout;
    let mut from = Duration::ZERO;
    setup.wakes_often = true;
    for incident in 0..2 {
        let to = from + deadline + seconds(40);
        setup.outage(from, to, Whom::Writes, Trouble::Broken { done: true });
        for table in 0..rng.usize(1..6) {
            setup.give("tables", &format!("i{incident}_t{table}"), Temper::Good);
        }
        let pause = deadline + seconds(rng.u64(60..200));
        setup.pause(pause);
        if rng.u8(0..3) == 0 {
            setup.give("storedProcedures", &format!("p{incident}"), Temper::Good);
            setup.pause(seconds(5));
            from += seconds(5);
        }
        from += pause;
    }
}

fn large_requests_are_cut(rng: &mut Rng, setup: &mut Setup) {
    setup.profile.cut_above = Some(rng.usize(1..40));
    setup.tables(rng.usize(41..200));
    if rng.bool() {
        for procedure in 0..rng.usize(1..100) {
            setup.pause(seconds(rng.u64(1..5)));
            setup.give("storedProcedures", &format!("p{procedure}"), Temper::Good);
        }
    }
}

fn an_absent_collection(rng: &mut Rng, setup: &mut Setup) {
    setup.profile.absent = Some("drives/files");
    setup.there("drive_service", "drv");
    if rng.bool() {
        setup.tables(rng.usize(1..50));
    }
    for file in 0..rng.usize(1..60) {
        setup.draft(Draft {
            collection: "drives/files",
            fqn: format!("drv.f{file}"),
            parent: Some(("drive_service", "drv".to_owned())),
            ..Draft::default()
        });
    }
}

fn a_page_at_first(rng: &mut Rng, setup: &mut Setup) {
    setup.config.batch_rows = 20;
    let status = *rng.choice(&[404, 405]).unwrap();
    setup.weather.by_number.push((1, Trouble::Page(status)));
    setup.tables(rng.usize(1..200));
}

fn many_bad_rows(rng: &mut Rng, setup: &mut Setup) {
    setup.config.batch_rows = *rng.choice(&[20, 100]).unwrap();
    let share = rng.u8(30..95);
    for table in 0..rng.usize(50..400) {
        let bad = rng.u8(0..100) < share;
        setup.give(
            "tables",
            &format!("t{table}"),
            if bad { Temper::Offensive } else { Temper::Good },
        );
    }
}

/// Keys to tables that the server refuses, on tables with life cycles.
fn keys_and_life_cycles(rng: &mut Rng, setup: &mut Setup) {
    setup.there("databaseSchemas", "svc.db.s");
    for table in 0..rng.usize(1..20) {
        let bad = rng.bool();
        setup.give(
            "tables",
            &format!("r{table}"),
            if bad { Temper::Refused } else { Temper::Good },
        );
        setup.draft(keyed(&format!("svc.db.s.t{table}"), &format!("svc.db.s.r{table}")));
        let entity = setup.stream.find("tables", &format!("svc.db.s.t{table}")).unwrap();
        let number = setup.stream.life_cycle(entity, Temper::Good);
        setup.submit(number);
        setup.pause(millis(rng.u64(0..300)));
    }
}

fn keys_in_circles(rng: &mut Rng, setup: &mut Setup) {
    setup.there("databaseSchemas", "svc.db.s");
    let round = rng.usize(2..8);
    for circle in 0..rng.usize(1..5) {
        let name = |at: usize| format!("svc.db.s.c{circle}_{}", at % round);
        for at in 0..round {
            setup.draft(keyed(&name(at), &name(at + 1)));
        }
    }
}

fn keyed(table: &str, other: &str) -> Draft {
    Draft {
        collection: "tables",
        fqn: table.to_owned(),
        parent: Some(("databaseSchemas", "svc.db.s".to_owned())),
        keys: vec![("tables", other.to_owned())],
        ..Draft::default()
    }
}

/// Dashboards whose first answer is lost and that are then parked for a chart; it comes while all workers are taken by what hangs.
fn looked_up_and_sent(rng: &mut Rng, setup: &mut Setup) {
    setup.config.workers = 4;
    setup.config.linger = Duration::ZERO;
    setup.times_out_after(seconds(rng.u64(298..306)));
    // Look-ups take their time.
    setup.profile.patch = millis(rng.u64(40..9000));
    setup.there("dashboard_service", "bi");
    let in_bi = |collection: &'static str, name: &str| Draft {
        collection,
        fqn: format!("bi.{name}"),
        parent: Some(("dashboard_service", "bi".to_owned())),
        ..Draft::default()
    };
    setup.weather.by_number.push((1, Trouble::Broken { done: rng.bool() }));
    let hang = Trouble::Stall { done: true };
    setup.outage(
        seconds(2),
        FOR_EVER,
        Whom::WritesTo(&["databases", "topics", "mlmodels", "pages"]),
        hang,
    );
    for dashboard in 0..rng.usize(1..12) {
        let mut draft = in_bi("dashboards", &format!("d{dashboard}"));
        draft.hidden.push(("charts", "bi.c".to_owned()));
        setup.draft(draft);
    }
    setup.pause(seconds(rng.u64(8..20)));
    for collection in ["databases", "topics", "mlmodels"] {
        setup.draft(in_bi(collection, collection));
        setup.pause(millis(rng.u64(0..300)));
    }
    setup.draft(in_bi("charts", "c"));
    setup.pause(millis(rng.u64(0..200)));
    setup.draft(in_bi("pages", "p"));
    setup.threads[0].push(Step::Wait {
        scope: Scope::Name {
            fqn: Fqn::canonical("bi.p"),
            subtree: false,
            up_to: 0,
        },
        ago: 0,
        patience: Some(seconds(rng.u64(1..500))),
    });
    setup.pause(millis(rng.u64(0..400_000)));
    for dashboard in 0..rng.usize(0..4) {
        setup.draft(in_bi("dashboards", &format!("new{dashboard}")));
        setup.pause(millis(rng.u64(0..2000)));
    }
}
