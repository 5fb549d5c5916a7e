//! The values that expressions work on. Objects are not copied: a value of one points into it,
//! and its fields are turned into CEL's types when they are looked at.

use super::schema::Schema;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

/// Text, borrowed from the object or the expression where that is possible.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

#[derive(Debug, Clone)]
pub enum List<'a> {
    /// A list of an object; the schema is that of the items.
    Json(&'a [Json], Option<Schema<'a>>),
    Made(Rc<Vec<Value<'a>>>),
}

#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// A part of an object, and the schema of that part.
    Json(&'a serde_json::Map<String, Json>, Option<Schema<'a>>),
    Made(Rc<Vec<(Value<'a>, Value<'a>)>>),
}

#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    Optional(Option<Rc<Value<'a>>>),
    /// A type, by its name.
    Type(&'static str),
    Quantity(super::quantity::Quantity),
    Url(Rc<super::url::Url>),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    /// A named format of strings (`format.dns1123Label()`).
    Format(super::formats::Format),
    /// Whether somebody may do something, as far as it has been said.
    Question(super::authorizer::Question),
}

impl<'a> Value<'a> {
    pub fn text(text: impl Into<Rc<str>>) -> Value<'a> {
        Value::String(Text::Shared(text.into()))
    }

    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Made(Rc::new(items)))
    }

    /// A value of an object. Without a schema a number is what it looks like and text is text.
    pub fn from_json(json: &'a Json, schema: Option<Schema<'a>>) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(number) => match number.as_i64() {
                Some(int) if !schema.is_some_and(Schema::is_double) => Value::Int(int),
                _ => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => {
                let special = schema.and_then(|schema| schema.read_text(text));
                special.unwrap_or(Value::String(Text::Borrowed(text)))
            }
            Json::Array(items) => Value::List(List::Json(items, schema.and_then(Schema::items))),
            Json::Object(map) => Value::Map(Map::Json(map, schema)),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Url(_) => "kubernetes.URL",
            Value::Ip(_) => "net.IP",
            Value::Cidr(..) => "net.CIDR",
            Value::Format(_) => "kubernetes.NamedFormat",
            Value::Question(question) => question.stage.type_name(),
        }
    }

    /// CEL's equality: numbers of different types are equal when they mean the same, and values
    /// of different kinds are not.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len()
                    && (0..a.len()).all(|i| match (a.get(i), b.get(i)) {
                        (Some(a), Some(b)) => a.equals(&b),
                        _ => false,
                    })
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.keys().all(|key| match (a.get(&key), b.get(&key)) {
                        (Some(a), Some(b)) => a.equals(&b),
                        _ => false,
                    })
            }
            (Value::Null, Value::Null) => true,
            (Value::Optional(a), Value::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (None, None) => true,
                _ => false,
            },
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Url(a), Value::Url(b)) => a == b,
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a, m), Value::Cidr(b, n)) => (a, m) == (b, n),
            (Value::Format(a), Value::Format(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// How two values are ordered, if values of these types are.
    pub fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
            (Value::Double(a), Value::Uint(b)) => a.partial_cmp(&(*b as f64)),
            (Value::Uint(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
            (Value::String(a), Value::String(b)) => Some(a.as_str().cmp(b.as_str())),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (Value::Quantity(a), Value::Quantity(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// As an answer leaves an expression; what JSON has no word for is text.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Optional(None) => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => Json::from(*i),
            Value::Uint(u) => Json::from(*u),
            Value::Double(d) => Json::from(*d),
            Value::String(text) => Json::from(text.as_str()),
            Value::Bytes(bytes) => {
                use base64::Engine as _;
                Json::from(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            Value::List(list) => list.iter().map(|v| v.to_json()).collect(),
            Value::Map(map) => {
                let text = |key: &Value<'_>| match key {
                    Value::String(text) => text.as_str().to_string(),
                    other => other.to_json().to_string(),
                };
                let pairs = map.keys().filter_map(|k| map.get(&k).map(|v| (text(&k), v.to_json())));
                Json::Object(pairs.collect())
            }
            Value::Optional(Some(value)) => value.to_json(),
            other => Json::from(other.display().unwrap_or_else(|| other.type_name().to_string())),
        }
    }

    /// What `string()` makes of it; none where CEL has no such conversion.
    pub fn display(&self) -> Option<String> {
        Some(match self {
            Value::Bool(b) => b.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Uint(u) => u.to_string(),
            Value::Double(d) => d.to_string(),
            Value::String(text) => text.as_str().to_string(),
            Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
            Value::Duration(d) => format!("{}s", d.as_secs_f64()),
            Value::Timestamp(t) => t.to_string(),
            Value::Type(name) => (*name).to_string(),
            Value::Ip(ip) => ip.to_string(),
            Value::Cidr(ip, bits) => format!("{ip}/{bits}"),
            _ => return None,
        })
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(items, _) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items, schema) => items.get(index).map(|item| Value::from_json(item, *schema)),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Map::Json(map, _) => map.len(),
            Map::Made(pairs) => pairs.len(),
        }
    }

    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match self {
            Map::Json(map, schema) => {
                let Value::String(key) = key else { return None };
                let value = map.get(key.as_str())?;
                Some(Value::from_json(value, schema.and_then(|s| s.property(key.as_str()))))
            }
            Map::Made(pairs) => pairs.iter().find(|(k, _)| k.equals(key)).map(|(_, v)| v.clone()),
        }
    }

    pub fn keys(&self) -> Box<dyn Iterator<Item = Value<'a>> + '_> {
        match self {
            Map::Json(map, _) => Box::new(map.keys().map(|k| Value::String(Text::Borrowed(k)))),
            Map::Made(pairs) => Box::new(pairs.iter().map(|(k, _)| k.clone())),
        }
    }
}
