//! The server's own phrases in a text. A text quotes what was sent, too: a phrase inside of something that the record holds is
//! none of the server's. A table called `deadlock` is no deadlock.

use std::collections::HashSet;

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
        #[cfg(feature = "panics")]
        crate::panics::read(text);
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

    /// The X of `<type> instance for X not found`; the type may be missing.
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
        let quotable: HashSet<String> = self.about.iter().flat_map(|row| texts_with(phrase, row)).collect();
        let quoted = quoted(&self.lower, phrase, &quotable);
        found.find(|at| self.is_a_word(*at, phrase) && quoted.get(*at) != Some(&true))
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
}

/// For each place of `text` whether a phrase that stands there is part of one of `quotable`. One pass for each of these, whatever
/// they repeat: a text of the phrase alone would else be compared with itself at each of its places.
fn quoted(text: &str, phrase: &str, quotable: &HashSet<String>) -> Vec<bool> {
    // Counts up where the places that one occurrence covers begin, and down behind their end.
    let mut steps = vec![0_i64; text.len() + 1];
    for one in quotable {
        for start in occurrences(text.as_bytes(), one.as_bytes()) {
            let end = start + one.len() - phrase.len() + 1;
            for (at, step) in [(start, 1), (end, -1)] {
                if let Some(count) = steps.get_mut(at) {
                    *count += step;
                }
            }
        }
    }
    let mut covered = 0;
    let covers = |step: i64| {
        covered += step;
        covered > 0
    };
    steps.into_iter().map(covers).collect()
}

/// Where `pattern` begins in `text`, those that overlap included (Knuth, Morris and Pratt).
fn occurrences(text: &[u8], pattern: &[u8]) -> Vec<usize> {
    if memmem::find(text, pattern).is_none() {
        return Vec::new();
    }
    // For each length of a beginning of the pattern the length of the longest other beginning that it ends with.
    let mut shorter = vec![0; pattern.len() + 1];
    let longest = |shorter: &[usize], mut length: usize, byte: u8| loop {
        if pattern.get(length) == Some(&byte) {
            return length + 1;
        }
        match length {
            0 => return 0,
            _ => length = shorter.get(length).copied().unwrap_or(0),
        }
    };
    let mut length = 0;
    for (at, byte) in pattern.iter().enumerate().skip(1) {
        length = longest(&shorter, length, *byte);
        if let Some(entry) = shorter.get_mut(at + 1) {
            *entry = length;
        }
    }
    let mut length = 0;
    let mut found = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        length = longest(&shorter, length, *byte);
        if length == pattern.len() {
            found.push(at + 1 - length);
        }
    }
    found
}

/// What a server could quote of a record, where it holds the phrase: the parts of its names, and every text in its body. In lower case.
fn texts_with(phrase: &str, row: &Carried) -> Vec<String> {
    let names = std::iter::once(&row.fqn).chain(&row.parent).chain(&row.needs);
    let mut texts: Vec<String> = names.flat_map(Fqn::parts).map(str::to_owned).collect();
    // Hardly any body holds one of the phrases: then its texts need not be looked at one by one.
    if memmem::find(&row.body.to_ascii_lowercase(), phrase.as_bytes()).is_some() {
        texts.extend(strings_of(&row.body));
    }
    texts.iter_mut().for_each(|text| text.make_ascii_lowercase());
    texts.retain(|text| text.contains(phrase));
    texts
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
    fn a_phrase_is_quoted_where_one_text_holds_all_of_it() {
        let of = |text: &str, held: &[&str]| quoted(text, "ab", &held.iter().map(|one| (*one).to_owned()).collect());
        let at = |found: Vec<bool>| {
            (0..)
                .zip(found)
                .filter_map(|(at, is)| is.then_some(at))
                .collect::<Vec<usize>>()
        };
        assert_eq!(at(of("ab ab ab", &["ab ab"])), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(at(of("xab ab", &["xab"])), [0, 1]);
        assert!(at(of("xab ab", &["yab", "abx"])).is_empty());
        assert_eq!(occurrences(b"aabaabaa", b"aabaa"), [0, 3]);
        assert_eq!(occurrences(b"aaaa", b"aa"), [0, 1, 2]);
        assert!(occurrences(b"abab", b"abb").is_empty());
    }

    /// Compared place by place this would be 10^13 comparisons, and the test would not end.
    #[test]
    fn a_text_of_the_phrase_alone_is_read_in_one_pass() {
        let held = "deadlock ".repeat(7_000);
        let body = format!("{{\"description\":\"{held}\"}}");
        assert!(matches!(of("s.t", &body, &format!("bad: {held}")), Row::Refused(_)));
        let own = format!("bad: {held} deadlock");
        assert!(matches!(of("s.t", &body, &own), Row::Overload(_)));
    }

    #[test]
    fn the_servers_own_phrase_counts_beside_a_name_that_resembles_it() {
        let text = "ERROR: deadlock detected while writing s.deadlock";
        assert!(matches!(of("s.deadlock", "{}", text), Row::Overload(_)));
    }
}
