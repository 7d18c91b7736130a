//! Arguments of `BulkSink`'s methods -> values of the engine. Bad ones are named.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rustc_hash::FxHashSet;

use super::errors;
use crate::engine::{Fqn, Scope, Sequence};

/// Collection, FQN and body of a record that must be written first.
pub(super) type First<'a> = (&'a str, &'a str, Bound<'a, PyAny>);

/// The scope that the arguments of `wait` name.
pub(super) fn scope(
    fqn: Option<&str>,
    subtree: bool,
    collection: Option<&str>,
    under: Option<&str>,
    except_fqns: Option<Bound<'_, PyAny>>,
    up_to: Sequence,
) -> PyResult<Scope> {
    let contradiction = |text: &str| Err(errors::value(text.to_owned()));
    match (fqn, collection) {
        (Some(_), Some(_)) => contradiction("fqn and collection: give one of them"),
        (Some(_), None) if under.is_some() || except_fqns.is_some() => {
            contradiction("under and except_fqns: belong to collection, not to fqn")
        }
        (Some(fqn), None) => Ok(Scope::Name {
            fqn: Fqn::canonical(fqn),
            subtree,
            up_to,
        }),
        (None, _) if subtree => contradiction("subtree: belongs to fqn"),
        (None, Some(collection)) => {
            let mut except = FxHashSet::default();
            if let Some(names) = except_fqns {
                for name in names.try_iter()? {
                    except.insert(Fqn::canonical(&name?.extract::<String>()?));
                }
            }
            Ok(Scope::Collection {
                collection: collection.to_owned(),
                under: under.map(Fqn::canonical),
                except,
                up_to,
            })
        }
        (None, None) if under.is_some() || except_fqns.is_some() => {
            contradiction("under and except_fqns: name the collection too")
        }
        (None, None) => Ok(Scope::All { up_to }),
    }
}

/// The bytes of an argument that must be a JSON object. Whether the inside is JSON is for the server to say.
pub(super) fn json_object(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let bytes = if let Ok(bytes) = value.cast::<PyBytes>() {
        Bytes::copy_from_slice(bytes.as_bytes())
    } else if let Ok(text) = value.cast::<PyString>() {
        Bytes::copy_from_slice(text.to_str()?.as_bytes())
    } else {
        let kind = value.get_type().name()?;
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "{name}: must be bytes or str, not {kind}"
        )));
    };
    let inside = bytes.trim_ascii();
    if inside.starts_with(b"{") && inside.ends_with(b"}") {
        Ok(bytes)
    } else {
        Err(errors::value(format!(
            "{name}: must be a JSON object, starting with {{ and ending with }}"
        )))
    }
}
