//! A schema as a CustomResourceDefinition states it (`openAPIV3Schema`), read once into a tree
//! (upstream: `apiextensions-apiserver/pkg/apiserver/schema/structural.go`).
//!
//! One type serves both halves of a structural schema: the spine (properties, items, types), and
//! the conditions under `allOf`, `anyOf`, `oneOf` and `not`, which may say less (`structural`).

use super::rules::Compiled;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`, or empty.
    pub kind: String,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Option<Additional>,
    pub items: Option<Box<Schema>>,
    pub nullable: bool,
    pub default: Option<Value>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve: bool,
    /// It is said to be false, which is not a thing to say.
    pub preserve_denied: bool,
    /// `x-kubernetes-int-or-string`
    pub int_or_string: bool,
    /// `x-kubernetes-embedded-resource`
    pub embedded: bool,
    /// `x-kubernetes-list-type`: `atomic`, `set`, `map`, or empty.
    pub list_type: String,
    pub list_map_keys: Vec<String>,
    /// `x-kubernetes-map-type`: `atomic`, `granular`, or empty.
    pub map_type: String,
    /// `x-kubernetes-validations`
    pub rules: Vec<Rule>,
    /// The same, ready to be asked.
    pub compiled: Compiled,
    pub conditions: Conditions,
    /// Words that mean something in JSON Schema and nothing here, by the name under which they
    /// were given: they are refused when the definition is made.
    pub others: Vec<String>,
}

/// What `additionalProperties` says of the keys that are not properties.
#[derive(Debug, Clone, PartialEq)]
pub enum Additional {
    /// `true` or `false`
    Any(bool),
    Of(Box<Schema>),
}

/// One entry of `x-kubernetes-validations`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    pub rule: String,
    pub message: String,
    pub message_expression: String,
    pub reason: String,
    pub field_path: String,
    pub optional_old_self: bool,
}

/// What a value must be beyond its type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    pub format: String,
    pub pattern: Option<Pattern>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_items: Option<i64>,
    pub max_items: Option<i64>,
    pub unique_items: bool,
    pub min_properties: Option<i64>,
    pub max_properties: Option<i64>,
    pub required: Vec<String>,
    pub allowed: Vec<Value>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// A regular expression, compiled once.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    /// The reason when it is none.
    pub compiled: Result<Regex, String>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let compiled = Regex::new(text).map_err(|error| error.to_string().replace('\n', " "));
        Pattern { text: text.into(), compiled }
    }
}

/// Words of JSON Schema that no definition may use, each with what upstream says of it. Those
/// with no sentence are silently without effect.
const NOT_SUPPORTED: [&str; 9] = [
    "id",
    "$ref",
    "$schema",
    "definitions",
    "dependencies",
    "additionalItems",
    "patternProperties",
    "title",
    "description",
];

impl Schema {
    /// Read a schema. What has the wrong shape counts as not said: the definition's own type has
    /// refused it before, and what stands in the store must never stop the server.
    pub fn parse(value: &Value) -> Schema {
        Schema::node(value, true)
    }

    fn node(value: &Value, is_root: bool) -> Schema {
        let Some(map) = value.as_object() else { return Schema::default() };
        let embedded = flag(map, "x-kubernetes-embedded-resource");
        let rules: Vec<Rule> = list(map.get("x-kubernetes-validations")).iter().map(Rule::parse).collect();
        Schema {
            kind: text(map, "type"),
            properties: children(map.get("properties")),
            additional: map.get("additionalProperties").and_then(Additional::parse),
            items: map.get("items").filter(|v| v.is_object()).map(|v| Box::new(Schema::node(v, false))),
            nullable: flag(map, "nullable"),
            default: map.get("default").filter(|v| !v.is_null()).cloned(),
            preserve: flag(map, "x-kubernetes-preserve-unknown-fields"),
            preserve_denied: map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)),
            int_or_string: flag(map, "x-kubernetes-int-or-string"),
            embedded,
            list_type: text(map, "x-kubernetes-list-type"),
            list_map_keys: texts(map.get("x-kubernetes-list-map-keys")),
            map_type: text(map, "x-kubernetes-map-type"),
            compiled: Compiled::new(&rules, value, is_root || embedded),
            rules,
            conditions: Conditions::parse(map),
            others: NOT_SUPPORTED.iter().filter(|k| said(map, k)).map(|k| k.to_string()).collect(),
        }
    }

    /// The schema of an item or of a key that is not a property, if there is one.
    pub fn additional_schema(&self) -> Option<&Schema> {
        match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Whether there is anything to fill in.
    pub fn has_defaults(&self) -> bool {
        self.default.is_some()
            || self.properties.values().any(Schema::has_defaults)
            || self.additional_schema().is_some_and(Schema::has_defaults)
            || self.items.as_deref().is_some_and(Schema::has_defaults)
    }

    /// The schema of what stands under `key`.
    pub fn child(&self, key: &str) -> Option<&Schema> {
        self.properties.get(key).or_else(|| self.additional_schema())
    }
}

impl Additional {
    fn parse(value: &Value) -> Option<Additional> {
        match value {
            Value::Bool(allowed) => Some(Additional::Any(*allowed)),
            Value::Object(_) => Some(Additional::Of(Box::new(Schema::node(value, false)))),
            _ => None,
        }
    }
}

impl Rule {
    fn parse(value: &Value) -> Rule {
        let Some(map) = value.as_object() else { return Rule::default() };
        Rule {
            rule: text(map, "rule"),
            message: text(map, "message"),
            message_expression: text(map, "messageExpression"),
            reason: text(map, "reason"),
            field_path: text(map, "fieldPath"),
            optional_old_self: flag(map, "optionalOldSelf"),
        }
    }
}

impl Conditions {
    fn parse(map: &Map<String, Value>) -> Conditions {
        let schemas = |key: &str| list(map.get(key)).iter().map(|v| Schema::node(v, false)).collect();
        Conditions {
            format: text(map, "format"),
            pattern: Some(text(map, "pattern")).filter(|p| !p.is_empty()).map(|p| Pattern::new(&p)),
            min_length: map.get("minLength").and_then(Value::as_i64),
            max_length: map.get("maxLength").and_then(Value::as_i64),
            minimum: map.get("minimum").and_then(Value::as_f64),
            exclusive_minimum: flag(map, "exclusiveMinimum"),
            maximum: map.get("maximum").and_then(Value::as_f64),
            exclusive_maximum: flag(map, "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            min_items: map.get("minItems").and_then(Value::as_i64),
            max_items: map.get("maxItems").and_then(Value::as_i64),
            unique_items: flag(map, "uniqueItems"),
            min_properties: map.get("minProperties").and_then(Value::as_i64),
            max_properties: map.get("maxProperties").and_then(Value::as_i64),
            required: texts(map.get("required")),
            allowed: list(map.get("enum")).to_vec(),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: map.get("not").filter(|v| v.is_object()).map(|v| Box::new(Schema::node(v, false))),
        }
    }
}

fn said(map: &Map<String, Value>, key: &str) -> bool {
    !matches!(map.get(key), None | Some(Value::Null)) && map.get(key) != Some(&Value::from(""))
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key) == Some(&Value::Bool(true))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    list(value).iter().filter_map(|v| v.as_str().map(str::to_string)).collect()
}

fn children(value: Option<&Value>) -> BTreeMap<String, Schema> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.map(|(key, value)| (key.clone(), Schema::node(value, false))).collect()
}
