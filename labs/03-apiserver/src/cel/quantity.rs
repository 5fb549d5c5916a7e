//! Quantities (`100m`, `1Gi`) as values, exact to a billionth.

use super::functions::{Answer, Target};
use super::value::Value;
use super::{Budget, EvalError};
use std::cmp::Ordering;
use std::fmt;

/// A number of billionths (upstream rounds up to these, too), and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    /// In powers of 1024.
    binary: bool,
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

/// With the largest unit of which it is a whole number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: &[(&str, i128)] =
            match self.binary && self.nanos % NANO == 0 && self.nanos.abs() >= 1024 * NANO {
                true => &[
                    ("Ei", NANO << 60),
                    ("Pi", NANO << 50),
                    ("Ti", NANO << 40),
                    ("Gi", NANO << 30),
                    ("Mi", NANO << 20),
                    ("Ki", NANO << 10),
                    ("", NANO),
                ],
                false => &[
                    ("E", NANO * 1_000_000_000_000_000_000),
                    ("P", NANO * 1_000_000_000_000_000),
                    ("T", NANO * 1_000_000_000_000),
                    ("G", NANO * 1_000_000_000),
                    ("M", NANO * 1_000_000),
                    ("k", NANO * 1_000),
                    ("", NANO),
                    ("m", NANO / 1_000),
                    ("u", NANO / 1_000_000),
                    ("n", 1),
                ],
            };
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let unit = units.iter().find(|(_, size)| self.nanos % size == 0);
        let (suffix, size) = unit.copied().unwrap_or(("n", 1));
        write!(f, "{}{suffix}", self.nanos / size)
    }
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// A number with a suffix: `n u m`, `k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or an exponent.
    pub fn parse(text: &str) -> Option<Quantity> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
        let (number, suffix) = digits.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') || whole.len() > 24 {
            return None;
        }
        let scale = scale_of(suffix)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut nanos = whole.checked_mul(scale.0)?.checked_div(scale.1)?;
        let mut place = scale.0;
        for digit in fraction.bytes() {
            place /= 10;
            nanos = nanos.checked_add(i128::from(digit - b'0').checked_mul(place)?.checked_div(scale.1)?)?;
        }
        Some(Quantity { nanos: if negative { -nanos } else { nanos }, binary: suffix.ends_with('i') })
    }

    pub fn checked_add(self, other: Quantity) -> Option<Quantity> {
        Some(Quantity { nanos: self.nanos.checked_add(other.nanos)?, ..self })
    }

    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    fn of(value: &Value<'_>) -> Option<Quantity> {
        match value {
            Value::Quantity(quantity) => Some(*quantity),
            Value::Int(i) => i128::from(*i).checked_mul(NANO).map(|nanos| Quantity { nanos, binary: false }),
            _ => None,
        }
    }
}

/// By how many billionths a suffix multiplies, as a fraction.
fn scale_of(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((NANO.checked_mul(1024i128.checked_pow(power)?)?, 1));
    match suffix {
        "n" => Some((1, 1)),
        "u" => Some((1_000, 1)),
        "m" => Some((1_000_000, 1)),
        "" => Some((NANO, 1)),
        "k" => ten(3),
        "M" => ten(6),
        "G" => ten(9),
        "T" => ten(12),
        "P" => ten(15),
        "E" => ten(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => ten(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

fn ten(power: i32) -> Option<(i128, i128)> {
    let power = power.checked_add(9)?;
    match u32::try_from(power) {
        Ok(power) => Some((10i128.checked_pow(power)?, 1)),
        Err(_) => Some((1, 10i128.checked_pow(power.unsigned_abs())?)),
    }
}

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let answer = match (target, name, args) {
        (Target::Global, "quantity", [Value::String(text)]) => {
            let text = text.as_str();
            budget.spend(text.len()).and_then(|()| {
                let read = Quantity::parse(text).map(Value::Quantity);
                read.ok_or_else(|| {
                    EvalError::failed("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
                })
            })
        }
        (Target::Global, "isQuantity", [Value::String(text)]) => {
            Ok(Value::Bool(Quantity::parse(text.as_str()).is_some()))
        }
        (Target::Receiver, _, [Value::Quantity(quantity), rest @ ..]) => method(*quantity, name, rest)?,
        _ => return None,
    };
    Some(answer)
}

fn method<'a>(quantity: Quantity, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let other = args.first().and_then(Quantity::of);
    let sum = |nanos: Option<i128>| {
        nanos
            .map(|n| Value::Quantity(Quantity { nanos: n, ..quantity }))
            .ok_or_else(|| EvalError::failed("integer overflow"))
    };
    let whole = || i64::try_from(quantity.nanos / NANO).ok().filter(|_| quantity.nanos % NANO == 0);
    Some(match (name, args, other) {
        ("isGreaterThan", [Value::Quantity(_)], Some(other)) => Ok(Value::Bool(quantity > other)),
        ("isLessThan", [Value::Quantity(_)], Some(other)) => Ok(Value::Bool(quantity < other)),
        ("compareTo", [Value::Quantity(_)], Some(other)) => Ok(Value::Int(quantity.cmp(&other) as i64)),
        ("add", [_], Some(other)) => sum(quantity.nanos.checked_add(other.nanos)),
        ("sub", [_], Some(other)) => sum(quantity.nanos.checked_sub(other.nanos)),
        ("sign", [], _) => Ok(Value::Int(quantity.nanos.signum() as i64)),
        ("isInteger", [], _) => Ok(Value::Bool(whole().is_some())),
        ("asInteger", [], _) => {
            whole().map(Value::Int).ok_or_else(|| EvalError::failed("cannot convert value to integer"))
        }
        ("asApproximateFloat", [], _) => Ok(Value::Double(quantity.as_f64())),
        _ => return None,
    })
}
