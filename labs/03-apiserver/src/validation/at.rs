//! A value and where it stands: what a rule looks at, and where its errors go.

use crate::fields::{Errors, go_int_or_string};
use crate::names::{self, Rule};
use objects::quantity::Quantity;
use serde_json::Value;

/// A part of an object, with its path as messages name it: `spec.ports[0].name`.
#[derive(Debug, Clone)]
pub struct At<'v> {
    pub value: &'v Value,
    pub path: String,
}

impl<'v> At<'v> {
    pub fn root(value: &'v Value) -> At<'v> {
        At { value, path: String::new() }
    }

    /// The field of a map. What is not there is null.
    pub fn get(&self, key: &str) -> At<'v> {
        At { value: &self.value[key], path: self.child(key) }
    }

    /// As `get`, several steps at once: `spec.template.spec`. An empty path is the value itself.
    pub fn at(&self, path: &str) -> At<'v> {
        path.split('.').filter(|step| !step.is_empty()).fold(self.clone(), |at, step| at.get(step))
    }

    /// An entry of a map whose keys are data: `data[key]`.
    pub fn entry(&self, key: &str) -> At<'v> {
        At { value: &self.value[key], path: format!("{}[{key}]", self.path) }
    }

    /// The same value under a name of its own, where upstream's paths differ from the object's.
    pub fn named(&self, path: impl Into<String>) -> At<'v> {
        At { value: self.value, path: path.into() }
    }

    pub fn child(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// The items of a list; anything else has none.
    pub fn items(&self) -> impl Iterator<Item = At<'v>> + use<'v> {
        let path = self.path.clone();
        let list = self.value.as_array().into_iter().flatten().enumerate();
        list.map(move |(i, value)| At { value, path: format!("{path}[{i}]") })
    }

    /// The entries of a map whose keys are data.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, At<'v>)> + use<'v> {
        let path = self.path.clone();
        let map = self.value.as_object().into_iter().flatten();
        map.map(move |(key, value)| (key.as_str(), At { value, path: format!("{path}[{key}]") }))
    }

    pub fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    /// A list of texts.
    pub fn texts(&self) -> Vec<&'v str> {
        self.items().map(|item| item.text()).collect()
    }

    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub fn quantity(&self) -> Option<Quantity> {
        Quantity::parse(self.text()).ok()
    }

    pub fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    pub fn is_true(&self) -> bool {
        *self.value == true
    }

    /// Missing, or nothing inside.
    pub fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        }
    }

    pub fn len(&self) -> usize {
        self.value.as_array().map_or(0, Vec::len)
    }

    pub fn required(&self, why: &str, errors: &mut Errors) {
        errors.required(&self.path, why);
    }

    /// True when there was something.
    pub fn require(&self, errors: &mut Errors) -> bool {
        if self.is_empty() {
            self.required("", errors);
        }
        !self.is_empty()
    }

    pub fn invalid(&self, why: impl AsRef<str>, errors: &mut Errors) {
        errors.invalid(&self.path, self.value, why);
    }

    /// As `invalid`, for a text whose absence is the empty text.
    pub fn invalid_text(&self, why: impl AsRef<str>, errors: &mut Errors) {
        errors.invalid(&self.path, &Value::from(self.text()), why);
    }

    /// As `invalid`, for a number whose absence is 0.
    pub fn invalid_number(&self, why: impl AsRef<str>, errors: &mut Errors) {
        errors.invalid(&self.path, &Value::from(self.int().unwrap_or(0)), why);
    }

    /// As `one_of`, and the empty text is none of them either.
    pub fn unsupported(&self, allowed: &[&str], errors: &mut Errors) {
        if !allowed.contains(&self.text()) {
            errors.unsupported(&self.path, &Value::from(self.text()), allowed);
        }
    }

    pub fn forbidden(&self, why: &str, errors: &mut Errors) {
        errors.forbidden(&self.path, why);
    }

    pub fn duplicate(&self, errors: &mut Errors) {
        errors.duplicate(&self.path, self.value);
    }

    pub fn not_found(&self, errors: &mut Errors) {
        errors.not_found(&self.path, self.value);
    }

    /// A text that is there must be one of these. They are told in the order given.
    pub fn one_of(&self, allowed: &[&str], errors: &mut Errors) {
        if self.is_set() && !allowed.contains(&self.text()) {
            errors.unsupported(&self.path, self.value, allowed);
        }
    }

    /// As `one_of`, and it must be there.
    pub fn choice(&self, allowed: &[&str], errors: &mut Errors) {
        if self.require(errors) {
            self.one_of(allowed, errors);
        }
    }

    /// A text, if there is one, must be a name of this sort.
    pub fn name(&self, rule: Rule, errors: &mut Errors) {
        if !self.text().is_empty() {
            self.obey(rule, errors);
        }
    }

    /// As `name`; an empty text breaks the rule as well.
    pub fn obey(&self, rule: Rule, errors: &mut Errors) {
        for why in rule(self.text()) {
            errors.invalid(&self.path, &Value::from(self.text()), why);
        }
    }

    pub fn not_negative(&self, errors: &mut Errors) {
        if self.int().is_some_and(|n| n < 0) {
            self.invalid("must be greater than or equal to 0", errors);
        }
    }

    pub fn between(&self, least: i64, most: i64, errors: &mut Errors) {
        if self.int().is_some_and(|n| n < least || n > most) {
            self.invalid(format!("must be between {least} and {most}, inclusive"), errors);
        }
    }

    /// A number of a port, missing being 0.
    pub fn port(&self, errors: &mut Errors) {
        let number = self.int().unwrap_or(0);
        if let Some(why) = names::port(number) {
            errors.invalid(&self.path, &Value::from(number), why);
        }
    }

    /// The number of a port or its name.
    pub fn port_or_name(&self, errors: &mut Errors) {
        match self.value {
            Value::String(_) => self.obey(names::port_name, errors),
            _ => self.port(errors),
        }
    }

    /// A count, or a percentage.
    pub fn int_or_percent(&self, errors: &mut Errors) {
        match self.value {
            Value::String(text) => {
                for why in names::percent(text) {
                    self.invalid_int_or_string(&why, errors);
                }
            }
            _ => self.not_negative(errors),
        }
    }

    pub fn invalid_int_or_string(&self, why: &str, errors: &mut Errors) {
        errors.invalid_text(&self.path, &go_int_or_string(self.value), why);
    }

    /// The number in a count or a percentage.
    pub fn int_or_percent_value(&self) -> i64 {
        match self.value {
            Value::String(text) => text.strip_suffix('%').unwrap_or(text).parse().unwrap_or(0),
            other => other.as_i64().unwrap_or(0),
        }
    }

    pub fn at_most_100_percent(&self, errors: &mut Errors) {
        if self.value.is_string()
            && names::percent(self.text()).is_empty()
            && self.int_or_percent_value() > 100
        {
            self.invalid_int_or_string("must not be greater than 100%", errors);
        }
    }
}
