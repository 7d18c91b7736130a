//! One request from its head to its answer: body, principal, fault, time, work, answer, log.

use std::future::Future;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::time::Instant;

use crate::answers::{self, Shape};
use crate::call::Call;
use crate::faults::{Action, Facts, Moment, Then};
use crate::handle::{self, Done, Parsed};
use crate::log::Entry;
use crate::order::Write;
use crate::patch;
use crate::reply::Reply;
use crate::route::{self, Class, Target};
use crate::shared::Shared;
use crate::waits::Waiter;
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
    n: u64,
    entry: Option<Entry>,
    place: usize,
}

impl Noted {
    fn entry(&mut self) -> &mut Entry {
        self.entry
            .get_or_insert_with(|| unreachable!("nothing is noted of a request that was answered"))
    }

    /// Puts the entry into the log, before the answer is written.
    fn end(&mut self, status: u16) {
        if let Some(mut entry) = self.entry.take() {
            entry.status = status;
            entry.t_end_ms = self.shared.now_ms();
            self.place = self.shared.log().end(entry);
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.entry.is_some() {
            self.end(0);
        } else {
            let now = self.shared.now_ms();
            self.shared.log().written(self.place, self.n, now);
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
    let waiter = shared.waits.of_a_request();
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
        unknown: matches!(target, Target::Unknown | Target::Page),
        body: None,
    };
    let mut noted = Noted {
        shared: shared.clone(),
        n,
        entry: Some(entry),
        place: 0,
    };
    let (in_work, in_work_of_class) = shared.log().in_work(class);
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
        in_work_of_class,
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
            noted.end(reply.status);
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
    let (in_work, in_work_of_class) = shared.log().in_work(class);
    let fault = shared.pick_fault(&Facts {
        method: &call.method,
        path: &call.path,
        class,
        collection: call.target.collection(),
        body: noted.entry().bytes,
        in_work,
        in_work_of_class,
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
        waiter,
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
    in_work: bool,
}

impl Watched {
    fn begin(shared: &Arc<Shared>, n: u64, writes: Arc<Vec<Write>>) -> Self {
        let in_work = !writes.is_empty();
        if in_work {
            shared.order().begin(n, &writes);
        }
        Watched {
            shared: shared.clone(),
            n,
            writes,
            in_work,
        }
    }

    /// Nothing is in work any more; said before the answer is written.
    fn release(&mut self) {
        if std::mem::take(&mut self.in_work) {
            self.shared.order().release(self.n, &self.writes);
        }
    }

    /// The work goes on, but the client does not wait for it.
    fn go_unseen(&self) {
        if self.in_work {
            self.shared.order().go_unseen(self.n, &self.writes);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.release();
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
    waiter: Waiter,
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
                let Some(seconds) = seconds else {
                    gone(self.wire).await;
                    return After::Close;
                };
                let stalled = self.waiter.until(Instant::now() + seconds_of(seconds));
                self.unless_gone(stalled, false).await;
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
        let applied = if shape.is_honest() { done.applied } else { Vec::new() };
        self.send(noted, done.reply, &shape, &applied).await
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
        self.send(noted, reply, &shape, &[]).await
    }

    /// Commits when some time has gone by, whatever becomes of the connection.
    fn work_later(&mut self, after: Duration) {
        let none = Watched {
            shared: self.shared.clone(),
            n: 0,
            writes: Arc::default(),
            in_work: false,
        };
        let watched = std::mem::replace(&mut self.watched, none);
        watched.go_unseen();
        let parsed = std::mem::take(&mut self.parsed);
        let (call, waiter) = (self.call.clone(), self.waiter.clone());
        tokio::spawn(async move {
            waiter.until(Instant::now() + after).await;
            parsed.commit(&watched.shared, &call, watched.n, &Shape::default(), &[]);
        });
    }

    /// Waits for something. When the client leaves meanwhile, the order checker is told, and the wait goes on unless it
    /// is to stop.
    async fn unless_gone<T>(&self, wait: impl Future<Output = T>, stops: bool) -> Option<T> {
        let mut wait = std::pin::pin!(wait);
        tokio::select! {
            biased;
            value = &mut wait => return Some(value),
            () = gone(self.wire) => {
                self.watched.go_unseen();
                self.shared.log().left += 1;
            }
        }
        if stops {
            None
        } else {
            Some(wait.await)
        }
    }

    /// The time that the work takes, and the work. Nothing: the client left and the work was dropped.
    async fn work(&mut self, shape: &Shape) -> Option<Done> {
        let switches = self.shared.switches();
        let clockwork = self.shared.clockwork();
        let n = self.watched.n;
        let done = switches
            .commit_at_start
            .then(|| self.parsed.commit(self.shared, &self.call, n, shape, &[]));
        let pass = clockwork.pass(self.class, self.parsed.rows.len(), self.call.profile, &self.waiter);
        let passed = self.unless_gone(pass, switches.stop_when_client_leaves).await?;
        Some(done.unwrap_or_else(|| {
            self.parsed
                .commit(self.shared, &self.call, n, shape, &passed.without_place)
        }))
    }

    /// Sends an answer; `applied`: which of the writes it truly says were applied.
    async fn send(mut self, noted: &mut Noted, reply: Reply, shape: &Shape, applied: &[bool]) -> After {
        let keep_alive = self.keep_alive && !shape.closes();
        self.watched.release();
        noted.end(reply.status);
        let sent = shape.send(self.wire, reply, keep_alive).await;
        if sent.is_ok() && !applied.is_empty() {
            self.shared.order().settle(&self.watched.writes, applied);
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

/// Ends when the client has closed its side. Clients of this server do not send a request before the answer to the last,
/// so anything that comes meanwhile on a TLS connection is its end.
async fn gone(wire: &Wire) {
    let Some(socket) = wire.socket() else {
        return std::future::pending().await;
    };
    let mut byte = [0];
    loop {
        match socket.peek(&mut byte).await {
            Ok(0) | Err(_) => return,
            Ok(_) if wire.is_tls() => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
