//! What an OpenAPI schema says of the values of an object: which numbers are doubles, which texts
//! are times, and which fields there are (upstream: `apiserver/pkg/cel/common`).

use super::value::Value;
use objects::duration;
use serde_json::Value as Json;
use std::rc::Rc;

/// A part of a structural schema, as it stands in a CustomResourceDefinition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schema<'a>(pub &'a Json);

impl<'a> Schema<'a> {
    pub fn type_name(self) -> &'a str {
        self.0["type"].as_str().unwrap_or_default()
    }

    fn format(self) -> &'a str {
        self.0["format"].as_str().unwrap_or_default()
    }

    pub fn is_double(self) -> bool {
        self.type_name() == "number"
    }

    pub fn items(self) -> Option<Schema<'a>> {
        self.0.get("items").map(Schema)
    }

    /// The schema of a field, or of every value of a map.
    pub fn property(self, name: &str) -> Option<Schema<'a>> {
        let named = self.0.get("properties").and_then(|p| p.get(name));
        let any = || self.0.get("additionalProperties").filter(|schema| schema.is_object());
        named.or_else(any).map(Schema)
    }

    /// Whether the fields are listed. If they are, an expression may name no other.
    pub fn lists_fields(self) -> bool {
        self.0.get("properties").is_some() && self.0.get("additionalProperties").is_none()
    }

    /// Text of a format that CEL has a type for.
    pub fn read_text(self, text: &str) -> Option<Value<'a>> {
        match (self.type_name(), self.format()) {
            ("string", "date-time") => text.parse().ok().map(Value::Timestamp),
            ("string", "date") => format!("{text}T00:00:00Z").parse().ok().map(Value::Timestamp),
            ("string", "duration") => {
                duration::parse_go(text).ok().and_then(|d| d.try_into().ok()).map(Value::Duration)
            }
            ("string", "byte") => {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
                Some(Value::Bytes(Rc::from(bytes)))
            }
            _ => None,
        }
    }
}

/// Words that CEL keeps for itself; a field of that name is written `__in__`.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The field that an expression means: `__dash__`, `__dot__`, `__slash__`, `__underscores__` and
/// the words above are undone (KEP-2876; upstream: `apiserver/pkg/cel/escaping.go`).
pub fn unescape(name: &str) -> Option<String> {
    if !name.contains("__") {
        return None;
    }
    if let Some(word) = name.strip_prefix("__").and_then(|n| n.strip_suffix("__"))
        && RESERVED.contains(&word)
    {
        return Some(word.to_string());
    }
    let plain = name
        .replace("__dot__", ".")
        .replace("__dash__", "-")
        .replace("__slash__", "/")
        .replace("__underscores__", "__");
    (plain != name).then_some(plain)
}
