//! What travels through the engine: records, their names, and how they end.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// The number of a record, in the order of submission: 1, 2, ...
pub type Sequence = u64;

/// A fully qualified name in canonical form: each part is quoted only where it holds a dot.
///
/// Two spellings of one entity (`svc."db".s`, `svc.db.s`) are equal as `Fqn`s.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fqn(Arc<str>);

/// A text that is no FQN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no FQN: {problem}")]
pub struct FqnError {
    text: String,
    problem: &'static str,
}

impl Fqn {
    /// The canonical form of `text`.
    ///
    /// # Errors
    /// Unbalanced quotes, an empty text or an empty part.
    pub fn parse(text: &str) -> Result<Self, FqnError> {
        #[cfg(feature = "panics")]
        crate::panics::read(text);
        let error = |problem| FqnError {
            text: text.chars().take(200).collect(),
            problem,
        };
        if !text.contains('"') {
            if has_an_empty_part(text) {
                return Err(error("a part of it is empty"));
            }
            return Ok(Self(text.into()));
        }
        let mut canonical = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
                let (name, after) = quoted.split_once('"').ok_or(error("a quote is not closed"))?;
                if !(after.is_empty() || after.starts_with('.')) {
                    return Err(error("a closing quote must be followed by a dot"));
                }
                (name, after)
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                if name.contains('"') {
                    return Err(error("a quote stands inside a part"));
                }
                (name, after)
            };
            if name.is_empty() {
                return Err(error("a part of it is empty"));
            }
            if name.contains('.') {
                canonical.push('"');
                canonical.push_str(name);
                canonical.push('"');
            } else {
                canonical.push_str(name);
            }
            match after.strip_prefix('.') {
                Some(next) => {
                    canonical.push('.');
                    rest = next;
                }
                None => return Ok(Self(canonical.into())),
            }
        }
    }

    /// The canonical form where there is one, else the text itself: a name from a server's answer or of an odd source is
    /// compared by its letters rather than lost.
    #[must_use]
    pub fn canonical(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self(text.into()))
    }

    /// The same name in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        // Beyond ASCII there are letters that are not upper case and have a lower one all the same (ǅ).
        if self.0.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            self.clone()
        } else {
            Self(self.0.to_lowercase().into())
        }
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the last part starts, and that part as it is written.
    fn split_last(&self) -> (Option<&str>, &str) {
        let mut quoted = false;
        let mut dot = None;
        for (at, byte) in self.0.bytes().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b'.' if !quoted => dot = Some(at),
                _ => {}
            }
        }
        match dot.and_then(|at| Some((self.0.get(..at)?, self.0.get(at + 1..)?))) {
            Some((parent, last)) => (Some(parent), last),
            None => (None, &self.0),
        }
    }

    /// The FQN without its last part; None for a name of one part.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.split_last().0
    }

    /// The last part, without quotes: the entity's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split_last().1.trim_matches('"')
    }

    /// Its parts from the first to the last, without quotes.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let mut quoted = false;
        let parts = self.0.split(move |char| {
            quoted ^= char == '"';
            char == '.' && !quoted
        });
        parts.map(|part| part.trim_matches('"'))
    }

    /// Whether this name lies below `ancestor`. No name lies below itself.
    #[must_use]
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0
            .strip_prefix(&*ancestor.0)
            .is_some_and(|rest| rest.starts_with('.') && ancestor.0.matches('"').count() % 2 == 0)
    }
}

/// Whether two dots of a name without quotes have nothing between them; both of its ends count as dots.
fn has_an_empty_part(name: &str) -> bool {
    let mut before = b'.';
    name.bytes()
        .any(|byte| std::mem::replace(&mut before, byte) == b'.' && byte == b'.')
        || before == b'.'
}

impl fmt::Display for Fqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference that the server could not resolve. Names alone do not tell: chart 7 and dashboard 7 of one service have equal FQNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub fqn: Fqn,
    /// The server's word for what it is, in lower case.
    word: String,
}

impl Missing {
    pub fn new(word: &str, fqn: Fqn) -> Self {
        let word = word.to_lowercase();
        Self { fqn, word }
    }

    /// An entity of that collection.
    pub fn of(collection: &str, fqn: Fqn) -> Self {
        let word = singular(collection);
        Self { fqn, word }
    }

    /// Whether it is an entity of that collection: a `databaseSchema` is one of `databaseSchemas`, a `dashboardDataModel` one of
    /// `dashboard/datamodels`. Without a word it may be in any.
    pub fn is_in(&self, collection: &str) -> bool {
        self.word.is_empty() || self.word.ends_with(&singular(collection))
    }
}

/// `drives/directories` -> `directory`
fn singular(collection: &str) -> String {
    let last = collection.rsplit('/').next().unwrap_or(collection).to_lowercase();
    for (plural, ending) in [("ies", "y"), ("xes", "x"), ("s", "")] {
        if let Some(stem) = last.strip_suffix(plural) {
            return format!("{stem}{ending}");
        }
    }
    last
}

/// One name as a part of an FQN: in quotes where it holds a dot, bare otherwise.
///
/// # Errors
/// A name with a double quote inside, or a line feed, cannot be part of an FQN.
pub fn quote_name(name: &str) -> Result<Cow<'_, str>, FqnError> {
    let bare = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
    let problem = if bare.is_empty() {
        "the name is empty"
    } else if bare.contains('"') {
        "the name holds a double quote"
    } else if bare.contains('\n') {
        "the name holds a line feed"
    } else if bare.contains('.') {
        return Ok(Cow::Owned(format!("\"{bare}\"")));
    } else {
        return Ok(Cow::Borrowed(bare));
    };
    Err(FqnError {
        text: name.chars().take(200).collect(),
        problem,
    })
}

/// What a record asks the server to do.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Create or update an entity: the create request, a JSON object.
    Create(Bytes),
    /// Set the life cycle of an entity: the life cycle, a JSON object.
    LifeCycle(Bytes),
}

impl Payload {
    /// The JSON text.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Create(bytes) | Self::LifeCycle(bytes) => bytes,
        }
    }

    /// Which kind of record carries this payload.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Create,
            Self::LifeCycle(_) => Kind::LifeCycle,
        }
    }
}

/// One record as it is submitted.
#[derive(Debug, Clone)]
pub struct Record {
    /// Path of the collection below the base URL: `tables`, `dashboard/datamodels`.
    pub collection: Arc<str>,
    /// The entity's FQN, as the source spells it.
    pub fqn: Arc<str>,
    /// FQN of the entity that must exist first.
    pub parent: Option<Fqn>,
    /// Other FQNs that must exist first.
    pub needs: Vec<Fqn>,
    /// What to do.
    pub payload: Payload,
    /// While an earlier record of this FQN is pending, share that one's outcome instead of following it.
    pub first_wins: bool,
    /// Where the server took the same body last, it counts as written and is not sent again ([`super::Engine::forget_written`]).
    pub once: bool,
    /// What must be written before this one. It is submitted with it, as a record of its own; where it fails, this one fails unsent.
    pub first: Option<Box<Record>>,
    /// Any text; it comes back with the outcome.
    pub label: Option<Arc<str>>,
}

impl Record {
    /// A record that names no other.
    #[must_use]
    pub fn bare(collection: Arc<str>, fqn: Arc<str>, payload: Payload) -> Self {
        Self {
            collection,
            fqn,
            parent: None,
            needs: Vec::new(),
            payload,
            first_wins: false,
            once: false,
            first: None,
            label: None,
        }
    }

    /// Bytes that it adds to what is pending.
    #[must_use]
    pub fn size(&self) -> usize {
        self.payload.bytes().len() + self.first.as_ref().map_or(0, |first| first.size())
    }
}

/// The two kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A create request.
    Create,
    /// A life cycle.
    LifeCycle,
}

/// How a record ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The server has it.
    Written,
    /// The server does not have it, or did not say so in time; the reason in words.
    Failed(Arc<str>),
    /// The server has it already in another form; the reason in words.
    Warned(Arc<str>),
    /// The server has it, but for what the words name.
    WrittenInPart(Arc<str>),
}

/// The end of one record: exactly one for each that was submitted.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which record.
    pub sequence: Sequence,
    /// Its kind.
    pub kind: Kind,
    /// Its collection.
    pub collection: Arc<str>,
    /// Its FQN, as it was submitted.
    pub fqn: Arc<str>,
    /// How it ended.
    pub ending: Ending,
    /// Requests that carried it.
    pub attempts: u32,
    /// The whole body of a record that failed or was written in part, for the dead letters.
    pub body: Option<Bytes>,
    /// The label that it was submitted with.
    pub label: Option<Arc<str>>,
}

/// The `sourceHash` of a body, whatever else is in it. None where there is none, or an empty one.
pub(super) fn source_hash(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Hashed {
        #[serde(rename = "sourceHash")]
        hash: Option<String>,
    }
    let hashed: Hashed = serde_json::from_slice(body).ok()?;
    hashed.hash.filter(|hash| !hash.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fqns_are_equal_whatever_their_quotes() {
        for (text, canonical) in [
            ("svc.db.s.t", "svc.db.s.t"),
            ("\"svc\".db.\"s\".t", "svc.db.s.t"),
            ("svc.\"a.b\".c", "svc.\"a.b\".c"),
            ("\"prod.redshift\".dev", "\"prod.redshift\".dev"),
            ("a b/ü::>", "a b/ü::>"),
        ] {
            assert_eq!(Fqn::parse(text).map(|f| f.to_string()), Ok(canonical.to_owned()));
        }
    }

    #[test]
    fn what_is_no_fqn_is_said_to_be_none() {
        for text in ["", "a..b", "a.\"b", "\"a\"b.c", "a\"b\".c", "a.\"\""] {
            assert!(Fqn::parse(text).is_err(), "{text}");
            assert_eq!(Fqn::canonical(text).as_str(), text);
        }
    }

    #[test]
    fn names_parents_and_subtrees() {
        let fqn = Fqn::canonical("svc.\"a.b\".s.\"t.1\"");
        assert_eq!(fqn.name(), "t.1");
        assert_eq!(fqn.parent(), Some("svc.\"a.b\".s"));
        assert!(fqn.is_below(&Fqn::canonical("svc.\"a.b\"")));
        assert!(!fqn.is_below(&Fqn::canonical("svc.a")));
        assert!(!fqn.is_below(&fqn));
        assert_eq!(Fqn::canonical("svc").parent(), None);
        assert_eq!(fqn.parts().collect::<Vec<_>>(), ["svc", "a.b", "s", "t.1"]);
    }

    #[test]
    fn every_letter_that_has_a_lower_case_gets_it() {
        for (text, lower) in [
            ("s.t1", "s.t1"),
            ("S.\"A.b\"", "s.\"a.b\""),
            ("s.Ǆ", "s.ǆ"),
            ("s.ǅ", "s.ǆ"),
            ("s.ü", "s.ü"),
        ] {
            assert_eq!(Fqn::canonical(text).to_lowercase().as_str(), lower);
        }
    }

    #[test]
    fn the_servers_word_tells_which_collection_is_meant() {
        let missing = |word: &str| Missing::new(word, Fqn::canonical("bi.7"));
        for (word, collection) in [
            ("chart", "charts"),
            ("databaseSchema", "databaseSchemas"),
            ("dashboardDataModel", "dashboard/datamodels"),
            ("query", "queries"),
            ("directory", "drives/directories"),
            ("searchIndex", "searchIndexes"),
            ("databaseService", "services/databaseServices"),
        ] {
            assert!(missing(word).is_in(collection), "{word}");
            assert!(
                Missing::of(collection, Fqn::canonical("x")).is_in(collection),
                "{collection}"
            );
        }
        assert!(!missing("chart").is_in("dashboards"));
        assert!(!missing("databaseSchema").is_in("databases"));
    }

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        assert_eq!(quote_name("a.b").as_deref(), Ok("\"a.b\""));
        assert_eq!(quote_name("\"ab\"").as_deref(), Ok("ab"));
        assert_eq!(quote_name("ab").as_deref(), Ok("ab"));
        assert!(quote_name("a\"b").is_err());
        assert!(quote_name("a\nb").is_err());
    }
}
