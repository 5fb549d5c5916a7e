//! Bodies in protobuf. Since 1.32 `kubectl create`, `auth can-i` and others send nothing else.
//!
//! Decoding is driven by the table of [`types`], so that the result is the same dynamic object that
//! a JSON body gives, and everything after it is one path. Answers are JSON: every client takes that.

mod wire;

use crate::status::ApiError;
use crate::types::{self, Field, Message, Shape, Type};
use base64::Engine;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::{Reader, Wire};

/// The four bytes before every Kubernetes message.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any Kubernetes object, and shallow enough for the stack.
const MAX_DEPTH: usize = 40;

pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

fn malformed(why: &str) -> ApiError {
    ApiError::bad_request(format!("the body of the request is not valid protobuf: {why}"))
}

/// Read a body: its envelope says which kind it holds.
pub fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let body = body.strip_prefix(MAGIC).ok_or_else(|| malformed("it does not begin with k8s\\0"))?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader::new(body);
    while let Some((number, value)) = envelope.next().map_err(malformed)? {
        match (number, value) {
            (1, Wire::Bytes(meta)) => {
                let mut meta = Reader::new(meta);
                while let Some((number, value)) = meta.next().map_err(malformed)? {
                    let text = |value| match value {
                        Wire::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                        _ => String::new(),
                    };
                    match number {
                        1 => version = text(value),
                        2 => kind = text(value),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, short) = version.split_once('/').unwrap_or(("", &version));
    let Some(found) = types::of_kind(group, short, &kind) else {
        return Err(ApiError::unsupported_media_type(format!(
            "protobuf bodies of {kind} in version \"{version}\" are not read; send application/json"
        )));
    };
    let mut out = Map::new();
    out.insert("kind".into(), json!(kind));
    out.insert("apiVersion".into(), json!(version));
    message(found, raw, &mut out, 0)?;
    Ok(Value::Object(out))
}

/// Read the fields of a message into `out`.
fn message(
    message_type: &Message,
    bytes: &[u8],
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ApiError> {
    if depth > MAX_DEPTH {
        return Err(malformed("it is nested too deeply"));
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next().map_err(malformed)? {
        // Fields of later versions are passed over, as protobuf means it.
        let Some(field) = message_type.by_number(number) else { continue };
        match field.shape {
            Shape::Inlined => {
                if let (Type::Message(inner), Wire::Bytes(bytes)) = (field.of, wire) {
                    message(known(inner)?, bytes, out, depth + 1)?;
                }
            }
            Shape::Map => {
                let (key, value) = entry(field, wire, depth)?;
                let map = out.entry(field.name).or_insert_with(|| json!({}));
                crate::meta::as_map(map).insert(key, value);
            }
            Shape::List => {
                let values = match (field.of, wire) {
                    // Numbers may come packed.
                    (Type::Int32 | Type::Int64, Wire::Bytes(bytes)) => packed(bytes)?,
                    (_, wire) => vec![value(field.of, wire, depth)?],
                };
                if let Value::Array(list) = out.entry(field.name).or_insert_with(|| json!([])) {
                    list.extend(values);
                }
            }
            Shape::One => {
                let value = value(field.of, wire, depth)?;
                // A zero that is no pointer in Go cannot be told from nothing, and most of them JSON omits.
                // A struct is always written.
                let omits = !field.keeps_zero() && field.of != Type::IntOrString;
                let zero = omits && [json!(""), json!(0), json!(false)].contains(&value);
                if !zero && !value.is_null() {
                    out.insert(field.name.into(), value);
                }
            }
        }
    }
    Ok(())
}

/// An entry of a map: 1 is the key, 2 the value.
fn entry(field: &Field, wire: Wire<'_>, depth: usize) -> Result<(String, Value), ApiError> {
    let Wire::Bytes(bytes) = wire else { return Err(malformed("an entry of a map is no message")) };
    let (mut key, mut found) = (String::new(), empty(field.of));
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next().map_err(malformed)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => found = value(field.of, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, found))
}

/// What stands in a map when the value was left out on the wire.
fn empty(of: Type) -> Value {
    match of {
        Type::Text | Type::Bytes => json!(""),
        Type::Quantity => json!("0"),
        Type::Message(_) => json!({}),
        _ => Value::Null,
    }
}

fn packed(bytes: &[u8]) -> Result<Vec<Value>, ApiError> {
    let (mut reader, mut out) = (Reader::new(bytes), Vec::new());
    while !reader.is_empty() {
        out.push(json!(reader.varint().map_err(malformed)? as i64));
    }
    Ok(out)
}

fn text(bytes: &[u8]) -> Result<String, ApiError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed("a text is not UTF-8"))
}

fn value(of: Type, wire: Wire<'_>, depth: usize) -> Result<Value, ApiError> {
    Ok(match (of, wire) {
        (Type::Int32 | Type::Int64, Wire::Varint(number)) => json!(number as i64),
        (Type::Truth, Wire::Varint(number)) => json!(number != 0),
        (Type::Float, Wire::Fixed(bits)) => json!(f64::from_bits(bits)),
        (Type::Text, Wire::Bytes(bytes)) => json!(text(bytes)?),
        (Type::Bytes, Wire::Bytes(bytes)) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        (Type::Quantity, Wire::Bytes(bytes)) => json!(text(parts(bytes)?.bytes(1))?),
        (Type::IntOrString, Wire::Bytes(bytes)) => {
            let parts = parts(bytes)?;
            match parts.number(1) {
                0 => json!(parts.number(2)),
                _ => json!(text(parts.bytes(3))?),
            }
        }
        (Type::Time, Wire::Bytes(bytes)) => time(&parts(bytes)?, "%Y-%m-%dT%H:%M:%SZ"),
        (Type::MicroTime, Wire::Bytes(bytes)) => time(&parts(bytes)?, "%Y-%m-%dT%H:%M:%S%.6fZ"),
        (Type::Raw, Wire::Bytes(bytes)) => match parts(bytes)?.bytes(1) {
            [] => Value::Null,
            raw => serde_json::from_slice(raw).map_err(|e| malformed(&e.to_string()))?,
        },
        (Type::Message(name), Wire::Bytes(bytes)) => {
            let mut out = Map::new();
            message(known(name)?, bytes, &mut out, depth + 1)?;
            Value::Object(out)
        }
        (Type::Union(name), Wire::Bytes(bytes)) => union(known(name)?, bytes, depth)?,
        _ => return Err(malformed("a field has another type than it should")),
    })
}

fn known(name: &str) -> Result<&'static Message, ApiError> {
    types::message(name).ok_or_else(|| malformed("it has a message of no known type"))
}

/// What JSON writes bare: the schema if there is one, else what the other field holds, be it nothing.
fn union(wrapper: &Message, bytes: &[u8], depth: usize) -> Result<Value, ApiError> {
    let mut out = Map::new();
    message(wrapper, bytes, &mut out, depth + 1)?;
    let Some(other) = wrapper.fields.iter().find(|field| field.name != "schema") else {
        return Ok(Value::Null);
    };
    let empty = if other.shape == Shape::List { json!([]) } else { json!(false) };
    Ok(out.shift_remove("schema").or_else(|| out.shift_remove(other.name)).unwrap_or(empty))
}

/// The few fields of one of the special messages.
struct Parts<'b>(Vec<(u32, Wire<'b>)>);

fn parts(bytes: &[u8]) -> Result<Parts<'_>, ApiError> {
    let (mut reader, mut out) = (Reader::new(bytes), Vec::new());
    while let Some(field) = reader.next().map_err(malformed)? {
        out.push(field);
    }
    Ok(Parts(out))
}

impl<'b> Parts<'b> {
    fn number(&self, wanted: u32) -> i64 {
        let found = self.0.iter().rev().find(|(number, _)| *number == wanted);
        if let Some((_, Wire::Varint(value))) = found { *value as i64 } else { 0 }
    }

    fn bytes(&self, wanted: u32) -> &'b [u8] {
        let found = self.0.iter().rev().find(|(number, _)| *number == wanted);
        if let Some((_, Wire::Bytes(bytes))) = found { bytes } else { &[] }
    }
}

/// Seconds and nanoseconds since 1970; none at all is Go's zero time, which JSON calls null.
fn time(parts: &Parts<'_>, format: &str) -> Value {
    let (seconds, nanos) = (parts.number(1), parts.number(2));
    if (seconds, nanos) == (0, 0) {
        return Value::Null;
    }
    let nanos = i32::try_from(nanos).unwrap_or(0).clamp(0, 999_999_999);
    match Timestamp::new(seconds, nanos) {
        Ok(time) => json!(time.strftime(format).to_string()),
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_served_can_be_read() {
        for resource in objects::resources::served() {
            let (version, kind) = (resource.api_version(), resource.kind);
            let meta =
                [&[10, version.len() as u8], version.as_bytes(), &[18, kind.len() as u8], kind.as_bytes()]
                    .concat();
            let body = [MAGIC, &[10, meta.len() as u8], &meta].concat();
            assert_eq!(decode(&body), Ok(json!({ "kind": kind, "apiVersion": version })));
        }
    }
}
