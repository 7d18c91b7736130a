//! A server of one's own for each test, a client for it, and the few entities that most tests begin with.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use om_reference_server::{auth, Config, Profile, Server};
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder, Response};
use reqwest::Method;
use serde_json::{json, Value};

/// Longer than anything here takes on the busiest machine, so that a hang fails by name.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// In milliseconds: a request that is in work for as long as a test needs it, and released then.
pub const AN_HOUR: u64 = 3_600_000;

/// A server and a client with the bot's token.
pub struct Api {
    pub server: Server,
    pub http: Client,
    pub token: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
    pub etag: String,
}

/// A client that reads no environment and trusts nobody.
pub fn client() -> ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE)
}

impl Api {
    /// A server of the newest line.
    pub fn start() -> Self {
        Self::with(&Config::default())
    }

    /// A server of one line.
    pub fn of(profile: Profile) -> Self {
        Self::with(&Config {
            profile,
            ..Config::default()
        })
    }

    /// A server.
    pub fn with(config: &Config) -> Self {
        let server = Server::start(config).expect("the server must start");
        let http = client().build().expect("a client must build");
        Api {
            server,
            http,
            token: auth::bot_token(),
        }
    }

    /// The same server with a service, a database and the schema `svc.db.s`.
    pub fn with_schema(self) -> Self {
        self.fine(
            "PUT",
            "services/databaseServices",
            json!({"name": "svc", "serviceType": "Postgres"}),
        );
        self.fine("PUT", "databases", json!({"name": "db", "service": "svc"}));
        self.fine("PUT", "databaseSchemas", json!({"name": "s", "database": "svc.db"}));
        self
    }

    fn build(&self, token: &str, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http
            .request(method, format!("{}/v1/{path}", self.server.url))
            .bearer_auth(token)
    }

    /// A request with another token.
    pub fn call_as(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = self.build(token, method, path);
        let request = match body {
            Value::Null => request,
            body if method == "PATCH" => request
                .header("Content-Type", "application/json-patch+json")
                .body(body.to_string()),
            body => request.json(&body),
        };
        answer(request.send().expect("an answer"))
    }

    /// A request.
    pub fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(&self.token, method, path, body)
    }

    /// A request that may come to nothing.
    pub fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        self.build(&self.token, method, path).json(body).send().map(answer)
    }

    /// A request that must succeed.
    #[track_caller]
    pub fn fine(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, body);
        assert!(
            answer.status < 300,
            "{method} {path}: {} {}",
            answer.status,
            answer.text
        );
        answer.body
    }

    /// A request of the admin that must succeed.
    #[track_caller]
    pub fn fine_as_admin(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call_as(&auth::admin_token(), method, path, body);
        assert!(
            answer.status < 300,
            "{method} {path}: {} {}",
            answer.status,
            answer.text
        );
        answer.body
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null)
    }

    /// Bulk PUT of tables.
    pub fn tables(&self, rows: Value) -> Value {
        self.fine("PUT", "tables/bulk?async=false&overrideMetadata=false", rows)
    }

    /// A request to the control API that must succeed.
    #[track_caller]
    pub fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.try_control(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        answer.body
    }

    pub fn try_control(&self, method: &str, path: &str, body: Value) -> Answer {
        let method: Method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.server.control_url));
        answer(request.json(&body).send().expect("an answer"))
    }

    /// Sets a fault plan.
    #[track_caller]
    pub fn faults(&self, rules: Value) {
        self.control("PUT", "/faults", rules);
    }

    /// Returns when so many of the server's waits are going on: what was sent has been read, and its time is running.
    #[track_caller]
    pub fn until_waiting(&self, count: usize) {
        eventually(&format!("{count} waits"), || {
            self.server.shared.waits.going_on() == count
        });
    }

    /// What requests wait for is over.
    pub fn release(&self) {
        self.control("POST", "/release", Value::Null);
    }

    /// Sends a bulk PUT of tables that waits, and leaves; returns when the server knows.
    pub fn leave_in_the_middle_of(&self, rows: &Value) {
        let left = self.server.shared.log().left;
        let body = rows.to_string();
        let mut socket = TcpStream::connect(self.server.address).expect("a connection");
        let head = format!(
            "PUT /api/v1/tables/bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        socket.write_all(head.as_bytes()).expect("a request");
        self.until_waiting(1);
        drop(socket);
        eventually("a client that left", || self.server.shared.log().left == left + 1);
    }

    /// Switches.
    #[track_caller]
    pub fn switch(&self, switches: Value) {
        self.control("PUT", "/switches", switches);
    }
}

/// Looks until it holds.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came to {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answer(response: Response) -> Answer {
    let status = response.status().as_u16();
    let etag = response
        .headers()
        .get("etag")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_string();
    let text = response.text().unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer {
        status,
        body,
        text,
        etag,
    }
}

/// The create request of a table of `svc.db.s` with two columns.
pub fn table(name: &str) -> Value {
    json!({
        "name": name,
        "databaseSchema": "svc.db.s",
        "columns": [{"name": "id", "dataType": "INT"}, {"name": "text", "dataType": "VARCHAR", "dataLength": 10}],
    })
}

/// `base` with more or other fields.
pub fn and(mut base: Value, more: Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    base.as_object_mut().expect("an object").extend(more);
    base
}

/// So many tables called t0, t1 ...
pub fn tables(count: usize) -> Value {
    (0..count).map(|at| table(&format!("t{at}"))).collect()
}

/// Processed, passed and failed of a bulk answer.
pub fn counts(answer: &Value) -> (u64, u64, u64) {
    let number = |field: &str| answer[field].as_u64().expect("a count");
    (
        number("numberOfRowsProcessed"),
        number("numberOfRowsPassed"),
        number("numberOfRowsFailed"),
    )
}

/// The FQNs of the rows that passed, in the order of the answer.
pub fn passed(answer: &Value) -> Vec<String> {
    let rows = answer["successRequest"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| row["request"].as_str().expect("an FQN").to_string())
        .collect()
}

/// The rows that failed.
pub fn failed(answer: &Value) -> Vec<Value> {
    answer["failedRequest"].as_array().cloned().unwrap_or_default()
}

/// The tags of an entity, in order.
pub fn tag_names(entity: &Value) -> Vec<String> {
    let mut names: Vec<String> = entity["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| tag["tagFQN"].as_str().unwrap_or_default().to_string())
        .collect();
    names.sort();
    names
}

/// A tag label.
pub fn tag(fqn: &str) -> Value {
    json!({"tagFQN": fqn, "source": "Classification", "labelType": "Manual", "state": "Confirmed"})
}
