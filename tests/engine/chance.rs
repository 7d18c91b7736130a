//! One seed -> one run: which entities arrive in which order, how the server is made, what goes wrong, and who waits for what.

use std::time::Duration;

use fastrand::Rng;
use openmetadata_bulksink::engine::{Config, Embed, Fqn, Scope};
use rustc_hash::FxHashSet;

use crate::kinds;
use crate::server::{ByRow, Profile};
use crate::setup::{Setup, Step};
use crate::source::stream;
use crate::stream::Stream;
use crate::verdicts::Tolerance;
use crate::weather::{Garbled, Outage, Trouble, Weather, Whom, Work};

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
    kinds::setup(seed).unwrap_or_else(|| anything(seed))
}

fn anything(seed: u64) -> Setup {
    let mut rng = Rng::with_seed(seed);
    let rng = &mut rng;
    let season = match rng.u8(0..100) {
        0..30 => Season::Calm,
        30..75 => Season::Rough,
        _ => Season::Hostile,
    };
    let most = [3, 12, 40, 120, 400][usize::from(rng.u8(0..5))];
    let stream = stream(rng, most);
    let mut config = config(rng);
    let time_out = config.attempt_timeout.saturating_sub(seconds(10)).max(seconds(10));
    let mut profile = profile(rng, season, &stream);
    compression(seed, &mut config, &mut profile);
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
        kind: "anything",
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
        sabotage: None,
        wakes_often: rng.bool(),
        config,
    }
}

/// Drawn apart, so that it changes nothing else about a seed.
fn compression(seed: u64, config: &mut Config, profile: &mut Profile) {
    let mut rng = Rng::with_seed(seed ^ 0x677A_6970);
    if rng.bool() {
        config.gzip_from = Some(rng.usize(0..2_000));
        if rng.bool() {
            profile.no_gzip = Some(*rng.choice(&[400, 403, 404, 415, 500, 501]).unwrap());
        }
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
        gzip_from: None,
        embed: if rng.u8(0..5) == 0 {
            Embed::WithNewHash
        } else {
            Embed::Never
        },
        renewable_token: rng.bool(),
        seed: rng.u64(..),
        defect: None,
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
        weather.outages.push(Outage {
            from,
            to,
            trouble,
            whom: Whom::All,
        });
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
        weather.outages.push(Outage {
            from,
            to,
            trouble,
            whom: Whom::All,
        });
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
        if stream.specs[*number].once && rng.u8(0..12) == 0 {
            script.push(Step::Meddle);
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
