//! The fault plan: rules that say which requests go wrong, and how. Decides; `serve.rs` carries out.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::route::Class;

/// One rule. Rules are tried in order; the first whose `match` and `when` both hold is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the request log calls it; the kind of its action unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests it is about.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Which of those it hits.
    #[serde(default)]
    pub when: When,
    /// What happens to them.
    #[serde(rename = "do")]
    pub action: Action,
}

/// Which requests a rule is about; what is not given matches all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The method.
    pub method: Option<String>,
    /// The class. A PATCH of the life cycle is `patch` to a rule that acts before the body is read.
    pub class: Option<Class>,
    /// The path of the collection, as `tables`.
    pub collection: Option<String>,
    /// A part of the path.
    pub path: Option<String>,
    /// The FQN of an entity that the request writes or names.
    pub fqn: Option<String>,
    /// Only bodies larger than this.
    pub body_over: Option<usize>,
    /// Only while more requests than this are in work, this one included; of its class, where `class` is given.
    pub in_work_over: Option<usize>,
}

/// Which of the matching requests are hit; all conditions must hold. Requests are counted from 1, from when the plan was set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// These ones.
    pub nth: Option<Vec<u64>>,
    /// The first so many.
    pub first: Option<u64>,
    /// From this one on.
    pub from: Option<u64>,
    /// Up to this one.
    pub to: Option<u64>,
    /// From this second on.
    pub from_s: Option<f64>,
    /// Up to this second.
    pub to_s: Option<f64>,
    /// Each with this probability.
    pub rate: Option<f64>,
}

/// When a connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the body is read.
    BeforeBody,
    /// With the body read and nothing done.
    BeforeWork,
    /// With the work committed and nothing answered.
    AfterWork,
}

/// What follows a stall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The work and the answer.
    #[default]
    Work,
    /// The connection is reset.
    Reset,
}

/// `Retry-After`: seconds, a date so many seconds ahead, or any text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date.
    Date {
        /// So many seconds ahead.
        date_in_s: f64,
    },
    /// Text as it is.
    Raw(String),
}

/// Which rows of a request are meant: those named, a share of them, or the first few; all if nothing is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Which {
    /// These FQNs.
    pub fqns: Option<Vec<String>>,
    /// Each with this probability.
    pub rate: Option<f64>,
    /// The first so many.
    pub count: Option<usize>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Another answer than the work's.
    Status {
        /// The status code.
        status: u16,
        /// More headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body: text as it is, anything else as JSON. The server's error form unless given.
        #[serde(default)]
        body: Option<Value>,
        /// The media type; JSON unless given.
        #[serde(default)]
        content_type: Option<String>,
        /// `Retry-After`.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        /// The work is done nonetheless.
        #[serde(default)]
        work: bool,
        /// The work is done nonetheless, so many seconds after the answer.
        #[serde(default)]
        work_after_s: Option<f64>,
    },
    /// Rows of a bulk request fail.
    FailRows {
        /// Which ones.
        #[serde(flatten)]
        which: Which,
        /// The row status.
        #[serde(default = "bad_request")]
        status: u16,
        /// The text.
        #[serde(default)]
        message: Option<String>,
        /// The row is echoed and was never mapped; else the answer names it.
        #[serde(default)]
        echo: bool,
    },
    /// The connection is reset.
    Reset {
        /// When.
        at: Moment,
    },
    /// Nothing happens for a while, or for ever.
    Stall {
        /// How long; for ever unless given.
        #[serde(default)]
        seconds: Option<f64>,
        /// What then.
        #[serde(default)]
        then: Then,
    },
    /// The answer trickles.
    SlowBody {
        /// Bytes a second.
        bytes_per_s: f64,
    },
    /// The answer is cut off, then the connection is closed.
    Truncate {
        /// So many bytes of the body are sent; half of it unless given.
        #[serde(default)]
        bytes: Option<usize>,
    },
    /// `Content-Length` is wrong by so much; then the connection is closed.
    WrongLength {
        /// Added to the right one.
        delta: i64,
    },
    /// 200 and no body.
    Empty {
        /// Whether the work is done.
        #[serde(default = "yes")]
        work: bool,
    },
    /// 200 and a page.
    Html {
        /// Whether the work is done.
        #[serde(default = "yes")]
        work: bool,
        /// The status code.
        #[serde(default = "fine")]
        status: u16,
    },
    /// The answer with bytes in it that are no UTF-8.
    InvalidUtf8 {
        /// Whether the work is done.
        #[serde(default = "yes")]
        work: bool,
    },
    /// 200 and an endless JSON text.
    Huge {
        /// How endless.
        megabytes: usize,
        /// Whether the work is done.
        #[serde(default = "yes")]
        work: bool,
    },
    /// 200 and JSON nested this deep.
    DeepJson {
        /// How deep.
        depth: usize,
        /// Whether the work is done.
        #[serde(default = "yes")]
        work: bool,
    },
    /// The answer with too many headers.
    HeaderFlood {
        /// How many.
        headers: usize,
        /// How long each value is.
        #[serde(default = "hundred")]
        bytes: usize,
    },
    /// Rows are written, but the answer does not name them.
    DropRows {
        /// Which ones.
        #[serde(flatten)]
        which: Which,
    },
    /// The answer names rows that were never sent.
    ExtraRows {
        /// How many.
        count: usize,
    },
    /// The answer is odd in its form.
    OddAnswer {
        /// Every field that is not needed is null.
        #[serde(default)]
        nulls: bool,
        /// There are fields that nobody knows.
        #[serde(default)]
        unknown_fields: bool,
        /// FQNs come back in lower case.
        #[serde(default)]
        lower_case: bool,
    },
    /// The connection is closed after the answer, as `Connection: close` says.
    CloseAfter {},
    /// All connections are dropped; work that is not committed is lost.
    Restart {},
}

fn bad_request() -> u16 {
    400
}

fn fine() -> u16 {
    200
}

fn yes() -> bool {
    true
}

fn hundred() -> usize {
    100
}

/// What is known of a request when rules are tried.
pub struct Facts<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The class.
    pub class: Class,
    /// The path of the collection.
    pub collection: &'a str,
    /// The size of the body.
    pub body: usize,
    /// Requests in work.
    pub in_work: usize,
    /// Those of this class.
    pub in_work_of_class: usize,
    /// The FQNs that the request writes or names; nothing before the body is read.
    pub fqns: Option<&'a [String]>,
}

/// The rules in force, and how often each was met.
#[derive(Default)]
pub struct Plan {
    rules: Vec<(Rule, u64)>,
    since: Option<Instant>,
    random: fastrand::Rng,
}

impl Plan {
    /// A plan that begins now.
    pub fn new(rules: Vec<Rule>, seed: u64) -> Self {
        Plan {
            rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
            since: Some(Instant::now()),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The rules.
    pub fn rules(&self) -> Vec<&Rule> {
        self.rules.iter().map(|(rule, _)| rule).collect()
    }

    /// Whether there is nothing to try.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that hits this request: its name and its action. Rules that act before the body is read are tried
    /// there (`facts.fqns` is nothing) and only there.
    pub fn pick(&mut self, facts: &Facts<'_>) -> Option<(String, Action)> {
        let elapsed = self.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let before_body = facts.fqns.is_none();
        for (rule, met) in &mut self.rules {
            let early = matches!(rule.action, Action::Reset { at: Moment::BeforeBody });
            if early != before_body || !rule.matches.holds(facts) {
                continue;
            }
            *met += 1;
            if rule.when.holds(*met, elapsed, &mut self.random) {
                let name = rule.name.clone().unwrap_or_else(|| rule.action.kind().to_string());
                return Some((name, rule.action.clone()));
            }
        }
        None
    }

    /// Which of the rows a choice means.
    pub fn choose(&mut self, which: &Which, fqns: &[String]) -> Vec<bool> {
        fqns.iter()
            .enumerate()
            .map(|(at, fqn)| {
                which.fqns.as_ref().is_none_or(|wanted| wanted.contains(fqn))
                    && which.count.is_none_or(|count| at < count)
                    && which.rate.is_none_or(|rate| self.random.f64() < rate)
            })
            .collect()
    }
}

impl Match {
    fn in_work(&self, facts: &Facts<'_>) -> usize {
        if self.class.is_some() {
            facts.in_work_of_class
        } else {
            facts.in_work
        }
    }

    fn holds(&self, facts: &Facts<'_>) -> bool {
        self.method.as_deref().is_none_or(|method| method == facts.method)
            && self.class.is_none_or(|class| class == facts.class)
            && self
                .collection
                .as_deref()
                .is_none_or(|collection| collection == facts.collection)
            && self.path.as_deref().is_none_or(|part| facts.path.contains(part))
            && self.body_over.is_none_or(|bytes| facts.body > bytes)
            && self.in_work_over.is_none_or(|number| facts.in_work > number)
            && self.in_work_over.is_none_or(|number| self.in_work(facts) > number)
            && self
                .fqn
                .as_deref()
                .is_none_or(|fqn| facts.fqns.is_some_and(|fqns| fqns.iter().any(|held| held == fqn)))
    }
}

impl When {
    fn holds(&self, number: u64, elapsed: f64, random: &mut fastrand::Rng) -> bool {
        self.nth.as_ref().is_none_or(|wanted| wanted.contains(&number))
            && self.first.is_none_or(|first| number <= first)
            && self.from.is_none_or(|from| number >= from)
            && self.to.is_none_or(|to| number <= to)
            && self.from_s.is_none_or(|from| elapsed >= from)
            && self.to_s.is_none_or(|to| elapsed <= to)
            && self.rate.is_none_or(|rate| random.f64() < rate)
    }
}

impl Action {
    /// The word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Action::Status { .. } => "status",
            Action::FailRows { .. } => "fail_rows",
            Action::Reset { .. } => "reset",
            Action::Stall { .. } => "stall",
            Action::SlowBody { .. } => "slow_body",
            Action::Truncate { .. } => "truncate",
            Action::WrongLength { .. } => "wrong_length",
            Action::Empty { .. } => "empty",
            Action::Html { .. } => "html",
            Action::InvalidUtf8 { .. } => "invalid_utf8",
            Action::Huge { .. } => "huge",
            Action::DeepJson { .. } => "deep_json",
            Action::HeaderFlood { .. } => "header_flood",
            Action::DropRows { .. } => "drop_rows",
            Action::ExtraRows { .. } => "extra_rows",
            Action::OddAnswer { .. } => "odd_answer",
            Action::CloseAfter {} => "close_after",
            Action::Restart {} => "restart",
        }
    }
}

impl RetryAfter {
    /// The header's value.
    pub fn render(&self) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Raw(text) => text.clone(),
            RetryAfter::Date { date_in_s } => {
                let ahead = std::time::Duration::try_from_secs_f64(*date_in_s).unwrap_or_default();
                httpdate::fmt_http_date(std::time::SystemTime::now() + ahead)
            }
        }
    }
}

/// Reads a plan; the error says which rule is wrong.
pub fn parse(text: &[u8]) -> Result<Vec<Rule>, String> {
    let values: Vec<Value> =
        serde_json::from_slice(text).map_err(|error| format!("a fault plan is a JSON list of rules: {error}"))?;
    let read = |(at, value): (usize, Value)| {
        serde_json::from_value(value).map_err(|error| format!("rule {} is not readable: {error}", at + 1))
    };
    values.into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(class: Class, fqns: Option<&'a [String]>) -> Facts<'a> {
        Facts {
            method: "PUT",
            path: "/api/v1/tables/bulk",
            class,
            collection: "tables",
            body: 100,
            in_work: 1,
            in_work_of_class: 1,
            fqns,
        }
    }

    fn plan(text: &str) -> Plan {
        Plan::new(parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}")), 7)
    }

    #[test]
    fn the_first_rule_that_holds_is_applied() {
        let mut plan = plan(
            r#"[{"match": {"class": "single"}, "do": {"kind": "empty"}},
                {"when": {"nth": [2]}, "do": {"kind": "status", "status": 503}},
                {"when": {"from": 2}, "do": {"kind": "html"}}]"#,
        );
        let mut picked = |_| plan.pick(&facts(Class::Bulk, Some(&[]))).map(|(name, _)| name);
        let names: Vec<_> = (0..4).map(&mut picked).collect();
        assert_eq!(
            names,
            [
                None,
                Some("status".to_string()),
                Some("html".to_string()),
                Some("html".to_string())
            ]
        );
    }

    #[test]
    fn a_rule_may_name_an_entity() {
        let mut plan = plan(r#"[{"match": {"fqn": "s.t"}, "do": {"kind": "empty"}}]"#);
        assert!(plan.pick(&facts(Class::Bulk, Some(&["s.u".to_string()]))).is_none());
        assert!(plan.pick(&facts(Class::Bulk, Some(&["s.t".to_string()]))).is_some());
    }

    #[test]
    fn rates_repeat_with_the_seed() {
        let text = r#"[{"when": {"rate": 0.5}, "do": {"kind": "empty"}}]"#;
        let run = |mut plan: Plan| {
            (0..50)
                .map(|_| plan.pick(&facts(Class::Bulk, Some(&[]))).is_some())
                .collect::<Vec<_>>()
        };
        let (one, two) = (run(plan(text)), run(plan(text)));
        assert_eq!(one, two);
        assert!(one.contains(&true) && one.contains(&false));
    }

    #[test]
    fn a_wrong_rule_is_named() {
        let error = parse(br#"[{"do": {"kind": "empty"}}, {"do": {"kind": "explode"}}]"#).err();
        assert!(error.is_some_and(|text| text.starts_with("rule 2") && text.contains("explode")));
    }
}
