//! Built-in kinds have types. Objects stay dynamic inside this server, but each is read once
//! through its type on the way in: what has the wrong shape is refused, what the kind does not
//! have is found, and quantities and times are written in their one canonical form.
//!
//! The messages are those of Go's decoder, for users know them from kubectl
//! (`sigs.k8s.io/json`, `apimachinery/pkg/api/resource/quantity.go`).

use crate::bodies::type_name;
use crate::kinds;
use crate::meta;
use crate::types::{self, Field, Message, Shape, Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use objects::quantity::Quantity;
use objects::resources::Resource;
use serde_json::{Value, json};

/// An object that went through its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Without nulls and without the fields that the kind does not have.
    pub object: Value,
    /// Paths of those fields, as upstream names them: `spec.foo`, `spec.containers[0].bar`.
    pub unknown: Vec<String>,
}

/// Who reads, for the words of what does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Of JSON, into Go's structs.
    Decoder,
    /// Of what a strategic patch has made (`apimachinery/pkg/runtime/converter.go`).
    Converter,
}

/// Read `object` as this kind. The error is the reader's, and names no kind.
pub fn decode(resource: &Resource, mut object: Value, reader: Reader) -> Result<Decoded, String> {
    let message = types::of_kind(resource.group, resource.version, resource.kind);
    let unknown = message.map_or(Ok(Vec::new()), |message| read(message, &mut object, reader))?;
    Ok(Decoded { object: meta::in_order(object, resource.kind, &kinds::api_version(resource)), unknown })
}

/// Read `value` as a message, in place: what is unknown is dropped, and its paths are returned.
/// The error is Go's.
pub fn read(message: &'static Message, value: &mut Value, reader: Reader) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let root = Place { owner: message, step: None, reader };
    reads(message, value, root, &mut unknown)?;
    Ok(unknown)
}

/// Where in an object the reader is.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// The message whose field this is.
    owner: &'static Message,
    step: Option<(&'p Place<'p>, Step<'p>)>,
    reader: Reader,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl<'p> Place<'p> {
    fn to(&'p self, step: Step<'p>) -> Place<'p> {
        Place { owner: self.owner, step: Some((self, step)), reader: self.reader }
    }

    /// With indices, as a person looks for it: `spec.containers[0].bar`.
    fn path(&self) -> String {
        let Some((parent, step)) = self.step else { return String::new() };
        let before = parent.path();
        match step {
            Step::Index(i) => format!("{before}[{i}]"),
            Step::Field(name) | Step::Key(name) if before.is_empty() => name.to_string(),
            Step::Field(name) | Step::Key(name) => format!("{before}.{name}"),
        }
    }

    /// The fields alone, as Go's decoder prints them: `spec.containers.bar`.
    fn fields(&self) -> String {
        let Some((parent, step)) = self.step else { return String::new() };
        let before = parent.fields();
        match step {
            Step::Field(name) if before.is_empty() => name.to_string(),
            Step::Field(name) => format!("{before}.{name}"),
            _ => before,
        }
    }

    fn refuse(&self, value: &Value, wanted: &str) -> String {
        if self.reader == Reader::Converter {
            return unconverted(value, wanted);
        }
        let found = match value {
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            other => type_name(other).to_string(),
        };
        let (owner, fields) = (self.owner.short_name(), self.fields());
        format!("json: cannot unmarshal {found} into Go struct field {owner}.{fields} of type {wanted}")
    }
}

/// What the converter says, which knows no paths.
fn unconverted(value: &Value, wanted: &str) -> String {
    let found = match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    };
    let is_number = matches!(value, Value::Number(_));
    match wanted {
        _ if wanted.starts_with("[]") => format!("cannot restore slice from {found}"),
        _ if wanted.starts_with("map[") => format!("cannot restore map from {found}"),
        // Go would make a character of a number, and a smaller number of a larger one.
        "string" | "int32" | "int64" | "float64"
            if is_number && !(wanted == "string" && found == "float64") =>
        {
            format!("cannot convert {found} to {wanted}")
        }
        "string" | "int32" | "int64" | "float64" | "bool" => format!("unrecognized type: {wanted}"),
        _ => format!("cannot restore struct from: {found}"),
    }
}

fn reads(
    message: &'static Message,
    value: &mut Value,
    place: Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Value::Object(map) = value else { return Err(place.refuse(value, &go_name(message))) };
    let mut outcome = Ok(());
    map.retain(|key, value| {
        if outcome.is_err() {
            return true;
        }
        let inside = Place { owner: message, ..place };
        let here = inside.to(Step::Field(key));
        let Some(field) = message.by_name(key) else {
            unknown.push(here.path());
            return false;
        };
        // A null says nothing.
        if value.is_null() {
            return false;
        }
        outcome = field_of(field, value, here, unknown);
        true
    });
    outcome
}

fn field_of(
    field: &Field,
    value: &mut Value,
    place: Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match (field.shape, value) {
        (Shape::List, Value::Array(list)) => {
            for (i, item) in list.iter_mut().enumerate() {
                zero_for_null(field.of, item);
                one(field.of, item, place.to(Step::Index(i)), unknown)?;
            }
            Ok(())
        }
        (Shape::List, other) => Err(place.refuse(other, &format!("[]{}", go_type(field.of)))),
        (Shape::Map, Value::Object(map)) => {
            for (key, item) in map.iter_mut() {
                zero_for_null(field.of, item);
                one(field.of, item, place.to(Step::Key(key)), unknown)?;
            }
            Ok(())
        }
        (Shape::Map, other) => Err(place.refuse(other, &format!("map[string]{}", go_type(field.of)))),
        (_, value) => one(field.of, value, place, unknown),
    }
}

fn one(of: Type, value: &mut Value, place: Place<'_>, unknown: &mut Vec<String>) -> Result<(), String> {
    let fits = match of {
        Type::Text => value.is_string(),
        Type::Truth => value.is_boolean(),
        Type::Float => value.is_number(),
        Type::Int32 => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Type::Int64 => value.is_i64(),
        Type::Raw => true,
        Type::Bytes => return bytes(value, place),
        Type::Quantity => return quantity(value, place),
        Type::Time => return time(value, place, "%Y-%m-%dT%H:%M:%SZ"),
        Type::MicroTime => return time(value, place, "%Y-%m-%dT%H:%M:%S%.6fZ"),
        Type::IntOrString => {
            if value.is_string() || value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) {
                return Ok(());
            }
            let refused = place.refuse(value, "int32");
            let found = refused.split(" into ").next().unwrap_or_default();
            return Err(format!("{found} into Go value of type int32"));
        }
        Type::Message(name) => match types::message(name) {
            Some(message) => return reads(message, value, place, unknown),
            None => true,
        },
        Type::Union(name) => return union(name, value, place, unknown),
    };
    if fits { Ok(()) } else { Err(place.refuse(value, &go_type(of))) }
}

fn union(
    name: &'static str,
    value: &mut Value,
    place: Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Some(message) = types::message(name) else { return Ok(()) };
    let wanted = |field: &&Field| (field.name == "schema") == value.is_object();
    match message.fields.iter().find(wanted) {
        Some(field) => field_of(field, value, place, unknown),
        None => Err(place.refuse(value, &go_name(message))),
    }
}

/// A null in a list or a map is the zero of its type.
fn zero_for_null(of: Type, value: &mut Value) {
    if !value.is_null() {
        return;
    }
    *value = match of {
        Type::Text | Type::Bytes => json!(""),
        Type::Int32 | Type::Int64 | Type::Float | Type::IntOrString => json!(0),
        Type::Truth => json!(false),
        Type::Quantity => json!("0"),
        Type::Message(_) => json!({}),
        Type::Raw | Type::Time | Type::MicroTime | Type::Union(_) => return,
    };
}

/// Base64, which may have line ends in it; they are left out.
fn bytes(value: &mut Value, place: Place<'_>) -> Result<(), String> {
    let Value::String(text) = value else { return Err(place.refuse(value, "[]uint8")) };
    if text.contains(['\n', '\r']) {
        *text = text.replace(['\n', '\r'], "");
    }
    match STANDARD.decode(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(error) => Err(go_base64_error(text, &error)),
    }
}

/// What Go's decoder would have said about the same text.
pub fn go_base64_error(text: &str, error: &base64::DecodeError) -> String {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};
    let at = match error {
        InvalidByte(at, _) | InvalidLastSymbol(at, _) => *at,
        InvalidLength(_) | InvalidPadding => text.len() / 4 * 4,
    };
    format!("illegal base64 data at input byte {at}")
}

/// `0.5` is `500m`; a number becomes text, as in Go.
fn quantity(value: &mut Value, place: Place<'_>) -> Result<(), String> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(place.refuse(value, "resource.Quantity")),
    };
    let quantity = Quantity::parse(&text).map_err(|error| error.to_string())?;
    *value = json!(quantity.to_string());
    Ok(())
}

/// RFC 3339, stored in UTC and in seconds (or microseconds).
fn time(value: &mut Value, place: Place<'_>, format: &str) -> Result<(), String> {
    let Some(text) = value.as_str() else { return Err(place.refuse(value, "v1.Time")) };
    let time: Timestamp = text.parse().map_err(|_| {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"")
    })?;
    *value = json!(time.strftime(format).to_string());
    Ok(())
}

/// As Go names a type: `v1.PodSpec`.
fn go_name(message: &Message) -> String {
    let mut words = message.name.rsplit('.');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{version}.{name}")
}

fn go_type(of: Type) -> String {
    match of {
        Type::Text => "string".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Truth => "bool".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Float => "float64".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Time => "v1.Time".into(),
        Type::MicroTime => "v1.MicroTime".into(),
        Type::Raw => "runtime.RawExtension".into(),
        Type::Message(name) | Type::Union(name) => types::message(name).map(go_name).unwrap_or_default(),
    }
}
