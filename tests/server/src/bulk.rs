//! `PUT .../bulk`: every row by itself, and an answer that says what became of each, in the order of the release line.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{json, Value};

use crate::auth::Principal;
use crate::catalogue::KINDS;
use crate::config::{Profile, Switches};
use crate::kinds::KindId;
use crate::mapping::{self, Draft};
use crate::reply::Refusal;
use crate::row::Row;
use crate::store::Store;
use crate::write::{self, Written};

/// What became of one row.
#[derive(Clone, Debug)]
pub struct RowAnswer {
    /// The FQN, where the row got far enough to have one.
    pub fqn: Option<Arc<str>>,
    /// The row's text, where it is echoed.
    pub echo: Option<bytes::Bytes>,
    /// The row status.
    pub status: u16,
    /// The text.
    pub message: Option<String>,
}

impl RowAnswer {
    /// Whether the row passed.
    pub fn passed(&self) -> bool {
        self.status < 300
    }

    fn success(fqn: Arc<str>, status: u16) -> Self {
        RowAnswer {
            fqn: Some(fqn),
            echo: None,
            status,
            message: None,
        }
    }

    /// A failure of the kind that names the row.
    pub fn failure(fqn: Arc<str>, status: u16, message: String) -> Self {
        RowAnswer {
            fqn: Some(fqn),
            echo: None,
            status,
            message: Some(message),
        }
    }

    /// A failure of the kind that echoes the row.
    pub fn echoed(row: &Row, status: u16, message: String) -> Self {
        RowAnswer {
            fqn: None,
            echo: Some(row.text.clone()),
            status,
            message: Some(message),
        }
    }
}

/// A failure that the fault plan wants for a row.
pub struct Planned {
    /// The row status.
    pub status: u16,
    /// The text.
    pub message: String,
    /// Whether the row is echoed.
    pub echo: bool,
}

/// The settings of one bulk request.
pub struct Order<'a> {
    /// The collection.
    pub kind: KindId,
    /// Who sends it.
    pub who: &'a Principal,
    /// `overrideMetadata`.
    pub overriding: bool,
    /// The release line.
    pub profile: Profile,
    /// The switches.
    pub switches: &'a Switches,
    /// Seeds the order of rows in 1.11.
    pub seed: u64,
    /// For each row, what the fault plan wants; empty for none.
    pub planned: &'a [Option<Planned>],
}

/// All rows of an answer.
#[derive(Debug, Default)]
pub struct BulkAnswer {
    /// `successRequest`; nothing where no row got past validation.
    pub passed: Option<Vec<RowAnswer>>,
    /// `failedRequest`.
    pub failed: Vec<RowAnswer>,
    /// Rows that were sent.
    pub processed: usize,
    status: &'static str,
}

/// Does the work of a bulk request.
pub fn put(store: &mut Store, rows: &[Row], order: &Order<'_>) -> BulkAnswer {
    let profile = order.profile;
    let planned = |at: usize| order.planned.get(at).and_then(Option::as_ref);
    let mut refused = Vec::new();
    let mut drafts: Vec<(usize, Draft)> = Vec::with_capacity(rows.len());
    let mut failed = Vec::new();
    // First all rows are mapped: a row cannot build on another of the same request.
    for (at, row) in rows.iter().enumerate() {
        if let Some(plan) = planned(at).filter(|plan| plan.echo) {
            refused.push(RowAnswer::echoed(row, plan.status, plan.message.clone()));
            continue;
        }
        match mapping::resolve(store, order.kind, row) {
            Ok(draft) => {
                let operation = if store.entity(order.kind, &draft.fqn).is_some() {
                    "EditAll"
                } else {
                    "Create"
                };
                if order.who.may_write() {
                    drafts.push((at, draft));
                } else {
                    let denied = order.who.denied(operation);
                    refused.push(RowAnswer::echoed(
                        row,
                        403,
                        format!("Permission denied: {}", denied.message),
                    ));
                }
            }
            Err(refusal) if refusal.while_storing => failed.push(stored_failure(store, order.kind, row, &refusal)),
            Err(refusal) => refused.push(RowAnswer::echoed(row, 400, refusal.message)),
        }
    }
    let none_left = drafts.is_empty() && failed.is_empty() && !rows.is_empty();
    let mut times = std::collections::HashMap::<Arc<str>, usize>::new();
    for (_, draft) in &drafts {
        *times.entry(draft.fqn.clone()).or_default() += 1;
    }
    let rules = write::rules(order.who, order.overriding, profile);
    let (mut creates, mut skips, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    let mut created: HashSet<Arc<str>> = HashSet::new();
    let mut lost: HashSet<Arc<str>> = HashSet::new();
    for (at, draft) in &drafts {
        let row = &rows[*at];
        let fqn = draft.fqn.clone();
        if lost.contains(&fqn) {
            failed.push(RowAnswer::failure(
                fqn,
                400,
                "Entity does not exist and could not be created".into(),
            ));
            continue;
        }
        if order.switches.refuse_duplicate_rows && created.contains(&fqn) {
            let text = format!(
                "ERROR: duplicate key value violates unique constraint \"{}_fqnhash_key\"",
                KINDS[order.kind].entity_type
            );
            failed.push(RowAnswer::failure(fqn, 400, text));
            continue;
        }
        let exists = store.entity(order.kind, &fqn).is_some();
        if let Some(plan) = planned(*at) {
            if !exists {
                lost.insert(fqn.clone());
            }
            failed.push(RowAnswer::failure(fqn, plan.status, plan.message.clone()));
            continue;
        }
        if profile >= Profile::V2_0 && !order.overriding && times[&fqn] == 1 && same_hash(store, order.kind, draft) {
            skips.push(RowAnswer::success(fqn, 200));
            continue;
        }
        match write::write(store, order.kind, row, draft, order.who, rules) {
            Ok(Written::Created) => {
                created.insert(fqn.clone());
                creates.push(RowAnswer::success(
                    fqn,
                    if order.switches.created_rows_are_201 { 201 } else { 200 },
                ));
            }
            Ok(Written::Updated) => updates.push(RowAnswer::success(fqn, 200)),
            Err(refusal) => failed.push(RowAnswer::failure(fqn, 400, refusal.message)),
        }
    }
    let mut passed: Vec<RowAnswer> = creates.into_iter().chain(skips).chain(updates).collect();
    let stored_none = passed.is_empty();
    let any_failed = !failed.is_empty() || !refused.is_empty();
    let status = match (any_failed, none_left, stored_none) {
        (false, _, _) => "success",
        (true, true, _) => "failure",
        (true, false, true) if refused.is_empty() && profile >= Profile::V1_12 => "failure",
        _ => "partialSuccess",
    };
    failed.extend(refused);
    if profile == Profile::V1_11 {
        let mut random = fastrand::Rng::with_seed(order.seed);
        random.shuffle(&mut passed);
        random.shuffle(&mut failed);
    }
    BulkAnswer {
        passed: (!none_left).then_some(passed),
        failed,
        processed: rows.len(),
        status,
    }
}

fn stored_failure(store: &Store, kind: KindId, row: &Row, refusal: &Refusal) -> RowAnswer {
    match mapping::name_of(store, kind, row) {
        Ok(fqn) => RowAnswer::failure(Arc::from(fqn), 400, refusal.message.clone()),
        Err(_) => RowAnswer::echoed(row, 400, refusal.message.clone()),
    }
}

/// Whether the stored entity says that the source has not changed.
fn same_hash(store: &Store, kind: KindId, draft: &Draft) -> bool {
    let held = store
        .entity(kind, &draft.fqn)
        .filter(|entity| !entity.deleted)
        .and_then(|entity| entity.source_hash.as_deref());
    draft.source_hash.is_some() && draft.source_hash.as_deref() == held
}

impl BulkAnswer {
    /// The rows and counters as JSON.
    pub fn render(&self, profile: Profile) -> Value {
        let row = |answer: &RowAnswer| {
            let request = match (&answer.echo, &answer.fqn) {
                (Some(text), _) => serde_json::from_slice::<Value>(text).unwrap_or(Value::Null),
                (None, fqn) => json!(fqn.as_deref()),
            };
            let mut out = json!({"request": request, "status": answer.status});
            if let Some(message) = &answer.message {
                out["message"] = json!(message);
            }
            if profile >= Profile::V2_0 {
                out["hasSideEffects"] = json!(false);
            }
            out
        };
        let mut out = json!({
            "dryRun": false,
            "status": self.status,
            "numberOfRowsProcessed": self.processed,
            "numberOfRowsPassed": self.passed.as_ref().map_or(0, Vec::len),
            "numberOfRowsFailed": self.failed.len(),
            "failedRequest": self.failed.iter().map(row).collect::<Vec<_>>(),
        });
        if let Some(passed) = &self.passed {
            out["successRequest"] = passed.iter().map(row).collect();
        }
        out
    }

    /// The answer to `async=true`: accepted, whatever becomes of it.
    pub fn render_accepted(&self, profile: Profile) -> Value {
        let refused = self.failed.iter().filter(|answer| answer.echo.is_some()).count();
        let mut out = json!({
            "dryRun": false,
            "status": if refused == 0 { "success" } else { "partialSuccess" },
            "numberOfRowsProcessed": self.processed,
            "numberOfRowsPassed": 0,
            "numberOfRowsFailed": refused,
        });
        if profile >= Profile::V2_0 {
            let accepted = self.passed.iter().flatten().filter_map(|answer| answer.fqn.as_deref());
            out["successRequest"] = accepted
                .map(|fqn| json!({"request": fqn, "status": 202, "hasSideEffects": false}))
                .collect();
        }
        out
    }
}
