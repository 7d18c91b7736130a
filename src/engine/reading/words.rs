//! The server's own phrases in a text. A text quotes what was sent, too: a phrase inside of something that the record holds is
//! none of the server's. A table called `deadlock` is no deadlock.

use memchr::memmem;
use serde_json::value::RawValue;

use super::{Carried, Row};
use crate::engine::record::{Fqn, Missing};
use crate::engine::shallow::text as decoded;

/// Server texts in reasons are cut to this many characters: a failed row may echo a whole request.
const TEXT_LENGTH: usize = 400;
/// Phrases are looked for in so many of a text's characters.
const LOOKED_AT: usize = 64 << 10;

/// What a row's text says when not the row was at fault but the server's database: locks, a pool without a free connection, a
/// database that restarts or fails over (MySQL and PostgreSQL, through their drivers). Such rows come with status 400.
const TROUBLE: &[&str] = &[
    "system overloaded",
    "deadlock found when trying to get lock",
    "deadlock detected",
    "deadlock",
    "lock wait timeout",
    "could not serialize access",
    "connection is not available",
    "unable to acquire jdbc connection",
    "too many connections",
    "too many clients already",
    "remaining connection slots are reserved",
    "communications link failure",
    "connection has been closed",
    "connection attempt failed",
    "no operations allowed after connection closed",
    "i/o error occurred while sending to the backend",
    "terminating connection due to administrator command",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
];

const DUPLICATE: &[&str] = &[
    "duplicate key",
    "duplicate entry",
    "already exists",
    "unique_query_checksum",
];

/// A server's text about some records.
pub(super) struct Told<'a> {
    text: &'a str,
    lower: String,
    about: &'a [Carried],
}

impl<'a> Told<'a> {
    pub fn of(text: &'a str, about: &'a [Carried]) -> Self {
        let text = text
            .char_indices()
            .nth(LOOKED_AT)
            .and_then(|(end, _)| text.get(..end))
            .unwrap_or(text);
        Self {
            text,
            lower: text.to_ascii_lowercase(),
            about,
        }
    }

    /// What a refused row means (E8).
    pub fn row(&self, status: Option<u16>) -> Row {
        let reason = || match (self.text.is_empty(), status) {
            (true, Some(status)) => format!("the server refused it with status {status} and no text"),
            (true, None) => "the server refused it without a reason".to_owned(),
            (false, _) => format!("the server refused it: {}", shorten(self.text)),
        };
        if matches!(status, Some(429 | 503)) || self.is_overload() {
            Row::Overload(reason())
        } else if let Some(missing) = self.missing() {
            Row::Missing(missing, reason())
        } else if self.says(DUPLICATE) {
            Row::Duplicate(reason())
        } else {
            match status {
                Some(status @ 500..=599) => Row::ServerError(status, reason()),
                _ => Row::Refused(reason()),
            }
        }
    }

    /// The X of "<type> instance for X not found"; the type may be missing.
    pub fn missing(&self) -> Option<Missing> {
        const WORDS: &str = "instance for ";
        let at = self.find(WORDS, 0)?;
        let from = at + WORDS.len();
        let to = self.find(" not found", from)?;
        let (before, name) = (self.text.get(..at)?, self.text.get(from..to)?.trim());
        let word = before.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default();
        (!name.is_empty()).then(|| Missing::new(word, Fqn::canonical(name)))
    }

    /// Whether not what was sent is at fault, but the server's database.
    pub fn is_overload(&self) -> bool {
        self.says(TROUBLE)
    }

    fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.find(phrase, 0).is_some())
    }

    /// Where the server itself says this, from `from` on.
    fn find(&self, phrase: &str, from: usize) -> Option<usize> {
        let mut found = self
            .lower
            .get(from..)?
            .match_indices(phrase)
            .map(|(at, _)| from + at)
            .peekable();
        found.peek()?;
        let quotable: Vec<String> = self.about.iter().flat_map(|row| texts_with(phrase, row)).collect();
        found.find(|at| self.is_a_word(*at, phrase) && !quotable.iter().any(|text| self.is_quoted(*at, phrase, text)))
    }

    fn is_a_word(&self, at: usize, phrase: &str) -> bool {
        let is_letter = |char: char| char.is_alphanumeric() || char == '_';
        let before = self.lower.get(..at).and_then(|before| before.chars().next_back());
        let after = self
            .lower
            .get(at + phrase.len()..)
            .and_then(|after| after.chars().next());
        !(before.is_some_and(is_letter) && phrase.starts_with(is_letter)
            || after.is_some_and(is_letter) && phrase.ends_with(is_letter))
    }

    /// Whether the phrase at `at` is part of `quotable`, a text of the record's.
    fn is_quoted(&self, at: usize, phrase: &str, quotable: &str) -> bool {
        quotable.match_indices(phrase).any(|(inside, _)| {
            at.checked_sub(inside)
                .and_then(|start| self.lower.get(start..))
                .is_some_and(|text| text.starts_with(quotable))
        })
    }
}

/// What a server could quote of a record, where it holds the phrase: the parts of its names, and every text in its body. In lower case.
fn texts_with(phrase: &str, row: &Carried) -> Vec<String> {
    let names = std::iter::once(&row.fqn).chain(&row.parent).chain(&row.needs);
    let mut texts: Vec<String> = names.flat_map(parts_of).collect();
    // Hardly any body holds one of the phrases: then its texts need not be looked at one by one.
    if memmem::find(&row.body.to_ascii_lowercase(), phrase.as_bytes()).is_some() {
        texts.extend(strings_of(&row.body));
    }
    texts.iter_mut().for_each(|text| text.make_ascii_lowercase());
    texts.retain(|text| text.contains(phrase));
    texts
}

fn parts_of(fqn: &Fqn) -> Vec<String> {
    let mut parts = vec![fqn.name().to_owned()];
    let mut above = fqn.parent().map(str::to_owned);
    while let Some(parent) = above.map(|parent| Fqn::canonical(&parent)) {
        parts.push(parent.name().to_owned());
        above = parent.parent().map(str::to_owned);
    }
    parts
}

/// All strings of a JSON text, keys included.
fn strings_of(json: &[u8]) -> Vec<String> {
    let mut strings = Vec::new();
    let mut at = 0;
    while let Some(start) = find_quote(json, at) {
        let mut end = start + 1;
        let end = loop {
            match json.get(end) {
                Some(b'\\') => end += 2,
                Some(b'"') => break end,
                Some(_) => end += 1,
                None => return strings,
            }
        };
        let literal = json.get(start..=end).unwrap_or_default();
        let raw = std::str::from_utf8(literal)
            .ok()
            .and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        strings.extend(raw.and_then(decoded));
        at = end + 1;
    }
    strings
}

fn find_quote(json: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b'"', json.get(from..)?).map(|at| from + at)
}

/// A server's text, cut to what a person reads.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_LENGTH) {
        Some((at, _)) => format!("{} ...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::carried;
    use super::*;

    fn row(status: impl Into<Option<u16>>, text: &str) -> Row {
        Told::of(text, &[carried("s.t", "{}")]).row(status.into())
    }

    fn of(fqn: &str, body: &str, text: &str) -> Row {
        Told::of(text, &[carried(fqn, body)]).row(Some(400))
    }

    fn missing(text: &str) -> Option<Missing> {
        Told::of(text, &[]).missing()
    }

    #[test]
    fn missing_references_are_read_from_the_text() {
        let text = "databaseSchema instance for a.\"b.c\".d not found";
        assert_eq!(
            missing(text),
            Some(Missing::new("databaseSchema", Fqn::canonical("a.\"b.c\".d")))
        );
        assert_eq!(missing("not found"), None);
        let untyped = missing("Instance for a.b not found");
        assert!(untyped.is_some_and(|missing| missing.fqn.as_str() == "a.b" && missing.is_in("tables")));
    }

    #[test]
    fn rows_are_told_apart_by_status_and_words() {
        let is_overload = |row| matches!(row, Row::Overload(_));
        assert!(is_overload(row(503, "System overloaded")));
        assert!(is_overload(row(400, "Deadlock found when trying to get lock")));
        assert!(is_overload(row(
            400,
            "java.sql.SQLException: FATAL: the database system is starting up"
        )));
        assert!(matches!(row(400, "Entity already exists"), Row::Duplicate(_)));
        assert_eq!(
            row(500, "boom"),
            Row::ServerError(500, "the server refused it: boom".to_owned())
        );
        let refused = Row::Refused("the server refused it: name must not be null".to_owned());
        assert_eq!(row(None, "name must not be null"), refused);
    }

    #[test]
    fn a_phrase_inside_a_name_is_none_of_the_servers() {
        for name in ["deadlocks", "a_deadlock", "deadlock"] {
            let text = format!("Table svc.db.s.{name} has a column without a type");
            let fqn = format!("svc.db.s.{name}");
            assert!(matches!(of(&fqn, "{}", &text), Row::Refused(_)), "{text}");
        }
        let text = "owner instance for s.it already exists not found";
        let Row::Missing(missing, _) = of("s.it already exists", "{}", text) else {
            panic!("{text}")
        };
        assert_eq!(missing.fqn.as_str(), "s.it already exists");
        let text = "databaseSchema instance for s.is not found.x not found";
        let Row::Missing(missing, _) = of("s.\"is not found.x\"", "{}", text) else {
            panic!("{text}")
        };
        assert_eq!(missing.fqn.as_str(), "s.is not found.x");
    }

    #[test]
    fn a_phrase_that_the_body_holds_is_none_of_the_servers() {
        let body = r#"{"columns":[{"name":"Deadlock"}],"description":"It \"already exists\" in the lake"}"#;
        assert!(matches!(
            of("s.t", body, "column Deadlock has no type"),
            Row::Refused(_)
        ));
        let text = "bad description: It \"already exists\" in the lake";
        assert!(matches!(of("s.t", body, text), Row::Refused(_)));
        assert!(matches!(
            of("s.t", body, "the entity already exists"),
            Row::Duplicate(_)
        ));
    }

    #[test]
    fn the_servers_own_phrase_counts_beside_a_name_that_resembles_it() {
        let text = "ERROR: deadlock detected while writing s.deadlock";
        assert!(matches!(of("s.deadlock", "{}", text), Row::Overload(_)));
    }
}
