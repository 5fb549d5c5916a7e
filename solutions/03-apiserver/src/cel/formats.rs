//! Kubernetes' named formats (`format.dns1123Label().validate(name)`), and `'%d'.format([1])`.

use super::functions::{Answer, Target};
use super::value::Value;
use super::{Budget, EvalError};
use crate::names;
use base64::Engine as _;
use std::rc::Rc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format(&'static str);

const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let named = |name: &str| NAMES.into_iter().find(|n| *n == name).map(|n| Value::Format(Format(n)));
    Some(match (target, name, args) {
        (Target::Namespace("format"), "named", [Value::String(name)]) => {
            Ok(Value::Optional(named(name.as_str()).map(Rc::new)))
        }
        (Target::Namespace("format"), name, []) => Ok(named(name)?),
        (Target::Receiver, "validate", [Value::Format(format), Value::String(text)]) => {
            budget.spend(text.as_str().len()).map(|()| {
                let wrong = format.check(text.as_str());
                let wrong =
                    (!wrong.is_empty()).then(|| Value::list(wrong.into_iter().map(Value::text).collect()));
                Value::Optional(wrong.map(Rc::new))
            })
        }
        _ => return None,
    })
}

impl Format {
    /// What is wrong with the text.
    fn check(self, text: &str) -> Vec<String> {
        // The beginning of a generated name may end in a dash.
        let whole = || text.strip_suffix('-').map_or_else(|| text.to_string(), |begun| format!("{begun}a"));
        let must = |good: bool, why: &str| if good { Vec::new() } else { vec![why.to_string()] };
        match self.0 {
            "dns1123Label" => names::label(text),
            "dns1123Subdomain" => names::subdomain(text),
            "dns1035Label" => names::label_1035(text),
            "dns1123LabelPrefix" => names::label(&whole()),
            "dns1123SubdomainPrefix" => names::subdomain(&whole()),
            "dns1035LabelPrefix" => names::label_1035(&whole()),
            "qualifiedName" => names::qualified(text),
            "labelValue" => names::label_value(text),
            "uri" => must(super::url::Url::parse(text).is_some(), "invalid URI for request"),
            "uuid" => must(is_uuid(text), "does not match the UUID format"),
            "byte" => must(base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64"),
            "date" => must(text.parse::<jiff::civil::Date>().is_ok(), "invalid date"),
            _ => must(text.parse::<jiff::Timestamp>().is_ok(), "invalid datetime"),
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Go's verbs that CEL has: `%s %d %f %e %b %o %x %X`, and a precision for the two of doubles.
pub fn printf(pattern: &str, args: &[Value<'_>]) -> Result<String, EvalError> {
    let mut out = String::new();
    let mut args = args.iter().enumerate();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = digits.parse::<usize>().ok().filter(|n| *n <= 100);
            if precision.is_none() {
                return Err(EvalError::failed("error while parsing precision"));
            }
        }
        let Some(verb) = chars.next() else { return Err(EvalError::failed("unexpected end of string")) };
        let Some((index, value)) = args.next() else {
            let index = pattern.matches('%').count() - 1;
            return Err(EvalError::failed(format!("index {index} out of range")));
        };
        let unfit = || {
            let kind = value.type_name();
            EvalError::failed(format!(
                "error during formatting: argument {index} of type {kind} cannot be formatted with %{verb}"
            ))
        };
        out.push_str(&one(verb, precision.unwrap_or(6), value).ok_or_else(unfit)?);
    }
    Ok(out)
}

fn one(verb: char, precision: usize, value: &Value<'_>) -> Option<String> {
    Some(match (verb, value) {
        ('s', value) => shown(value),
        ('d', Value::Int(i)) => i.to_string(),
        ('d', Value::Uint(u)) => u.to_string(),
        ('f', value) => format!("{:.precision$}", number(value)?),
        ('e', value) => exponent(number(value)?, precision),
        ('b', Value::Bool(b)) => u8::from(*b).to_string(),
        ('b', Value::Int(i)) => signed(*i, |n| format!("{n:b}")),
        ('b', Value::Uint(u)) => format!("{u:b}"),
        ('o', Value::Int(i)) => signed(*i, |n| format!("{n:o}")),
        ('o', Value::Uint(u)) => format!("{u:o}"),
        ('x', Value::Int(i)) => signed(*i, |n| format!("{n:x}")),
        ('x', Value::Uint(u)) => format!("{u:x}"),
        ('x', Value::String(text)) => text.as_str().bytes().map(|b| format!("{b:02x}")).collect(),
        ('x', Value::Bytes(bytes)) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        ('X', value) => one('x', precision, value)?.to_uppercase(),
        _ => return None,
    })
}

fn signed(number: i64, print: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", print(number.unsigned_abs()))
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(d) => Some(*d),
        Value::Int(i) => Some(*i as f64),
        Value::Uint(u) => Some(*u as f64),
        _ => None,
    }
}

/// Go writes at least two digits of the exponent, and its sign.
fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    }
}

/// `%s` takes anything.
fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|v| shown(&v)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let pair = |k: Value<'_>| map.get(&k).map(|v| format!("{}: {}", shown(&k), shown(&v)));
            let mut pairs: Vec<String> = map.keys().filter_map(pair).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(", "))
        }
        value => value.display().unwrap_or_else(|| value.type_name().to_string()),
    }
}
