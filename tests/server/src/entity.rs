//! One stored entity: what was asked for, in the form of its create request, and what the server adds to it.
//!
//! References are kept as names and become references with ids only in an answer (`expand.rs`). A created entity keeps the
//! text of its request and is parsed when it is first read or changed, so creating costs no more than checking.

use bytes::Bytes;
use serde_json::{Map, Value};

/// The attributes of an entity.
pub type Attributes = Map<String, Value>;

/// The id of an entity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Id(pub u128);

impl Id {
    /// The id that a hash makes, with the marks of a random UUID.
    pub fn from_hash(hash: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(hash);
        let version = 0xf000_u128 << 64;
        let variant = 0xc_u128 << 60;
        Id((bits & !version & !variant) | (0x4000_u128 << 64) | (0x8_u128 << 60))
    }

    /// Reads the usual text form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|&at| bytes[at] != b'-') {
            return None;
        }
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(&hex, 16).ok().map(Id)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

/// A version in tenths: 0.1 is 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(pub u32);

impl Version {
    /// The version of a new entity.
    pub const FIRST: Version = Version(1);

    /// The next one after a change.
    pub fn next(self, major: bool) -> Self {
        Version(self.0 + if major { 10 } else { 1 })
    }

    /// As answers show it.
    pub fn number(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

/// What is kept of an entity's attributes.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing but a hash of the request.
    Hash(u64),
    /// The text of the create request.
    Request(Box<Bytes>),
    /// The attributes, parsed.
    Parsed(Box<Attributes>),
}

/// One stored entity. Its FQN is its key in the store.
#[derive(Clone, Debug)]
pub struct Entity {
    /// The id.
    pub id: Id,
    /// When it changed last, in milliseconds since 1970.
    pub updated_at: i64,
    /// What is kept of it.
    pub content: Content,
    /// The source hash of the last request that was applied.
    pub source_hash: Option<Box<str>>,
    /// The last change, as answers show it.
    pub change: Option<Box<Value>>,
    /// The version.
    pub version: Version,
    /// Who changed it last (`Store::principal`).
    pub updated_by: u8,
    /// Whether it is soft-deleted.
    pub deleted: bool,
}

impl Entity {
    /// The attributes, parsed if they are not yet; empty where only a hash is kept.
    pub fn attributes(&self) -> std::borrow::Cow<'_, Attributes> {
        match &self.content {
            Content::Hash(_) => std::borrow::Cow::Owned(Attributes::new()),
            Content::Request(text) => std::borrow::Cow::Owned(parse(text)),
            Content::Parsed(attributes) => std::borrow::Cow::Borrowed(attributes),
        }
    }

    /// One attribute.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        match &self.content {
            Content::Hash(_) => None,
            Content::Request(text) => parse(text).remove(name),
            Content::Parsed(attributes) => attributes.get(name).cloned(),
        }
    }
}

/// The attributes of a request that was checked when it came. What lives beside the attributes is taken out.
pub fn parse(text: &[u8]) -> Attributes {
    let mut attributes: Attributes = serde_json::from_slice(text).unwrap_or_default();
    attributes.retain(|key, value| !value.is_null() && key != "sourceHash");
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes() {
        let id = Id::from_hash([0xab; 16]);
        assert_eq!(id.to_string(), "abababab-abab-4bab-abab-abababababab");
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert_eq!(Id::parse("not an id"), None);
    }

    #[test]
    fn versions_count_in_tenths() {
        assert_eq!(Version::FIRST.next(false).number(), 0.2);
        assert_eq!(Version::FIRST.next(true).number(), 1.1);
    }
}
