//! The ways in which one text can be written inside of another: percent-encoded, inside of JSON or HTML (also twice), as Base64.

use std::ops::Range;

use base64::prelude::{Engine, BASE64_STANDARD as STANDARD};
use memchr::memmem;

/// A run of letters and digits of at least so many bytes is looked for by itself.
const RUN: usize = 4;
/// The longest usual spelling of one byte, such as `\\u0061`.
const LONGEST_OF_A_BYTE: usize = 7;
/// The longest spelling of one character, such as `%25C3%25B6` or `\\u00f6`.
const LONGEST: usize = 24;

/// Whether `body` spells out a letter or a digit, which nothing asks for.
pub(super) fn spells_letters(body: &[u8]) -> bool {
    let letters = || (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
    memchr::memchr3_iter(b'%', b'\\', b'&', body).any(|at| {
        let rest = body.get(at..).unwrap_or_default();
        // Of several backslashes the last one counts.
        let marked = rest
            .get(1)
            .is_some_and(|mark| mark.is_ascii_digit() || b"u#".contains(mark));
        marked && letters().any(|letter| char_spelt(rest, letter.into()).is_some_and(|length| length > 2))
    })
}

/// Where `text` stands in `body` in any spelling but Base64. `letters`: letters and digits may be spelt out as well.
pub(super) fn find(body: &[u8], text: &str, letters: bool) -> Option<Range<usize>> {
    let run = longest_run(text);
    let at = |start: usize| Some(start..start + spelt(body.get(start..)?, text)?);
    if letters || run.len() < RUN {
        let first = text.as_bytes().first().copied()?;
        let can_begin = |byte: &u8| [first, b'%', b'\\', b'&', b'+'].contains(byte);
        let starts = body.iter().enumerate().filter(|(_, byte)| can_begin(byte));
        return starts.map(|(start, _)| start).find_map(at);
    }
    let before = text.get(..run.start)?.chars().count();
    memmem::find_iter(body, text.get(run)?).find_map(|hit| {
        let earliest = hit.saturating_sub(LONGEST * before);
        let latest = hit - before.min(hit);
        (earliest..=latest).rev().find_map(at)
    })
}

/// The longest run of letters and digits.
fn longest_run(text: &str) -> Range<usize> {
    let mut longest = 0..0;
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            start = at + 1;
        } else if at + 1 - start > longest.len() {
            longest = start..at + 1;
        }
    }
    longest
}

/// How long `text` is where `body` begins with it.
fn spelt(body: &[u8], text: &str) -> Option<usize> {
    if body.starts_with(text.as_bytes()) {
        return Some(text.len());
    }
    text.chars()
        .try_fold(0, |length, char| Some(length + char_spelt(body.get(length..)?, char)?))
}

/// How many bytes at the end of `body` are a beginning of `text` in any spelling but Base64, of so many characters at least.
pub(super) fn beginning_at_end(body: &[u8], text: &str, shortest: usize) -> usize {
    let reach = body.len().min(text.len().saturating_mul(LONGEST_OF_A_BYTE));
    (1..=reach)
        .rev()
        .find(|length| {
            let end = body.get(body.len() - length..).unwrap_or_default();
            is_beginning(end, text, shortest)
        })
        .unwrap_or_default()
}

/// Whether all of `body` is a beginning of `text`, the last character of which may be cut in its spelling.
fn is_beginning(body: &[u8], text: &str, shortest: usize) -> bool {
    let mut rest = body;
    for (count, char) in text.chars().enumerate() {
        match char_spelt(rest, char).and_then(|length| rest.get(length..)) {
            Some(after) => rest = after,
            None => {
                let cut = rest.len() < LONGEST && matches!(rest, [b'%' | b'\\' | b'&', ..]);
                return count >= shortest && (rest.is_empty() || cut);
            }
        }
    }
    // All of it, and something behind.
    false
}

/// How long a character is where `body` begins with it.
fn char_spelt(body: &[u8], char: char) -> Option<usize> {
    let mut buffer = [0; 4];
    let bytes = char.encode_utf8(&mut buffer).as_bytes();
    let other = match body.first()? {
        b'%' => bytes.iter().try_fold(0, |length, byte| {
            Some(length + percent_spelt(body.get(length..)?, *byte)?)
        }),
        b'\\' => escape_spelt(body, char),
        b'&' => entity_spelt(body, char),
        b'+' if char == ' ' => Some(1),
        _ => None,
    };
    // Last, since what introduces another spelling may also stand for itself.
    other.or_else(|| body.starts_with(bytes).then_some(bytes.len()))
}

/// `%XX`, `%25XX` and so on.
fn percent_spelt(body: &[u8], byte: u8) -> Option<usize> {
    let mut length = 1;
    body.strip_prefix(b"%")?;
    while byte != b'%' && length < LONGEST && body.get(length..)?.starts_with(b"25") {
        length += 2;
    }
    let digits = std::str::from_utf8(body.get(length..length + 2)?).ok()?;
    (u8::from_str_radix(digits, 16) == Ok(byte)).then_some(length + 2)
}

/// `\x`, `\uXXXX`, behind any number of backslashes that makes sense: a body of nothing else is looked at once.
fn escape_spelt(body: &[u8], char: char) -> Option<usize> {
    let before = slashes(body);
    let rest = body.get(before..)?;
    let mut buffer = [0; 4];
    let bytes = char.encode_utf8(&mut buffer).as_bytes();
    if char == '\\' {
        return Some(before);
    }
    let code = |at: usize| {
        let digits = std::str::from_utf8(rest.get(at..)?.strip_prefix(b"u")?.get(..4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = code(0) else {
        return rest.starts_with(bytes).then_some(before + bytes.len());
    };
    let mut units = [0; 2];
    match (&*char.encode_utf16(&mut units), first) {
        ([unit], first) if *unit == first => Some(before + 5),
        ([high, low], first) if *high == first => {
            let between = slashes(rest.get(5..)?);
            (between > 0 && code(5 + between)? == *low).then_some(before + 10 + between)
        }
        _ => None,
    }
}

/// How many backslashes `body` begins with, as far as one spelling can reach.
fn slashes(body: &[u8]) -> usize {
    body.iter().take(LONGEST).take_while(|byte| **byte == b'\\').count()
}

/// `&name;`, `&#N;`, `&#xN;`.
fn entity_spelt(body: &[u8], char: char) -> Option<usize> {
    let end = body
        .get(..LONGEST.min(body.len()))?
        .iter()
        .position(|byte| *byte == b';')?;
    let entity = std::str::from_utf8(body.get(1..end)?).ok()?;
    let number = entity
        .strip_prefix('#')
        .and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        });
    let is_it = match number {
        Some(number) => u32::from(char) == number,
        None => match char {
            '&' => entity == "amp",
            '<' => entity == "lt",
            '>' => entity == "gt",
            '"' => entity == "quot",
            '\'' => entity == "apos",
            // Letters have entities by the hundred; which one it is does not matter here.
            char => !char.is_ascii() && entity.bytes().all(|byte| byte.is_ascii_alphabetic()),
        },
    };
    is_it.then_some(end + 1)
}

/// Base64, padded.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The text that `base64` stands for; None where it stands for none.
pub(super) fn from_base64(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

/// What the Base64 of anything that holds `bytes` holds: one text for each place in a group of three at which they can start, in both
/// alphabets. Letters that depend on what stands before or behind are left out.
pub(super) fn inside_base64(bytes: &[u8]) -> Vec<String> {
    let mut parts = Vec::new();
    for before in 0..3 {
        let shifted = [vec![0; before], bytes.to_vec()].concat();
        let whole = base64(&shifted);
        let from = (before * 8).div_ceil(6);
        let to = shifted.len() * 8 / 6;
        let Some(part) = whole.get(from..to) else { continue };
        parts.push(part.to_owned());
        let for_urls = part.replace('+', "-").replace('/', "_");
        if for_urls != part {
            parts.push(for_urls);
        }
    }
    parts
}

/// The whole run of Base64 around a part of it: what stands beside a secret in it is none of ours to show.
pub(super) fn whole_base64(body: &[u8], part: Range<usize>) -> Range<usize> {
    let is_letter = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(*byte);
    let before = body
        .get(..part.start)
        .map_or(0, |before| before.iter().rev().take_while(is_letter).count());
    let after = body
        .get(part.end..)
        .map_or(0, |after| after.iter().take_while(is_letter).count());
    part.start - before..part.end + after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_letters_is_found_too() {
        assert_eq!(find(b"it was !%24%25&amp;/ then", "!$%&/", false), Some(7..20));
        assert_eq!(find(b"it was !%24%25&lt;/ then", "!$%&/", false), None);
        assert_eq!(find(b"", "!$%&/", false), None);
    }

    #[test]
    fn a_run_elsewhere_does_not_hide_the_text() {
        assert_eq!(find(b"pass pass- -pass!", "-pass!", false), Some(11..17));
        assert_eq!(
            find("\\ud83d\\ude00abcd".as_bytes(), "\u{1f600}abcd", false),
            Some(0..16)
        );
    }

    /// Where each backslash or `%25` looked at all that follow, these took minutes.
    #[test]
    fn a_body_of_nothing_but_marks_is_looked_at_once() {
        for mark in ["\\", "%25", "&#", "%", "+"] {
            let body = mark.repeat(100_000);
            assert!(!spells_letters(body.as_bytes()), "{mark}");
            assert_eq!(find(body.as_bytes(), "token", true), None, "{mark}");
            assert_eq!(find(body.as_bytes(), "!$&/", false), None, "{mark}");
        }
    }

    #[test]
    fn what_need_not_be_spelt_out_is_noticed() {
        for body in ["a\\u0062c", "%61b", "100%2561", "&#98;", "&#x62;", "\\\\u0062"] {
            assert!(spells_letters(body.as_bytes()), "{body}");
        }
        for body in [
            "abc",
            "100 %",
            "%2F",
            "\\u00f6",
            "a\\nb",
            "C:\\\\users",
            "&amp;",
            "&#34;",
            "%",
            "&",
            "\\",
        ] {
            assert!(!spells_letters(body.as_bytes()), "{body}");
        }
    }
}
