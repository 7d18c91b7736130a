//! Deleting and bringing back: one entity, what hangs below it, and all that a run has not seen (`deleteStale`).

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{json, Value};

use crate::auth::Principal;
use crate::catalogue::KINDS;
use crate::config::Profile;
use crate::entity::Entity;
use crate::fqn;
use crate::kinds::{self, KindId};
use crate::reply::{Refusal, Reply};
use crate::store::{Include, Store};
use crate::write::{remember, touch};

/// How to delete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// For good.
    pub hard: bool,
    /// With all that hangs below.
    pub recursive: bool,
}

/// Deletes one entity, live or soft-deleted.
pub fn delete(store: &mut Store, kind: KindId, fqn: &str, manner: Manner, who: &Principal) -> Result<(), Refusal> {
    let below: Vec<(KindId, Arc<str>)> = store.subtree(kind, fqn).into_iter().skip(1).collect();
    let live = below.iter().any(|(child, name)| {
        store
            .entity(*child, name)
            .is_some_and(|entity| manner.hard || !entity.deleted)
    });
    if live && !manner.recursive {
        return Err(Refusal::bad(format!("{} is not empty", KINDS[kind].entity_type)));
    }
    let hard = manner.hard || !KINDS[kind].soft_delete;
    let own_charts = if KINDS[kind].path == "dashboards" {
        charts_of_no_other(store, fqn, false)
    } else {
        Vec::new()
    };
    for (child, name) in below
        .into_iter()
        .rev()
        .chain(own_charts)
        .chain([(kind, Arc::from(fqn))])
    {
        if hard {
            store.remove(child, &name);
        } else if store.entity(child, &name).is_some_and(|entity| !entity.deleted) {
            mark(store, child, &name, who, true);
        }
    }
    Ok(())
}

/// Brings back a soft-deleted entity and what was deleted below it.
pub fn restore(store: &mut Store, kind: KindId, fqn: &str, who: &Principal) {
    let charts = if KINDS[kind].path == "dashboards" {
        charts_of_no_other(store, fqn, true)
    } else {
        Vec::new()
    };
    for (child, name) in store.subtree(kind, fqn).into_iter().chain(charts) {
        if store.entity(child, &name).is_some_and(|entity| entity.deleted) {
            mark(store, child, &name, who, false);
        }
    }
}

fn mark(store: &mut Store, kind: KindId, fqn: &str, who: &Principal, deleted: bool) {
    let Some(previous) = store.entity(kind, fqn).map(|entity| entity.version) else {
        return;
    };
    remember(store, kind, fqn);
    touch(store, kind, fqn, who, false, |entity| {
        entity.deleted = deleted;
        let mut change = crate::merge::Change::default();
        change.note("deleted", Some(&json!(!deleted)), Some(&json!(deleted)));
        entity.change = Some(Box::new(change.describe(previous)));
    });
}

/// The charts of a dashboard that no other live dashboard shows; they share its fate.
fn charts_of_no_other(store: &Store, dashboard: &str, deleted: bool) -> Vec<(KindId, Arc<str>)> {
    let (dashboards, charts) = (kinds::at("dashboards"), kinds::at("charts"));
    let named = |entity: &Entity| -> HashSet<String> {
        let value = entity.attribute("charts");
        let items = value.as_ref().and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(|text| fqn::canonical(text).into_owned()))
            .collect()
    };
    let Some(own) = store.entity(dashboards, dashboard).map(named) else {
        return Vec::new();
    };
    let mut others = HashSet::new();
    for (name, entity) in &store.collections[dashboards].entities {
        if &**name != dashboard && !entity.deleted {
            others.extend(named(entity));
        }
    }
    own.into_iter()
        .filter(|chart| {
            !others.contains(chart)
                && store
                    .entity(charts, chart)
                    .is_some_and(|entity| entity.deleted == deleted)
        })
        .map(|chart| (charts, Arc::from(chart)))
        .collect()
}

/// The body of `deleteStale`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stale {
    scope_fqn: Option<String>,
    scope_entity_type: Option<String>,
    seen_fqns: Option<Vec<String>>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    hard_delete: bool,
    #[serde(default = "yes")]
    recursive: bool,
}

fn yes() -> bool {
    true
}

/// Deletes what lies in a scope and was not seen.
pub fn delete_stale(
    store: &mut Store,
    kind: KindId,
    method: &str,
    body: &[u8],
    who: &Principal,
    profile: Profile,
) -> Result<Reply, Refusal> {
    if profile < Profile::V2_0 {
        // Older servers take the word for an id.
        return Err(Refusal::new(
            404,
            format!("{} instance for deleteStale not found", KINDS[kind].entity_type),
        ));
    }
    if method != "DELETE" {
        return Ok(Reply::error(405, "HTTP 405 Method Not Allowed"));
    }
    if !who.may_write() {
        return Err(who.denied("Delete"));
    }
    if body.is_empty() {
        return Err(Refusal::bad("A request body is required for deleteStale"));
    }
    let request: Stale =
        serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("Invalid request format: {error}")))?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let scope = given(request.scope_fqn).ok_or_else(|| Refusal::bad("scopeFqn is required for deleteStale"))?;
    let scope_type =
        given(request.scope_entity_type).ok_or_else(|| Refusal::bad("scopeEntityType is required for deleteStale"))?;
    let unsupported = || Refusal::bad(format!("Unsupported scopeEntityType '{scope_type}' for deleteStale"));
    let scope_kind = match scope_type.as_str() {
        "service" => KINDS[kind].service.and_then(kinds::by_path).ok_or_else(unsupported)?,
        name => kinds::by_type(name).ok_or_else(unsupported)?,
    };
    let seen: HashSet<String> = request
        .seen_fqns
        .unwrap_or_default()
        .iter()
        .map(|name| fqn::canonical(name).into_owned())
        .collect();
    let scope = store.find(scope_kind, &scope, Include::All).map(|(fqn, _)| fqn.clone());
    let (Some(scope), false) = (scope, seen.is_empty()) else {
        return Ok(Reply::ok(&result(&[], &[], request.dry_run)));
    };
    let stale: Vec<Arc<str>> = store
        .within(kind, &scope)
        .filter(|(name, entity)| {
            let is_scope = kind == scope_kind && **name == scope;
            !entity.deleted && !seen.contains(&***name) && !is_scope
        })
        .map(|(name, _)| name.clone())
        .collect();
    let mut failed = Vec::new();
    let mut passed = Vec::new();
    for name in stale {
        let gone = store.entity(kind, &name).is_none_or(|entity| entity.deleted);
        let manner = Manner {
            hard: request.hard_delete,
            recursive: request.recursive,
        };
        let outcome = if request.dry_run || gone {
            Ok(())
        } else {
            delete(store, kind, &name, manner, who)
        };
        match outcome {
            Ok(()) => passed.push(json!({"request": &*name, "status": 200})),
            Err(refusal) => failed.push(json!({"request": &*name, "status": 500, "message": refusal.message})),
        }
    }
    Ok(Reply::ok(&result(&passed, &failed, request.dry_run)))
}

fn result(passed: &[Value], failed: &[Value], dry_run: bool) -> Value {
    let status = if failed.is_empty() { "success" } else { "partialSuccess" };
    json!({
        "dryRun": dry_run,
        "status": status,
        "numberOfRowsProcessed": passed.len() + failed.len(),
        "numberOfRowsPassed": passed.len(),
        "numberOfRowsFailed": failed.len(),
        "successRequest": passed,
        "failedRequest": failed,
    })
}
