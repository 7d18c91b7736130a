//! The first words of a page: what a firewall, a proxy or a maintenance page says, as a person would read it.

/// Characters of a page that are quoted.
const LONGEST: usize = 200;
/// Bytes of a page that are looked at.
const READ: usize = 64 << 10;
/// What stands before the number that a user gives to whoever runs the thing that answered.
const NUMBERS: &[&str] = &[
    "support id",
    "ray id",
    "incident id",
    "request id",
    "event id",
    "transaction id",
    "reference #",
    "reference id",
    "reference number",
];
/// Elements whose inside nobody sees.
const UNSEEN: &[&str] = &["script", "style", "noscript", "svg"];

/// The first words of `body`, in one line: without tags, and with a support number that stands further down.
pub(super) fn first_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..READ).unwrap_or(body));
    let text = folded(&without_entities(&without_tags(&text)));
    if text.chars().count() <= LONGEST {
        return text;
    }
    let number = support_number(&text);
    let room = LONGEST - 4;
    let (room, tail) = match &number {
        Some((at, words))
            if text
                .get(..*at)
                .is_some_and(|before| before.chars().count() + words.chars().count() > room) =>
        {
            (room.saturating_sub(words.chars().count() + 1), format!(" {words}"))
        }
        _ => (room, String::new()),
    };
    let end = text.char_indices().nth(room).map_or(text.len(), |(at, _)| at);
    let head = text.get(..end).unwrap_or_default();
    let whole_words = head.rsplit_once(' ').map_or(head, |(words, _)| words);
    format!("{whole_words} ...{tail}")
}

/// Where the words before a support number start, and they with the number.
fn support_number(text: &str) -> Option<(usize, String)> {
    let lower = text.to_ascii_lowercase();
    NUMBERS.iter().find_map(|words| {
        let at = lower.find(words)?;
        let number: Vec<&str> = (text.get(at + words.len()..)?.split(' '))
            .filter(|word| !matches!(*word, "" | ":" | "is" | "is:"))
            .take(1)
            .collect();
        let number = number.first()?.trim_matches(|char: char| !char.is_ascii_alphanumeric());
        let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.len() <= 64;
        is_number.then(|| {
            (
                at,
                format!("{}: {number}", text.get(at..at + words.len()).unwrap_or_default()),
            )
        })
    })
}

fn without_tags(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        seen.push_str(before);
        if !tag.starts_with(|char: char| char.is_ascii_alphabetic() || matches!(char, '/' | '!' | '?')) {
            seen.push('<');
            rest = tag;
            continue;
        }
        seen.push(' ');
        rest = if let Some(comment) = tag.strip_prefix("!--") {
            comment.split_once("-->").map_or("", |(_, after)| after)
        } else {
            let after = tag.split_once('>').map_or("", |(_, after)| after);
            match UNSEEN.iter().find(|name| is_named(tag, name)) {
                Some(name) => behind(after, name),
                None => after,
            }
        };
    }
    seen.push_str(rest);
    seen
}

/// Whether a tag (without its `<`) opens an element of that name.
fn is_named(tag: &str, name: &str) -> bool {
    let (begin, rest) = (tag.get(..name.len()), tag.get(name.len()..));
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        && rest.is_some_and(|rest| !rest.starts_with(|char: char| char.is_ascii_alphanumeric()))
}

/// What follows the end of an element.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    let end = text
        .match_indices("</")
        .find(|(at, _)| text.get(at + 2..).is_some_and(|tag| is_named(tag, name)));
    match end.and_then(|(at, _)| text.get(at..)?.split_once('>')) {
        Some((_, after)) => after,
        None => "",
    }
}

fn without_entities(text: &str) -> String {
    const ENTITIES: &[(&str, &str)] = &[
        ("&nbsp;", " "),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    if !text.contains('&') {
        return text.to_owned();
    }
    (ENTITIES.iter()).fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

/// In one line, each gap one space.
fn folded(text: &str) -> String {
    let words: Vec<&str> = (text.split(|char: char| char.is_whitespace() || char.is_control() || char == '\u{fffd}'))
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_quoted_as_it_is_seen() {
        let page = "<!DOCTYPE html><html><head><title>Request Rejected</title><style>b { color: red }</style>\n\
            <script>if (1 < 2) alert('no')</script></head><!-- a > b --><body>The requested URL was rejected.\r\n  Please \
            consult with your administrator.<br><br>Your support ID is: 7318504912837465<br><a href='javascript:back()'>[Go \
            Back]</a></body></html>";
        assert_eq!(
            first_words(page.as_bytes()),
            "Request Rejected The requested URL was rejected. Please consult with your administrator. Your support ID is: \
             7318504912837465 [Go Back]"
        );
    }

    #[test]
    fn a_support_number_further_down_survives() {
        let page = format!(
            "<h1>Sorry, you have been blocked</h1><p>{}</p>Cloudflare Ray ID: <b>8c3f7a1b2c3d4e5f</b>",
            "why ".repeat(200)
        );
        let words = first_words(page.as_bytes());
        assert!(words.starts_with("Sorry, you have been blocked why why"), "{words}");
        assert!(words.ends_with("why ... Ray ID: 8c3f7a1b2c3d4e5f"), "{words}");
        assert!(words.chars().count() <= LONGEST, "{}", words.len());
    }

    #[test]
    fn other_texts_are_one_short_line() {
        assert_eq!(
            first_words(b"upstream connect error\nor disconnect"),
            "upstream connect error or disconnect"
        );
        assert_eq!(first_words(b"a < b &amp; c\0"), "a < b & c");
        assert_eq!(first_words(b""), "");
        assert_eq!(first_words(b"<html"), "");
        assert_eq!(first_words("\u{e9}".repeat(500).as_bytes()).chars().count(), LONGEST);
        assert_eq!(first_words("x ".repeat(500).as_bytes()).chars().count(), LONGEST - 1);
    }
}
