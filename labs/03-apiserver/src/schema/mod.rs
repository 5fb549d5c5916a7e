//! What the server knows of the form of its kinds: a book of definitions, read off the types, and
//! the shapes that field ownership needs, read off the book.

pub mod book;
pub mod enums;
pub mod facts;
mod shape;

pub use shape::{Key, Scalar, Shape};

use book::{BOOK, referred};
use objects::resources::Resource;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The shape of a built-in kind.
pub fn shape_of(resource: &Resource) -> Shape {
    definition_name(resource.group, resource.version, resource.kind).map_or(Shape::Unknown, named)
}

/// The shape of a built-in type, by upstream's name: `io.k8s.api.core.v1.PodSpec`.
pub fn named(name: &str) -> Shape {
    SHAPES.get(name).cloned().unwrap_or(Shape::Unknown)
}

/// The name under which the book describes a built-in kind.
pub fn definition_name(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let package = match group {
        "" => format!("io.k8s.api.core.{version}"),
        "apiextensions.k8s.io" => format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}"),
        "apiregistration.k8s.io" => format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}"),
        // `rbac.authorization.k8s.io` lives in the package `rbac`, and so on.
        _ => format!("io.k8s.api.{}.{version}", group.split('.').next().unwrap_or_default()),
    };
    BOOK.get_key_value(&format!("{package}.{kind}")).map(|(name, _)| name.as_str())
}

static SHAPES: LazyLock<BTreeMap<&'static str, Shape>> =
    LazyLock::new(|| BOOK.iter().map(|(name, schema)| (name.as_str(), of_definition(schema))).collect());

fn says(schema: &Value, key: &str, word: &str) -> bool {
    schema.get(key).is_some_and(|value| value == word)
}

fn of_definition(schema: &Value) -> Shape {
    if says(schema, "x-kubernetes-map-type", "atomic") { Shape::Leaf } else { of_fields(schema) }
}

/// A definition's fields, whether or not its type is atomic.
fn of_fields(schema: &Value) -> Shape {
    match schema.get("properties").and_then(Value::as_object) {
        Some(fields) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), of_value(field)));
            Shape::Struct(Arc::new(fields.collect()))
        }
        // A type that is written as a text may be read from other scalars too: a quantity, a port.
        None => match of_value(schema) {
            Shape::Scalar(_) => Shape::Leaf,
            shape => shape,
        },
    }
}

fn of_value(schema: &Value) -> Shape {
    let atomic = says(schema, "x-kubernetes-map-type", "atomic");
    if let Some(name) = referred(schema) {
        let known = BOOK.get_key_value(name);
        return match known {
            _ if atomic => Shape::Leaf,
            Some((_, of)) if says(schema, "x-kubernetes-map-type", "granular") => of_fields(of),
            Some((name, _)) => Shape::Named(name),
            None => Shape::Unknown,
        };
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => of_list(schema),
        Some("object") if atomic => Shape::Leaf,
        Some("object") => match schema.get("additionalProperties") {
            Some(values) => Shape::Map(Arc::new(of_value(values))),
            // An object of which nothing more is said is raw JSON, and one field.
            None => Shape::Leaf,
        },
        Some(scalar) => Scalar::of(scalar).map_or(Shape::Leaf, Shape::Scalar),
        None => Shape::Unknown,
    }
}

fn of_list(schema: &Value) -> Shape {
    let items = schema.get("items").unwrap_or(&Value::Null);
    if says(schema, "x-kubernetes-list-type", "set") {
        return Shape::Set;
    }
    let Some(keys) = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array) else {
        return Shape::Leaf;
    };
    let fields = referred(items).and_then(|name| BOOK.get(name)).and_then(|of| of.get("properties"));
    let default = |key: &str| fields?.get(key)?.get("default").cloned();
    let keys = keys.iter().filter_map(Value::as_str);
    let keys = keys.map(|key| Key { name: key.to_owned(), default: default(key) });
    Shape::ListMap { keys: keys.collect(), items: Arc::new(of_value(items)) }
}
