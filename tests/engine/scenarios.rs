//! Runs that are made by hand, with exact figures: how many requests, how long, who is lost.

use std::time::Duration;

use openmetadata_bulksink::engine::{Config, Fqn, Scope};

use crate::server::{ByRow, Profile};
use crate::setup::{Report, Setup, Step};
use crate::stream::{Draft, Stream, Temper};
use crate::verdicts::Tolerance;
use crate::weather::{Outage, Trouble, Weather, Whom, Work};
use crate::world::World;

const FOR_EVER: Duration = Duration::from_secs(1 << 30);

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A run with one thread that drains and closes at the end; what is not said otherwise is as a user has it by default.
fn setup(stream: Stream, script: Vec<Step>) -> Setup {
    Setup {
        seed: 1,
        kind: "made by hand",
        config: Config::default(),
        stream,
        profile: Profile::default(),
        weather: Weather::default(),
        threads: vec![script],
        ending: vec![
            Step::Wait {
                scope: Scope::FinalDrain,
                ago: 0,
                patience: None,
            },
            Step::Close,
        ],
        tolerance: Tolerance::Nothing,
        lag: Duration::ZERO,
        time_out: seconds(300),
        sabotage: None,
        wakes_often: false,
    }
}

fn run(setup: Setup) -> Report {
    World::new(setup, std::env::var("TRACE").is_ok())
        .run()
        .unwrap_or_else(|text| panic!("{text}"))
}

/// Each arrival, one after the other, with so much work before it.
fn at_pace(stream: &Stream, pace: Duration) -> Vec<Step> {
    let steps = stream
        .arrivals
        .iter()
        .flat_map(|number| [Step::Pause(pace), Step::Submit(*number)]);
    steps
        .filter(|step| !matches!(step, Step::Pause(time) if time.is_zero()))
        .collect()
}

/// Databases of so many schemas of so many tables, parents first.
fn catalogue(databases: usize, schemas: usize, tables: usize) -> Stream {
    let mut stream = Stream::default();
    let service = stream.entity("databases_service", "svc");
    stream.entities[service].there_before = true;
    for database in 0..databases {
        let database = format!("svc.db{database}");
        arrive(&mut stream, "databases", &database, ("databases_service", "svc"));
        for schema in 0..schemas {
            let schema = format!("{database}.s{schema}");
            arrive(&mut stream, "databaseSchemas", &schema, ("databases", &database));
            for table in 0..tables {
                let table = format!("{schema}.t{table}");
                arrive(&mut stream, "tables", &table, ("databaseSchemas", &schema));
            }
        }
    }
    stream
}

fn arrive(stream: &mut Stream, collection: &'static str, fqn: &str, parent: (&'static str, &str)) {
    let number = stream.create(Draft {
        collection,
        fqn: fqn.to_owned(),
        parent: Some((parent.0, parent.1.to_owned())),
        ..Draft::default()
    });
    stream.arrivals.push(number);
}

/// Tables of a schema that the server has, some of them of that temper.
fn tables(count: usize, ill: usize, temper: Temper) -> Stream {
    let mut stream = Stream::default();
    let schema = stream.entity("databaseSchemas", "svc.db.s");
    stream.entities[schema].there_before = true;
    for table in 0..count {
        let is_ill = ill > 0 && table % (count / ill) == count / ill / 2;
        let number = stream.create(Draft {
            collection: "tables",
            fqn: format!("svc.db.s.t{table}"),
            parent: Some(("databaseSchemas", "svc.db.s".to_owned())),
            temper: if is_ill { temper } else { Temper::Good },
            ..Draft::default()
        });
        stream.arrivals.push(number);
    }
    stream
}

fn life_cycles(stream: &mut Stream, collection: &str, fqn: &str) {
    let entity = stream.find(collection, fqn).unwrap();
    let number = stream.life_cycle(entity, Temper::Good);
    stream.arrivals.push(number);
}

fn outage(from: Duration, to: Duration, trouble: Trouble) -> Weather {
    Weather {
        outages: vec![Outage {
            from,
            to,
            trouble,
            whom: Whom::All,
        }],
        ..Weather::default()
    }
}

fn told(name: &str, report: &Report) {
    eprintln!(
        "{name}: {} bulk requests of {} in all, {} rows, {:.2} s until all was submitted, {:.2} s in all, blocked {:.2} s, {} written, {} failed",
        report.bulk_requests,
        report.requests,
        report.rows,
        report.submitted_at.as_secs_f64(),
        report.ended_at.as_secs_f64(),
        report.blocked.as_secs_f64(),
        report.written,
        report.failed
    );
}

// ------------------------------------------------------------------------------------------------ requests and time

#[test]
fn ten_thousand_tables_at_once_make_few_requests() {
    let stream = catalogue(1, 10, 1000);
    let script = at_pace(&stream, Duration::ZERO);
    let report = run(setup(stream, script));
    told("at once", &report);
    assert!(report.bulk_requests <= 130, "{}", report.bulk_requests);
    let limit = 10_000.0 * 0.02705 / 4.0;
    assert!(report.ended_at.as_secs_f64() <= 1.05 * limit + 1.6);
}

#[test]
fn ten_thousand_tables_at_39_ms_make_few_requests_and_take_no_longer_than_the_source() {
    let mut total = Duration::ZERO;
    let mut extraction = Duration::ZERO;
    for seed in 1..=5 {
        let stream = catalogue(1, 10, 1000);
        let script = at_pace(&stream, millis(39));
        extraction = millis(39) * u32::try_from(stream.arrivals.len()).unwrap();
        let report = run(Setup {
            seed,
            lag: millis(1),
            ..setup(stream, script)
        });
        told("at 39 ms a table", &report);
        assert!(report.bulk_requests <= 280, "{}", report.bulk_requests);
        assert_eq!(report.blocked, Duration::ZERO);
        total += report.ended_at;
    }
    assert!(
        total / 5 <= extraction + millis(1600),
        "{:?} for {extraction:?}",
        total / 5
    );
}

#[test]
fn five_thousand_life_cycles_break_up_no_batch() {
    let mut stream = catalogue(1, 10, 500);
    let all = std::mem::take(&mut stream.arrivals);
    for number in all {
        stream.arrivals.push(number);
        let entity = &stream.entities[stream.specs[number].entity];
        if &*entity.collection == "tables" {
            let fqn = entity.key.as_str().to_owned();
            life_cycles(&mut stream, "tables", &fqn);
        }
    }
    let script = at_pace(&stream, millis(3));
    let report = run(setup(stream, script));
    told("with a life cycle each", &report);
    let tables: Vec<usize> = report.batches.iter().copied().filter(|rows| *rows > 1).collect();
    let mean = report.batches.iter().sum::<usize>() as f64 / report.batches.len() as f64;
    eprintln!("  {mean:.1} rows in a batch, {} batches", tables.len());
    assert!(mean >= 60.0, "{mean}");
    let limit = (5000.0 * 0.02705 + 5000.0 * 0.039) / 4.0;
    assert!(
        report.ended_at.as_secs_f64() <= 1.1 * limit,
        "{:?} for {limit}",
        report.ended_at
    );
}

#[test]
fn life_cycles_alone_keep_all_workers_busy() {
    let mut stream = Stream::default();
    for table in 0..385 {
        let fqn = format!("svc.db.s.t{table}");
        let entity = stream.entity("tables", &fqn);
        stream.entities[entity].there_before = true;
        life_cycles(&mut stream, "tables", &fqn);
    }
    let script = at_pace(&stream, Duration::ZERO);
    let report = run(setup(stream, script));
    told("life cycles alone", &report);
    assert_eq!((report.written, report.requests), (385, 385));
    assert!(report.ended_at.as_secs_f64() <= 1.1 * 385.0 * 0.039 / 4.0);
}

#[test]
fn a_wait_for_each_schema_costs_no_overlap() {
    let stream = catalogue(20, 10, 5);
    let mut script = Vec::new();
    let mut tables = 0;
    for number in &stream.arrivals {
        let entity = &stream.entities[stream.specs[*number].entity];
        script.extend([Step::Pause(millis(39)), Step::Submit(*number)]);
        tables += usize::from(&*entity.collection == "tables");
        if &*entity.collection == "tables" && tables % 5 == 0 {
            script.push(Step::Wait {
                scope: Scope::Name {
                    fqn: Fqn::canonical(entity.key.parent().unwrap()),
                    subtree: false,
                    up_to: 0,
                },
                ago: 0,
                patience: None,
            });
        }
    }
    let extraction = 0.039 * stream.arrivals.len() as f64;
    let report = run(setup(stream, script));
    told("20 x 10 x 5 with a wait for each schema", &report);
    assert!(report.submitted_at.as_secs_f64() <= 1.05 * extraction, "{extraction}");
    assert!(report.ended_at.as_secs_f64() <= 1.05 * extraction + 1.5);
}

// ------------------------------------------------------------------------------------------------ refusals

#[test]
fn poison_rows_cost_no_neighbour_and_few_requests() {
    for (ill, temper, most) in [
        (1, Temper::Refused, 1),
        (50, Temper::Refused, 1),
        (1, Temper::Offensive, 16),
        (2, Temper::Offensive, 30),
        (50, Temper::Offensive, 210),
        (1, Temper::Toxic, 70),
        (2, Temper::Toxic, 120),
    ] {
        let stream = tables(100, ill, temper);
        let script = at_pace(&stream, Duration::ZERO);
        let report = run(setup(stream, script));
        told(&format!("{ill} of 100 {temper:?}"), &report);
        assert_eq!(
            (report.written, report.failed),
            (100 - ill as u64, ill as u64),
            "{temper:?}"
        );
        assert!(
            report.requests <= most,
            "{ill} {temper:?}: {} requests",
            report.requests
        );
    }
}

#[test]
fn a_refusal_of_everything_costs_few_requests() {
    for by in [ByRow::Row, ByRow::Whole] {
        let stream = tables(1000, 0, Temper::Good);
        let script = at_pace(&stream, Duration::ZERO);
        let report = run(Setup {
            profile: Profile {
                refuses_all: Some(("tables", by)),
                ..Profile::default()
            },
            ..setup(stream, script)
        });
        told(&format!("refused as a whole, {by:?}"), &report);
        assert_eq!(report.failed, 1000);
        // Four batches are on their way before the first refusal is known.
        let most = if by == ByRow::Row { 10 } else { 4 * 20 + 6 * 5 };
        assert!(report.requests <= most, "{} requests", report.requests);
    }
}

#[test]
fn one_batch_after_the_other_is_refused_at_the_price_of_five_requests() {
    let stream = tables(1000, 0, Temper::Good);
    let script = at_pace(&stream, Duration::ZERO);
    let base = setup(stream, script);
    let report = run(Setup {
        config: Config {
            workers: 1,
            ..Config::default()
        },
        profile: Profile {
            refuses_all: Some(("tables", ByRow::Whole)),
            ..Profile::default()
        },
        ..base
    });
    told("refused as a whole, one worker", &report);
    assert_eq!(report.failed, 1000);
    assert!(report.requests <= 20 + 9 * 5, "{} requests", report.requests);
}

// ------------------------------------------------------------------------------------------------ overload and outages

#[test]
fn an_overloaded_server_is_used_as_well_as_by_the_best_fixed_number_of_workers() {
    for (places, retry_after) in [
        (1, None),
        (2, None),
        (3, Some(seconds(1))),
        (5, None),
        (7, Some(seconds(1))),
    ] {
        let time = |workers: usize, places: Option<usize>, by_row: bool| {
            let stream = tables(20_000, 0, Temper::Good);
            let script = at_pace(&stream, Duration::ZERO);
            let base = setup(stream, script);
            run(Setup {
                config: Config {
                    workers,
                    ..Config::default()
                },
                profile: Profile {
                    places,
                    refusal: 429,
                    refuses_by_row: by_row,
                    ..Profile::default()
                },
                weather: Weather {
                    retry_after,
                    ..Weather::default()
                },
                ..base
            })
        };
        let best = time(places, None, false);
        for by_row in [false, true] {
            let report = time(8, Some(places), by_row);
            let ratio = report.ended_at.as_secs_f64() / best.ended_at.as_secs_f64();
            eprintln!(
                "{places} places, Retry-After {retry_after:?}, by row {by_row}: {ratio:.3} of the best, {} requests instead of {}",
                report.requests, best.requests
            );
            assert_eq!(report.failed, 0);
            assert!(ratio <= 1.15, "{ratio}");
            assert!(
                report.requests <= best.requests * 2,
                "a storm of {} requests",
                report.requests
            );
        }
    }
}

#[test]
fn work_goes_on_soon_after_an_overload() {
    for trouble in [Trouble::Status(503), Trouble::Status(429), Trouble::Refused] {
        let undisturbed = {
            let stream = tables(8000, 0, Temper::Good);
            let script = at_pace(&stream, millis(5));
            run(setup(stream, script)).ended_at
        };
        let mut total = Duration::ZERO;
        for seed in 1..=10 {
            let stream = tables(8000, 0, Temper::Good);
            let script = at_pace(&stream, millis(5));
            let base = setup(stream, script);
            let report = run(Setup {
                seed,
                config: Config {
                    seed,
                    ..Config::default()
                },
                weather: outage(seconds(10), seconds(70), trouble),
                ..base
            });
            assert_eq!(report.failed, 0);
            let back = report.sent_at.iter().find(|at| **at >= seconds(70)).unwrap();
            assert!(*back <= seconds(76), "{back:?}");
            assert!(
                report.requests_while_down <= 60,
                "{} requests",
                report.requests_while_down
            );
            total += report.ended_at.saturating_sub(undisturbed + seconds(60));
        }
        eprintln!("{trouble:?}: {:?} lost beside the outage", total / 10);
        assert!(total / 10 <= seconds(10), "{:?}", total / 10);
    }
}

#[test]
fn an_outage_that_ends_in_time_costs_nothing_but_time() {
    for trouble in [
        Trouble::Refused,
        Trouble::Status(503),
        Trouble::Broken { done: true },
        Trouble::Gateway {
            status: 502,
            work: Work::NotDone,
        },
    ] {
        for (lasts, lines) in [(5, 0), (60, 2), (240, 2)] {
            let stream = catalogue(1, 10, 200);
            let script = at_pace(&stream, millis(39));
            let base = setup(stream, script);
            let report = run(Setup {
                weather: outage(seconds(20), seconds(20 + lasts), trouble),
                ..base
            });
            told(&format!("{trouble:?} for {lasts} s"), &report);
            assert_eq!(report.failed, 0);
            assert_eq!(report.notices.len(), lines, "{:?}", report.notices);
            assert!(
                report.requests_while_down <= 60 + lasts,
                "{} requests",
                report.requests_while_down
            );
        }
    }
}

#[test]
fn a_server_that_is_gone_for_ever_ends_the_run_in_time() {
    for trouble in [
        Trouble::Refused,
        Trouble::Status(503),
        Trouble::Status(500),
        Trouble::Stall { done: false },
        Trouble::Gateway {
            status: 502,
            work: Work::NotDone,
        },
    ] {
        for from in [seconds(0), seconds(60)] {
            let stream = catalogue(1, 10, 1000);
            let script = at_pace(&stream, millis(39));
            let base = setup(stream, script);
            let report = run(Setup {
                weather: outage(from, FOR_EVER, trouble),
                tolerance: Tolerance::Undelivered,
                ..base
            });
            told(&format!("{trouble:?} from {from:?} on"), &report);
            eprintln!("  {} reasons, notices {:#?}", report.reasons.len(), report.notices);
            let most = seconds(300 + 300) + millis(39) * 10_011;
            assert!(report.ended_at <= from + most, "{:?}", report.ended_at);
            assert!(
                report.requests_while_down <= 600,
                "{} requests",
                report.requests_while_down
            );
            assert!(report.notices.len() <= 3, "{:?}", report.notices);
        }
    }
}

#[test]
fn a_slow_server_is_waited_for() {
    // The first attempt answers after 200 s.
    let stream = tables(100, 0, Temper::Good);
    let script = at_pace(&stream, Duration::ZERO);
    let base = setup(stream, script);
    let report = run(Setup {
        profile: Profile {
            per_row: seconds(2),
            ..Profile::default()
        },
        ..base
    });
    told("a batch of 200 s", &report);
    assert_eq!((report.written, report.requests), (100, 1));

    // A batch takes 310 s, and the read time-out is 300 s.
    let stream = tables(100, 0, Temper::Good);
    let script = at_pace(&stream, Duration::ZERO);
    let base = setup(stream, script);
    let report = run(Setup {
        profile: Profile {
            per_row: millis(3100),
            ..Profile::default()
        },
        ..base
    });
    told("a batch of 310 s", &report);
    // Past the deadline: its rows are looked up, then it has its last attempt, in halves.
    assert_eq!((report.written, report.bulk_requests, report.requests), (100, 3, 103));
}

#[test]
fn a_first_attempt_that_commits_after_its_504_loses_nothing() {
    for (after, seed) in [(1, 1), (4, 2), (8, 3), (30, 4), (200, 5)] {
        for duplicates in [false, true] {
            let stream = catalogue(1, 4, 200);
            let script = at_pace(&stream, millis(10));
            let base = setup(stream, script);
            let report = run(Setup {
                seed,
                profile: Profile {
                    stops_with_connection: false,
                    reports_duplicates: duplicates,
                    ..Profile::default()
                },
                weather: Weather {
                    by_number: (1..40)
                        .step_by(3)
                        .map(|number| {
                            let work = Work::Later(seconds(after));
                            (number, Trouble::Gateway { status: 504, work })
                        })
                        .collect(),
                    ..Weather::default()
                },
                ..base
            });
            told(&format!("504, done {after} s later"), &report);
            assert_eq!(report.failed, 0);
        }
    }
}

// ------------------------------------------------------------------------------------------------ what never comes

#[test]
fn dashboards_whose_charts_never_come_do_not_block_the_source() {
    let mut stream = Stream::default();
    let service = stream.entity("dashboard_service", "bi");
    stream.entities[service].there_before = true;
    let parent = ("dashboard_service", "bi".to_owned());
    for dashboard in 0..3200 {
        let number = stream.create(Draft {
            collection: "dashboards",
            fqn: format!("bi.d{dashboard}"),
            parent: Some(parent.clone()),
            needs: vec![("charts", format!("bi.c{dashboard}"))],
            ..Draft::default()
        });
        stream.arrivals.push(number);
    }
    let script = at_pace(&stream, millis(10));
    let extraction = millis(10) * 3200;
    let report = run(setup(stream, script));
    told("dashboards without charts", &report);
    assert_eq!(report.failed, 3200);
    assert_eq!(report.blocked, Duration::ZERO);
    assert!(report.submitted_at <= extraction + millis(1));
    assert!(report.bulk_requests <= 2 * 40, "{}", report.bulk_requests);
    assert!(report
        .reasons
        .keys()
        .all(|reason| reason.contains("chart instance for")));
}

#[test]
fn tables_that_refer_to_each_other_do_not_wait_for_each_other() {
    let mut stream = Stream::default();
    let schema = stream.entity("databaseSchemas", "svc.db.s");
    stream.entities[schema].there_before = true;
    for (table, other) in [("a", "b"), ("b", "a")] {
        let number = stream.create(Draft {
            collection: "tables",
            fqn: format!("svc.db.s.{table}"),
            parent: Some(("databaseSchemas", "svc.db.s".to_owned())),
            needs: vec![("tables", format!("svc.db.s.{other}"))],
            ..Draft::default()
        });
        stream.arrivals.push(number);
    }
    let mut script = at_pace(&stream, Duration::ZERO);
    script.push(Step::Wait {
        scope: Scope::Name {
            fqn: Fqn::canonical("svc.db.s.b"),
            subtree: false,
            up_to: 0,
        },
        ago: 0,
        patience: None,
    });
    let report = run(setup(stream, script));
    told("a cycle of two", &report);
    assert_eq!(report.failed, 2, "the server takes neither first");
    assert!(report.submitted_at <= millis(600), "{:?}", report.submitted_at);
    assert!(report.ended_at <= seconds(2), "{:?}", report.ended_at);
}
