//! The names of the rows that were sent, for finding the row that an answer speaks of.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use serde_json::value::RawValue;
use serde_json::Value;

use super::Carried;
use crate::engine::record::Fqn;
use crate::engine::shallow::{field, fields, text};

pub(super) struct Names<'a> {
    sent: &'a [Carried],
    exact: HashMap<&'a str, usize>,
    /// The server lower-cases user names. None where two rows differ by case only.
    folded: HashMap<String, Option<usize>>,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Rows by what is in them; made when a row without a name is first asked for.
    by_content: Option<Contents>,
}

impl<'a> Names<'a> {
    pub fn of(sent: &'a [Carried]) -> Self {
        let mut names = Self {
            sent,
            exact: HashMap::with_capacity(sent.len()),
            folded: HashMap::with_capacity(sent.len()),
            by_name: HashMap::with_capacity(sent.len()),
            by_content: None,
        };
        for (at, row) in sent.iter().enumerate() {
            names.exact.insert(row.fqn.as_str(), at);
            names
                .folded
                .entry(row.fqn.as_str().to_lowercase())
                .and_modify(|found| *found = None)
                .or_insert(Some(at));
            names.by_name.entry(row.fqn.name()).or_default().push(at);
        }
        names
    }

    /// The row that `request`, a JSON text, speaks of. Rows of equal content without a name are taken in turn.
    pub fn find(&mut self, request: &str) -> Option<usize> {
        let Some(fields) = fields(request) else {
            let raw: &RawValue = serde_json::from_str(request).ok()?;
            return self.find_fqn(&text(raw)?);
        };
        let word = |name| field(&fields, name).and_then(text);
        if let Some(found) = word("fullyQualifiedName").and_then(|fqn| self.find_fqn(&fqn)) {
            return Some(found);
        }
        let Some(name) = word("name") else {
            // A query without a name: only its content tells it from the others.
            let sent = self.sent;
            return self.by_content.get_or_insert_with(|| Contents::of(sent)).take(&fields);
        };
        let bare = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        let candidates = self.by_name.get(bare.unwrap_or(&name))?;
        if let [only] = candidates.as_slice() {
            return Some(*only);
        }
        let texts: Vec<Fqn> = fields
            .iter()
            .filter_map(|(_, value)| text(value))
            .map(|text| Fqn::canonical(&text))
            .collect();
        candidates.iter().copied().find(|at| {
            let parent = self.sent.get(*at).and_then(|row| row.parent.as_ref());
            parent.is_some_and(|parent| texts.contains(parent))
        })
    }

    fn find_fqn(&self, text: &str) -> Option<usize> {
        let fqn = Fqn::canonical(text);
        self.exact
            .get(fqn.as_str())
            .copied()
            .or_else(|| self.folded.get(&fqn.as_str().to_lowercase()).copied().flatten())
    }
}

/// The rows by the hash of what is in them. Each row is read once; so is each echo.
struct Contents {
    hasher: RandomState,
    /// The names of the fields that rows have, and the rows that have just these.
    shapes: HashMap<Vec<String>, HashMap<u64, VecDeque<usize>>>,
}

impl Contents {
    fn of(sent: &[Carried]) -> Self {
        let mut contents = Self {
            hasher: RandomState::new(),
            shapes: HashMap::new(),
        };
        for (at, row) in sent.iter().enumerate() {
            let Some(fields) = std::str::from_utf8(&row.body).ok().and_then(fields) else {
                continue;
            };
            let hashes = contents.hashes(&fields);
            let shape: Vec<String> = sorted_names(&fields);
            let whole = combined(&shape, &hashes);
            let rows = contents.shapes.entry(shape).or_default();
            rows.entry(whole.unwrap_or_default()).or_default().push_back(at);
        }
        contents
    }

    /// The next row whose every field is in `echo`; the server may have added some.
    fn take(&mut self, echo: &[(String, &RawValue)]) -> Option<usize> {
        let hashes = self.hashes(echo);
        let mut found: Vec<&mut VecDeque<usize>> = self
            .shapes
            .iter_mut()
            .filter_map(|(shape, rows)| rows.get_mut(&combined(shape, &hashes)?))
            .filter(|rows| !rows.is_empty())
            .collect();
        found.sort_by_key(|rows| rows.front().copied());
        found.first_mut()?.pop_front()
    }

    fn hashes(&self, fields: &[(String, &RawValue)]) -> HashMap<String, u64> {
        let hash = |value: &RawValue| match serde_json::from_str::<Value>(value.get()) {
            Ok(value) => self.hasher.hash_one(value),
            // Deeper than is looked into: then its text counts.
            Err(_) => self.hasher.hash_one(value.get()),
        };
        fields.iter().map(|(name, value)| (name.clone(), hash(value))).collect()
    }
}

fn sorted_names(fields: &[(String, &RawValue)]) -> Vec<String> {
    let mut names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// One number for the values of these fields; None where one of them is not there.
fn combined(shape: &[String], hashes: &HashMap<String, u64>) -> Option<u64> {
    shape.iter().try_fold(0u64, |sum, name| {
        Some(sum.rotate_left(5).wrapping_add(*hashes.get(name)?))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::carried;
    use super::*;

    fn found(rows: &[(&str, &str)], requests: &[&str]) -> Vec<Option<usize>> {
        let rows: Vec<Carried> = rows.iter().map(|(fqn, body)| carried(fqn, body)).collect();
        let mut names = Names::of(&rows);
        requests.iter().map(|request| names.find(request)).collect()
    }

    #[test]
    fn an_echoed_object_is_matched_by_parent_and_name() {
        let rows = [("x.d.s1.t", "{}"), ("x.d.s2.t", "{}"), ("x.d.s2.\"t.1\"", "{}")];
        let requests = [
            r#"{"name":"t","databaseSchema":"x.d.\"s2\""}"#,
            r#"{"name":"t","databaseSchema":"x.d.s3"}"#,
            r#"{"name":"t.1","databaseSchema":"x.d.s2"}"#,
            r#"{"name":"\"t.1\"","databaseSchema":null}"#,
            r#"{"name":"nobody","fullyQualifiedName":"x.d.s1.\"t\""}"#,
        ];
        assert_eq!(found(&rows, &requests), [Some(1), None, Some(2), Some(2), Some(0)]);
    }

    #[test]
    fn a_lower_cased_name_is_found_and_twins_by_case_are_not_mixed_up() {
        assert_eq!(
            found(&[("Bob", "{}"), ("Eve", "{}")], &["\"bob\"", "\"eve\""]),
            [Some(0), Some(1)]
        );
        assert_eq!(
            found(&[("s.T", "{}"), ("s.t", "{}")], &["\"s.T\"", "\"S.T\""]),
            [Some(0), None]
        );
    }

    #[test]
    fn rows_without_a_name_are_told_apart_by_content_and_twins_taken_in_turn() {
        let rows = [
            ("q.1", r#"{"query":"select 1","service":"q"}"#),
            ("q.2", r#"{"query":"select 2","service":"q"}"#),
            ("q.3", r#"{"service":"q","query":"select\u00202"}"#),
            ("q.4", r#"{"query":"select 4","service":"q","tags":[{"a":1,"b":2}]}"#),
        ];
        let requests = [
            r#"{"service": "q", "query": "select 2", "description": null}"#,
            r#"{"query":"select 2","service":"q"}"#,
            r#"{"query":"select 2","service":"q"}"#,
            r#"{"service":"q","query":"select 4","tags":[ {"b":2,"a":1} ]}"#,
            r#"{"query":"select 1"}"#,
            "null",
        ];
        assert_eq!(found(&rows, &requests), [Some(1), Some(2), None, Some(3), None, None]);
    }
}
