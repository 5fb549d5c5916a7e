//! How a custom resource falls apart into owned fields: what its schema says with
//! `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` (upstream:
//! `apiextensions-apiserver/pkg/controller/openapi/builder`).

use super::schema::{Additional, Schema};
use crate::schema::{self, Key, Scalar, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shape of a whole object: its schema, with what every object has.
pub fn of_resource(schema: &Schema) -> Shape {
    let mut fields = fields_of(schema);
    fields.insert("apiVersion".into(), Shape::Leaf);
    fields.insert("kind".into(), Shape::Leaf);
    fields.insert("metadata".into(), schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    match schema.preserve {
        // Fields that nobody named are owned one by one too.
        true => Shape::Unknown,
        false => Shape::Struct(Arc::new(fields)),
    }
}

fn fields_of(schema: &Schema) -> BTreeMap<String, Shape> {
    schema.properties.iter().map(|(key, schema)| (key.clone(), of(schema))).collect()
}

fn of(schema: &Schema) -> Shape {
    if schema.map_type == "atomic" {
        return Shape::Leaf;
    }
    match (schema.kind.as_str(), schema.list_type.as_str()) {
        ("object", _) if schema.embedded => of_resource(schema),
        ("object", _) if schema.preserve => Shape::Unknown,
        ("object", _) => match &schema.additional {
            Some(Additional::Of(values)) => Shape::Map(Arc::new(of(values))),
            Some(Additional::Any(true)) => Shape::Unknown,
            _ => Shape::Struct(Arc::new(fields_of(schema))),
        },
        ("array", "set") => Shape::Set,
        ("array", "map") => list_map(schema),
        ("", _) if schema.preserve => Shape::Unknown,
        (scalar, _) => Scalar::of(scalar).map_or(Shape::Leaf, Shape::Scalar),
    }
}

fn list_map(list: &Schema) -> Shape {
    let Some(items) = list.items.as_deref() else { return Shape::Leaf };
    let key = |name: &String| Key {
        name: name.clone(),
        default: items.properties.get(name).and_then(|property| property.default.clone()),
    };
    Shape::ListMap { keys: list.list_map_keys.iter().map(key).collect(), items: Arc::new(of(items)) }
}
