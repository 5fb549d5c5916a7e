//! Amounts of cpu, memory and storage, as `resource.Quantity` has them
//! (k8s.io/apimachinery/pkg/api/resource/quantity.go).
//!
//! ```text
//!   "1.5Gi"  --parse-->  1 610 612 736 000 000 000 nanos, BinarySi  --print-->  "1536Mi"
//!   "0.1"    --parse-->            100 000 000 nanos,     DecimalSi --print-->  "100m"
//! ```

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// An exact amount: whole nano units (10⁻⁹), and the notation that its author chose.
///
/// Equality and order look at the amount alone: `1` equals `1000m`, `1Ki` equals `1024`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// The family of suffixes in which a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Powers of 1000: `n u m`, none, `k M G T P E`.
    #[default]
    DecimalSi,
    /// Powers of 1024: `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `E-6`.
    DecimalExponent,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$': {0:?}"
    )]
    Format(String),
    #[error("unable to parse quantity's suffix: {0:?}")]
    Suffix(String),
}

/// What a suffix multiplies by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// 10 to this power.
    Ten(i32),
    /// 2 to this power.
    Two(u32),
}

const NANOS: i128 = 1_000_000_000;
/// No quantity goes beyond 2⁶³-1 units: what is larger is cut down to it.
const MAX_NANOS: i128 = i64::MAX as i128 * NANOS;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::DecimalSi };

    /// Reads `[+-]digits[.digits][suffix]`.
    ///
    /// What is finer than a nano unit is rounded away from zero, "under the theory that you
    /// want some resources if you asked for any"; what is larger than 2⁶³-1 becomes that.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        // lab:begin 00.1 split the text into sign, digits and suffix, and compute exact nano units
        let wrong = || QuantityError::Format(text.to_owned());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let (scale, format) = parse_suffix(suffix).ok_or_else(|| {
            let known = |c: char| "eEinumkKMGTP+-0123456789".contains(c);
            if suffix.chars().all(known) { QuantityError::Suffix(text.to_owned()) } else { wrong() }
        })?;
        let (floor, inexact) = match scale {
            Scale::Ten(power) => decimal_nanos(whole, fraction, power),
            Scale::Two(power) => binary_nanos(whole, fraction, power),
        };
        let nanos = floor.saturating_add(i128::from(inexact)).min(MAX_NANOS);
        Ok(Quantity { nanos: if text.starts_with('-') { -nanos } else { nanos }, format })
        // lab:end
    }

    /// This many whole units.
    pub fn from_value(units: i64) -> Quantity {
        Quantity { nanos: i128::from(units) * NANOS, format: Format::DecimalSi }
    }

    /// This many thousandths.
    pub fn from_milli(milli: i64) -> Quantity {
        Quantity { nanos: i128::from(milli) * (NANOS / 1000), format: Format::DecimalSi }
    }

    /// The same amount, printed in another notation.
    pub fn with_format(self, format: Format) -> Quantity {
        Quantity { format, ..self }
    }

    /// Whole units, rounded away from zero: half a byte needs a byte.
    pub fn value(&self) -> i64 {
        self.scaled(NANOS)
    }

    /// Thousandths, rounded away from zero: the unit in which cpu is counted.
    pub fn milli_value(&self) -> i64 {
        self.scaled(NANOS / 1000)
    }

    /// The exact amount in 10⁻⁹ units.
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    fn scaled(&self, unit: i128) -> i64 {
        // lab:begin 00.1 divide by the unit and round away from zero; saturate at the ends of i64
        let away = i128::from(self.nanos % unit != 0) * self.nanos.signum();
        let scaled = self.nanos / unit + away;
        i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
        // lab:end
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The scale and the family of a suffix. `E` alone is exa; `E3` is an exponent.
fn parse_suffix(suffix: &str) -> Option<(Scale, Format)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Scale::Ten(*power), Format::DecimalSi));
    }
    if let Some(steps) = BINARY.iter().position(|name| *name == suffix) {
        return Some((Scale::Two(10 * u32::try_from(steps).ok()?), Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    exponent.parse().ok().map(|power| (Scale::Ten(power), Format::DecimalExponent))
}

/// The whole nano units in `whole.fraction × 10^power`, and whether something finer was left.
/// Only the decimal point moves, so nothing is rounded on the way.
fn decimal_nanos(whole: &str, fraction: &str, power: i32) -> (i128, bool) {
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
fn binary_nanos(whole: &str, fraction: &str, power: u32) -> (i128, bool) {
    let unit = (1i128 << power) * NANOS;
    let whole = whole.trim_start_matches('0');
    let units: i128 = match whole.len() {
        0 => 0,
        1..20 => whole.parse().unwrap_or(i128::MAX),
        _ => i128::MAX,
    };
    let (mut part, mut inexact) = (0i128, false);
    for digit in fraction.bytes().rev() {
        part += i128::from(digit - b'0') * unit;
        inexact |= part % 10 != 0;
        part /= 10;
    }
    (units.saturating_mul(unit).saturating_add(part).min(MAX_NANOS), inexact)
}

/// The canonical form: the largest suffix with which the number stays whole, in the
/// author's family. Binary suffixes are left when the amount is below 1024 or not whole.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // lab:begin 00.2 print the canonical form
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos % NANOS == 0;
        if self.format == Format::BinarySi && whole && self.nanos.abs() >= 1024 * NANOS {
            let (mut units, mut step) = (self.nanos / NANOS, 0);
            while units % 1024 == 0 && step + 1 < BINARY.len() {
                units /= 1024;
                step += 1;
            }
            return write!(f, "{units}{}", BINARY[step]);
        }
        let (mut number, mut step) = (self.nanos, 0);
        while number % 1000 == 0 && step + 1 < DECIMAL.len() {
            number /= 1000;
            step += 1;
        }
        match (DECIMAL[step], self.format) {
            ((_, power), Format::DecimalExponent) if power != 0 => write!(f, "{number}e{power}"),
            ((_, _), Format::DecimalExponent) => write!(f, "{number}"),
            ((suffix, _), _) => write!(f, "{number}{suffix}"),
        }
        // lab:end
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

/// Sums keep the left side's notation, unless it is zero and so has none of its own.
impl Add for Quantity {
    type Output = Quantity;

    fn add(self, other: Quantity) -> Quantity {
        let nanos = self.nanos.saturating_add(other.nanos).clamp(-MAX_NANOS, MAX_NANOS);
        Quantity { nanos, format: if self.is_zero() { other.format } else { self.format } }
    }
}

impl Neg for Quantity {
    type Output = Quantity;

    fn neg(self) -> Quantity {
        Quantity { nanos: -self.nanos, ..self }
    }
}

impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self + -other
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(quantities: I) -> Quantity {
        quantities.fold(Quantity::ZERO, Add::add)
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}

impl TryFrom<&ApiQuantity> for Quantity {
    type Error = QuantityError;

    fn try_from(quantity: &ApiQuantity) -> Result<Quantity, QuantityError> {
        Quantity::parse(&quantity.0)
    }
}

impl From<Quantity> for ApiQuantity {
    fn from(quantity: Quantity) -> ApiQuantity {
        ApiQuantity(quantity.to_string())
    }
}
