//! A panic anywhere in the native code becomes failed records by name and an ended run: no dead process, no hang (rule E11).
//! `cargo test --features panics --test panics`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use openmetadata_bulksink::driver::Driver;
use openmetadata_bulksink::engine::{Config, Ending, Payload, Record, Scope};
use openmetadata_bulksink::http::{Client, Settings, Trust};
use openmetadata_bulksink::panics::{arm, is_armed, Place};

const RECORDS: usize = 300;

/// One panic is asked for at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A server that says of each bulk request that all of its rows were written.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    format!("http://{address}/api/v1")
}

fn answer(mut stream: std::net::TcpStream) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            read_more(&mut stream, &mut held)?;
        };
        let text = String::from_utf8_lossy(&held[..head]).to_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?
            .trim()
            .parse()
            .ok()?;
        while held.len() < head + length {
            read_more(&mut stream, &mut held)?;
        }
        let rows: serde_json::Value = serde_json::from_slice(&held[head..head + length]).ok()?;
        held.drain(..head + length);
        let count = rows.as_array()?.len();
        let body = format!(
            r#"{{"status":"success","numberOfRowsProcessed":{count},"numberOfRowsPassed":{count},"numberOfRowsFailed":0}}"#
        );
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
    }
}

fn read_more(stream: &mut std::net::TcpStream, held: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 65_536];
    let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
    held.extend_from_slice(&part[..count]);
    Some(())
}

/// Submits records while a panic comes at `place`, and looks at what became of them.
fn survives(place: Place, nth: u32) -> (usize, Vec<String>) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let client = Client::new(&Settings {
        base_url: serve(),
        headers: Vec::new(),
        bulk_query: "async=false".into(),
        trust: Trust::System,
        identity: None,
        proxy: None,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
    })
    .unwrap();
    let config = Config {
        batch_rows: 20,
        delivery_timeout: Duration::from_secs(10),
        ..Config::default()
    };
    let driver = Driver::new(config, client, None, None);
    driver.start().unwrap();
    arm(place, nth);
    for number in 0..RECORDS {
        let body = Payload::Create(format!(r#"{{"name":"t{number}"}}"#).into());
        let record = Record::bare("tables".into(), format!("a.b.c.t{number}").into(), body);
        if let Err(line) = driver.submit(record) {
            assert!(line.ended_within(Duration::from_secs(30)), "a submit hangs");
            assert!(driver.admitted(line.id()).is_some());
        }
    }
    driver.begin_close();
    if let Some(wait) = driver.wait_for(&Scope::FinalDrain) {
        assert!(wait.ended_within(Duration::from_secs(30)), "the drain hangs");
    }
    driver.end("the test is over");
    assert!(!is_armed(), "the panic never came");
    let outcomes = driver.take_outcomes();
    let names: BTreeSet<&str> = outcomes.iter().map(|outcome| &*outcome.fqn).collect();
    assert_eq!(outcomes.len(), RECORDS, "one outcome for each record");
    assert_eq!(names.len(), RECORDS, "each under its own name");
    let stats = driver.stats();
    assert_eq!(stats.pending, 0);
    let lost = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.ending {
            Ending::Failed(reason) => Some(reason.to_string()),
            _ => None,
        })
        .collect();
    (RECORDS, lost)
}

#[test]
fn a_panic_in_the_engine_ends_the_run_and_names_every_record() {
    for nth in [1, 5, 40, 250] {
        let (_, lost) = survives(Place::Engine, nth);
        assert!(!lost.is_empty());
        assert!(
            lost.iter().any(|reason| reason.contains("internal error")),
            "{:?}",
            lost.first()
        );
    }
}

#[test]
fn a_panic_in_an_attempt_is_a_fault_like_any_other() {
    for nth in [1, 3] {
        let (_, lost) = survives(Place::Attempt, nth);
        assert!(lost.is_empty(), "{:?}", lost.first());
    }
}

#[test]
fn a_panic_in_the_driving_task_ends_the_run_and_names_every_record() {
    for nth in [1, 4] {
        let (_, lost) = survives(Place::Driver, nth);
        assert!(
            lost.iter().any(|reason| reason.contains("internal error")),
            "{:?}",
            lost.first()
        );
    }
}
