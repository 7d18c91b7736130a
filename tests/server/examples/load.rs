//! How fast is the reference server itself? Writes tables over bare sockets and prints rows and megabytes a second, and the
//! server's CPU time: `cargo run --profile bench -p om-reference-server --example load -- [tables] [columns] [connections] [keep-bodies]`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use om_reference_server::{auth, Config, Server};

const BATCH: usize = 100;

fn send(socket: &mut TcpStream, path: &str, body: &str) -> String {
    let head = format!(
        "PUT /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        auth::bot_token(),
        body.len()
    );
    socket
        .write_all(head.as_bytes())
        .and_then(|()| socket.write_all(body.as_bytes()))
        .expect("the server must read");
    let mut answer = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        let read = socket.read(&mut buffer).expect("the server must answer");
        assert!(read > 0, "the server closed the connection");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .and_then(|text| text.parse::<usize>().ok());
        if rest.len() >= length.expect("a length") {
            return text.into_owned();
        }
    }
}

fn row(at: usize, columns: usize) -> String {
    let column = |number: usize| {
        format!(
            r#"{{"name": "column_{number:03}", "dataType": "VARCHAR", "dataLength": 256, "dataTypeDisplay": "character varying(256)", "description": "The description of column {number}, as long as such descriptions are", "ordinalPosition": {number}, "constraint": "NULL"}}"#
        )
    };
    let columns: Vec<String> = (0..columns).map(column).collect();
    format!(
        r#"{{"name": "table_{at:07}", "databaseSchema": "svc.db.s", "tableType": "Regular", "sourceHash": "{at:032}", "columns": [{}]}}"#,
        columns.join(", ")
    )
}

/// CPU seconds of the server's own threads, resident and peak memory in megabytes, as Linux tells them.
fn usage() -> (f64, u64, u64) {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if stat.contains("(reference-serv") {
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0);
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let megabytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_ascii_whitespace()
            .nth(1)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    };
    (ticks as f64 / 100.0, megabytes("VmRSS:"), megabytes("VmHWM:"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments
            .get(at)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (tables, columns, connections) = (number(0, 100_000), number(1, 20), number(2, 4));
    let keep_bodies = arguments.get(3).is_some_and(|text| text == "true");
    let server = Server::start(&Config {
        keep_bodies,
        threads: 1,
        ..Config::default()
    })
    .expect("the server must start");
    let mut socket = TcpStream::connect(server.address).expect("a connection");
    send(
        &mut socket,
        "services/databaseServices",
        r#"{"name": "svc", "serviceType": "Postgres"}"#,
    );
    send(&mut socket, "databases", r#"{"name": "db", "service": "svc"}"#);
    send(&mut socket, "databaseSchemas", r#"{"name": "s", "database": "svc.db"}"#);
    let size = row(0, columns).len();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..connections {
            let address = server.address;
            scope.spawn(move || {
                let mut socket = TcpStream::connect(address).expect("a connection");
                socket.set_nodelay(true).expect("an option");
                let template = row(0, columns);
                for batch in (part..tables / BATCH).step_by(connections) {
                    let rows: Vec<String> = (0..BATCH)
                        .map(|at| template.replacen("table_0000000", &format!("table_{:07}", batch * BATCH + at), 1))
                        .collect();
                    let answer = send(&mut socket, "tables/bulk", &format!("[{}]", rows.join(",")));
                    assert!(answer.contains("\"numberOfRowsFailed\":0"), "{answer}");
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let (cpu, resident, peak) = usage();
    let rows = tables as f64;
    println!(
        "{tables} tables of {size} bytes, {connections} connections, bodies kept: {keep_bodies}\n\
         {seconds:.1} s, {:.0} rows/s, {:.0} MB/s; server CPU {cpu:.1} s = {:.0} rows a CPU second; RSS {resident} MB, peak {peak} MB",
        rows / seconds,
        rows * size as f64 / seconds / 1e6,
        rows / cpu
    );
}
