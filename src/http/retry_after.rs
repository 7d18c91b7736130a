//! How long a server asks to be left alone (`Retry-After`). What to make of it is the engine's business.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, DATE, RETRY_AFTER};

/// Larger values are cut to this, so that nobody downstream computes with centuries.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause asked for: seconds, or a date in relation to the answer's own `Date` (the server's clock may be wrong), else to
/// `now`. A date in the past is no pause at all; anything unreadable is None.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text(headers, &RETRY_AFTER)?;
    #[cfg(feature = "panics")]
    crate::panics::read(text);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still a wish for a long pause.
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let from = self::text(headers, &DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    Some(until.duration_since(from).unwrap_or_default().min(LONGEST))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn asked(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 10:00:00 GMT").unwrap();
        retry_after(&headers, now)
    }

    #[test]
    fn seconds() {
        assert_eq!(asked("7", None), Some(Duration::from_secs(7)));
        assert_eq!(asked(" 0 ", None), Some(Duration::ZERO));
        assert_eq!(asked("99999999999999999999999999", None), Some(LONGEST));
    }

    #[test]
    fn dates_count_from_the_servers_clock_where_it_tells() {
        let until = "Tue, 24 Nov 2026 10:00:30 GMT";
        assert_eq!(asked(until, None), Some(Duration::from_secs(30)));
        assert_eq!(
            asked(until, Some("Tue, 24 Nov 2026 10:00:20 GMT")),
            Some(Duration::from_secs(10))
        );
        assert_eq!(asked(until, Some("nonsense")), Some(Duration::from_secs(30)));
        assert_eq!(asked("Tue, 24 Nov 1970 10:00:30 GMT", None), Some(Duration::ZERO));
        assert_eq!(asked("Fri, 31 Dec 9999 23:59:59 GMT", None), Some(LONGEST));
    }

    #[test]
    fn the_unreadable_is_none() {
        for value in [
            "",
            "-5",
            "1.5",
            "soon",
            "1e3",
            "\u{e9}",
            "Tue, 99 Nov 2026 10:00:30 GMT",
            "+3",
        ] {
            assert_eq!(asked(value, None), None, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }
}
