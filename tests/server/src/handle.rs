//! From a request to its work: who sends it, which rows it has, and the one place where each target meets its handler.

use std::sync::Arc;

use crate::answers::Shape;
use crate::auth::{self, Principal};
use crate::bulk::{self, Planned};
use crate::call::Call;
use crate::catalogue::KINDS;
use crate::deletion;
use crate::entity::Id;
use crate::fqn;
use crate::kinds::{self, KindId, Naming};
use crate::lineage;
use crate::listing;
use crate::mapping::Reference;
use crate::order::Write;
use crate::patch;
use crate::reply::{Refusal, Reply};
use crate::route::{Key, Target};
use crate::row::{self, Row};
use crate::search;
use crate::shared::Shared;
use crate::singles;
use crate::store::{Include, Store};
use crate::system;

/// A request that was read, before its time has passed.
#[derive(Default)]
pub struct Parsed {
    /// The answer, where none needs to be worked out.
    answer: Option<Reply>,
    who: Option<Principal>,
    /// The create requests in it.
    pub rows: Vec<Row>,
    /// What it writes, in the order of the rows.
    pub writes: Arc<Vec<Write>>,
    /// The FQNs of that.
    pub fqns: Vec<String>,
}

/// What the work came to.
pub struct Done {
    /// The answer.
    pub reply: Reply,
    /// For each of `Parsed::writes` whether it was applied.
    pub applied: Vec<bool>,
}

impl Parsed {
    /// A request whose answer is known.
    pub fn answered(reply: Reply) -> Self {
        Parsed {
            answer: Some(reply),
            ..Parsed::default()
        }
    }
}

/// Finds out who sends a request and what is in it.
pub fn parse(shared: &Shared, call: &Call, authorization: Option<&str>) -> Parsed {
    let switches = shared.switches();
    if call.target == Target::Service(vec!["system".into(), "version".into()]) {
        let version = switches.version.as_deref().unwrap_or(call.profile.version());
        return Parsed::answered(system::version(version));
    }
    if call.target == Target::Page {
        return Parsed::answered(system::page(&call.method));
    }
    let who = match auth::authenticate(authorization, &switches, &shared.store()) {
        Ok(who) => who,
        Err(refusal) => return Parsed::answered(refusal.into()),
    };
    let strict = switches.refuse_unknown_properties;
    let rows = match (&call.target, call.method.as_str()) {
        (Target::Bulk(kind), "PUT") if KINDS[*kind].bulk && switches.bulk => row::rows(*kind, &call.body, strict),
        (Target::Bulk(_), _) => return Parsed::answered(Reply::error(405, "HTTP 405 Method Not Allowed")),
        (Target::Collection(kind), "PUT" | "POST") => row::single(*kind, &call.body, strict).map(|row| vec![row]),
        _ => Ok(Vec::new()),
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(malformed) => return Parsed::answered(Refusal::from(malformed).into()),
    };
    let writes = writes(&shared.store(), call, &rows);
    let fqns = writes.iter().map(|write| write.fqn.clone()).collect();
    Parsed {
        answer: None,
        who: Some(who),
        rows,
        writes: Arc::new(writes),
        fqns,
    }
}

/// What a request is about to write.
fn writes(store: &Store, call: &Call, rows: &[Row]) -> Vec<Write> {
    match (&call.target, call.method.as_str()) {
        (Target::Bulk(kind) | Target::Collection(kind), _) => {
            rows.iter().map(|row| expected(store, *kind, row)).collect()
        }
        (Target::Entity(kind, key), "PATCH" | "DELETE") => {
            let name = match key {
                Key::Name(name) => Some(store.key(*kind, name).into_owned()),
                Key::Id(id) => store.find_id(*kind, *id, Include::All).map(|(fqn, _)| fqn.to_string()),
            };
            let write = |fqn| Write {
                kind: *kind,
                fqn,
                parent: None,
                hash: row::hash(&call.body),
                creates: false,
                is_whole: false,
            };
            name.map(write).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The name that a row will have if all goes well, found without asking whether its parent exists.
fn expected(store: &Store, kind: KindId, row: &Row) -> Write {
    let entry = &KINDS[kind];
    let mut parent = None;
    for field in entry.parents {
        let of = kinds::at(field.path);
        let name = if field.by_id {
            let reference: Option<Reference> = row.read_field(field.field).ok().flatten();
            let id = reference.and_then(|reference| Id::parse(&reference.id?));
            id.and_then(|id| store.find_id(of, id, Include::All))
                .map(|(fqn, _)| fqn.to_string())
        } else {
            row.string(field.field)
                .ok()
                .flatten()
                .map(|name| store.key(of, &name).into_owned())
        };
        if let Some(name) = name {
            parent = Some((of, name));
            break;
        }
    }
    let fqn = match (&parent, entry.naming) {
        (Some((_, parent)), Naming::DataModel) => fqn::child(&format!("{parent}.model"), &row.name),
        (Some((_, parent)), _) => fqn::child(parent, &row.name),
        (None, Naming::LowerCase) => fqn::quote(&row.name).to_lowercase(),
        (None, Naming::Verbatim) => row.name.clone(),
        (None, _) => fqn::quote(&row.name).into_owned(),
    };
    let creates = store.find(kind, &fqn, Include::Live).is_none();
    Write {
        kind,
        fqn,
        parent,
        hash: row.hash_of_version(),
        creates,
        is_whole: true,
    }
}

impl Parsed {
    /// Does the work, in one go.
    pub fn commit(&self, shared: &Shared, call: &Call, n: u64, shape: &Shape, without_place: &[usize]) -> Done {
        let (Some(who), None) = (&self.who, &self.answer) else {
            let reply = self.answer.clone().unwrap_or_else(system::unknown);
            return Done {
                reply,
                applied: vec![false; self.writes.len()],
            };
        };
        let done = match &call.target {
            Target::Bulk(kind) => self.commit_bulk(shared, call, *kind, who, n, shape, without_place),
            _ => {
                let reply = work(shared, call, self.rows.first(), who).unwrap_or_else(Reply::from);
                let applied = vec![reply.status < 300; self.writes.len()];
                Done { reply, applied }
            }
        };
        shared.order().commit(n, &self.writes, |at| done.applied[at]);
        done
    }

    #[allow(clippy::too_many_arguments)]
    fn commit_bulk(
        &self,
        shared: &Shared,
        call: &Call,
        kind: KindId,
        who: &Principal,
        n: u64,
        shape: &Shape,
        without_place: &[usize],
    ) -> Done {
        let mut planned = shape.planned(self.rows.len());
        for at in without_place {
            planned.resize_with(self.rows.len(), || None);
            planned[*at] = Some(Planned {
                status: 503,
                message:
                    "System overloaded, please retry later: Failed to acquire bulk operation permit within 30000ms. \
                          Please reduce the load."
                        .into(),
                echo: false,
            });
        }
        let order = bulk::Order {
            kind,
            who,
            overriding: call.flag("overrideMetadata"),
            profile: call.profile,
            switches: &shared.switches(),
            seed: shared.seed ^ n,
            planned: &planned,
        };
        let answer = bulk::put(&mut shared.store(), &self.rows, &order);
        let passed: std::collections::HashSet<&str> = answer
            .passed
            .iter()
            .flatten()
            .filter_map(|row| row.fqn.as_deref())
            .collect();
        let applied = self.fqns.iter().map(|fqn| passed.contains(fqn.as_str())).collect();
        let reply = if call.flag("async") {
            Reply::json(202, &answer.render_accepted(call.profile))
        } else {
            Reply::ok(&shape.alter(answer.render(call.profile)))
        };
        Done { reply, applied }
    }
}

/// Everything that is not bulk.
fn work(shared: &Shared, call: &Call, row: Option<&Row>, who: &Principal) -> Result<Reply, Refusal> {
    let method = call.method.as_str();
    let mut store = shared.store();
    let not_allowed = || Ok(Reply::error(405, "HTTP 405 Method Not Allowed"));
    match (&call.target, method, row) {
        (Target::Collection(kind), "PUT" | "POST", Some(row)) => singles::create(&mut store, call, *kind, row, who),
        (Target::Collection(kind), "GET", _) => listing::list(&store, call, *kind),
        (Target::Entity(kind, key), "GET", _) => singles::get(&store, call, *kind, key),
        (Target::Entity(kind, key), "PATCH", _) => patch::patch(&mut store, call, *kind, key, who, &shared.switches()),
        (Target::Entity(kind, key), "DELETE", _) => singles::delete(&mut store, call, *kind, key, who),
        (Target::Restore(kind), "PUT", _) => singles::restore(&mut store, call, *kind, who),
        (Target::Stale(kind), _, _) => deletion::delete_stale(&mut store, *kind, method, &call.body, who, call.profile),
        (Target::Below(kind, key, rest), _, _) => singles::below(&mut store, call, *kind, key, rest, who),
        (Target::Lineage(rest), _, _) => lineage::handle(&mut store, call, rest, who),
        (Target::Search(_), "GET" | "POST", _) => Ok(Reply::ok(&search::answer(call, &shared.documents()))),
        (Target::Service(words), _, _) => {
            let reply = system::handle(&mut store, call, words, who)?;
            Ok(reply.unwrap_or_else(system::unknown))
        }
        (Target::Unknown | Target::Page, _, _) => Ok(system::unknown()),
        _ => not_allowed(),
    }
}
