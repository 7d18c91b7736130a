//! JSON, read as far as it is needed and no further: what is not looked into stays raw text, whatever its depth.
//!
//! serde_json skips a value in a loop, not by recursion, so its limit of 128 levels holds only for what is looked into.

use std::fmt;
use std::num::{IntErrorKind, ParseIntError};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object; None for anything else.
pub(super) fn fields(text: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Fields<'_>>(text).ok().map(|fields| fields.0)
}

/// The items of an array; None for anything else.
pub(super) fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A string; None for anything else. One that no Unicode text can be made of is given as it is written.
pub(super) fn text(value: &RawValue) -> Option<String> {
    let inside = value.get().strip_prefix('"')?.strip_suffix('"')?;
    Some(if inside.contains('\\') {
        serde_json::from_str(value.get()).unwrap_or_else(|_| inside.to_owned())
    } else {
        inside.to_owned()
    })
}

/// A whole number that is not negative, the largest there is where it is larger; None for anything else.
pub(super) fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().map_or_else(
        |error: ParseIntError| (*error.kind() == IntErrorKind::PosOverflow).then_some(u64::MAX),
        Some,
    )
}

/// The value of a field; of two with one name the last.
pub(super) fn field<'a>(fields: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    fields
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| *value)
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collector).map(Fields)
    }
}

struct Collector;

impl<'de> Visitor<'de> for Collector {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_levels_are_skipped() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let body = format!("{{\"a\":{deep},\"b\":{{\"c\":{deep}}},\"a\":\"last\\n\"}}");
        let fields = fields(&body).unwrap();
        assert_eq!(fields.len(), 3);
        assert_eq!(field(&fields, "a").and_then(text).as_deref(), Some("last\n"));
        let inside = self::fields(fields[1].1.get()).unwrap();
        assert_eq!(inside[0].1.get().len(), 2_000_000);
        assert_eq!(items(inside[0].1).map(|items| items.len()), Some(1));
    }

    #[test]
    fn what_is_something_else_is_none() {
        let body = r#"{"text":"x","number":17,"negative":-1,"huge":123456789012345678901234567890,"null":null,"list":[1,"2"],"lone":"\ud800"}"#;
        let fields = fields(body).unwrap();
        let of = |name| field(&fields, name).unwrap();
        assert_eq!(number(of("number")), Some(17));
        assert_eq!(number(of("negative")), None);
        assert_eq!(number(of("huge")), Some(u64::MAX));
        assert_eq!(number(of("text")), None);
        assert_eq!(text(of("null")), None);
        assert_eq!(items(of("list")).map(|items| items.len()), Some(2));
        assert!(items(of("text")).is_none());
        assert_eq!(text(of("lone")).as_deref(), Some("\\ud800"));
        for body in ["", "[]", "null", "{\"a\":1", "{\"a\":1} x", "<html>"] {
            assert!(self::fields(body).is_none(), "{body}");
        }
    }
}
