//! How long ago, for people (upstream: `apimachinery/pkg/util/duration`).

use jiff::Timestamp;
use serde_json::Value;

/// From an RFC 3339 text to "5m10s".
pub fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(|t| t.parse::<Timestamp>().ok()) {
        Some(then) => human(now.as_second() - then.as_second()),
        None => "<unknown>".into(),
    }
}

/// The time between two texts; `None` unless both are times.
pub fn between(from: &Value, to: &Value) -> Option<String> {
    let parse = |t: &Value| t.as_str().and_then(|t| t.parse::<Timestamp>().ok());
    Some(human(parse(to)?.as_second() - parse(from)?.as_second()))
}

/// Two units at most, fewer the longer it is ago:
///
/// | below | units | |
/// |---|---|---|
/// | 2 minutes | seconds | `119s` |
/// | 10 minutes | minutes and seconds | `3m5s` |
/// | 3 hours | minutes | `179m` |
/// | 8 hours | hours and minutes | `5h7m` |
/// | 2 days | hours | `47h` |
/// | 8 days | days and hours | `7d5h` |
/// | 2 years | days | `400d` |
/// | 8 years | years and days | `2y70d` |
/// | | years | `9y` |
///
/// A year has 365 days. A second unit of zero is left out. Clocks differ a little: -1 s is `0s`,
/// and what lies further in the future is `<invalid>`.
pub fn human(seconds: i64) -> String {
    let _ = &seconds;
    todo!("lab 03.7: find the band, and print its units")
}
