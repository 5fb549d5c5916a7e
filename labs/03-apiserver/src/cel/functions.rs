//! The functions of the language itself, and the way to those of the libraries.

use super::value::Value;
use super::{Budget, EvalError, authorizer, formats, lists, net, quantity, strings, time, url};
use jiff::{SignedDuration, Timestamp};
use std::rc::Rc;

pub type Answer<'a> = Result<Value<'a>, EvalError>;

/// How a function was called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'n> {
    Global,
    /// On the first of the arguments.
    Receiver,
    /// With a name that is only there to set it apart (`sets.contains`).
    Namespace(&'n str),
}

/// Names before a dot that are no values.
pub fn is_namespace(name: &str) -> bool {
    matches!(name, "optional" | "sets" | "format" | "ip" | "cidr" | "lists" | "strings")
}

/// The type of that name, when an expression speaks of the type itself.
pub fn type_named(name: &str) -> Option<&'static str> {
    let types = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
    types.into_iter().find(|t| *t == name)
}

pub fn no_overload() -> EvalError {
    EvalError::failed("no such overload")
}

/// Call a function. The libraries are asked one after the other: no two share a signature.
pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Answer<'a> {
    let libraries = [operator, basic, optional, strings::call, lists::call, time::call, quantity::call];
    for library in libraries {
        if let Some(answer) = library(budget, target, name, args) {
            return answer;
        }
    }
    for library in [url::call, net::call, formats::call, authorizer::call] {
        if let Some(answer) = library(budget, target, name, args) {
            return answer;
        }
    }
    Err(no_overload())
}

fn operator<'a>(budget: &Budget, _: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let answer = match (name, args) {
        ("_==_", [a, b]) => paid(budget, &[a, b]).map(|()| Value::Bool(a.equals(b))),
        ("_!=_", [a, b]) => paid(budget, &[a, b]).map(|()| Value::Bool(!a.equals(b))),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => match paid(budget, &[a, b]).map(|()| a.compare(b)) {
            Err(error) => Err(error),
            Ok(Some(order)) => Ok(Value::Bool(match name {
                "_<_" => order.is_lt(),
                "_<=_" => order.is_le(),
                "_>_" => order.is_gt(),
                _ => order.is_ge(),
            })),
            // Not a number is neither less nor more.
            Ok(None) if is_number(a) && is_number(b) => Ok(Value::Bool(false)),
            Ok(None) => Err(no_overload()),
        },
        ("!_", [Value::Bool(b)]) => Ok(Value::Bool(!b)),
        ("-_", [Value::Int(i)]) => i.checked_neg().map(Value::Int).ok_or_else(overflow),
        ("-_", [Value::Double(d)]) => Ok(Value::Double(-d)),
        ("-_", [Value::Duration(d)]) => d.checked_neg().map(Value::Duration).ok_or_else(overflow),
        ("_[_]", [Value::Optional(None), _]) => Ok(Value::Optional(None)),
        ("_[_]", [Value::Optional(Some(value)), at]) => {
            Ok(Value::Optional(index(value, at).ok().map(Rc::new)))
        }
        ("_[_]", [value, at]) => index(value, at),
        ("@in", [value, all @ Value::List(list)]) => paid(budget, &[all])
            .and_then(|()| paid(budget, &[value]))
            .map(|()| Value::Bool(list.iter().any(|item| item.equals(value)))),
        ("@in", [value, Value::Map(map)]) => {
            budget.spend(map.len()).map(|()| Value::Bool(map.get(value).is_some()))
        }
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => arithmetic(budget, name, a, b),
        _ => return None,
    };
    Some(answer)
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

/// Looking through values costs what there is to look at. It is paid on the way: a list may hold
/// itself many times over, and be larger than it looks.
pub fn paid(budget: &Budget, values: &[&Value<'_>]) -> Result<(), EvalError> {
    values.iter().try_for_each(|value| match value {
        Value::String(text) => budget.spend(text.as_str().len() / 10),
        Value::Bytes(bytes) => budget.spend(bytes.len() / 10),
        Value::List(list) => {
            budget.spend(1)?;
            list.iter().try_for_each(|item| paid(budget, &[&item]))
        }
        Value::Map(map) => {
            budget.spend(1)?;
            let values = map.keys().filter_map(|key| map.get(&key));
            values.into_iter().try_for_each(|value| budget.spend(1).and_then(|()| paid(budget, &[&value])))
        }
        Value::Optional(Some(inner)) => paid(budget, &[inner]),
        _ => budget.spend(1),
    })
}

fn overflow() -> EvalError {
    EvalError::failed("integer overflow")
}

pub fn index<'a>(value: &Value<'a>, at: &Value<'_>) -> Answer<'a> {
    let key = || at.display().unwrap_or_else(|| at.type_name().to_string());
    match (value, at) {
        (Value::Map(map), at) => {
            // A whole double is the int it says.
            let whole = match at {
                Value::Double(d) if d.fract() == 0.0 => Some(Value::Int(*d as i64)),
                _ => None,
            };
            let found = map.get(whole.as_ref().unwrap_or(at));
            found.ok_or_else(|| EvalError::failed(format!("no such key: {}", key())))
        }
        (Value::List(list), at) => {
            let position = match at {
                Value::Int(i) => Some(*i),
                Value::Uint(u) => i64::try_from(*u).ok(),
                Value::Double(d) if d.fract() == 0.0 => Some(*d as i64),
                Value::Double(_) => None,
                _ => return Err(no_overload()),
            };
            let found = position.and_then(|i| usize::try_from(i).ok()).and_then(|i| list.get(i));
            found.ok_or_else(|| EvalError::failed(format!("index out of bounds: {}", key())))
        }
        _ => Err(no_overload()),
    }
}

fn arithmetic<'a>(budget: &Budget, name: &str, a: &Value<'a>, b: &Value<'a>) -> Answer<'a> {
    let by_zero = || EvalError::failed(if name == "_%_" { "modulus by zero" } else { "division by zero" });
    let answer = match (a, b) {
        (Value::Int(a), Value::Int(b)) => match name {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            "_*_" => a.checked_mul(*b),
            _ if *b == 0 => return Err(by_zero()),
            "_/_" => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => match name {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            "_*_" => a.checked_mul(*b),
            _ if *b == 0 => return Err(by_zero()),
            "_/_" => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }
        .map(Value::Uint),
        (Value::Double(a), Value::Double(b)) => Some(Value::Double(match name {
            "_+_" => a + b,
            "_-_" => a - b,
            "_*_" => a * b,
            "_/_" => a / b,
            _ => return Err(no_overload()),
        })),
        (Value::String(a), Value::String(b)) if name == "_+_" => {
            let (a, b) = (a.as_str(), b.as_str());
            budget.spend((a.len() + b.len()) / 10)?;
            Some(Value::text([a, b].concat()))
        }
        (Value::Bytes(a), Value::Bytes(b)) if name == "_+_" => {
            budget.spend((a.len() + b.len()) / 10)?;
            Some(Value::Bytes(Rc::from([a.as_ref(), b.as_ref()].concat())))
        }
        (Value::List(a), Value::List(b)) if name == "_+_" => {
            budget.spend(a.len() + b.len())?;
            Some(Value::list(a.iter().chain(b.iter()).collect()))
        }
        (Value::Duration(a), Value::Duration(b)) => match name {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            _ => return Err(no_overload()),
        }
        .map(Value::Duration),
        (Value::Timestamp(t), Value::Duration(d)) => match name {
            "_+_" => t.checked_add(*d).ok(),
            "_-_" => t.checked_sub(*d).ok(),
            _ => return Err(no_overload()),
        }
        .map(Value::Timestamp),
        (Value::Duration(d), Value::Timestamp(t)) if name == "_+_" => {
            t.checked_add(*d).ok().map(Value::Timestamp)
        }
        (Value::Timestamp(a), Value::Timestamp(b)) if name == "_-_" => {
            Some(Value::Duration(a.duration_since(*b)))
        }
        _ => return Err(no_overload()),
    };
    answer.ok_or_else(overflow)
}

/// Sizes and conversions.
fn basic<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    if let Target::Namespace(_) = target {
        return None;
    }
    let unfit = |value: &Value<'_>, to: &str| {
        Err(EvalError::failed(format!("type conversion error from '{}' to '{to}'", value.type_name())))
    };
    let answer = match (name, args) {
        ("size", [Value::String(text)]) => {
            budget.spend(text.as_str().len() / 10).map(|()| Value::Int(text.as_str().chars().count() as i64))
        }
        ("size", [Value::Bytes(bytes)]) => Ok(Value::Int(bytes.len() as i64)),
        ("size", [Value::List(list)]) => Ok(Value::Int(list.len() as i64)),
        ("size", [Value::Map(map)]) => Ok(Value::Int(map.len() as i64)),
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => Ok(Value::Type(value.type_name())),
        ("int", [value]) => match value {
            Value::Int(i) => Ok(Value::Int(*i)),
            Value::Uint(u) => i64::try_from(*u).map(Value::Int).map_err(|_| overflow()),
            // 2^63 is the first double that is too large.
            Value::Double(d) if *d > -9.3e18 && *d < 9_223_372_036_854_775_808.0 && *d >= i64::MIN as f64 => {
                Ok(Value::Int(*d as i64))
            }
            Value::Double(_) => Err(overflow()),
            Value::String(text) => text.as_str().parse().map(Value::Int).map_err(|_| {
                EvalError::failed(format!("strconv.ParseInt: parsing {:?}: invalid syntax", text.as_str()))
            }),
            Value::Timestamp(t) => Ok(Value::Int(t.as_second())),
            Value::Duration(d) => i64::try_from(d.as_nanos()).map(Value::Int).map_err(|_| overflow()),
            other => unfit(other, "int"),
        },
        ("uint", [value]) => match value {
            Value::Uint(u) => Ok(Value::Uint(*u)),
            Value::Int(i) => {
                u64::try_from(*i).map(Value::Uint).map_err(|_| EvalError::failed("unsigned integer overflow"))
            }
            Value::Double(d) if *d >= 0.0 && *d < 18_446_744_073_709_551_616.0 => Ok(Value::Uint(*d as u64)),
            Value::Double(_) => Err(EvalError::failed("unsigned integer overflow")),
            Value::String(text) => text.as_str().parse().map(Value::Uint).map_err(|_| {
                EvalError::failed(format!("strconv.ParseUint: parsing {:?}: invalid syntax", text.as_str()))
            }),
            other => unfit(other, "uint"),
        },
        ("double", [value]) => match value {
            Value::Double(d) => Ok(Value::Double(*d)),
            Value::Int(i) => Ok(Value::Double(*i as f64)),
            Value::Uint(u) => Ok(Value::Double(*u as f64)),
            Value::String(text) => text.as_str().parse().map(Value::Double).map_err(|_| {
                EvalError::failed(format!("strconv.ParseFloat: parsing {:?}: invalid syntax", text.as_str()))
            }),
            other => unfit(other, "double"),
        },
        ("bool", [Value::Bool(b)]) => Ok(Value::Bool(*b)),
        ("bool", [Value::String(text)]) => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            text => Err(EvalError::failed(format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))),
        },
        ("bytes", [Value::Bytes(bytes)]) => Ok(Value::Bytes(bytes.clone())),
        ("bytes", [Value::String(text)]) => {
            budget.spend(text.as_str().len() / 10).map(|()| Value::Bytes(Rc::from(text.as_str().as_bytes())))
        }
        ("string", [value]) => match paid(budget, &[value]).map(|()| value.display()) {
            Ok(Some(text)) => Ok(Value::text(text)),
            Ok(None) => unfit(value, "string"),
            Err(error) => Err(error),
        },
        ("duration", [Value::Duration(d)]) => Ok(Value::Duration(*d)),
        ("duration", [Value::String(text)]) => duration(text.as_str()).map(Value::Duration),
        ("timestamp", [Value::Timestamp(t)]) => Ok(Value::Timestamp(*t)),
        ("timestamp", [Value::Int(i)]) => Timestamp::from_second(*i)
            .map(Value::Timestamp)
            .map_err(|_| EvalError::failed("timestamp overflow")),
        ("timestamp", [Value::String(text)]) => text
            .as_str()
            .parse()
            .map(Value::Timestamp)
            .map_err(|_| EvalError::failed(format!("invalid timestamp {:?}", text.as_str()))),
        _ => return None,
    };
    Some(answer)
}

fn duration(text: &str) -> Result<SignedDuration, EvalError> {
    let (negative, plain) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let length = objects::duration::parse_go(plain).map_err(|error| EvalError::failed(error.to_string()))?;
    let length = SignedDuration::try_from(length).map_err(|_| overflow())?;
    Ok(if negative { -length } else { length })
}

/// Values that may not be there (`optional.of(x)`, `a.?b.orValue(c)`).
fn optional<'a>(_: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let answer = match (target, name, args) {
        (Target::Namespace("optional"), "of", [value]) => Value::Optional(Some(Rc::new(value.clone()))),
        (Target::Namespace("optional"), "none", []) => Value::Optional(None),
        (Target::Namespace("optional"), "ofNonZeroValue", [value]) => {
            Value::Optional((!is_zero(value)).then(|| Rc::new(value.clone())))
        }
        (Target::Receiver, "hasValue", [Value::Optional(inner)]) => Value::Bool(inner.is_some()),
        (Target::Receiver, "value", [Value::Optional(inner)]) => match inner {
            Some(value) => value.as_ref().clone(),
            None => return Some(Err(EvalError::failed("optional.none() dereference"))),
        },
        (Target::Receiver, "orValue", [Value::Optional(inner), other]) => match inner {
            Some(value) => value.as_ref().clone(),
            None => other.clone(),
        },
        (Target::Receiver, "or", [Value::Optional(inner), other @ Value::Optional(_)]) => match inner {
            Some(_) => args[0].clone(),
            None => other.clone(),
        },
        _ => return None,
    };
    Some(Ok(answer))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(b) => !b,
        Value::Int(i) => *i == 0,
        Value::Uint(u) => *u == 0,
        Value::Double(d) => *d == 0.0,
        Value::String(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Duration(d) => d.is_zero(),
        _ => false,
    }
}
