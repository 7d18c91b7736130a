//! GET of a collection: scopes, filters and pages.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};

use crate::call::Call;
use crate::catalogue::KINDS;
use crate::entity::Entity;
use crate::expand::{expand, Fields};
use crate::fqn;
use crate::kinds::KindId;
use crate::reply::{Refusal, Reply};
use crate::singles::include;
use crate::store::Store;

/// Query parameters that narrow a list to names that begin alike. The server compares names and does not ask whether the
/// scope exists or is of that type: clients give a schema as `database`.
const PREFIXES: &[&str] = &["database", "databaseSchema", "spreadsheet", "apiCollection", "glossary"];

/// Query parameters that narrow a list to direct children.
const PARENTS: &[&str] = &["directory", "parent"];

/// Answers a list.
pub fn list(store: &Store, call: &Call, kind: KindId) -> Result<Reply, Refusal> {
    let fields = Fields::parse(kind, call.query("fields").unwrap_or_default())?;
    let include = include(call)?;
    let limit = limit(call)?;
    let (before, after) = (cursor(call, "before")?, cursor(call, "after")?);
    if before.is_some() && after.is_some() {
        return Err(Refusal::bad("Only one of before or after query parameter allowed"));
    }
    let scopes = scopes(call, kind);
    let longest = scopes
        .iter()
        .map(|scope| scope.name.as_ref())
        .max_by_key(|name: &&str| name.len())
        .unwrap_or("");
    let all: Vec<(&Arc<str>, &Entity)> = store.collections[kind]
        .entities
        .range::<str, _>((Bound::Included(longest), Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(longest))
        .filter(|(name, entity)| include.admits(entity) && scopes.iter().all(|scope| scope.admits(name)))
        .filter(|(name, entity)| other_filters(call, kind, name, entity))
        .collect();
    let start = match (&after, &before) {
        (Some(after), _) => all.partition_point(|(name, _)| ***name <= **after),
        (None, Some(before)) => all
            .partition_point(|(name, _)| ***name < **before)
            .saturating_sub(limit),
        (None, None) => 0,
    };
    let page = &all[start.min(all.len())..(start + limit).min(all.len())];
    let data: Vec<Value> = page
        .iter()
        .map(|(name, entity)| expand(store, kind, name, entity, &fields))
        .collect();
    let mut paging = json!({"total": all.len()});
    if let (Some((first, _)), true) = (page.first(), start > 0) {
        paging["before"] = json!(STANDARD.encode(first.as_bytes()));
    }
    if let (Some((last, _)), true) = (page.last(), start + page.len() < all.len()) {
        paging["after"] = json!(STANDARD.encode(last.as_bytes()));
    }
    Ok(Reply::ok(&json!({"data": data, "paging": paging})))
}

fn limit(call: &Call) -> Result<usize, Refusal> {
    let Some(text) = call.query("limit") else {
        return Ok(10);
    };
    let limit: i64 = text
        .parse()
        .map_err(|_| Refusal::bad("query param limit is not a number"))?;
    if limit < 0 {
        return Err(Refusal::bad("[query param limit must be greater than or equal to 0]"));
    }
    if limit > 1_000_000 {
        return Err(Refusal::bad(
            "[query param limit must be less than or equal to 1000000]",
        ));
    }
    Ok(usize::try_from(limit).unwrap_or(0))
}

/// A cursor is the name of an entity, encoded.
fn cursor(call: &Call, parameter: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = call.query(parameter).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let name = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    name.map(Some)
        .ok_or_else(|| Refusal::bad(format!("query param {parameter} is not a cursor")))
}

/// A name that entities of a list lie below.
struct Scope<'a> {
    name: Cow<'a, str>,
    /// Only right below.
    direct: bool,
}

impl Scope<'_> {
    fn admits(&self, name: &str) -> bool {
        let below = fqn::within(name, &self.name) && name.len() > self.name.len();
        below && (!self.direct || fqn::parent(name) == Some(&*self.name))
    }
}

fn scopes<'a>(call: &'a Call, kind: KindId) -> Vec<Scope<'a>> {
    let of_parameter = |parameter: &&str, direct: bool| {
        call.query(parameter).map(|value| Scope {
            name: fqn::canonical(value),
            direct,
        })
    };
    let mut found: Vec<Scope<'a>> = PREFIXES
        .iter()
        .filter_map(|parameter| of_parameter(parameter, false))
        .collect();
    found.extend(PARENTS.iter().filter_map(|parameter| of_parameter(parameter, true)));
    let below_service = KINDS[kind].service.is_some() || KINDS[kind].path == "services/ingestionPipelines";
    if let (true, Some(value)) = (below_service, call.query("service")) {
        found.push(Scope {
            name: fqn::quote(value),
            direct: false,
        });
    }
    found
}

/// Filters by what an entity holds.
fn other_filters(call: &Call, kind: KindId, name: &str, entity: &Entity) -> bool {
    match KINDS[kind].path {
        "queries" => call.query("entityId").is_none_or(|id| {
            let used = entity.attribute("queryUsedIn").unwrap_or_default();
            used.as_array()
                .is_some_and(|all| all.iter().any(|entry| entry["id"] == *id))
        }),
        "services/ingestionPipelines" => call
            .query("pipelineType")
            .is_none_or(|wanted| entity.attribute("pipelineType") == Some(json!(wanted))),
        path if path.starts_with("drives/") && call.flag("root") => fqn::split(name).len() == 2,
        _ => true,
    }
}
