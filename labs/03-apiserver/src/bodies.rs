//! Bodies of requests: JSON, YAML or protobuf, read into one value. What comes here was sent by
//! anybody: it may be cut off, nested without end, or say one thing twice (upstream:
//! `apimachinery/pkg/runtime/serializer/json`, `sigs.k8s.io/json`, `sigs.k8s.io/yaml`).

use crate::protobuf;
use crate::status::ApiError;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A body that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub value: Value,
    /// Fields that came twice, in upstream's words. The last of them counts; a strict request is
    /// refused, others are warned.
    pub duplicates: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Yaml,
    Protobuf,
}

impl MediaType {
    /// Read a `Content-Type`. None means JSON; parameters (`; charset=utf-8`) do not matter.
    pub fn parse(content_type: &str) -> Result<MediaType, ApiError> {
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media.as_str() {
            "" | "application/json" => Ok(MediaType::Json),
            "application/yaml" => Ok(MediaType::Yaml),
            protobuf::CONTENT_TYPE => Ok(MediaType::Protobuf),
            _ => Err(ApiError::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json, application/yaml, application/vnd.kubernetes.protobuf",
            )),
        }
    }
}

/// Read a body that should be one object of `kind`.
pub fn read(kind: &str, content_type: &str, bytes: &[u8]) -> Result<Body, ApiError> {
    let refuse = |why: String| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({})",
            summary(bytes)
        ))
    };
    let body = match MediaType::parse(content_type)? {
        MediaType::Json => json(bytes).map_err(|why| refuse(format!("{UNREADABLE}: {why}")))?,
        MediaType::Yaml => yaml(bytes).map_err(refuse)?,
        MediaType::Protobuf => Body { value: protobuf::decode(bytes)?, duplicates: Vec::new() },
    };
    match body.value {
        // Nothing at all is an object that says nothing.
        Value::Null => Ok(Body { value: Value::Object(Map::new()), ..body }),
        Value::Object(_) => Ok(body),
        other => Err(refuse(format!("{UNREADABLE}: {}", misfit(&other, PROBE)))),
    }
}

/// What a JSON value is, as Go's decoder names it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// That a whole body is not of the Go type that was wanted.
pub fn misfit(value: &Value, wanted: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {wanted}", type_name(value))
}

const UNREADABLE: &str = "couldn't get version/kind; json parse error";
/// What upstream reads first of every body.
const PROBE: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
                     \"json:\\\"kind,omitempty\\\"\" }";

/// What a client is warned of that did not ask to be strict: a line each.
pub fn warnings(duplicates: &[String]) -> Vec<String> {
    let lines = duplicates.iter().flat_map(|text| text.lines());
    lines.filter(|line| *line != YAML_ERRORS).map(|line| line.trim().to_string()).collect()
}

const YAML_ERRORS: &str = "yaml: unmarshal errors:";

/// The beginning of a body that nobody could read, for the message.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let (begin, more) = match bytes.get(..SHOWN) {
        Some(begin) if bytes.len() > SHOWN => (begin, " ..."),
        _ => (bytes, ""),
    };
    match begin.first() {
        None => "<empty>".to_string(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(begin)),
        Some(_) => begin.iter().map(|b| format!("{b:02x}")).collect::<String>() + more,
    }
}

/// Read JSON; the failure is in Go's words. Bytes that are no UTF-8 become U+FFFD, as in Go.
pub fn json(bytes: &[u8]) -> Result<Body, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut notes = Notes::new(text.len());
    let mut reader = serde_json::Deserializer::from_str(&text);
    let read = Node { notes: &mut notes }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(Body { value, duplicates: notes.duplicates_in_json() }),
        Err(error) => Err(go_json_error(&text, &error)),
    }
}

/// Read YAML, of which JSON is a part: one document.
pub fn yaml(bytes: &[u8]) -> Result<Body, String> {
    let text = String::from_utf8_lossy(bytes);
    let (value, notes) = read_yaml(&text)?;
    let mut duplicates = Vec::new();
    if !notes.duplicates.is_empty() {
        let lines: Vec<String> = notes
            .duplicates
            .iter()
            .enumerate()
            .map(|(i, twice)| match i < MAX_SOUGHT && text.len() < MAX_SOUGHT_IN {
                true => format!("  line {}: key {:?} already set in map", line_of(&text, i + 1), twice.key),
                false => format!("  key {:?} already set in map", twice.key),
            })
            .collect();
        duplicates.push(format!("{YAML_ERRORS}\n{}", lines.join("\n")));
    }
    Ok(Body { value, duplicates })
}

/// So many duplicates are looked for by line, and in texts no longer than this: it takes a while.
const MAX_SOUGHT: usize = 10;
const MAX_SOUGHT_IN: usize = 32 * 1024;
/// So many are remembered, each with no more of its path than a person would read.
const MAX_DUPLICATES: usize = 100;
const MAX_PATH: usize = 1024;

fn read_yaml(text: &str) -> Result<(Value, Notes), String> {
    let mut notes = Notes::new(text.len());
    let read = Node { notes: &mut notes }.deserialize(serde_yaml::Deserializer::from_str(text));
    match read {
        Ok(value) => Ok((value, notes)),
        Err(_) if text.trim().is_empty() => Ok((Value::Null, notes)),
        Err(error) => {
            let whole = error.to_string();
            let why = whole.split(" at line ").next().unwrap_or_default();
            let line = error.location().map_or(1, |place| place.line());
            Err(format!("yaml: line {line}: {why}"))
        }
    }
}

/// The line on which the `count`th duplicate appears: with so many lines of the text there are so
/// many, and with one less there are fewer.
fn line_of(text: &str, count: usize) -> usize {
    let ends: Vec<usize> =
        text.match_indices('\n').map(|(at, _)| at + 1).chain(std::iter::once(text.len())).collect();
    let found = |end: &usize| read_yaml(&text[..*end]).is_ok_and(|(_, n)| n.duplicates.len() >= count);
    ends.partition_point(|end| !found(end)) + 1
}

/// What is learnt while a body is read.
struct Notes {
    /// Where we are, in upstream's way of writing: `spec.containers[0].name`.
    path: String,
    duplicates: Vec<Twice>,
    /// What may still be read. Only aliases in YAML make more of a text than is in it.
    budget: usize,
}

struct Twice {
    path: String,
    key: String,
}

impl Notes {
    fn new(length: usize) -> Notes {
        Notes { path: String::new(), duplicates: Vec::new(), budget: 4 * length + (1 << 20) }
    }

    fn spend<E: serde::de::Error>(&mut self, cost: usize) -> Result<(), E> {
        self.budget =
            self.budget.checked_sub(cost).ok_or_else(|| E::custom("document contains excessive aliasing"))?;
        Ok(())
    }

    fn duplicates_in_json(&self) -> Vec<String> {
        self.duplicates.iter().map(|twice| format!("duplicate field {:?}", twice.path)).collect()
    }
}

/// Reads one value of any shape.
struct Node<'n> {
    notes: &'n mut Notes,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.notes.spend(1).map(|()| value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.notes.spend(1).map(|()| value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.notes.spend(1).map(|()| value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.notes.spend(1)?;
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom(format!("json: unsupported value: {value}")))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.notes.spend(1 + value.len()).map(|()| value.into())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.notes.spend(1).map(|()| Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.notes.spend(1)?;
        let mut values = Vec::new();
        let here = self.notes.path.len();
        loop {
            self.notes.path.push_str(&format!("[{}]", values.len()));
            let next = list.next_element_seed(Node { notes: self.notes });
            self.notes.path.truncate(here);
            match next? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.notes.spend(1)?;
        let mut fields = Map::new();
        let here = self.notes.path.len();
        while let Some(key) = map.next_key_seed(Key)? {
            self.notes.spend(key.len())?;
            if here > 0 {
                self.notes.path.push('.');
            }
            self.notes.path.push_str(&key);
            if fields.contains_key(&key) && self.notes.duplicates.len() < MAX_DUPLICATES {
                let short = |text: &str| text.chars().take(MAX_PATH).collect::<String>();
                let twice = Twice { path: short(&self.notes.path), key: short(&key) };
                self.notes.duplicates.push(twice);
            }
            let value = map.next_value_seed(Node { notes: self.notes });
            self.notes.path.truncate(here);
            fields.insert(key, value?);
        }
        Ok(Value::Object(fields))
    }
}

/// Reads a key. YAML's may be numbers and booleans: they become their texts.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_bool<E: serde::de::Error>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, key: f64) -> Result<String, E> {
        Ok(key.to_string())
    }
}

/// Which word was begun, and how it goes on.
fn literal(before: &[u8]) -> String {
    let length = before.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
    let begun = &before[before.len() - length..];
    let word = ["true", "false", "null"].into_iter().find(|word| word.as_bytes().starts_with(begun));
    let (word, expected) = word.and_then(|w| Some((w, w.chars().nth(length)?))).unwrap_or(("null", 'n'));
    format!("in literal {word} (expecting '{expected}')")
}

/// What Go's parser would have said about the same place.
pub fn go_json_error(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let whole = error.to_string();
    let why = whole.split(" at line ").next().unwrap_or_default();
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (before + error.column()).saturating_sub(1);
    let byte_at = |at: usize| text.as_bytes().get(at).copied().unwrap_or(b'\n');
    // A line end inside of a text was passed before it was noticed.
    let in_text = why.starts_with("control character") && !byte_at(at).is_ascii_control();
    let at = if in_text { at.saturating_sub(1) } else { at };
    let byte = byte_at(at);
    let place = match why {
        "expected value" => "looking for beginning of value",
        "key must be a string" => "looking for beginning of object key string",
        "trailing comma" if byte == b'}' => "looking for beginning of object key string",
        "trailing comma" => "looking for beginning of value",
        "expected `,` or `}`" => "after object key:value pair",
        "expected `,` or `]`" => "after array element",
        "expected `:`" => "after object key",
        "trailing characters" => "after top-level value",
        "invalid number" => "in numeric literal",
        "invalid escape" => "in string escape code",
        "expected ident" => &literal(&text.as_bytes()[..at.min(text.len())]),
        why if why.starts_with("control character") => "in string literal",
        "recursion limit exceeded" => return "exceeded max depth".into(),
        why => return why.to_string(),
    };
    let shown = match byte {
        b'\'' => "\\'".to_string(),
        b'"' => "\"".to_string(),
        byte => char::from(byte).escape_default().to_string(),
    };
    format!("invalid character '{shown}' {place}")
}
