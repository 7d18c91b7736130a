//! Fully qualified names: parts joined by dots, a part in double quotes where it has a dot or a quote of its own.
//!
//! Nothing here knows which entities exist.

use std::borrow::Cow;

/// Quotes one name if, and only if, it needs it. A name that is quoted already is taken as it is meant.
pub fn quote(name: &str) -> Cow<'_, str> {
    let bare = unquote(name);
    if bare.contains(['.', '"']) {
        Cow::Owned(format!("\"{bare}\""))
    } else {
        bare
    }
}

/// Takes the quotes off one part.
pub fn unquote(part: &str) -> Cow<'_, str> {
    if part.len() >= 2 && part.starts_with('"') && part.ends_with('"') {
        Cow::Borrowed(&part[1..part.len() - 1])
    } else {
        Cow::Borrowed(part)
    }
}

/// The parts of a name, quotes kept.
pub fn split(fqn: &str) -> Vec<&str> {
    let mut parts = Vec::with_capacity(5);
    let mut quoted = false;
    let mut start = 0;
    for (at, byte) in fqn.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted => {
                parts.push(&fqn[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&fqn[start..]);
    parts
}

/// The one spelling of a name under which it is stored: no part quoted that need not be.
pub fn canonical(fqn: &str) -> Cow<'_, str> {
    if !fqn.contains('"') {
        return Cow::Borrowed(fqn);
    }
    let parts: Vec<Cow<'_, str>> = split(fqn).into_iter().map(quote).collect();
    Cow::Owned(parts.join("."))
}

/// `parent` and one more name.
pub fn child(parent: &str, name: &str) -> String {
    let name = quote(name);
    let mut out = String::with_capacity(parent.len() + 1 + name.len());
    out.push_str(parent);
    out.push('.');
    out.push_str(&name);
    out
}

/// The first `parts` parts of a name, or nothing if it has fewer.
pub fn prefix(fqn: &str, parts: usize) -> Option<&str> {
    let mut quoted = false;
    let mut seen = 0;
    for (at, byte) in fqn.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted => {
                seen += 1;
                if seen == parts {
                    return Some(&fqn[..at]);
                }
            }
            _ => {}
        }
    }
    (seen + 1 == parts).then_some(fqn)
}

/// All but the last part.
pub fn parent(fqn: &str) -> Option<&str> {
    let parts = split(fqn).len();
    if parts > 1 {
        prefix(fqn, parts - 1)
    } else {
        None
    }
}

/// Whether `fqn` is `scope` or lies below it.
pub fn within(fqn: &str, scope: &str) -> bool {
    fqn.strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_quoted_only_where_it_must_be() {
        assert_eq!(quote("plain"), "plain");
        assert_eq!(quote("a.b"), "\"a.b\"");
        assert_eq!(quote("\"plain\""), "plain");
        assert_eq!(quote("\"a.b\""), "\"a.b\"");
        assert_eq!(child("s", "a.b"), "s.\"a.b\"");
    }

    #[test]
    fn parts_and_prefixes_respect_quotes() {
        assert_eq!(split("s.\"a.b\".t"), ["s", "\"a.b\"", "t"]);
        assert_eq!(prefix("s.\"a.b\".t", 2), Some("s.\"a.b\""));
        assert_eq!(prefix("s.t", 2), Some("s.t"));
        assert_eq!(prefix("s.t", 3), None);
        assert_eq!(parent("s.\"a.b\""), Some("s"));
        assert_eq!(parent("s"), None);
        assert_eq!(canonical("\"s\".\"a.b\".\"t\""), "s.\"a.b\".t");
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_within() {
        assert!(within("s.a.t", "s.a"));
        assert!(within("s.a", "s.a"));
        assert!(!within("s.ab", "s.a"));
    }
}
