//! Text: what the language has, cel-go's strings library and Kubernetes' regular expressions.
//! Positions count characters.

use super::functions::{Answer, Target, paid};
use super::value::{Text, Value};
use super::{Budget, EvalError};
use regex::Regex;

/// The largest program that a regular expression may compile to, in bytes.
const MAX_REGEX: usize = 1 << 20;
/// Regular expressions that one evaluation keeps; beyond it all are forgotten.
const MAX_KEPT: usize = 32;
/// What it costs to build one, beside its length.
const BUILD_PRICE: usize = 1000;

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let on_text = matches!(args.first(), Some(Value::String(_)));
    match (target, name, args) {
        (Target::Global, "matches", [Value::String(_), Value::String(_)]) => {}
        (Target::Receiver, "join", [Value::List(_), ..]) => {}
        (Target::Global, "strings.quote", _) => {}
        (Target::Namespace("strings"), "quote", [Value::String(text)]) => {
            return Some(Ok(Value::text(format!("{:?}", text.as_str()))));
        }
        (Target::Receiver, _, _) if on_text => {}
        _ => return None,
    }
    if let Err(error) = args.iter().try_for_each(|arg| paid(budget, &[arg])) {
        return Some(Err(error));
    }
    if let ("join", [Value::List(list), rest @ ..]) = (name, args) {
        let separator = match rest {
            [] => "",
            [Value::String(text)] => text.as_str(),
            _ => return None,
        };
        let texts: Option<Vec<String>> = list
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.as_str().to_string()),
                _ => None,
            })
            .collect();
        let joined = texts.map(|texts| texts.join(separator));
        return Some(match joined {
            Some(joined) => budget.spend(joined.len() / 10).map(|()| Value::text(joined)),
            None => Err(super::functions::no_overload()),
        });
    }
    let [Value::String(text), rest @ ..] = args else { return None };
    let (text, texts) = (text.as_str(), rest.iter().map(plain).collect::<Option<Vec<&str>>>());
    if let Some(texts) = texts
        && let Some(answer) = of_texts(budget, name, text, &texts)
    {
        return Some(answer);
    }
    of_numbers(budget, name, text, rest)
}

fn plain<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Functions whose arguments are all text.
fn of_texts<'a>(budget: &Budget, name: &str, text: &str, args: &[&str]) -> Option<Answer<'a>> {
    let int = |position: Option<usize>| Value::Int(position.map_or(-1, |p| text[..p].chars().count() as i64));
    let list = |parts: Vec<&str>| Value::list(parts.into_iter().map(Value::text).collect());
    Some(Ok(match (name, args) {
        ("contains", [part]) => Value::Bool(text.contains(part)),
        ("startsWith", [part]) => Value::Bool(text.starts_with(part)),
        ("endsWith", [part]) => Value::Bool(text.ends_with(part)),
        ("indexOf", [part]) => int(text.find(part)),
        ("lastIndexOf", [part]) => int(text.rfind(part)),
        ("lowerAscii", []) => Value::text(text.to_ascii_lowercase()),
        ("upperAscii", []) => Value::text(text.to_ascii_uppercase()),
        ("trim", []) => Value::text(text.trim()),
        ("reverse", []) => Value::text(text.chars().rev().collect::<String>()),
        ("split", [separator]) => list(split(text, separator, -1)),
        ("replace", [from, to]) => return Some(replace(budget, text, from, to, usize::MAX)),
        ("matches", [pattern]) => {
            return Some(regex(budget, text, pattern).map(|r| Value::Bool(r.is_match(text))));
        }
        ("find", [pattern]) => {
            return Some(
                regex(budget, text, pattern).map(|r| Value::text(r.find(text).map_or("", |m| m.as_str()))),
            );
        }
        ("findAll", [pattern]) => {
            return Some(
                regex(budget, text, pattern).map(|r| list(r.find_iter(text).map(|m| m.as_str()).collect())),
            );
        }
        _ => return None,
    }))
}

/// Functions with positions and counts among their arguments.
fn of_numbers<'a>(budget: &Budget, name: &str, text: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let length = text.chars().count();
    let out = |i: i64| EvalError::failed(format!("index out of range: {i}"));
    // A position between two characters, or behind the last.
    let position = |i: &i64| usize::try_from(*i).ok().filter(|i| *i <= length).ok_or_else(|| out(*i));
    let part =
        |from: usize, to: usize| Value::text(text.chars().skip(from).take(to - from).collect::<String>());
    let found = |at: Option<usize>, offset: usize| Value::Int(at.map_or(-1, |at| (at + offset) as i64));
    Some(match (name, args) {
        ("charAt", [Value::Int(i)]) => {
            position(i).map(|i| Value::text(text.chars().nth(i).map(String::from).unwrap_or_default()))
        }
        ("substring", [Value::Int(from)]) => position(from).map(|from| part(from, length)),
        ("substring", [Value::Int(from), Value::Int(to)]) => position(from)
            .and_then(|from| position(to).map(|to| (from, to)))
            .and_then(|(from, to)| match from <= to {
                true => Ok(part(from, to)),
                false => Err(EvalError::failed(format!("invalid substring range. start: {from}, end: {to}"))),
            }),
        ("indexOf", [Value::String(needle), Value::Int(from)]) => position(from).map(|from| {
            let rest: String = text.chars().skip(from).collect();
            found(rest.find(needle.as_str()).map(|at| rest[..at].chars().count()), from)
        }),
        ("lastIndexOf", [Value::String(needle), Value::Int(from)]) => position(from).map(|from| {
            // A match may begin at `from` at the latest.
            let end = from + needle.as_str().chars().count();
            let head: String = text.chars().take(end).collect();
            found(head.rfind(needle.as_str()).map(|at| head[..at].chars().count()), 0)
        }),
        ("replace", [Value::String(from), Value::String(to), Value::Int(limit)]) => {
            let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
            replace(budget, text, from.as_str(), to.as_str(), limit)
        }
        ("split", [Value::String(separator), Value::Int(limit)]) => {
            let parts = split(text, separator.as_str(), *limit);
            Ok(Value::list(parts.into_iter().map(Value::text).collect()))
        }
        ("findAll", [Value::String(pattern), Value::Int(limit)]) => {
            let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
            regex(budget, text, pattern.as_str()).map(|regex| {
                let all = regex.find_iter(text).take(limit);
                Value::list(all.map(|m| Value::text(m.as_str())).collect())
            })
        }
        ("format", [Value::List(list)]) => super::formats::printf(text, &list.iter().collect::<Vec<_>>())
            .and_then(|text| budget.spend(text.len() / 10).map(|()| Value::text(text))),
        _ => return None,
    })
}

/// As Go's `strings.SplitN`: nothing separates every character, and a limit leaves the rest whole.
fn split<'t>(text: &'t str, separator: &str, limit: i64) -> Vec<&'t str> {
    match usize::try_from(limit) {
        Ok(0) => Vec::new(),
        _ if separator.is_empty() => {
            let ends = text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]);
            match usize::try_from(limit) {
                Ok(limit) if limit < text.chars().count() => {
                    let mut parts: Vec<&str> = ends.take(limit - 1).collect();
                    let used: usize = parts.iter().map(|p| p.len()).sum();
                    parts.push(&text[used..]);
                    parts
                }
                _ => ends.collect(),
            }
        }
        Ok(limit) => text.splitn(limit, separator).collect(),
        Err(_) => text.split(separator).collect(),
    }
}

/// The result is paid for before it is made: it may be much longer than what it is made of.
fn replace<'a>(budget: &Budget, text: &str, from: &str, to: &str, limit: usize) -> Answer<'a> {
    let matches = text.matches(from).take(limit).count();
    budget.spend((text.len() + matches.saturating_mul(to.len())) / 10)?;
    Ok(Value::String(Text::Shared(text.replacen(from, to, limit).into())))
}

/// Regular expressions are linear in the text (Go's RE2 syntax and this crate's are alike), and
/// their size is bounded.
fn regex(budget: &Budget, text: &str, pattern: &str) -> Result<Regex, EvalError> {
    budget.spend(text.len() / 10)?;
    if let Some(known) = budget.regexes.borrow().get(pattern) {
        return Ok(known.clone());
    }
    budget.spend(BUILD_PRICE + 10 * pattern.len())?;
    let built = regex::RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
    let wrong = |_| EvalError::failed(format!("error parsing regexp: invalid pattern: `{pattern}`"));
    let built = built.map_err(wrong)?;
    let mut kept = budget.regexes.borrow_mut();
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(pattern.to_string(), built.clone());
    Ok(built)
}
