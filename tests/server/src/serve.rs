//! One request from its head to its answer: body, principal, fault, time, work, answer, log.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::answers::{self, Shape};
use crate::call::Call;
use crate::faults::{Action, Facts, Moment, Then};
use crate::handle::{self, Done, Parsed};
use crate::latency::millis;
use crate::log::Entry;
use crate::order::Write;
use crate::patch;
use crate::reply::Reply;
use crate::route::{self, Class, Target};
use crate::shared::Shared;
use crate::wire::{Head, Unreadable, Wire};

/// What becomes of the connection after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// It takes the next request.
    Continue,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// Ends a request's log entry whatever happens to the task that serves it.
struct Noted {
    shared: Arc<Shared>,
    entry: Option<Entry>,
}

impl Noted {
    fn entry(&mut self) -> &mut Entry {
        self.entry
            .get_or_insert_with(|| unreachable!("the entry is taken when it is dropped"))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.t_end_ms = self.shared.now_ms();
            self.shared.log().end(entry);
        }
    }
}

/// Serves one request whose head was read.
pub async fn exchange(shared: &Arc<Shared>, wire: &mut Wire, head: Head, connection: u64) -> After {
    let (path, query) = head
        .target
        .split_once('?')
        .map_or((head.target.as_str(), ""), |(path, query)| (path, query));
    let target = route::target(path);
    let class = target.class(&head.method);
    let n = shared.log().begin(class);
    let entry = Entry {
        n,
        t_start_ms: shared.now_ms(),
        t_end_ms: 0.0,
        method: head.method.clone(),
        path: path.to_string(),
        query: query.to_string(),
        class,
        collection: target.collection().to_string(),
        rows: 0,
        bytes: 0,
        status: 0,
        connection,
        fault: None,
        unknown: target == Target::Unknown,
        body: None,
    };
    let mut noted = Noted {
        shared: shared.clone(),
        entry: Some(entry),
    };
    let in_work = shared.log().in_work;
    let early = shared.pick_fault(&Facts {
        method: &head.method,
        path,
        class,
        collection: target.collection(),
        body: head
            .header("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        in_work,
        fqns: None,
    });
    if let Some((name, _)) = early {
        noted.entry().fault = Some(name);
        return After::Reset;
    }
    let body = match wire.read_body(&head).await {
        Ok(body) => body,
        Err(Unreadable::Gone) => return After::Close,
        Err(Unreadable::Refused(reply)) => {
            noted.entry().status = reply.status;
            let _ = wire.answer(&reply, false, None, None).await;
            return After::Close;
        }
    };
    noted.entry().bytes = body.len();
    let decoded = decode(shared, &head, body);
    let mut call = Call {
        method: head.method.clone(),
        path: path.to_string(),
        parameters: route::query(query),
        target,
        if_match: head.header("if-match").map(str::to_string),
        body: Bytes::new(),
        profile: shared.profile(),
    };
    let class = match (&decoded, class) {
        (Ok(body), Class::Patch) if patch::is_life_cycle(body) => Class::LifeCycle,
        (_, class) => class,
    };
    shared.log().reclassify(noted.entry().class, class);
    noted.entry().class = class;
    let refused = match decoded {
        Ok(body) => {
            if shared.log_bodies {
                noted.entry().body = Some(String::from_utf8_lossy(&body).into_owned());
            }
            call.body = body;
            None
        }
        Err(reply) => Some(reply),
    };
    let parsed = match refused {
        None => handle::parse(shared, &call, head.header("authorization")),
        Some(reply) => Parsed::answered(reply),
    };
    noted.entry().rows = parsed.rows.len();
    let in_work = shared.log().in_work;
    let fault = shared.pick_fault(&Facts {
        method: &call.method,
        path: &call.path,
        class,
        collection: call.target.collection(),
        body: noted.entry().bytes,
        in_work,
        fqns: Some(&parsed.fqns),
    });
    noted.entry().fault = fault.as_ref().map(|(name, _)| name.clone());
    let watched = Watched::begin(shared, n, parsed.writes.clone());
    let exchange = Exchange {
        shared,
        wire,
        call,
        parsed,
        class,
        watched,
        keep_alive: head.keep_alive,
    };
    exchange.finish(&mut noted, fault.map(|(_, action)| action)).await
}

/// The body as the handlers see it.
fn decode(shared: &Shared, head: &Head, body: Bytes) -> Result<Bytes, Reply> {
    match head.header("content-encoding").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Ok(body),
        Some("gzip") if shared.switches().gzip_requests => {
            let mut decoded = Vec::new();
            let read = MultiGzDecoder::new(&body[..]).take(512 << 20).read_to_end(&mut decoded);
            read.map_err(|_| Reply::error(400, "Invalid request format: the body is not gzip"))?;
            Ok(decoded.into())
        }
        Some(_) => Err(Reply::error(415, "HTTP 415 Unsupported Media Type")),
    }
}

/// A request that the order checker watches, until its end however it comes.
struct Watched {
    shared: Arc<Shared>,
    n: u64,
    writes: Arc<Vec<Write>>,
    /// Which of the writes the client was told of.
    settled: Vec<bool>,
}

impl Watched {
    fn begin(shared: &Arc<Shared>, n: u64, writes: Arc<Vec<Write>>) -> Self {
        if !writes.is_empty() {
            shared.order().begin(n, &writes);
        }
        Watched {
            shared: shared.clone(),
            n,
            writes,
            settled: Vec::new(),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.writes.is_empty() {
            let settled = std::mem::take(&mut self.settled);
            self.shared
                .order()
                .end(self.n, &self.writes, |at| settled.get(at).copied().unwrap_or(false));
        }
    }
}

/// One request with everything known about it.
struct Exchange<'a> {
    shared: &'a Arc<Shared>,
    wire: &'a mut Wire,
    call: Call,
    parsed: Parsed,
    class: Class,
    watched: Watched,
    keep_alive: bool,
}

impl Exchange<'_> {
    async fn finish(mut self, noted: &mut Noted, action: Option<Action>) -> After {
        let mut shape = Shape::default();
        match action {
            None => {}
            Some(Action::Reset {
                at: Moment::BeforeBody | Moment::BeforeWork,
            }) => return After::Reset,
            Some(Action::Reset { at: Moment::AfterWork }) => {
                let _ = self.work(&shape).await;
                return After::Reset;
            }
            Some(Action::Stall { seconds, then }) => {
                match seconds {
                    Some(seconds) => tokio::time::sleep(seconds_of(seconds)).await,
                    None => std::future::pending().await,
                }
                if then == Then::Reset {
                    return After::Reset;
                }
            }
            Some(Action::Restart {}) => {
                self.shared.restart();
                return After::Reset;
            }
            Some(action) => match answers::instead_of_work(&action) {
                Some(reply) => return self.answer_instead(noted, &action, reply).await,
                None => shape = Shape::of(&action, self.shared, &self.parsed.fqns),
            },
        }
        let Some(done) = self.work(&shape).await else {
            return After::Close;
        };
        if shape.is_honest() {
            self.watched.settled = done.applied;
        }
        self.send(noted, done.reply, &shape).await
    }

    /// An answer that is not the work's; the work may be done before it, or after it.
    async fn answer_instead(mut self, noted: &mut Noted, action: &Action, reply: Reply) -> After {
        let shape = Shape::of(action, self.shared, &self.parsed.fqns);
        if let Action::Status {
            work_after_s: Some(seconds),
            ..
        } = action
        {
            self.work_later(seconds_of(*seconds));
        } else if answers::works(action) {
            let _ = self.work(&Shape::default()).await;
        }
        self.send(noted, reply, &shape).await
    }

    /// Commits when some time has gone by, whatever becomes of the connection.
    fn work_later(&mut self, after: Duration) {
        let none = Watched {
            shared: self.shared.clone(),
            n: 0,
            writes: Arc::default(),
            settled: Vec::new(),
        };
        let watched = std::mem::replace(&mut self.watched, none);
        let parsed = std::mem::take(&mut self.parsed);
        let call = self.call.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            parsed.commit(&watched.shared, &call, watched.n, &Shape::default(), &[]);
        });
    }

    /// The time that the work takes, and the work. Nothing: the client left and the work was dropped.
    async fn work(&mut self, shape: &Shape) -> Option<Done> {
        let switches = self.shared.switches();
        let clockwork = self.shared.clockwork();
        let n = self.watched.n;
        let done = switches
            .commit_at_start
            .then(|| self.parsed.commit(self.shared, &self.call, n, shape, &[]));
        let pass = clockwork.pass(self.class, self.parsed.rows.len(), self.call.profile);
        let passed = if switches.stop_when_client_leaves {
            tokio::select! {
                passed = pass => passed,
                () = gone(self.wire) => return None,
            }
        } else {
            pass.await
        };
        Some(done.unwrap_or_else(|| {
            self.parsed
                .commit(self.shared, &self.call, n, shape, &passed.without_place)
        }))
    }

    async fn send(mut self, noted: &mut Noted, reply: Reply, shape: &Shape) -> After {
        if let Some(link) = self.shared.clockwork().latency.link {
            tokio::time::sleep(millis(link.round_trip_ms)).await;
        }
        let keep_alive = self.keep_alive && !shape.closes();
        noted.entry().status = reply.status;
        let sent = shape.send(self.wire, reply, keep_alive).await;
        if sent.is_err() {
            self.watched.settled.clear();
        }
        if sent.is_ok() && keep_alive {
            After::Continue
        } else {
            After::Close
        }
    }
}

fn seconds_of(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Ends when the client has closed its side.
async fn gone(wire: &Wire) {
    let mut byte = [0];
    loop {
        match wire.socket().peek(&mut byte).await {
            Ok(0) | Err(_) => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
