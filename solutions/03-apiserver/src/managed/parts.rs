//! How a value falls into parts that each may have an owner (upstream:
//! `structured-merge-diff/typed/helpers.go`).

use super::path::Element;
use crate::schema::{self, Key, Shape};
use serde_json::Value;

/// A part of a value.
#[derive(Debug, Clone)]
pub struct Part<'v> {
    pub element: Element,
    pub shape: Shape,
    pub value: &'v Value,
    /// A field with a name of the type's own, not a key of a map nor an item of a list.
    pub named: bool,
}

/// The parts of `value` in their order; `None` when it is owned as a whole. What has not the form
/// that the shape says is owned as a whole too.
pub fn parts<'v>(shape: &Shape, value: &'v Value) -> Option<Vec<Part<'v>>> {
    let shape = shape.resolved();
    match (&shape, value) {
        (Shape::Leaf | Shape::Scalar(_), _) => None,
        (Shape::Unknown, value) if !value.is_object() => None,
        (_, Value::Null) => Some(Vec::new()),
        (Shape::Struct(_) | Shape::Map(_) | Shape::Unknown, Value::Object(map)) => {
            let part = |(key, value): (&'v String, &'v Value)| {
                let element = Element::field(key);
                let (named, shape) = shape.child(&element);
                Part { element, shape, value, named }
            };
            Some(map.iter().map(part).collect())
        }
        (Shape::ListMap { .. } | Shape::Set, Value::Array(list)) => {
            let part = |(place, value): (usize, &'v Value)| {
                let element = item(&shape, value).unwrap_or(Element::Index(place as i64));
                let (named, shape) = shape.child(&element);
                Part { element, shape, value, named }
            };
            Some(list.iter().enumerate().map(part).collect())
        }
        _ => None,
    }
}

/// What tells an item apart from its neighbours; else why it cannot be told apart.
pub fn item(shape: &Shape, value: &Value) -> Result<Element, String> {
    let Shape::ListMap { keys, .. } = shape else {
        return match value {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            scalar => Ok(Element::Value(super::path::Scalar(scalar.clone()))),
        };
    };
    let Value::Object(map) = value else {
        let what = if value.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let field = |key: &Key| match map.get(&key.name).or(key.default.as_ref()) {
        Some(value) => Ok((key.name.clone(), value.clone())),
        None => Err(format!(
            "associative list with keys has an element that omits key field {:?} (and doesn't have default value)",
            key.name
        )),
    };
    Ok(Element::key(keys.iter().map(field).collect::<Result<_, _>>()?))
}

impl Shape {
    /// Itself, or the type that it names.
    pub(super) fn resolved(&self) -> Shape {
        match self {
            Shape::Named(name) => schema::named(name),
            shape => shape.clone(),
        }
    }

    /// Whether it has a fixed set of fields.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.resolved(), Shape::Struct(_))
    }

    /// Whether `element` is a field with a name of this type's own, and the shape of what is there.
    pub(super) fn child(&self, element: &Element) -> (bool, Shape) {
        match (self.resolved(), element) {
            (Shape::Struct(fields), Element::Field(name)) => match fields.get(name) {
                Some(shape) => (true, shape.clone()),
                None => (false, Shape::Unknown),
            },
            (Shape::Map(values), Element::Field(_)) => (false, (*values).clone()),
            (Shape::ListMap { items, .. }, Element::Key(_) | Element::Index(_)) => (false, (*items).clone()),
            (Shape::Set, _) => (false, Shape::Leaf),
            _ => (false, Shape::Unknown),
        }
    }
}
