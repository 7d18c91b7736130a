//! `Retry-After`, beside a `Date`.
//!
//! Input: the value, a line feed, the date, a line feed, the seconds since 1970 that our clock shows. The last two may be missing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openmetadata_bulksink::http::retry_after;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, DATE, RETRY_AFTER};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn check(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName| {
        let value = HeaderValue::from_bytes(lines.next()?).ok()?;
        headers.insert(name, value)
    };
    put(RETRY_AFTER);
    put(DATE);
    let seconds = lines
        .next()
        .and_then(|line| std::str::from_utf8(line).ok()?.parse::<u32>().ok());
    let now = UNIX_EPOCH + Duration::from_secs(seconds.unwrap_or_default().into());
    let pause = retry_after(&headers, now);
    assert!(pause.is_none_or(|pause| pause <= DAY), "{pause:?}");
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::trim);
    match asked {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            assert_eq!(pause, Some(seconds_of(digits)));
        }
        Some(text) if text.starts_with(['-', '+']) => assert_eq!(pause, None),
        Some(_) => is_a_date(&headers, pause, now),
        None => assert_eq!(pause, None),
    }
}

fn seconds_of(digits: &str) -> Duration {
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Duration::ZERO,
        1..=5 => Duration::from_secs(digits.parse().unwrap()).min(DAY),
        _ => DAY,
    }
}

/// Later it is no longer to wait; what counts is the server's clock, where it tells.
fn is_a_date(headers: &HeaderMap, pause: Option<Duration>, now: SystemTime) {
    let later = retry_after(headers, now + Duration::from_secs(1));
    assert_eq!(pause.is_some(), later.is_some());
    assert!(later <= pause, "{later:?} {pause:?}");
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    if date.is_some_and(|date| httpdate::parse_http_date(date.trim()).is_ok()) {
        assert_eq!(later, pause);
    }
}
