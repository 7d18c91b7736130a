//! The shape of the crate, as a test: the engine stays pure, and the maps in the module docs name what is there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that policy has no use for, each with what it would bring in.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "a runtime"),
    ("reqwest", "HTTP"),
    ("hyper", "HTTP"),
    ("pyo3", "Python"),
    ("crossbeam", "threads"),
    ("std::net", "a socket"),
    ("std::thread", "a thread"),
    ("std::fs", "a file"),
    ("std::io", "I/O"),
    ("std::env", "the environment"),
    ("std::process", "the process"),
    ("std::sync::Mutex", "a lock"),
    ("Instant::now", "a clock"),
    ("SystemTime", "a clock"),
    ("Rng::new()", "an unseeded random number"),
    ("println!", "output"),
    ("tracing", "a log"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The code of a file: without comments, which may name what the code must not, and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_engine_is_pure() {
    let files = rust_files(&root().join("src/engine"));
    assert!(files.len() >= 10, "the engine was not found");
    let mut found = Vec::new();
    for path in files {
        let code = code(&path);
        for (word, what) in IMPURE {
            if code.contains(word) {
                found.push(format!("{} names {word}: {what}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn status_codes_are_known_only_where_they_are_judged() {
    let allowed = ["engine/reading", "engine/retry.rs", "http/"];
    for path in rust_files(&root().join("src")) {
        let name = path.strip_prefix(root().join("src")).unwrap().display().to_string();
        if allowed.iter().any(|place| name.starts_with(place)) || name.contains("/tests/") {
            continue;
        }
        let code = code(&path);
        for status in ["429", "503", "502", "504", "401", "404", "405", "413"] {
            let is_there = code
                .split(|c: char| !c.is_ascii_alphanumeric())
                .any(|word| word == status);
            assert!(!is_there, "{name} knows the status {status}");
        }
    }
}

#[test]
fn each_module_map_names_every_file_beside_it() {
    for folder in ["src", "src/engine", "src/http", "src/python"] {
        let folder = root().join(folder);
        let root = ["mod.rs", "lib.rs"].map(|name| folder.join(name));
        let root = root.into_iter().find(|path| path.exists()).unwrap();
        let text = fs::read_to_string(&root).unwrap();
        let readme = text.contains(r#"#![doc = include_str!("README.md")]"#);
        let map = if readme { folder.join("README.md") } else { root.clone() };
        let text = fs::read_to_string(&map).unwrap();
        let docs: String = text.lines().filter(|line| readme || line.starts_with("//!")).collect();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path != map && path != root {
                let named = docs.contains(&format!("`{stem}.rs`")) || docs.contains(&format!("[`{stem}`]"));
                assert!(named, "the map in {} does not name {stem}", map.display());
            }
        }
    }
}

#[test]
fn each_file_opens_with_what_it_is_for() {
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} does not say what it is for",
            path.display()
        );
    }
}

#[test]
fn docs_name_only_files_that_exist() {
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        // The notes on upstream name upstream's files.
        if path.extension().is_none_or(|ending| ending != "md") || path.ends_with("upstream-notes.md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let is_file = word.contains('/')
                && [".rs", ".py", ".pyi", ".md"]
                    .iter()
                    .any(|ending| word.ends_with(ending));
            if is_file && !word.contains([' ', '*', '<', ':']) {
                let places = ["", "src", "src/engine", "python/openmetadata_bulksink"]
                    .map(|place| root().join(place).join(word));
                assert!(
                    places.iter().any(|place| place.exists()),
                    "{} names {word}",
                    path.display()
                );
            }
        }
    }
}
