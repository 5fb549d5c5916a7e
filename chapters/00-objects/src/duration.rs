//! Durations as Go writes them: `300ms`, `1m30s`, `1.5h`.

use std::time::Duration;

/// Why a text is not a duration. The texts are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
}

/// Parses what Go's `time.ParseDuration` accepts, except negative durations: no flag of
/// Coracle has a use for one.
///
/// Its type is that of a clap value parser: `#[arg(value_parser = objects::duration::parse_go)]`.
pub fn parse_go(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u128;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000u128,
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            _ => {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            }
        };
        // Go's durations are 63 bits of nanoseconds, about 292 years.
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total += u128::from(whole) * scale;
        let mut place = scale;
        for digit in fraction.bytes() {
            place /= 10;
            total += u128::from(digit - b'0') * place;
        }
        rest = after;
    }
    match i64::try_from(total) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos.unsigned_abs())),
        Err(_) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
