//! What Go writes whether or not anything was said: fields without `omitempty`, and structs and times
//! even with it. Clients in Go never ask whether they are there, and so others rely on them. And what it
//! leaves out though it was said: all other texts, numbers, lists and maps that are empty.
//!
//! A null is written into what is stored and shown, and nowhere else: bodies are read without nulls
//! ([`crate::typed`]), so that nobody owns one, and a patch that sets one removes the field.

use crate::types::{self, Field, Message, Shape, Type};
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// What Go writes for a field that nobody set; `None` if it writes nothing.
fn zero_of(field: &Field) -> Option<Value> {
    Some(match (field.shape, field.of) {
        _ if !field.always => return None,
        _ if field.pointer => Value::Null,
        (Shape::One, Type::Text) => json!(""),
        (Shape::One, Type::Quantity) => json!("0"),
        (Shape::One, Type::Int32 | Type::Int64 | Type::Float | Type::IntOrString) => json!(0),
        (Shape::One, Type::Truth) => json!(false),
        (Shape::One, Type::Message(_)) => json!({}),
        // A time, a list, a map, bytes.
        _ => Value::Null,
    })
}

/// Write the zeros of an object of a built-in kind. Twice is once.
pub fn fill(resource: &Resource, object: &mut Value) {
    if let (Some(message), Value::Object(map)) = (message_of(resource), object) {
        visit(message, map, false, &mut |map, field| {
            let Some(zero) = zero_of(field) else { return };
            let value = map.entry(field.name).or_insert(Value::Null);
            if value.is_null() {
                *value = zero;
            }
        });
    }
}

/// Leave out what Go leaves out. Twice is once.
pub fn trim(resource: &Resource, object: &mut Value) {
    if let (Some(message), Value::Object(map)) = (message_of(resource), object) {
        visit(message, map, false, &mut |map, field| {
            if !map.get(field.name).is_some_and(|value| says_nothing(field, value)) {
                return;
            }
            match zero_of(field) {
                Some(zero) => drop(map.insert(field.name.into(), zero)),
                None => drop(map.shift_remove(field.name)),
            }
        });
    }
}

fn message_of(resource: &Resource) -> Option<&'static Message> {
    types::of_kind(resource.group, resource.version, resource.kind)
}

/// Whether nothing is said by it. By a pointer's zero, a struct and a quantity something is.
fn says_nothing(field: &Field, value: &Value) -> bool {
    let is_empty = match (field.shape, field.of, value) {
        (Shape::List, _, Value::Array(items)) => items.is_empty(),
        (Shape::Map, _, Value::Object(map)) => map.is_empty(),
        (Shape::One, Type::Text | Type::Bytes, Value::String(text)) => text.is_empty(),
        (Shape::One, Type::Truth, Value::Bool(truth)) => !truth,
        (Shape::One, Type::Int32 | Type::Int64 | Type::Float, Value::Number(number)) => {
            number.as_f64() == Some(0.0)
        }
        _ => false,
    };
    value.is_null() || (is_empty && !field.pointer)
}

/// Go through the fields of an object and of all that is in it.
fn visit(
    message: &'static Message,
    map: &mut Map<String, Value>,
    inside: bool,
    act: &mut impl FnMut(&mut Map<String, Value>, &Field),
) {
    for field in &message.fields {
        // When the object itself was made is the business of whoever makes it.
        if inside || field.name != "creationTimestamp" {
            act(map, field);
        }
        let Type::Message(inner) = field.of else { continue };
        let Some(inner) = types::message(inner) else { continue };
        match (field.shape, map.get_mut(field.name)) {
            (Shape::Inlined, _) => visit(inner, map, inside, act),
            (Shape::One, Some(Value::Object(value))) => {
                visit(inner, value, inside || field.name != "metadata", act);
            }
            (Shape::List, Some(Value::Array(items))) => {
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    visit(inner, item, true, act);
                }
            }
            (Shape::Map, Some(Value::Object(values))) => {
                for value in values.values_mut().filter_map(Value::as_object_mut) {
                    visit(inner, value, true, act);
                }
            }
            _ => {}
        }
    }
}
