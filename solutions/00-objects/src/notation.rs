//! How quantities are written: suffixes, and the exact amounts of digits under them.
//! [`Quantity::parse`](crate::quantity::Quantity::parse) puts these together.

use crate::quantity::Format;

/// What a suffix multiplies by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// 10 to this power.
    Ten(i32),
    /// 2 to this power.
    Two(u32),
}

/// Nano units in a unit.
pub const NANOS: i128 = 1_000_000_000;
/// 10²⁹ units. Upstream has no end here; ours is far behind all storage in the world.
pub const MAX_NANOS: i128 = 10i128.pow(38);
/// 2⁶³-1 units: where upstream ends the binary family, and only that.
pub const MAX_BINARY_NANOS: i128 = i64::MAX as i128 * NANOS;
// ANCHOR: suffixes
/// The suffixes of powers of 1024, from 1024⁰.
pub const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// The suffixes of powers of ten, with the power.
pub const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
// ANCHOR_END: suffixes

/// The ASCII digits at the start, and the rest.
pub fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Whether a text has a suffix's shape, `[eEinumkKMGTP]*[-+]?[0-9]*`, known or not.
pub fn looks_like_suffix(text: &str) -> bool {
    let rest = text.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    digits.bytes().all(|b| b.is_ascii_digit())
}

/// The scale and the family of a suffix. `E` alone is exa; `E3` is an exponent.
pub fn parse_suffix(suffix: &str) -> Option<(Scale, Format)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Scale::Ten(*power), Format::DecimalSi));
    }
    if let Some(steps) = BINARY.iter().position(|name| *name == suffix) {
        return Some((Scale::Two(10 * u32::try_from(steps).ok()?), Format::BinarySi));
    }
    // An integer may have a sign, of either kind; nothing else parses as one.
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    exponent.parse().ok().map(|power| (Scale::Ten(power), Format::DecimalExponent))
}

/// The whole nano units in `whole.fraction × 10^power`, and whether something finer was left.
/// Only the decimal point moves, so nothing is rounded on the way.
pub fn decimal_nanos(whole: &str, fraction: &str, power: i32) -> (i128, bool) {
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(power) + 9);
    let point = usize::try_from(point).unwrap_or(0);
    if digits.iter().all(|digit| *digit == 0) {
        return (0, false);
    }
    let mut nanos = 0i128;
    for place in 0..point {
        let digit = digits.get(place).copied().unwrap_or(0);
        nanos = nanos.saturating_mul(10).saturating_add(i128::from(digit));
        if nanos > MAX_NANOS {
            return (MAX_NANOS, false);
        }
    }
    // A point far to the left of all digits leaves all of them behind it.
    let inexact = point < digits.len() && digits[point..].iter().any(|digit| *digit != 0);
    (nanos, inexact)
}

/// The same for `whole.fraction × 2^power`. The fraction is folded from its last digit, so
/// each division leaves a remainder that only matters as "something was left".
pub fn binary_nanos(whole: &str, fraction: &str, power: u32) -> (i128, bool) {
    let unit = (1i128 << power) * NANOS;
    let whole = whole.trim_start_matches('0');
    let units: i128 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(i128::MAX) };
    let (mut part, mut inexact) = (0i128, false);
    for digit in fraction.bytes().rev() {
        part += i128::from(digit - b'0') * unit;
        inexact |= part % 10 != 0;
        part /= 10;
    }
    (units.saturating_mul(unit).saturating_add(part).min(MAX_NANOS), inexact)
}
