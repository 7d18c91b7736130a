//! A text that is broken up by what a reader of it does not see: line breaks of a mail or a log, tags of a page, soft hyphens, the
//! zeros of UTF-16.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memmem};

/// So many bytes of a text in one piece are worth a closer look. A line of a mail has 76, a part of a token dozens.
const GLIMPSE: usize = 8;
/// The longest tag that may stand in the middle of a text.
const LONGEST_TAG: usize = 200;
/// What is not seen besides white space, control characters and tags.
const UNSEEN: [&[u8]; 11] = [
    b"\\n",
    b"\\r",
    b"\\t",
    b"&shy;",
    b"&#173;",
    b"&#8203;",
    "\u{ad}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{200c}".as_bytes(),
    "\u{200d}".as_bytes(),
    "\u{2060}".as_bytes(),
];

/// Whether `body` may hold one of `texts` broken up. Most answers hold nothing but spaces that could.
pub(super) fn may_hold<'a>(body: &[u8], mut texts: impl Iterator<Item = &'a str>) -> bool {
    // Between the zeros of UTF-16 no piece is in one.
    let zeros = memchr(0, body).is_some();
    let breaks = zeros || memchr3(b'<', b'\n', b'\\', body).is_some() || memchr2(b'&', b'\r', body).is_some();
    (breaks || !body.is_ascii()) && texts.any(|text| zeros || holds_a_piece(body, text.as_bytes()))
}

fn holds_a_piece(body: &[u8], text: &[u8]) -> bool {
    let last = text.len().saturating_sub(GLIMPSE);
    [0, last / 2, last].iter().any(|at| {
        let piece = text.get(*at..at + GLIMPSE);
        piece.is_some_and(|piece| memmem::find(body, piece).is_some())
    })
}

/// What is seen of a body.
pub(super) struct Seen {
    text: Vec<u8>,
    /// Where each byte of it stands in the body.
    at: Vec<usize>,
}

impl Seen {
    pub fn of(body: &[u8]) -> Self {
        let mut seen = Self {
            text: Vec::with_capacity(body.len()),
            at: Vec::with_capacity(body.len()),
        };
        let mut at = 0;
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            let unseen = unseen(rest);
            if unseen == 0 {
                seen.text.extend(rest.first());
                seen.at.push(at);
            }
            at += unseen.max(1);
        }
        seen
    }

    /// Where in the body `text` stands, each time.
    pub fn find<'a>(&'a self, text: &Self) -> impl Iterator<Item = Range<usize>> + 'a {
        let length = text.text.len();
        let hits: Vec<usize> = memmem::find_iter(&self.text, &text.text).collect();
        hits.into_iter().filter_map(move |hit| {
            let last = self.at.get((hit + length).checked_sub(1)?)?;
            Some(*self.at.get(hit)?..last + 1)
        })
    }
}

/// How many bytes a body begins with that are not seen.
fn unseen(body: &[u8]) -> usize {
    match body {
        [byte, ..] if byte.is_ascii_whitespace() || byte.is_ascii_control() => 1,
        [b'<', next, ..] if next.is_ascii_alphabetic() || b"/!".contains(next) => {
            let tag = body.get(..LONGEST_TAG).unwrap_or(body);
            memchr(b'>', tag).map_or(0, |end| end + 1)
        }
        _ => UNSEEN
            .iter()
            .find(|one| body.starts_with(one))
            .map_or(0, |one| one.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &[u8], text: &str) -> Vec<Range<usize>> {
        Seen::of(body).find(&Seen::of(text.as_bytes())).collect()
    }

    #[test]
    fn what_is_broken_up_is_found_where_it_stands() {
        for between in [
            "\n",
            "\r\n ",
            "\\n",
            "<wbr>",
            "<br/>\n",
            "&shy;",
            "\u{ad}",
            "\u{200b}",
            "</b><i class=\"x\">",
        ] {
            let body = format!("the abcdefgh.{between}ijkl it was");
            let range = 4..4 + 13 + between.len();
            assert_eq!(found(body.as_bytes(), "abcdefgh.ijkl"), vec![range], "{between:?}");
            assert!(may_hold(body.as_bytes(), ["abcdefgh.ijkl"].into_iter()));
        }
        let wide: Vec<u8> = "a token".bytes().flat_map(|byte| [byte, 0]).collect();
        assert_eq!(found(&wide, "token"), vec![4..13]);
        assert!(may_hold(&wide, ["a token, longer"].into_iter()));
    }

    #[test]
    fn what_is_seen_stays_apart() {
        assert_eq!(found(b"abc-def a < b", "abcdef"), Vec::new());
        assert_eq!(found(b"1 < 2 and 3 > 2", "1 < 2 and 3 > 2"), vec![0..15]);
        let secret = || ["abcdefgh.ijkl"].into_iter();
        assert!(!may_hold(b"an ordinary\nanswer", secret()));
        assert!(!may_hold(
            br#"{"status":"success","successRequest":[{"request":"abcdefgh"}]}"#,
            secret()
        ));
    }
}
