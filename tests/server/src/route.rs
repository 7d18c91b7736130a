//! From method and path to what is asked for. No state, no bodies.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::catalogue::KINDS;
use crate::entity::Id;
use crate::kinds::{self, KindId};

/// The classes that latency, faults and the summary tell apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// `PUT .../bulk`.
    Bulk,
    /// PUT or POST of one entity.
    Single,
    /// PATCH of nothing but `/lifeCycle`.
    LifeCycle,
    /// Any other PATCH of an entity.
    Patch,
    /// GET of one entity.
    Get,
    /// GET of a collection.
    List,
    /// DELETE of one entity.
    Delete,
    /// `DELETE .../deleteStale`.
    Stale,
    /// Anything about lineage.
    Lineage,
    /// Everything else.
    Other,
}

/// How a path names an entity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// By id.
    Id(Id),
    /// By FQN, decoded.
    Name(String),
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A collection as a whole.
    Collection(KindId),
    /// `bulk` of a collection.
    Bulk(KindId),
    /// `deleteStale` of a collection.
    Stale(KindId),
    /// `restore` of a collection.
    Restore(KindId),
    /// One entity.
    Entity(KindId, Key),
    /// Something below one entity.
    Below(KindId, Key, Vec<String>),
    /// Lineage, with the rest of the path.
    Lineage(Vec<String>),
    /// Search, with the rest of the path.
    Search(Vec<String>),
    /// Anything else below `/v1/` that this server knows (`system.rs`, `pipelines.rs`).
    Service(Vec<String>),
    /// Outside of `/api`: the web interface.
    Page,
    /// Nothing that this server knows.
    Unknown,
}

/// First words of paths that are served without being collections.
const SERVICE_WORDS: &[&str] = &[
    "system",
    "metadata",
    "usage",
    "feed",
    "config",
    "automations",
    "apps",
    "queryCostRecord",
];

/// Splits a path into decoded words. A slash within a name is encoded, so words are split first.
fn words(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|word| !word.is_empty())
        .map(|word| percent_decode_str(word).decode_utf8_lossy().into_owned())
        .collect()
}

/// What a path asks for.
pub fn target(path: &str) -> Target {
    let words = words(path);
    let rest = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["api", "v1", ..] => &words[2..],
        ["api", ..] => return Target::Unknown,
        _ => return Target::Page,
    };
    let Some(first) = rest.first() else {
        return Target::Unknown;
    };
    match first.as_str() {
        "lineage" => return Target::Lineage(rest[1..].to_vec()),
        "search" => return Target::Search(rest[1..].to_vec()),
        word if SERVICE_WORDS.contains(&word) => return Target::Service(rest.to_vec()),
        _ => {}
    }
    // The longest path that is a collection: `dashboard/datamodels`, `services/databaseServices`, `tables`.
    for length in [2, 1] {
        if rest.len() < length {
            continue;
        }
        if let Some(kind) = kinds::by_path(&rest[..length].join("/")) {
            return below(kind, rest, length);
        }
    }
    match first.as_str() {
        "services" => Target::Service(rest.to_vec()),
        _ => Target::Unknown,
    }
}

/// What the words after a collection's own ask for.
fn below(kind: KindId, all: &[String], length: usize) -> Target {
    let rest = &all[length..];
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (KINDS[kind].path, &words[..]) {
        (_, []) => Target::Collection(kind),
        (_, ["bulk"]) => Target::Bulk(kind),
        (_, ["deleteStale"]) => Target::Stale(kind),
        (_, ["restore"]) => Target::Restore(kind),
        (_, ["name", name]) => Target::Entity(kind, Key::Name((*name).to_string())),
        (_, ["name", name, tail @ ..]) => Target::Below(kind, Key::Name((*name).to_string()), owned(tail)),
        (_, [id]) if Id::parse(id).is_some() => Target::Entity(kind, Key::Id(Id::parse(id).unwrap_or(Id(0)))),
        (_, [id, tail @ ..]) if Id::parse(id).is_some() => {
            Target::Below(kind, Key::Id(Id::parse(id).unwrap_or(Id(0))), owned(tail))
        }
        // Collections with routes of their own beside those of an entity.
        ("users" | "services/ingestionPipelines" | "dataQuality/testCases" | "dataQuality/testSuites", _) => {
            Target::Service(all.to_vec())
        }
        (_, [name, tail @ ..]) if !tail.is_empty() => Target::Below(kind, Key::Name((*name).to_string()), owned(tail)),
        _ => Target::Unknown,
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

impl Target {
    /// The class of a request, before its body is known.
    pub fn class(&self, method: &str) -> Class {
        match (self, method) {
            (Target::Bulk(_), "PUT") => Class::Bulk,
            (Target::Collection(_), "PUT" | "POST") => Class::Single,
            (Target::Collection(_), "GET") => Class::List,
            (Target::Entity(..), "GET") => Class::Get,
            (Target::Entity(..), "PATCH") => Class::Patch,
            (Target::Entity(..), "DELETE") => Class::Delete,
            (Target::Stale(_), _) => Class::Stale,
            (Target::Lineage(_), _) => Class::Lineage,
            _ => Class::Other,
        }
    }

    /// The path of the collection that is meant, or the first word of the route.
    pub fn collection(&self) -> &str {
        match self {
            Target::Collection(kind)
            | Target::Bulk(kind)
            | Target::Stale(kind)
            | Target::Restore(kind)
            | Target::Entity(kind, _)
            | Target::Below(kind, _, _) => KINDS[*kind].path,
            Target::Lineage(_) => "lineage",
            Target::Search(_) => "search",
            Target::Service(words) => words.first().map_or("", String::as_str),
            Target::Page | Target::Unknown => "",
        }
    }
}

/// The query of a request, decoded, in order.
pub fn query(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        percent_decode_str(&part.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=')
                .map_or_else(|| (decode(pair), String::new()), |(k, v)| (decode(k), decode(v)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_of_one_and_of_two_words() {
        assert_eq!(target("/api/v1/tables/bulk"), Target::Bulk(kinds::at("tables")));
        assert_eq!(
            target("/api//v1/dashboard/datamodels/bulk"),
            Target::Bulk(kinds::at("dashboard/datamodels"))
        );
        assert_eq!(
            target("/api/v1/services/databaseServices"),
            Target::Collection(kinds::at("services/databaseServices"))
        );
        assert_eq!(
            target("/api/v1/drives/files/deleteStale"),
            Target::Stale(kinds::at("drives/files"))
        );
    }

    #[test]
    fn a_name_keeps_its_encoded_slash() {
        let Target::Entity(_, Key::Name(name)) = target("/api/v1/tables/name/s.%22a.b%22.c%20d%2F") else {
            panic!("not an entity by name")
        };
        assert_eq!(name, "s.\"a.b\".c d/");
    }

    #[test]
    fn what_is_not_known_is_unknown() {
        assert_eq!(target("/v1/tables"), Target::Page);
        assert_eq!(target("/api/v2/tables"), Target::Unknown);
        assert_eq!(target("/api/v1/nonsense"), Target::Unknown);
        assert_eq!(target("/api/v1/tables/nonsense"), Target::Unknown);
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(
            query("fields=a%2Cb&x=1+2&flag"),
            [
                ("fields".into(), "a,b".into()),
                ("x".into(), "1 2".into()),
                ("flag".into(), String::new())
            ]
        );
    }
}
