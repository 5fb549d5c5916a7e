//! How a value falls apart into fields that each may have an owner: the structure that
//! `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` describe (KEP-555; upstream:
//! `structured-merge-diff/schema`).

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Owned as a whole: the lists and maps that are atomic, and scalars of more than one type.
    Leaf,
    /// A scalar of one type, owned as a whole too.
    Scalar(Scalar),
    /// Nothing is known of it: an object is taken apart key by key, anything else is a leaf.
    Unknown,
    /// A fixed set of fields.
    Struct(Arc<BTreeMap<String, Shape>>),
    /// Any keys, values of one shape.
    Map(Arc<Shape>),
    /// A list whose items are told apart by some of their fields.
    ListMap { keys: Arc<[Key]>, items: Arc<Shape> },
    /// A list of scalars, each there or not.
    Set,
    /// A built-in type by upstream's name; types may contain themselves. See `schema::named`.
    Named(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Number,
    Truth,
}

impl Scalar {
    /// As a schema names it.
    pub fn of(type_name: &str) -> Option<Scalar> {
        match type_name {
            "string" => Some(Scalar::Text),
            "integer" | "number" => Some(Scalar::Number),
            "boolean" => Some(Scalar::Truth),
            _ => None,
        }
    }

    /// Refuse a value of another type, in the words of `structured-merge-diff/typed/helpers.go`.
    pub fn check(self, value: &Value) -> Result<(), String> {
        let found = match value {
            Value::Null => return Ok(()),
            Value::String(_) => "string",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::Bool(_) => "bool",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
        };
        let (fits, wanted) = match self {
            Scalar::Text => (value.is_string(), "string"),
            Scalar::Truth => (value.is_boolean(), "boolean"),
            Scalar::Number if value.is_number() => (true, ""),
            Scalar::Number => return Err(format!("expected numeric (int or float), got {found}")),
        };
        match fits {
            true => Ok(()),
            false => Err(format!("expected {wanted}, got &value.valueUnstructured{{Value:{value}}}")),
        }
    }
}

/// A field that tells the items of a list apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    /// What it is when an item does not say (a port's protocol is TCP).
    pub default: Option<Value>,
}
