//! The text that upstream's source hash is made of, from a create request as a Python dictionary: fields that come and
//! go are left out, lists are put in order, and the rest is written as Python's `json.dumps(..., sort_keys=True,
//! default=str)` writes it, to the byte.
//!
//! Pure. It reads what ordinary requests are made of; for anything else it has no answer, and upstream's own functions
//! are asked. The property test compares both.

use std::fmt::Write as _;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Fields of references that are not a property of the source.
const VOLATILE: [&str; 3] = ["href", "deleted", "inherited"];

/// Deeper than any request; beyond it upstream's functions decide.
const DEEPEST: usize = 64;

/// A value whose text is not known here.
struct Unknown;

impl From<PyErr> for Unknown {
    fn from(_: PyErr) -> Self {
        Self
    }
}

type Known<T> = Result<T, Unknown>;

/// The text, or nothing where the request holds something that is not known here.
pub(super) fn hash_text(request: &Bound<'_, PyAny>, sorts_aliases: bool) -> Option<String> {
    let mut writer = Writer {
        text: String::with_capacity(8 * 1024),
        names: Vec::new(),
        sorts_aliases,
    };
    let request = request.cast_exact::<PyDict>().ok()?;
    writer.dictionary(request, Place::Request, 0).ok()?;
    Some(writer.text)
}

/// Where a dictionary stands: that decides which of its lists are put in order.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Request,
    Column,
    Elsewhere,
}

struct Writer<'py> {
    text: String,
    /// What `str` made of the objects of this request that are neither text, number nor container: kinds, above all,
    /// which come again for every column.
    names: Vec<(Bound<'py, PyAny>, String)>,
    sorts_aliases: bool,
}

impl<'py> Writer<'py> {
    fn dictionary(&mut self, dictionary: &Bound<'py, PyDict>, place: Place, depth: usize) -> Known<()> {
        if depth > DEEPEST {
            return Err(Unknown);
        }
        let mut fields = Vec::with_capacity(dictionary.len());
        for (key, value) in dictionary.iter() {
            let key = key.cast_into_exact::<PyString>().map_err(|_| Unknown)?;
            if !VOLATILE.contains(&key.to_str()?) {
                fields.push((key, value));
            }
        }
        // Keys are distinct, and UTF-8 sorts as code points do.
        let mut sorted = Vec::with_capacity(fields.len());
        for (key, value) in &fields {
            sorted.push((key.to_str()?, value));
        }
        sorted.sort_unstable_by_key(|(key, _)| *key);
        self.text.push('{');
        for (number, (key, value)) in sorted.into_iter().enumerate() {
            if number > 0 {
                self.text.push_str(", ");
            }
            write_text(&mut self.text, key);
            self.text.push_str(": ");
            self.field(place, key, value, depth)?;
        }
        self.text.push('}');
        Ok(())
    }

    /// A value by the name under which it stands.
    fn field(&mut self, place: Place, key: &str, value: &Bound<'py, PyAny>, depth: usize) -> Known<()> {
        let list = value.cast_exact::<PyList>().ok();
        match (place, key, list) {
            (Place::Request, "columns", Some(list)) | (Place::Column, "children", Some(list)) => {
                self.columns(list, depth)
            }
            (Place::Column, "children", None) if value.is_truthy()? => Err(Unknown),
            (Place::Request | Place::Column, "tags", Some(list)) => self.sorted(list, depth, tag_key),
            (Place::Column, "tags", None) if value.is_truthy()? => Err(Unknown),
            (Place::Request, "tableConstraints", Some(list)) => self.sorted(list, depth, constraint_key),
            (Place::Request, "owners", Some(list)) => self.sorted(list, depth, reference_key),
            (Place::Request, "aliases", Some(list)) if self.sorts_aliases => self.sorted(list, depth, text_key),
            (Place::Request, "schemaDefinition", _) if value.is_truthy()? => {
                let definition = value.cast_exact::<PyString>().map_err(|_| Unknown)?;
                write_text(&mut self.text, &with_single_spaces(definition.to_str()?));
                Ok(())
            }
            _ => self.value(value, depth),
        }
    }

    fn value(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> Known<()> {
        if value.is_none() {
            self.text.push_str("null");
        } else if let Ok(text) = value.cast_exact::<PyString>() {
            write_text(&mut self.text, text.to_str()?);
        } else if let Ok(dictionary) = value.cast_exact::<PyDict>() {
            self.dictionary(dictionary, Place::Elsewhere, depth + 1)?;
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.list(list.iter(), Place::Elsewhere, depth)?;
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            self.text.push_str(if boolean.is_true() { "true" } else { "false" });
        } else if value.is_exact_instance_of::<PyInt>() {
            match value.extract::<i64>() {
                Ok(number) => write!(self.text, "{number}").map_err(|_| Unknown)?,
                Err(_) => self.text.push_str(value.str()?.to_str()?),
            }
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            if !number.value().is_finite() {
                return Err(Unknown);
            }
            self.text.push_str(number.repr()?.to_str()?);
        } else {
            let name = self.name(value)?;
            write_text(&mut self.text, &name);
        }
        Ok(())
    }

    fn list(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>, place: Place, depth: usize) -> Known<()> {
        if depth > DEEPEST {
            return Err(Unknown);
        }
        self.text.push('[');
        for (number, item) in items.enumerate() {
            if number > 0 {
                self.text.push_str(", ");
            }
            match item.cast_exact::<PyDict>() {
                Ok(dictionary) => self.dictionary(dictionary, place, depth + 1)?,
                Err(_) if place == Place::Column => return Err(Unknown),
                Err(_) => self.value(&item, depth + 1)?,
            }
        }
        self.text.push(']');
        Ok(())
    }

    /// Columns by their number, then by their name; those that are mere names, by these.
    fn columns(&mut self, list: &Bound<'py, PyList>, depth: usize) -> Known<()> {
        match list.iter().next() {
            None => self.list(list.iter(), Place::Elsewhere, depth),
            Some(first) if first.cast_exact::<PyDict>().is_err() => self.sorted(list, depth, text_key),
            Some(_) => {
                let items = in_order(list, column_key)?;
                self.list(items, Place::Column, depth)
            }
        }
    }

    fn sorted<K: Ord>(
        &mut self,
        list: &Bound<'py, PyList>,
        depth: usize,
        key: impl Fn(&Bound<'py, PyAny>) -> Known<K>,
    ) -> Known<()> {
        let items = in_order(list, key)?;
        self.list(items, Place::Elsewhere, depth)
    }

    /// What `str` makes of an object that JSON does not know.
    fn name(&mut self, value: &Bound<'py, PyAny>) -> Known<String> {
        if let Some((_, name)) = self.names.iter().find(|(known, _)| known.is(value)) {
            return Ok(name.clone());
        }
        let name = name_of(value)?;
        if self.names.len() < 16 {
            self.names.push((value.clone(), name.clone()));
        }
        Ok(name)
    }
}

/// The items of a list by a key; equal ones stay in their order.
fn in_order<'py, K: Ord>(
    list: &Bound<'py, PyList>,
    key: impl Fn(&Bound<'py, PyAny>) -> Known<K>,
) -> Known<impl Iterator<Item = Bound<'py, PyAny>>> {
    let mut keyed = Vec::with_capacity(list.len());
    for item in list.iter() {
        keyed.push((key(&item)?, item));
    }
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(keyed.into_iter().map(|(_, item)| item))
}

/// `str` of an object that is not of a kind with a form of its own in JSON, nor of a class derived from one.
fn name_of(value: &Bound<'_, PyAny>) -> Known<String> {
    let has_a_form = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyDict>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>();
    if has_a_form {
        return Err(Unknown);
    }
    Ok(value.str()?.to_str()?.to_owned())
}

/// A field of a dictionary as `str` shows it in a key; nothing where it is missing.
fn shown(dictionary: &Bound<'_, PyDict>, name: &str) -> Known<Option<String>> {
    let Some(value) = dictionary.get_item(name)? else {
        return Ok(None);
    };
    if value.is_none() {
        return Ok(Some("None".to_owned()));
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return Ok(Some(text.to_str()?.to_owned()));
    }
    name_of(&value).map(Some)
}

fn dictionary<'a, 'py>(item: &'a Bound<'py, PyAny>) -> Known<&'a Bound<'py, PyDict>> {
    item.cast_exact::<PyDict>().map_err(|_| Unknown)
}

fn text_key(item: &Bound<'_, PyAny>) -> Known<String> {
    let text = item.cast_exact::<PyString>().map_err(|_| Unknown)?;
    Ok(text.to_str()?.to_owned())
}

/// Columns without a number come last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ColumnKey(bool, i64, String);

fn column_key(item: &Bound<'_, PyAny>) -> Known<ColumnKey> {
    let column = dictionary(item)?;
    let name = shown(column, "name")?.unwrap_or_default();
    match column.get_item("ordinalPosition")? {
        Some(number) if !number.is_none() => {
            if !number.is_exact_instance_of::<PyInt>() {
                return Err(Unknown);
            }
            Ok(ColumnKey(false, number.extract()?, name))
        }
        _ => Ok(ColumnKey(true, 0, name)),
    }
}

fn tag_key(item: &Bound<'_, PyAny>) -> Known<String> {
    Ok(shown(dictionary(item)?, "tagFQN")?.unwrap_or_default())
}

/// By kind, then by the names of the columns in order.
fn constraint_key(item: &Bound<'_, PyAny>) -> Known<(String, String)> {
    let constraint = dictionary(item)?;
    let kind = shown(constraint, "constraintType")?.unwrap_or_default();
    let mut columns = Vec::new();
    if let Some(found) = constraint.get_item("columns")? {
        if let Ok(list) = found.cast_exact::<PyList>() {
            for name in list.iter() {
                columns.push(text_key(&name)?);
            }
        } else if found.is_truthy()? {
            return Err(Unknown);
        }
    }
    columns.sort_unstable();
    Ok((kind, columns.join(",")))
}

/// The first of its three names that a reference has.
fn reference_key(item: &Bound<'_, PyAny>) -> Known<String> {
    let reference = dictionary(item)?;
    for name in ["fullyQualifiedName", "name", "id"] {
        if let Some(value) = reference.get_item(name)? {
            if value.is_truthy()? {
                return shown(reference, name).map(Option::unwrap_or_default);
            }
        }
    }
    Ok(String::new())
}

/// What Python calls white space.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// A text without white space around it, and with one space for each run of it inside.
fn with_single_spaces(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !made.is_empty() {
            made.push(' ');
        }
        made.push_str(word);
    }
    made
}

/// A text as Python's `json` writes it: everything outside of printable ASCII is escaped.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, letter) in text.char_indices() {
        if matches!(letter, ' '..='~') && letter != '"' && letter != '\\' {
            continue;
        }
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + letter.len_utf8();
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_python_does() {
        let mut out = String::new();
        write_text(&mut out, "a\"\\\n\u{7f}é\u{1f600}~ ");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u007f\\u00e9\\ud83d\\ude00~ \"");
    }

    #[test]
    fn runs_of_white_space_become_one_space() {
        assert_eq!(with_single_spaces(" \u{1c}select\t\n 1\u{3000}\u{85}"), "select 1");
        assert_eq!(with_single_spaces(""), "");
        assert_eq!(with_single_spaces("\u{200b}"), "\u{200b}");
    }

    #[test]
    fn columns_without_a_number_come_last() {
        let number = |number: i64, name: &str| ColumnKey(false, number, name.to_owned());
        assert!(number(2, "b") < ColumnKey(true, 0, "a".to_owned()));
        assert!(number(1, "z") < number(2, "a"));
        assert!(number(1, "a") < number(1, "b"));
    }
}
