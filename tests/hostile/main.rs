//! Input from outside, whatever its bytes: what must hold for any of it, and small corpora for which it is tried at every run of the
//! tests. `make fuzz` looks for more of it: `fuzz/fuzz_targets` hands these same checks what libFuzzer makes up.
//!
//! | file | what comes from outside | what must hold |
//! |---|---|---|
//! | `answers.rs` | a status and a body | one end for each record, and none is written by a refusal |
//! | `names.rs` | a fully qualified name | its parts make it again |
//! | `pauses.rs` | `Retry-After` and `Date` | never more than a day |
//! | `letters.rs` | a lost record | its dead letter is one line that holds it, and nothing else |
//!
//! A file of a corpus that begins as the check's own text says is one such input; new ones are welcome where they found something.

// In a test a panic is how a failure is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod letters;
mod names;
mod pauses;

use std::fs;
use std::path::{Path, PathBuf};

type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 4] = [
    ("answers", answers::check),
    ("letters", letters::check),
    ("names", names::check),
    ("pauses", pauses::check),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_corpus_keeps_what_must_hold() {
    for (name, check) in CHECKS {
        let corpus = files(&format!("tests/hostile/corpus/{name}"));
        assert!(corpus.len() >= 8, "{name} has a corpus of {}", corpus.len());
        for file in corpus {
            // Shown where the next line fails.
            println!("{}", file.display());
            check(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_check_has_a_target() {
    let names = |folder: &str| -> Vec<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        files(folder).into_iter().map(stem).collect()
    };
    let checks: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz/fuzz_targets"), checks);
    assert_eq!(names("tests/hostile/corpus"), checks);
}

/// That `make fuzz PLANTED=1` can find one in each of them.
#[cfg(feature = "panics")]
#[test]
fn every_check_meets_a_planted_panic() {
    use openmetadata_bulksink::panics;

    let inputs = [
        r#"200 {"numberOfRowsFailed":1,"failedRequest":[{"request":"s.a","status":400,"message":"~^"}]}"#,
        "s.a\nwhat the server said: ~^\n{}",
        "a.~^",
        "~^",
    ];
    panics::plant();
    for ((name, check), input) in CHECKS.into_iter().zip(inputs) {
        let panic = std::panic::catch_unwind(|| check(input.as_bytes())).expect_err(name);
        assert_eq!(
            panic.downcast_ref::<String>().map(String::as_str),
            Some(panics::PLANTED),
            "{name}"
        );
    }
}
