//! Answers of the simulated server, and of what stands between it and the engine.

use std::sync::Arc;
use std::time::Duration;

use openmetadata_bulksink::engine::{Answer, Fault, Response};

use crate::weather::{Garbled, Trouble, Weather, Work};

/// When the work is done and the answer comes.
#[derive(Debug, Default)]
pub struct Plan {
    pub work_at: Option<Duration>,
    pub reply_at: Duration,
    /// Comes instead of the server's own answer.
    pub instead: Option<Reply>,
    /// Whether a trouble was at work, rather than the server's own rules.
    pub trouble: Option<Trouble>,
}

/// An answer, and what it told about the rows.
#[derive(Debug, Clone)]
pub struct Reply {
    pub answer: Answer,
    /// Told of the request as a whole.
    pub text: Option<Arc<str>>,
    /// Told of single rows, by position.
    pub rows: Vec<(usize, Arc<str>)>,
    /// Rows that were refused for a missing reference, by position, and for which entity.
    pub missing: Vec<(usize, usize)>,
    /// Everything was taken and nothing refused.
    pub all_well: bool,
}

impl Reply {
    pub fn whole(answer: Answer, text: &str) -> Self {
        Self {
            answer,
            text: Some(text.into()),
            rows: Vec::new(),
            missing: Vec::new(),
            all_well: false,
        }
    }

    pub fn well(body: String) -> Self {
        Self {
            answer: respond(200, body),
            text: None,
            rows: Vec::new(),
            missing: Vec::new(),
            all_well: true,
        }
    }
}

pub fn page(words: &str) -> String {
    format!("<html><body>{words}</body></html>")
}

pub fn respond(status: u16, body: String) -> Answer {
    Answer::Response(Response {
        status,
        retry_after: None,
        body: body.into(),
    })
}

pub fn error(status: u16, text: &str, retry_after: Option<Duration>) -> Reply {
    let body = format!("{{\"code\":{status},\"message\":{text:?}}}");
    let answer = Answer::Response(Response {
        status,
        retry_after,
        body: body.into(),
    });
    Reply::whole(answer, text)
}

/// What a firewall does to a request that it dislikes.
pub fn reset() -> Reply {
    let text = "reset by the firewall";
    Reply::whole(Answer::Fault(Fault::Broken(text.to_owned())), text)
}

pub fn stalled(time_out: Duration) -> Reply {
    let text = format!("read timed out after {} s", time_out.as_secs_f32());
    Reply::whole(Answer::Fault(Fault::ReadTimeout(text.clone())), &text)
}

pub fn trouble_plan(trouble: Trouble, takes: Duration, time_out: Duration, now: Duration, weather: &Weather) -> Plan {
    let soon = now + Duration::from_millis(5);
    let end = now + takes;
    let when = |done: bool| done.then_some(end);
    let (reply, reply_at, work_at) = match trouble {
        Trouble::Refused => {
            let text = "connection refused";
            (
                Reply::whole(Answer::Fault(Fault::Connect(text.to_owned())), text),
                soon,
                None,
            )
        }
        Trouble::NotSent => {
            let text = "broken pipe";
            (
                Reply::whole(Answer::Fault(Fault::NotSent(text.to_owned())), text),
                soon,
                None,
            )
        }
        Trouble::Broken { done } => {
            let text = "connection reset by peer";
            let reply = Reply::whole(Answer::Fault(Fault::Broken(text.to_owned())), text);
            (reply, if done { end } else { soon }, when(done))
        }
        Trouble::Status(status) => {
            let asked = matches!(status, 429 | 503).then_some(weather.retry_after).flatten();
            (error(status, &format!("bad weather {status}"), asked), soon, None)
        }
        Trouble::Gateway { status, work } => {
            let text = format!("the server answered {status}");
            let reply = Reply::whole(respond(status, "<html>gateway</html>".to_owned()), &text);
            match work {
                Work::NotDone => (reply, soon, None),
                Work::Done => (reply, end, Some(end)),
                Work::Later(after) => (reply, soon, Some(soon + after)),
            }
        }
        Trouble::Garbled { what, done } => {
            let body = match what {
                Garbled::Empty => "",
                Garbled::Html => "<html>maintenance</html>",
                Garbled::CutOff => "{\"numberOfRowsPassed\": 1",
            };
            let reply = Reply::whole(respond(200, body.to_owned()), "without a readable result");
            (reply, if done { end } else { soon }, when(done))
        }
        Trouble::Stall { done } => (stalled(time_out), now + time_out, when(done)),
        Trouble::Unauthorized => (error(401, "Invalid token.", None), soon, None),
        Trouble::Page(status) => {
            let text = "default backend";
            (Reply::whole(respond(status, page(text)), text), soon, None)
        }
        Trouble::Misdirected(status) => {
            let text = format!("the server answered {status}");
            (Reply::whole(respond(status, String::new()), &text), soon, None)
        }
    };
    Plan {
        work_at,
        reply_at,
        instead: Some(reply),
        trouble: Some(trouble),
    }
}
