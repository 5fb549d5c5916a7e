//! The JSON paths that a definition's columns use: fields, indices, `[*]`, and the filter that
//! finds an item by one of its fields (upstream: `client-go/util/jsonpath`).

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    /// From the end when negative.
    Index(i64),
    All,
    /// `[?(@.type=="Ready")]`: the path below the item, the operator, and what is compared with.
    Where {
        path: Vec<Step>,
        equal: bool,
        value: Value,
    },
}

/// A path that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

impl JsonPath {
    /// Read `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`. `None` when the path
    /// uses more of the language than columns need.
    pub fn parse(text: &str) -> Option<JsonPath> {
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let text = text.strip_prefix('$').unwrap_or(text);
        Some(JsonPath { steps: steps(text)? })
    }

    /// What the path finds, in order.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        walk(&self.steps, value)
    }
}

fn walk<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| step.of(value)).collect();
    }
    found
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Step::Key(key), Value::Object(map)) => map.get(key).into_iter().collect(),
            (Step::Index(index), Value::Array(items)) => {
                let at = if *index < 0 { items.len() as i64 + index } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Step::All, Value::Array(items)) => items.iter().collect(),
            (Step::All, Value::Object(map)) => map.values().collect(),
            (Step::Where { path, equal, value }, Value::Array(items)) => {
                let fits = |item: &&Value| walk(path, item).first().is_some_and(|v| (*v == value) == *equal);
                items.iter().filter(fits).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn steps(mut text: &str) -> Option<Vec<Step>> {
    let mut out = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix('[') {
            let end = closing(rest)?;
            out.push(bracket(rest[..end].trim())?);
            text = &rest[end + 1..];
            continue;
        }
        let rest = text.strip_prefix('.').or_else(|| out.is_empty().then_some(text))?;
        let (key, after) = key(rest)?;
        if !key.is_empty() {
            out.push(if key == "*" { Step::All } else { Step::Key(key) });
        }
        text = after;
    }
    Some(out)
}

/// A key up to the next separator; a backslash takes the next letter as it is.
fn key(text: &str) -> Option<(String, &str)> {
    let (mut key, mut chars) = (String::new(), text.char_indices());
    while let Some((at, letter)) = chars.next() {
        match letter {
            '\\' => key.push(chars.next()?.1),
            '.' | '[' => return Some((key, &text[at..])),
            letter => key.push(letter),
        }
    }
    Some((key, ""))
}

/// Where the bracket that is open ends: quotes and brackets inside do not count.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let (equal, (path, value)) = match filter.split_once("==") {
            Some(sides) => (true, sides),
            None => (false, filter.split_once("!=")?),
        };
        let path = steps(path.trim().strip_prefix('@')?)?;
        return Some(Step::Where { path, equal, value: literal(value.trim())? });
    }
    match literal(inside)? {
        Value::String(key) => Some(Step::Key(key)),
        Value::Number(index) => index.as_i64().map(Step::Index),
        _ => None,
    }
}

fn literal(text: &str) -> Option<Value> {
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark).map(Value::from);
    quoted('\'').or_else(|| quoted('"')).or_else(|| serde_json::from_str(text).ok())
}
