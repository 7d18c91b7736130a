//! A create request as text with its fields found, and the checks that need no other entity: name, required fields, columns.
//!
//! Parses no more than it must: a row of a bulk request is scanned, not built.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::catalogue::KINDS;
use crate::columns;
use crate::kinds::{self, KindId, Naming};
use crate::reply::Refusal;

/// The fields of one create request, in order, values as text.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((key, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    fields.push((key.0, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A string that borrows where it can.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A body that could not be read as what it must be: the whole request is refused.
#[derive(Debug)]
pub struct Malformed(pub String);

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Refusal::bad(malformed.0)
    }
}

/// One create request.
pub struct Row {
    /// Its text.
    pub text: Bytes,
    /// A hash of its text.
    pub hash: u64,
    /// The name, as sent; for a query without one, its checksum.
    pub name: String,
    /// Where the values of the fields lie in the text.
    fields: Vec<(Box<str>, u32, u32)>,
    /// What is wrong with it, if something is.
    pub invalid: Option<Refusal>,
}

/// The rows of a bulk request.
pub fn rows(kind: KindId, body: &Bytes, refuse_unknown: bool) -> Result<Vec<Row>, Malformed> {
    let texts: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("Invalid request format: {error}")))?;
    texts
        .into_iter()
        .map(|text| Row::read(kind, body, text.get(), refuse_unknown))
        .collect()
}

/// The one row of a request that is not bulk.
pub fn single(kind: KindId, body: &Bytes, refuse_unknown: bool) -> Result<Row, Malformed> {
    let text: &RawValue =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("Invalid request format: {error}")))?;
    Row::read(kind, body, text.get(), refuse_unknown)
}

/// A hash of some bytes, the same within one process.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What a table can be written without, and later with: foreign keys, and the hash that was made over them.
const LATER: [&str; 2] = ["tableConstraints", "sourceHash"];

impl Row {
    /// The same for all forms of one version of a table, with and without its foreign keys.
    pub fn hash_of_version(&self) -> u64 {
        let is_later = |(name, ..): &&(Box<str>, u32, u32)| LATER.contains(&&**name);
        if !self.fields.iter().any(|(name, ..)| **name == *LATER[0]) {
            return self.hash;
        }
        let mut hasher = std::hash::DefaultHasher::new();
        for (name, from, to) in self.fields.iter().filter(|field| !is_later(field)) {
            (name, self.text.get(*from as usize..*to as usize)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Reads one row; `text` lies within `body`.
    fn read(kind: KindId, body: &Bytes, text: &str, refuse_unknown: bool) -> Result<Row, Malformed> {
        let fields: Fields<'_> =
            serde_json::from_str(text).map_err(|error| Malformed(format!("Invalid request format: {error}")))?;
        let base = text.as_ptr() as usize;
        let mut places = Vec::with_capacity(fields.0.len());
        for (key, value) in fields.0 {
            if refuse_unknown && !kinds::may_create(kind, &key) {
                let entity_type = KINDS[kind].entity_type;
                return Err(Malformed(format!(
                    "Invalid request format: unrecognized field \"{key}\" in a create request for {entity_type}"
                )));
            }
            if value.get() != "null" {
                let start = value.get().as_ptr() as usize - base;
                let place = |at: usize| {
                    u32::try_from(at).map_err(|_| Malformed("Invalid request format: row too large".into()))
                };
                places.push((Box::from(&*key), place(start)?, place(start + value.get().len())?));
            }
        }
        let mut row = Row {
            text: body.slice_ref(text.as_bytes()),
            hash: hash(text.as_bytes()),
            name: String::new(),
            fields: places,
            invalid: None,
        };
        row.name = row.string("name")?.map(Cow::into_owned).unwrap_or_default();
        row.invalid = row.check(kind)?.err();
        if KINDS[kind].naming == Naming::Query && row.name.is_empty() {
            let text = row.string("query")?.unwrap_or_default();
            row.name = crate::store::hex(&crate::store::md5(&text));
        }
        Ok(row)
    }

    /// The text of a field that is there and not null.
    pub fn raw(&self, field: &str) -> Option<&str> {
        let (_, start, end) = self.fields.iter().find(|(key, _, _)| &**key == field)?;
        std::str::from_utf8(&self.text[*start as usize..*end as usize]).ok()
    }

    /// A field that must be a string where it is there.
    pub fn string(&self, field: &str) -> Result<Option<Cow<'_, str>>, Malformed> {
        let Some(raw) = self.raw(field) else {
            return Ok(None);
        };
        serde_json::from_str::<Text<'_>>(raw)
            .map(|text| Some(text.0))
            .map_err(|_| Malformed(format!("Invalid request format: {field} must be a string")))
    }

    /// A field of any form.
    pub fn read_field<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, Malformed> {
        let Some(raw) = self.raw(field) else {
            return Ok(None);
        };
        serde_json::from_str(raw)
            .map(Some)
            .map_err(|error| Malformed(format!("Invalid request format: {field}: {error}")))
    }

    /// What can be wrong with a row on its own. The outer error is a body that cannot be bound at all.
    fn check(&self, kind: KindId) -> Result<Result<(), Refusal>, Malformed> {
        let may_lack_name = KINDS[kind].naming == Naming::Query;
        if let Err(refusal) = check_name(self.raw("name").map(|_| self.name.as_str()), may_lack_name) {
            return Ok(Err(refusal));
        }
        for field in KINDS[kind].required {
            if self.raw(field).is_none() {
                return Ok(Err(Refusal::bad(format!("[{field} must not be null]"))));
            }
        }
        let parents = KINDS[kind].parents;
        let lacks = |parent: &&kinds::Parent| self.raw(parent.field).is_none();
        let missing = parents.iter().find(|parent| !parent.optional && lacks(parent));
        // A tag names a classification or another tag.
        let missing = missing.or_else(|| {
            parents
                .last()
                .filter(|_| KINDS[kind].path == "tags" && parents.iter().all(|p| lacks(&p)))
        });
        if let Some(parent) = missing {
            return Ok(Err(Refusal::bad(format!("[{} must not be null]", parent.field))));
        }
        if let Some(hash) = self.string("sourceHash")? {
            if hash.chars().count() > 32 {
                return Ok(Err(Refusal::bad("[sourceHash size must be between 1 and 32]")));
            }
        }
        match KINDS[kind].path {
            "tables" | "dashboard/datamodels" => columns::check(self),
            _ => Ok(Ok(())),
        }
    }
}

/// The rules for names.
fn check_name(name: Option<&str>, may_lack: bool) -> Result<(), Refusal> {
    let Some(name) = name else {
        return if may_lack {
            Ok(())
        } else {
            Err(Refusal::bad("[name must not be null]"))
        };
    };
    let length = name.chars().count();
    if length == 0 || length > 256 {
        return Err(Refusal::bad("[name size must be between 1 and 256]"));
    }
    if name.contains("::") || name.contains(['\n', '\r']) {
        return Err(Refusal::bad("[name must match \"^((?!::).)*$\"]"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Row {
        let row = single(kinds::at("tables"), &Bytes::copy_from_slice(text.as_bytes()), true);
        row.unwrap_or_else(|error| panic!("{}", error.0))
    }

    #[test]
    fn fields_are_found_and_null_is_absent() {
        let row = table(r#"{"name":"t","databaseSchema":"s.d.s","columns":[],"description":null}"#);
        assert_eq!(row.name, "t");
        assert_eq!(row.raw("databaseSchema"), Some("\"s.d.s\""));
        assert_eq!(row.raw("description"), None);
        assert!(row.invalid.is_none());
    }

    #[test]
    fn a_name_may_not_be_missing_empty_long_or_reserved() {
        for (name, text) in [
            ("null".to_string(), "[name must not be null]"),
            ("\"\"".to_string(), "[name size must be between 1 and 256]"),
            (
                format!("\"{}\"", "x".repeat(300)),
                "[name size must be between 1 and 256]",
            ),
            ("\"a::b\"".to_string(), "[name must match"),
            ("\"a\\nb\"".to_string(), "[name must match"),
        ] {
            let row = table(&format!(r#"{{"name":{name},"databaseSchema":"s.d.s","columns":[]}}"#));
            assert!(
                row.invalid.is_some_and(|refusal| refusal.message.starts_with(text)),
                "{name}"
            );
        }
    }

    #[test]
    fn an_unknown_property_is_refused_as_a_whole() {
        let body = Bytes::from_static(br#"[{"name":"t","nonsense":1}]"#);
        let error = rows(kinds::at("tables"), &body, true).err().map(|error| error.0);
        assert!(error.is_some_and(|text| text.contains("\"nonsense\"")));
        assert!(rows(kinds::at("tables"), &body, false).is_ok());
    }

    #[test]
    fn a_query_without_a_name_is_called_by_its_checksum() {
        let body = Bytes::from_static(br#"{"query":"SELECT 1","service":"s"}"#);
        let row = single(kinds::at("queries"), &body, true).unwrap_or_else(|error| panic!("{}", error.0));
        assert_eq!(row.name, crate::store::hex(&crate::store::md5("SELECT 1")));
    }
}
