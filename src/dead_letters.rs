//! Dead letters: one JSON line for each lost record, appended as it is lost.
//!
//! A line holds `time` (milliseconds since 1970), `kind`, `collection`, `fqn`, `reason`, `attempts` and the request's `body`. It
//! never holds a token: bodies are create requests, and reasons are cleaned where they arise.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::engine::{Ending, Kind, Outcome};

/// A file that is opened when the first record is lost.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    file: Option<File>,
    /// Whether people were told that it cannot be written.
    told: bool,
}

#[derive(Serialize)]
struct Letter<'a> {
    time: u64,
    kind: &'a str,
    collection: &'a str,
    fqn: &'a str,
    reason: &'a str,
    attempts: u32,
    /// The request as JSON, or as text where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_text: Option<String>,
}

impl DeadLetters {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            told: false,
        }
    }

    /// Appends these lost records, each line flushed.
    ///
    /// # Errors
    /// A line for people, the first time that the file cannot be written. Later records are tried again.
    pub fn append(&mut self, lost: &[Outcome]) -> Result<(), String> {
        let written = lost.iter().try_for_each(|outcome| self.append_one(outcome));
        match written {
            Ok(()) => {
                self.told = false;
                Ok(())
            }
            Err(error) => {
                // Half a letter may be in it now: who opens it looks.
                self.file = None;
                if std::mem::replace(&mut self.told, true) {
                    return Ok(());
                }
                Err(format!(
                    "dead letters cannot be written to {} ({error}): set OM_BULKSINK_DEAD_LETTERS (-o of replay) to a file that can; \
                     lost records are still named at the end",
                    self.path.display()
                ))
            }
        }
    }

    fn append_one(&mut self, outcome: &Outcome) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let Some(line) = line(outcome, now.unwrap_or_default())? else {
            return Ok(());
        };
        if self.file.is_none() {
            self.file = Some(open(&self.path)?);
        }
        match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

/// The letter of a record that ended at `now`, since 1970, with its line feed; None for one that was not lost.
///
/// # Errors
/// None that is known: serde_json could refuse to write it.
pub fn line(outcome: &Outcome, now: Duration) -> io::Result<Option<String>> {
    let (Ending::Failed(reason) | Ending::WrittenInPart(reason)) = &outcome.ending else {
        return Ok(None);
    };
    #[cfg(feature = "panics")]
    crate::panics::read(reason);
    let text = outcome.body.as_deref().map(String::from_utf8_lossy);
    let is_json = |text: &&str| serde_json::from_str::<&RawValue>(text).is_ok();
    // A body may hold line breaks between its fields (within a text they are no JSON): a letter is one line.
    let on_one_line = text
        .as_deref()
        .filter(is_json)
        .map(|text| text.replace(['\n', '\r'], " "));
    let body = on_one_line.as_deref().map(serde_json::from_str).transpose()?;
    let letter = Letter {
        time: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        kind: match outcome.kind {
            Kind::Create => "create",
            Kind::LifeCycle => "life_cycle",
        },
        collection: &outcome.collection,
        fqn: &outcome.fqn,
        reason,
        attempts: outcome.attempts,
        body,
        body_text: text.as_deref().filter(|_| body.is_none()).map(str::to_owned),
    };
    let mut line = serde_json::to_string(&letter)?;
    line.push('\n');
    Ok(Some(line))
}

/// Only its owner may read it: bodies describe the user's data. Its next letter begins a line.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    let _reader = {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        // A pipe that nobody reads is an error at once, where a plain open would wait for a reader.
        options.clone().custom_flags(libc::O_NONBLOCK).open(path)?
    };
    let mut file = options.open(path)?;
    if ends_within_a_line(path) {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Whether a file holds half a letter at its end: the disk was full, or its writer was killed.
fn ends_within_a_line(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        io::Result::Ok(last[0])
    };
    let is_filled = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
    is_filled && last().map_or(true, |last| last != b'\n') // an empty line more harms nobody
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(body: &'static [u8]) -> Outcome {
        Outcome {
            sequence: 1,
            kind: Kind::Create,
            collection: "tables".into(),
            fqn: "a.b".into(),
            ending: Ending::Failed("no \"good\"".into()),
            attempts: 3,
            body: Some(bytes::Bytes::from_static(body)),
            label: None,
        }
    }

    #[test]
    fn each_lost_record_is_one_line_of_json() {
        let path = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
        let mut letters = DeadLetters::new(path.clone());
        letters.append(&[lost(b"{\n \"name\": 1}"), lost(b"\xff")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["body"]["name"], 1);
        assert_eq!(lines[0]["reason"], "no \"good\"");
        assert_eq!(lines[1]["body_text"], "\u{fffd}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_body_is_kept_to_the_letter_whatever_its_depth_and_its_numbers() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let body = format!("{{\r\n\"z\":1e999,\n\"a\":{deep}}}");
        let outcome = Outcome {
            body: Some(body.clone().into()),
            ..lost(b"")
        };
        let line = line(&outcome, Duration::ZERO).unwrap().unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert!(line.contains(&body.replace(['\r', '\n'], " ")));
    }

    #[test]
    fn a_letter_behind_half_a_letter_has_a_line_of_its_own() {
        let path = std::env::temp_dir().join(format!("half-letters-{}", std::process::id()));
        std::fs::write(&path, b"{\"time\":1,\"kind\":\"cre").unwrap();
        for _ in 0..2 {
            DeadLetters::new(path.clone()).append(&[lost(b"{}")]).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let whole: Vec<bool> = text
            .lines()
            .map(|line| serde_json::from_str::<&RawValue>(line).is_ok())
            .collect();
        assert_eq!(whole, [false, true, true]);
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_nobody_reads_is_said_at_once() {
        let path = std::env::temp_dir().join(format!("letters-pipe-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success());
        let mut letters = DeadLetters::new(path.clone());
        assert!(letters
            .append(&[lost(b"{}")])
            .unwrap_err()
            .contains("cannot be written"));
        let reader = std::thread::spawn({
            let path = path.clone();
            move || std::fs::read_to_string(path).unwrap()
        });
        while letters.file.is_none() {
            letters.append(&[lost(b"{}")]).unwrap();
        }
        drop(letters);
        assert_eq!(reader.join().unwrap().lines().count(), 1);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_written_is_said_once() {
        let mut letters = DeadLetters::new("/nonexistent/folder/file".into());
        assert!(letters
            .append(&[lost(b"{}")])
            .unwrap_err()
            .contains("/nonexistent/folder/file"));
        assert!(letters.append(&[lost(b"{}")]).is_ok());
    }
}
