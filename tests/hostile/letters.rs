//! A record that was lost, as a dead letter.
//!
//! Input: its name, a line feed, the reason, a line feed, the body.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use openmetadata_bulksink::dead_letters::line;
use openmetadata_bulksink::engine::{Ending, Kind, Outcome};
use serde_json::value::RawValue;

/// What a letter holds beside name, reason and body.
const FRAME: usize = 200;
/// A byte that is no text becomes three; one that JSON cannot hold as it is, six.
const GROWTH: usize = 6;

pub fn check(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (fqn, reason, body) = (String::from_utf8_lossy(next()), String::from_utf8_lossy(next()), next());
    let lost = Outcome {
        sequence: 1,
        kind: Kind::Create,
        collection: "tables".into(),
        fqn: (&*fqn).into(),
        ending: Ending::Failed((&*reason).into()),
        attempts: 3,
        body: Some(Bytes::copy_from_slice(body)),
        label: None,
    };
    let text = line(&lost, Duration::from_millis(7)).unwrap().expect("it was lost");
    assert_eq!(text.find(['\n', '\r']), Some(text.len() - 1), "a letter is one line");
    assert!(text.len() <= FRAME + GROWTH * (fqn.len() + reason.len() + body.len()));

    let letter: BTreeMap<String, &RawValue> = serde_json::from_str(&text).unwrap();
    let told = |name: &str| serde_json::from_str::<String>(letter[name].get()).unwrap();
    assert_eq!((told("fqn"), told("reason")), (fqn.into_owned(), reason.into_owned()));
    assert_eq!(
        (told("kind"), told("collection")),
        ("create".to_owned(), "tables".to_owned())
    );
    assert_eq!((letter["time"].get(), letter["attempts"].get()), ("7", "3"));
    let body = String::from_utf8_lossy(body);
    let held = if serde_json::from_str::<&RawValue>(&body).is_ok() {
        let kept = letter["body"].get();
        assert_eq!(kept, body.replace(['\n', '\r'], " ").trim_matches([' ', '\t']));
        "body"
    } else {
        assert_eq!(told("body_text"), body);
        "body_text"
    };
    let names: Vec<&str> = letter.keys().map(String::as_str).collect();
    let mut allowed = ["attempts", "collection", "fqn", "kind", "reason", "time", held];
    allowed.sort_unstable();
    assert_eq!(names, allowed, "nothing else");

    for ending in [Ending::Written, Ending::Warned("it is there already".into())] {
        let kept = Outcome { ending, ..lost.clone() };
        assert_eq!(line(&kept, Duration::ZERO).unwrap(), None);
    }
}
