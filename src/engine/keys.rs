//! The foreign keys in the body of a table, which it can do without (the text of E3's second form).

use bytes::Bytes;
use serde_json::value::RawValue;

use super::record::Fqn;
use super::shallow::{field, fields, items, text};

const CONSTRAINTS: &str = "tableConstraints";
const REFERRED: &str = "referredColumns";
/// Made over the keys, too: without it, the next run writes the table again, whole.
const HASH: &str = "sourceHash";

/// The tables that the foreign keys of a body refer to, each once, in the order in which they stand there.
pub(super) fn referred(body: &[u8]) -> Vec<Fqn> {
    let mut tables = Vec::new();
    for constraint in constraints(body).unwrap_or_default() {
        for table in referred_by(constraint) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
    }
    tables
}

/// The body without its keys to `tables`, and without its hash; everything else stands as it stood. None where it has no such key.
pub(super) fn without(body: &[u8], tables: &[Fqn]) -> Option<Bytes> {
    let all = constraints(body)?;
    let is_kept = |constraint: &&&RawValue| !referred_by(constraint).iter().any(|table| tables.contains(table));
    let kept: Vec<&str> = all.iter().filter(is_kept).map(|constraint| constraint.get()).collect();
    if kept.len() == all.len() {
        return None;
    }
    let kept = format!("[{}]", kept.join(","));
    rewritten(body, |name, value| match name {
        HASH => None,
        CONSTRAINTS => Some(&kept),
        _ => Some(value),
    })
}

/// The body without its life cycle. None where it is no JSON object.
pub(super) fn without_life_cycle(body: &[u8]) -> Option<Bytes> {
    rewritten(body, |name, value| (name != "lifeCycle").then_some(value))
}

/// A JSON object with other values, or without some: everything else stands as it stood.
fn rewritten<'a>(body: &'a [u8], value_of: impl Fn(&str, &'a str) -> Option<&'a str>) -> Option<Bytes> {
    let mut parts = Vec::new();
    for (name, value) in fields(std::str::from_utf8(body).ok()?)? {
        if let Some(value) = value_of(&name, value.get()) {
            parts.push(format!("{}:{value}", serde_json::Value::from(name)));
        }
    }
    Some(format!("{{{}}}", parts.join(",")).into())
}

fn constraints(body: &[u8]) -> Option<Vec<&RawValue>> {
    let body = std::str::from_utf8(body).ok()?;
    // Most bodies have none: they are not taken apart.
    if !body.contains(REFERRED) {
        return None;
    }
    items(field(&fields(body)?, CONSTRAINTS)?)
}

/// The tables of the columns that one constraint refers to.
fn referred_by(constraint: &RawValue) -> Vec<Fqn> {
    let fields = fields(constraint.get()).unwrap_or_default();
    let columns = field(&fields, REFERRED).and_then(items).unwrap_or_default();
    let columns = columns.into_iter().filter_map(text);
    let tables = columns.filter_map(|column| Fqn::canonical(&column).parent().map(Fqn::canonical));
    tables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        r#"{"constraintType":"FOREIGN_KEY","columns":["x"],"referredColumns":["s.db.a.t.id","s.db.a.t.no"]}"#;
    const ODD: &str = r#"{"referredColumns":["s.\"d.b\".a.u.id"],"columns":["y"]}"#;
    const OWN: &str = r#"{"constraintType":"PRIMARY_KEY","columns":["z"]}"#;

    fn body() -> String {
        format!(r#"{{"name":"é \"t\"","sourceHash":"0123","tableConstraints":[{KEY}, {OWN},{ODD}],"description":"d"}}"#)
    }

    #[test]
    fn keys_are_known_by_the_tables_that_they_refer_to() {
        let names = ["s.db.a.t", "s.\"d.b\".a.u"].map(Fqn::canonical);
        assert_eq!(referred(body().as_bytes()), names);
        for without in [
            r#"{"name":"referredColumns"}"#,
            r#"{"tableConstraints":null,"a":"referredColumns"}"#,
            "",
            "\u{ff}",
        ] {
            assert_eq!(referred(without.as_bytes()), []);
        }
    }

    #[test]
    fn a_body_without_a_key_is_the_same_otherwise() {
        let table = Fqn::canonical("s.db.a.t");
        let rest = without(body().as_bytes(), std::slice::from_ref(&table)).unwrap();
        let expected = format!(r#"{{"name":"é \"t\"","tableConstraints":[{OWN},{ODD}],"description":"d"}}"#);
        assert_eq!(std::str::from_utf8(&rest), Ok(&*expected));
        assert_eq!(without(&rest, &[table]), None);
        let bare = without_life_cycle(br#"{"a":1,"lifeCycle":{"b":2},"c":[]}"#);
        assert_eq!(bare.as_deref(), Some(&br#"{"a":1,"c":[]}"#[..]));
        let both = without(body().as_bytes(), &referred(body().as_bytes())).unwrap();
        assert_eq!(referred(&both), []);
    }

    #[test]
    fn a_body_that_is_no_json_has_no_keys() {
        for body in [
            &b"\xff"[..],
            b"[]",
            br#"{"tableConstraints":[{"referredColumns":["a.b.c"]}]"#,
        ] {
            assert_eq!(without(body, &[Fqn::canonical("a.b")]), None);
        }
    }
}
