//! The program: its one line, its options, its end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use om_reference_server::auth;
use serde_json::Value;

use crate::api::PATIENCE;

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_om-reference-server"))
}

/// Waits for the end of a program, but not for ever.
fn ended(mut child: Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("a status") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    None
}

#[test]
fn it_says_where_it_listens_and_ends_with_its_input() {
    let mut child = command()
        .args([
            "--exit-with-stdin",
            "--profile",
            "1.12",
            "--token",
            "a-token",
            "--switches",
            r#"{"gzip_requests": false}"#,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("output"))
        .read_line(&mut line)
        .expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(ready["pid"], child.id());
    let (url, control) = (
        ready["url"].as_str().expect("a URL"),
        ready["control"].as_str().expect("a URL"),
    );
    let http = crate::api::client().build().expect("a client");
    let tables = http
        .get(format!("{url}/v1/tables"))
        .bearer_auth("a-token")
        .send()
        .expect("an answer");
    assert_eq!(tables.status().as_u16(), 200);
    let health: Value = http
        .get(format!("{control}/health"))
        .send()
        .and_then(reqwest::blocking::Response::json)
        .expect("JSON");
    assert_eq!(health["profile"], "1.12.14");
    let switches: Value = http
        .get(format!("{control}/switches"))
        .send()
        .and_then(reqwest::blocking::Response::json)
        .expect("JSON");
    assert_eq!(
        (&switches["gzip_requests"], &switches["bot_token"]),
        (&Value::Bool(false), &Value::String("a-token".into()))
    );
    drop(child.stdin.take());
    assert_eq!(ended(child), Some(0));
}

#[test]
fn it_prints_its_tokens() {
    let output = command().arg("--print-tokens").output().expect("the program");
    let tokens: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(tokens["bot"], auth::bot_token());
    assert_eq!(tokens["consumer"], auth::consumer_token());
}

#[test]
fn wrong_options_are_named() {
    for (arguments, text) in [
        (vec!["--nonsense"], "there is no option --nonsense"),
        (vec!["--profile", "9"], "use 1.11, 1.12, 1.13 or 2.0"),
        (vec!["--port", "many"], "--port cannot be many"),
        (vec!["--latency", "{\"bulc\": {}}"], "bulc"),
        (vec!["--token"], "--token needs a value"),
        (vec!["--tls-cert", "x.pem"], "belong together"),
    ] {
        let output = command()
            .args(&arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
}
