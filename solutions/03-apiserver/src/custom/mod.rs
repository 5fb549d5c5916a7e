//! Custom kinds: what a CustomResourceDefinition makes of the server (upstream:
//! `apiextensions-apiserver`).
//!
//! ```text
//!  a definition ──► check ──► conditions ──► served, one Kind a version
//!                 is it one?  is its name    │
//!                             free?          │   an object of such a kind
//!                                            ▼
//!   decode: embedded, pruning ──► defaulting ──► validation, lists, rules ──► conversion ──► the store
//! ```
//!
//! What a built-in kind has in Rust, a custom kind has in a schema. So the same five questions are
//! answered here by walking a schema and an object together: which fields are there at all, what
//! is filled in, what is allowed, what a column shows, which fields may have an owner.

mod cells;
mod check;
mod columns;
mod conditions;
mod conversion;
mod defaulting;
mod definition;
mod embedded;
mod formats;
mod intern;
mod jsonpath;
mod lists;
mod openapi;
mod paths;
mod pruning;
mod ratchet;
mod rules;
mod scale;
mod schema;
mod schema_check;
mod shape;
mod structural;
mod validation;
mod values;
mod versions;

pub use check::{check_create, check_update};
pub use columns::Column;
pub use conditions::{Taken, is_true, set as set_condition, settle};
pub use conversion::{Review, review, unchanged};
pub use defaulting::apply as apply_defaults;
pub use definition::{
    CLEANUP, Conversion, Definition, Names, Version, apply_defaults as default_definition, hold_for_cleanup,
    initial_status, is_definition, list_conditions,
};
pub use jsonpath::JsonPath;
pub use paths::put;
pub use pruning::{prune, prune_value};
pub use scale::Scale;
pub use schema::Schema;
pub use structural::check as check_structural;
pub use validation::check as validate;
pub use versions::by_priority;

use crate::fields::Errors;
use crate::kinds;
use crate::meta;
use crate::schema::Shape;
use crate::selection::Fields;
use crate::status::ApiError;
use crate::tables::{self, Include};
use crate::typed::Decoded;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Value, json};
use std::sync::Arc;

/// One version of a CustomResourceDefinition, ready to be served.
#[derive(Debug)]
pub struct Custom {
    pub definition: Arc<Definition>,
    /// Which of its versions.
    index: usize,
}

impl Custom {
    fn new(definition: Arc<Definition>, index: usize) -> Custom {
        Custom { definition, index }
    }

    pub fn version(&self) -> &Version {
        // Made by `Definition::kind` alone, for a version that it found.
        &self.definition.versions[self.index]
    }

    fn schema(&self) -> &Schema {
        &self.version().schema
    }

    /// Read a body: metadata as everywhere, the rest pruned to the schema.
    pub fn decode(&self, resource: &Resource, mut object: Value) -> Result<Decoded, String> {
        let mut unknown = Vec::new();
        embedded::coerce(&mut object, self.schema(), &mut unknown)?;
        unknown.extend(pruning::prune(&mut object, self.schema()));
        unknown.sort();
        Ok(Decoded { object: meta::in_order(object, resource.kind, &kinds::api_version(resource)), unknown })
    }

    pub fn apply_defaults(&self, object: &mut Value) {
        defaulting::apply(object, self.schema());
    }

    pub fn validate_create(&self, resource: &Resource, object: &Value) -> Result<(), ApiError> {
        let mut errors = Errors::default();
        crate::validation::metadata(resource, object, &mut errors);
        self.check(object, None, &mut errors);
        errors.into_result(resource, meta::name(object))
    }

    pub fn validate_update(&self, resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
        let mut errors = Errors::default();
        crate::validation::metadata(resource, new, &mut errors);
        crate::validation::finalizers_while_deleting(old, new, &mut errors);
        self.check(new, Some(old), &mut errors);
        errors.into_result(resource, meta::name(new))
    }

    /// Everything beside the metadata. Rules are asked only about objects of the right form.
    fn check(&self, object: &Value, old: Option<&Value>, errors: &mut Errors) {
        let schema = self.schema();
        validation::check(object, schema, old, errors);
        if let Some(scale) = &self.version().scale {
            scale.check(object, errors);
        }
        embedded::check(object, schema, "", errors);
        let repeats = |object: &Value| {
            let mut found = Errors::default();
            lists::check(object, schema, "", &mut found);
            found
        };
        // Lists that had repeats before may keep them.
        if old.is_none_or(|old| repeats(old).is_empty()) {
            errors.append(repeats(object));
        }
        const BLOCKING: [&str; 5] = [
            "FieldValueNotSupported",
            "FieldValueRequired",
            "FieldValueTooLong",
            "FieldValueTooMany",
            "FieldValueTypeInvalid",
        ];
        if !rules::has_rules(schema) {
            return;
        }
        if errors.has_reason(&BLOCKING) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            return errors.invalid_text("<nil>", "\"null\"", why);
        }
        rules::check(object, old, schema, errors);
    }

    pub fn column_definitions(&self) -> Value {
        let name = json!({
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
            "priority": 0,
        });
        let own = self.version().columns.iter().map(Column::definition);
        std::iter::once(name).chain(own).collect()
    }

    pub fn row(&self, object: &Value, include: Include, now: Timestamp) -> Value {
        let own = self.version().columns.iter().map(|column| column.cell(object, now));
        let cells: Vec<Value> = std::iter::once(object["metadata"]["name"].clone()).chain(own).collect();
        tables::row_of(cells, object, include)
    }

    /// The paths that selectors may name beside those of every kind, without their first dot.
    pub fn selectable(&self) -> impl Iterator<Item = &str> {
        self.version().selectable.iter().map(|path| path.trim_start_matches('.'))
    }

    pub fn fields_of(&self, object: &Value) -> Fields {
        let metadata = &object["metadata"];
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let mut fields = Fields::new();
        fields.insert("metadata.name", text(metadata.get("name")));
        fields.insert("metadata.namespace", text(metadata.get("namespace")));
        for path in self.selectable() {
            let value = object.pointer(&format!("/{}", path.replace('.', "/")));
            fields.insert(intern::text(path), text(value));
        }
        fields
    }

    /// Whether what the store has may differ from what this version shows.
    pub fn differs_from_stored(&self) -> bool {
        !self.version().storage || self.schema().has_defaults()
    }

    pub fn shape(&self) -> Shape {
        shape::of_resource(self.schema())
    }

    /// The definition of this kind in an OpenAPI v3 document.
    pub fn openapi_v3(&self) -> Value {
        openapi::v3(self)
    }

    /// The same in a document of version 2, which knows fewer words.
    pub fn openapi_v2(&self) -> Value {
        openapi::v2(self)
    }
}
