//! A text as a fully qualified name, and as one part of such.
//!
//! Input: the text.

use openmetadata_bulksink::engine::{quote_name, Fqn};

/// Characters in what is said of a text that is no name.
const LONGEST_ERROR: usize = 2_000;

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match Fqn::parse(&text) {
        Ok(fqn) => {
            assert_eq!(Fqn::canonical(&text), fqn);
            is_canonical(&fqn, &text);
            is_made_of_its_parts(&fqn);
            lies_below_its_parents(&fqn);
        }
        Err(error) => {
            assert!(error.to_string().chars().count() <= LONGEST_ERROR);
            is_kept_to_the_letter(&text);
        }
    }
    is_one_part(&text);
}

fn is_canonical(fqn: &Fqn, text: &str) {
    assert_eq!(Fqn::parse(fqn.as_str()).as_ref(), Ok(fqn));
    assert!(fqn.as_str().len() <= text.len(), "{fqn} is longer than it was written");
    let lower = fqn.to_lowercase();
    assert_eq!(lower.as_str(), fqn.as_str().to_lowercase());
    assert_eq!(Fqn::parse(lower.as_str()), Ok(lower));
}

fn is_made_of_its_parts(fqn: &Fqn) {
    let parts: Vec<&str> = fqn.parts().collect();
    assert_eq!(parts.last(), Some(&fqn.name()));
    let quoted: Vec<String> = parts.iter().map(|part| format!("\"{part}\"")).collect();
    assert_eq!(Fqn::parse(&quoted.join(".")).as_ref(), Ok(fqn));
    let quoted: Result<Vec<_>, _> = parts.iter().map(|part| quote_name(part)).collect();
    match quoted {
        Ok(quoted) => assert_eq!(quoted.join("."), fqn.as_str()),
        Err(_) => assert!(fqn.as_str().contains('\n'), "{fqn}"),
    }
}

fn lies_below_its_parents(fqn: &Fqn) {
    assert!(!fqn.is_below(fqn));
    let mut last = fqn.clone();
    for _ in fqn.parts().skip(1) {
        let parent = Fqn::parse(last.parent().expect("a part more")).unwrap();
        assert_eq!(Some(parent.as_str()), last.parent());
        assert!(fqn.is_below(&parent) && !parent.is_below(fqn), "{fqn} {parent}");
        last = parent;
    }
    assert_eq!(last.parent(), None);
}

/// What is no name is compared by its letters, and whoever asks for its parts gets something.
fn is_kept_to_the_letter(text: &str) {
    let odd = Fqn::canonical(text);
    assert_eq!(odd.as_str(), text);
    assert!(odd.parts().count() >= 1);
    assert!(odd.name().len() <= text.len());
    assert!(odd.parent().is_none_or(|parent| parent.len() < text.len()));
    assert!(!odd.is_below(&odd));
}

fn is_one_part(text: &str) {
    if let Ok(quoted) = quote_name(text) {
        let fqn = Fqn::parse(&quoted).unwrap();
        assert_eq!((fqn.parent(), fqn.parts().count()), (None, 1));
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        assert_eq!(fqn.name(), bare.unwrap_or(text));
    }
}
