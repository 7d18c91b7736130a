//! Streams of records for the benches, and the shortest possible server: it answers every request at once, with success.
//!
//! Nothing here measures; nothing here is random, so that two runs execute the same instructions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openmetadata_bulksink::engine::{Answer, Call, Config, Engine, Fqn, Payload, Record, Request, Response, Scope};

/// Tables of one schema.
const TABLES_IN_A_SCHEMA: usize = 1_000;
/// Bytes of a create request: a table of about 20 columns.
const BODY_BYTES: usize = 5_000;

/// An engine that never has to refuse a record.
#[must_use]
pub fn engine() -> Engine {
    Engine::new(Config {
        budget_bytes: usize::MAX,
        ..Config::default()
    })
}

/// Create requests of tables; the bodies share their bytes.
pub struct Tables {
    collection: Arc<str>,
    body: Bytes,
}

impl Default for Tables {
    fn default() -> Self {
        let filler = "x".repeat(BODY_BYTES);
        Self {
            collection: "tables".into(),
            body: Bytes::from(format!("{{\"name\":\"t\",\"description\":\"{filler}\"}}")),
        }
    }
}

impl Tables {
    /// The table with this number, in the schema that it belongs to.
    #[must_use]
    pub fn table(&self, number: usize) -> Record {
        let schema = schema(number / TABLES_IN_A_SCHEMA);
        let fqn = format!("{schema}.table_{number:07}");
        Record {
            parent: Some(Fqn::canonical(&schema)),
            ..Record::bare(self.collection.clone(), fqn.into(), Payload::Create(self.body.clone()))
        }
    }

    /// The same, with needs: the tables with these numbers.
    #[must_use]
    pub fn table_with_needs(&self, number: usize, needs: std::ops::Range<usize>) -> Record {
        let needs = needs
            .map(|target| Fqn::canonical(&format!("{}.table_{target:07}", schema(target / TABLES_IN_A_SCHEMA))))
            .collect();
        Record {
            needs,
            ..self.table(number)
        }
    }
}

fn schema(number: usize) -> String {
    format!("warehouse.dev.mart_{number:04}")
}

/// The schemas of so many tables.
fn schemas(tables: usize) -> impl Iterator<Item = Record> {
    let collection: Arc<str> = "databaseSchemas".into();
    (0..tables.div_ceil(TABLES_IN_A_SCHEMA)).map(move |number| {
        let body = Bytes::from_static(b"{\"name\":\"s\",\"database\":\"warehouse.dev\"}");
        Record::bare(collection.clone(), schema(number).into(), Payload::Create(body))
    })
}

/// The answer to a request in which everything passed.
fn success(request: &Request) -> Answer {
    let rows = match &request.call {
        Call::PutBulk { rows, .. } => rows.len(),
        _ => 1,
    };
    let body =
        format!("{{\"status\":\"success\",\"numberOfRowsProcessed\":{rows},\"numberOfRowsPassed\":{rows},\"numberOfRowsFailed\":0}}");
    Answer::Response(Response {
        status: 200,
        retry_after: None,
        body: Bytes::from(body),
    })
}

/// Sends whatever may be sent and answers it, until there is nothing; the outcomes that came of it.
pub fn serve(engine: &mut Engine, now: Duration) -> usize {
    while let Some(request) = engine.poll_request(now) {
        engine.handle_answer(request.id, request.read(&success(&request)), now);
    }
    while engine.poll_wait().is_some() {}
    std::iter::from_fn(|| engine.poll_outcome()).count()
}

/// Writes so many tables as a source gives them: each one is submitted, and what can be sent is sent. The outcomes.
#[must_use]
pub fn write(tables: usize) -> usize {
    let mut engine = engine();
    let source = Tables::default();
    let mut ended = 0;
    let mut now = Duration::ZERO;
    let mut pending_schemas = schemas(tables);
    for number in 0..tables {
        if number % TABLES_IN_A_SCHEMA == 0 {
            if let Some(schema) = pending_schemas.next() {
                engine.submit(schema, now);
            }
        }
        engine.submit(source.table(number), now);
        now += Duration::from_millis(1);
        ended += serve(&mut engine, now);
    }
    engine.close(now);
    ended + serve(&mut engine, now)
}

/// An engine whose pending tables, so many, all wait for their back-off to end.
#[must_use]
pub fn in_back_off(tables: usize) -> Engine {
    let mut engine = Engine::new(Config {
        budget_bytes: usize::MAX,
        workers: tables.max(1),
        ..Config::default()
    });
    let source = Tables::default();
    for number in 0..tables {
        engine.submit(source.table(number), Duration::ZERO);
    }
    engine.wait_for(&Scope::FinalDrain, Duration::ZERO);
    let sent: Vec<Request> = std::iter::from_fn(|| engine.poll_request(Duration::ZERO)).collect();
    for request in sent {
        let failed = Answer::Response(Response {
            status: 500,
            retry_after: None,
            body: Bytes::from_static(b"{\"code\":500,\"message\":\"not now\"}"),
        });
        engine.handle_answer(request.id, request.read(&failed), Duration::ZERO);
    }
    assert_eq!(engine.unsent(), 0, "all of them were tried");
    engine
}

/// One more table, and what the driver asks after it.
pub fn submit(engine: &mut Engine, source: &Tables, number: usize) -> Option<Duration> {
    engine.submit(source.table(number), Duration::ZERO);
    engine.poll_timeout(Duration::ZERO)
}

/// A stream of tables in which each needs `needs` tables of the schema before its own, all of them pending before the first
/// is sent. The number of edges, and the outcomes.
#[must_use]
pub fn pend_with_edges(tables: usize, needs: usize) -> (usize, usize) {
    let mut engine = engine();
    let source = Tables::default();
    let mut edges = 0;
    for schema in schemas(tables) {
        engine.submit(schema, Duration::ZERO);
    }
    for number in 0..tables {
        let first = number.saturating_sub(TABLES_IN_A_SCHEMA);
        let range = if number < TABLES_IN_A_SCHEMA {
            0..0
        } else {
            first..first + needs
        };
        edges += range.len() + 1;
        engine.submit(source.table_with_needs(number, range), Duration::ZERO);
    }
    engine.close(Duration::ZERO);
    (edges, serve(&mut engine, Duration::ZERO))
}

/// An engine with so many pending tables, none of them sent.
#[must_use]
pub fn pending(tables: usize) -> Engine {
    let mut engine = engine();
    let source = Tables::default();
    for number in 0..tables {
        engine.submit(source.table(number), Duration::ZERO);
    }
    engine
}

/// A read of a table that is not pending. Whether there was anything to wait for.
pub fn fence_on_nothing(engine: &mut Engine, number: usize) -> bool {
    fence(engine, &format!("{}.other_{number:07}", schema(0)))
}

/// A read of a table that is pending. Whether there was anything to wait for.
pub fn fence_on_pending(engine: &mut Engine, number: usize) -> bool {
    fence(
        engine,
        &format!("{}.table_{number:07}", schema(number / TABLES_IN_A_SCHEMA)),
    )
}

fn fence(engine: &mut Engine, fqn: &str) -> bool {
    let scope = Scope::Name {
        fqn: Fqn::canonical(fqn),
        subtree: false,
        up_to: engine.last_sequence(),
    };
    let wait = engine.wait_for(&scope, Duration::ZERO);
    if let Some(wait) = wait {
        engine.cancel(wait);
    }
    wait.is_some()
}
