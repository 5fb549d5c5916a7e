//! One step into a value, as `fieldsV1` writes it: `f:spec`, `k:{"name":"web"}`, `v:"x"`, `i:0`
//! (upstream: `structured-merge-diff/fieldpath/{element,serialize-pe}.go`).

use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::fmt;

/// In the order in which upstream sorts them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A key of an object.
    Field(String),
    /// An item of a list, by the fields that tell it apart; sorted by their names.
    Key(Vec<(String, Scalar)>),
    /// An item of a set is its own name.
    Value(Scalar),
    /// An item by its place, where nothing better is known of it.
    Index(i64),
}

pub type Path = Vec<Element>;

impl Element {
    pub fn field(name: &str) -> Element {
        Element::Field(name.to_string())
    }

    /// Read the text form. `None` is a sort of element that this version does not know: it is
    /// skipped, so that an older server may read what a newer one wrote.
    pub fn parse(text: &str) -> Result<Option<Element>, String> {
        let (sort, rest) = text.split_once(':').ok_or_else(|| format!("missing colon: {text}"))?;
        let json = || serde_json::from_str::<Value>(rest).map_err(|error| error.to_string());
        Ok(Some(match sort {
            "f" => Element::field(rest),
            "v" => Element::Value(Scalar(json()?)),
            "i" => Element::Index(rest.parse().map_err(|_| format!("no index: {text}"))?),
            "k" => match json()? {
                Value::Object(map) => Element::key(map.into_iter().collect()),
                _ => return Err(format!("a key is an object: {text}")),
            },
            _ => return Ok(None),
        }))
    }

    /// The element of these key fields.
    pub fn key(fields: Vec<(String, Value)>) -> Element {
        let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, Scalar(value))).collect();
        fields.sort();
        Element::Key(fields)
    }

    /// The text form in `fieldsV1`.
    pub fn to_text(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Value(value) => format!("v:{value}"),
            Element::Index(place) => format!("i:{place}"),
            Element::Key(fields) => {
                let map: Map<String, Value> = fields.iter().map(|(n, v)| (n.clone(), v.0.clone())).collect();
                format!("k:{}", Value::Object(map))
            }
        }
    }
}

/// As messages show it: `.spec`, `[name="web"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Value(value) => write!(f, "[={value}]"),
            Element::Index(place) => write!(f, "[{place}]"),
            Element::Key(fields) => {
                let fields: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={v}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
        }
    }
}

/// A path as messages show it: `.spec.template.spec.containers[name="web"].image`.
pub fn display(path: &[Element]) -> String {
    path.iter().map(Element::to_string).collect()
}

/// A JSON value with upstream's order: numbers, texts, booleans, then what should not be here.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

impl Scalar {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Scalar) -> Ordering {
        match (&self.0, &other.0) {
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => {
                // The text decides between large integers that are one as floats.
                let by_size = a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0));
                by_size.then_with(|| a.to_string().cmp(&b.to_string()))
            }
            (a, b) => {
                let by_rank = self.rank().cmp(&other.rank());
                by_rank.then_with(|| a.to_string().cmp(&b.to_string()))
            }
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Scalar) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
