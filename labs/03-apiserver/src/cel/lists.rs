//! Kubernetes' lists library (`isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`) and
//! cel-go's sets.

use super::functions::{Answer, Target, no_overload, paid};
use super::value::{List, Value};
use super::{Budget, EvalError};
use jiff::SignedDuration;

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    match (target, name, args) {
        (Target::Receiver, "isSorted" | "sum" | "min" | "max", [Value::List(_)])
        | (Target::Receiver, "indexOf" | "lastIndexOf", [Value::List(_), _])
        | (Target::Receiver, "flatten", [Value::List(_)])
        | (
            Target::Namespace("sets"),
            "contains" | "equivalent" | "intersects",
            [Value::List(_), Value::List(_)],
        ) => {}
        _ => return None,
    }
    if let Err(error) = args.iter().try_for_each(|arg| paid(budget, &[arg])) {
        return Some(Err(error));
    }
    Some(match (name, args) {
        ("isSorted", [Value::List(list)]) => is_sorted(list),
        ("sum", [Value::List(list)]) => sum(list),
        ("min" | "max", [Value::List(list)]) => extreme(name, list),
        ("indexOf", [Value::List(list), item]) => Ok(position(list.iter().position(|i| i.equals(item)))),
        ("lastIndexOf", [Value::List(list), item]) => {
            let all: Vec<Value<'_>> = list.iter().collect();
            Ok(position(all.iter().rposition(|i| i.equals(item))))
        }
        (_, [Value::List(a), Value::List(b)]) => {
            // Each is compared with each.
            if let Err(error) = budget.spend(a.len().saturating_mul(b.len())) {
                return Some(Err(error));
            }
            let contains =
                |a: &List<'_>, b: &List<'_>| b.iter().all(|item| a.iter().any(|i| i.equals(&item)));
            Ok(Value::Bool(match name {
                "contains" => contains(a, b),
                "equivalent" => contains(a, b) && contains(b, a),
                _ => a.iter().any(|item| b.iter().any(|i| i.equals(&item))),
            }))
        }
        _ => return None,
    })
}

fn position<'a>(at: Option<usize>) -> Value<'a> {
    Value::Int(at.map_or(-1, |at| at as i64))
}

fn is_sorted<'a>(list: &List<'a>) -> Answer<'a> {
    let items: Vec<Value<'a>> = list.iter().collect();
    for pair in items.windows(2) {
        match pair[0].compare(&pair[1]) {
            Some(order) if order.is_gt() => return Ok(Value::Bool(false)),
            Some(_) => {}
            None => return Err(no_overload()),
        }
    }
    Ok(Value::Bool(true))
}

fn extreme<'a>(name: &str, list: &List<'a>) -> Answer<'a> {
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        let better = match &best {
            None => true,
            Some(best) => match item.compare(best) {
                Some(order) => {
                    if name == "min" {
                        order.is_lt()
                    } else {
                        order.is_gt()
                    }
                }
                None => return Err(no_overload()),
            },
        };
        if better {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvalError::failed(format!("{name} called on empty list")))
}

/// The sum of nothing is 0.
fn sum<'a>(list: &List<'a>) -> Answer<'a> {
    let mut total: Option<Value<'a>> = None;
    for item in list.iter() {
        let overflow = || EvalError::failed("integer overflow");
        total = Some(match (total, item) {
            (None, item @ (Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_))) => item,
            (Some(Value::Int(a)), Value::Int(b)) => Value::Int(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Uint(a)), Value::Uint(b)) => Value::Uint(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Double(a)), Value::Double(b)) => Value::Double(a + b),
            (Some(Value::Duration(a)), Value::Duration(b)) => {
                Value::Duration(SignedDuration::checked_add(a, b).ok_or_else(overflow)?)
            }
            _ => return Err(no_overload()),
        });
    }
    Ok(total.unwrap_or(Value::Int(0)))
}
