//! A kind as this server serves it at the moment: a row of the table, or one version of a
//! CustomResourceDefinition. What differs between the two is asked here and nowhere else.

use crate::custom::{self, Custom};
use crate::defaults::zeros;
use crate::meta;
use crate::query::Query;
use crate::schema::Shape;
use crate::selection::{self, Fields, Selection};
use crate::status::ApiError;
use crate::typed::{self, Decoded, Reader};
use crate::{defaults, kinds, schema, strict, subresources, tables, validation};
use jiff::Timestamp;
use objects::resources::{self, Resource};
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub struct Kind {
    /// Its names and paths. A custom kind's row lives as long as the process (`custom::intern`).
    pub resource: &'static Resource,
    /// What its definition says; none for a built-in kind.
    pub custom: Option<Arc<Custom>>,
}

impl Kind {
    pub fn builtin(resource: &'static Resource) -> Kind {
        Kind { resource, custom: None }
    }

    /// A built-in kind by its name: `Kind::named("apps", "v1", "Deployment")`.
    pub fn named(group: &str, version: &str, kind: &str) -> Option<Kind> {
        resources::by_kind(group, version, kind).map(Kind::builtin)
    }

    /// The kind of a list of them: `PodList`, or what a definition says.
    pub fn list_kind(&self) -> String {
        match &self.custom {
            None => format!("{}List", self.resource.kind),
            Some(custom) => custom.definition.names.list_kind.clone(),
        }
    }

    /// Names in messages: `deployments.apps`.
    pub fn not_found(&self, name: &str) -> ApiError {
        ApiError::not_found(self.resource, name)
    }

    /// The form in which a request about this kind is worked on. Built-in kinds with several
    /// versions have one in which they are defaulted, checked and stored; a custom kind is checked
    /// by the schema of the version that was asked for, and converted when it is stored.
    pub fn hub(&self) -> Kind {
        match &self.custom {
            None => Kind::builtin(kinds::storage_kind(self.resource)),
            Some(_) => self.clone(),
        }
    }

    /// Read `object` as this kind: what the kind does not have is dropped, and named. The error is the
    /// reader's, and names no kind.
    pub fn read(&self, object: Value, reader: Reader) -> Result<Decoded, String> {
        match &self.custom {
            None => {
                let decoded = typed::decode(self.resource, object, reader)?;
                if (self.resource.group, self.resource.kind) == ("apps", "DaemonSet") {
                    defaults::templates_counted(&decoded.object)?;
                }
                Ok(decoded)
            }
            Some(custom) => custom.decode(self.resource, object),
        }
    }

    /// Read a body as this kind.
    pub fn decode(&self, object: Value) -> Result<Decoded, ApiError> {
        self.read(object, Reader::Decoder).map_err(|why| strict::unreadable(self.resource, &why))
    }

    /// Fill in what was left unsaid. Twice is once.
    pub fn apply_defaults(&self, object: &mut Value) {
        self.apply_choices(object);
        if self.custom.is_none() {
            zeros::fill(self.resource, object);
        }
    }

    /// The same without what says nothing and is written all the same ([`zeros`]): whoever leaves
    /// something unsaid has chosen these.
    pub fn apply_choices(&self, object: &mut Value) {
        match &self.custom {
            None if custom::is_definition(self.resource) => custom::default_definition(object),
            None => defaults::apply(self.resource, object),
            Some(custom) => custom.apply_defaults(object),
        }
    }

    /// Leave out what a client wrote and what says nothing ([`zeros`]).
    pub fn trim(&self, object: &mut Value) {
        if self.custom.is_none() {
            zeros::trim(self.resource, object);
        }
        if custom::is_definition(self.resource) {
            custom::list_conditions(object);
        }
    }

    pub fn validate_create(&self, object: &Value) -> Result<(), ApiError> {
        match &self.custom {
            None if custom::is_definition(self.resource) => custom::check_create(self.resource, object),
            None => validation::validate_create(self.resource, object),
            Some(custom) => custom.validate_create(self.resource, object),
        }
    }

    pub fn validate_update(&self, old: &Value, new: &Value) -> Result<(), ApiError> {
        match &self.custom {
            None if custom::is_definition(self.resource) => custom::check_update(self.resource, old, new),
            None => validation::validate_update(self.resource, old, new),
            Some(custom) => custom.validate_update(self.resource, old, new),
        }
    }

    /// What the version that was asked for wants of an object beyond what is wanted of its stored form,
    /// in which it is given.
    pub fn validate_served(&self, old: Option<&Value>, new: &Value) -> Result<(), ApiError> {
        validation::validate_served(self.resource, self.hub().resource, old, new)
    }

    /// The status of a custom kind without `/status` is a wish like the rest: `generation` counts it.
    pub fn count_status(&self, old: &Value, new: &mut Value) {
        let is_wish = self.custom.as_ref().is_some_and(|custom| !custom.version().has_status);
        let counted = old["metadata"]["generation"] != new["metadata"]["generation"];
        if is_wish && !counted && old.get("status") != new.get("status") {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            meta::map_at(new, "metadata").insert("generation".into(), generation.into());
        }
    }

    /// Whether stored bytes can be passed on as they are.
    pub fn is_shown_as_stored(&self) -> bool {
        match &self.custom {
            None => self.resource.is_storage_version(),
            Some(custom) => !custom.differs_from_stored(),
        }
    }

    /// What selectors may ask of this object.
    pub fn fields_of(&self, object: &Value) -> Fields {
        match &self.custom {
            None => selection::fields_of(self.resource, object),
            Some(custom) => custom.fields_of(object),
        }
    }

    /// The selectors of a query; one that this kind does not have is a bad request.
    pub fn selection(&self, query: &Query) -> Result<Selection, ApiError> {
        let own = |path: &str| self.custom.as_ref().is_some_and(|c| c.selectable().any(|own| own == path));
        Selection::parse_with(self.resource, query, own)
    }

    pub fn column_definitions(&self) -> Value {
        match &self.custom {
            None => tables::column_definitions(self.resource),
            Some(custom) => custom.column_definitions(),
        }
    }

    pub fn row(&self, object: &Value, include: tables::Include, now: Timestamp) -> Value {
        match &self.custom {
            None => tables::row(self.resource, object, include, now),
            Some(custom) => custom.row(object, include, now),
        }
    }

    /// The `Scale` of an object of this kind.
    pub fn scale_of(&self, object: &Value) -> Value {
        match self.scale() {
            Some(scale) => scale.of(object),
            None => subresources::scale_of(object),
        }
    }

    /// The object with the number of replicas that a changed `Scale` asks for.
    pub fn apply_scale(&self, object: &Value, scale: &Value) -> Result<Value, ApiError> {
        match self.scale() {
            Some(own) => subresources::apply_scale_by(self.resource, object, scale, |o, n| own.set(o, n)),
            None => subresources::apply_scale(self.resource, object, scale),
        }
    }

    fn scale(&self) -> Option<&custom::Scale> {
        self.custom.as_ref().and_then(|custom| custom.version().scale.as_ref())
    }

    /// How the object falls apart into fields that each may have an owner.
    pub fn shape(&self) -> Shape {
        match &self.custom {
            None => schema::shape_of(self.resource),
            Some(custom) => custom.shape(),
        }
    }
}
