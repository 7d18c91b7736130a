//! The control API on its own port: what happened, what is stored, and what shall go wrong. Never faulty itself.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{json, Value};
use tokio::net::TcpListener;

use crate::config::{Profile, Switches};
use crate::dump;
use crate::faults;
use crate::latency::Latency;
use crate::reply::Reply;
use crate::route;
use crate::search::Document;
use crate::shared::Shared;
use crate::wire::{Stream, Unreadable, Wire};

/// Takes connections until the server ends.
pub async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let mut signal = shared.signal.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    let _ = socket.set_nodelay(true);
                    tokio::spawn(connection(shared.clone(), Wire::new(Stream::Plain(socket))));
                }
            }
            stopped = signal.wait_for(|now| now.stopped) => {
                let _ = stopped;
                return;
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, mut wire: Wire) {
    loop {
        let reply = match wire.read_head(Duration::from_secs(600)).await {
            Ok(head) => match wire.read_body(&head).await {
                Ok(body) => answer(&shared, &head.method, &head.target, &body),
                Err(Unreadable::Refused(reply)) => reply,
                Err(Unreadable::Gone) => return,
            },
            Err(Unreadable::Refused(reply)) => reply,
            Err(Unreadable::Gone) => return,
        };
        if wire.answer(&reply, true, None, None).await.is_err() {
            return;
        }
    }
}

/// The answer to one control request.
fn answer(shared: &Shared, method: &str, target: &str, body: &[u8]) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameters = route::query(query);
    let parameter = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let flag = |name: &str| matches!(parameter(name), Some("1" | "true"));
    let outcome = match (method, path) {
        ("GET", "/health") => {
            Ok(json!({"status": "ok", "profile": shared.profile().version(), "t_ms": shared.now_ms()}))
        }
        ("GET", "/state") => Ok(dump::state(&shared.store(), flag("normalized"))),
        ("GET", "/requests") => {
            let since = parameter("since").and_then(|text| text.parse().ok()).unwrap_or(0);
            let entries = shared.log().since(since, flag("bodies"));
            Ok(json!(entries))
        }
        ("GET", "/summary") => {
            let violations = shared.order().count;
            Ok(json!(shared.log().summary(violations)))
        }
        ("GET", "/violations") => {
            let order = shared.order();
            Ok(json!({"count": order.count, "violations": order.violations, "hazards": order.hazards}))
        }
        ("GET", "/latency") => Ok(json!(*shared.clockwork().latency)),
        ("PUT", "/latency") => text(body).and_then(Latency::parse).map(|latency| {
            shared.set_latency(latency);
            json!({})
        }),
        ("GET", "/faults") => Ok(json!(shared.rules())),
        ("PUT", "/faults") => faults::parse(body).map(|rules| {
            let count = rules.len();
            shared.set_rules(rules);
            json!({"rules": count})
        }),
        ("GET", "/profile") => Ok(json!({"profile": shared.profile()})),
        ("PUT", "/profile") => set_profile(shared, body),
        ("GET", "/switches") => Ok(json!(*shared.switches())),
        ("PUT", "/switches") => set_switches(shared, body),
        ("PUT", "/search") => read::<Vec<Document>>(body).map(|documents| {
            *shared.documents() = documents;
            json!({})
        }),
        ("POST", "/reset") => {
            shared.reset();
            Ok(json!({}))
        }
        ("GET", "/waits") => Ok(json!({"going_on": shared.waits.going_on()})),
        ("POST", "/release") => {
            shared.waits.release();
            Ok(json!({}))
        }
        ("POST", "/restart") => {
            shared.restart();
            Ok(json!({}))
        }
        ("POST", "/outage") => set_outage(shared, body),
        _ => {
            return Reply::json(
                404,
                &json!({"error": format!("there is no {method} {path} in the control API")}),
            )
        }
    };
    match outcome {
        Ok(value) => Reply::ok(&value),
        Err(message) => Reply::json(400, &json!({"error": message})),
    }
}

fn text(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not readable: {error}"))
}

/// `{"profile": "1.12"}`
fn set_profile(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        profile: String,
    }
    shared.set_profile(Profile::parse(&read::<Wanted>(body)?.profile)?);
    Ok(json!({}))
}

/// Switches that are given; the others stay.
fn set_switches(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let given: serde_json::Map<String, Value> = read(body)?;
    let Value::Object(mut all) = json!(*shared.switches()) else {
        return Err("switches are an object".into());
    };
    all.extend(given);
    let switches: Switches = serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
    let shown = json!(switches);
    shared.set_switches(switches);
    Ok(shown)
}

/// `{"seconds": 5}`
fn set_outage(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        seconds: f64,
    }
    let seconds = read::<Wanted>(body)?.seconds;
    let length = Duration::try_from_secs_f64(seconds).map_err(|_| "seconds must be a number, 0 or more".to_string())?;
    shared.outage(length);
    Ok(json!({}))
}
