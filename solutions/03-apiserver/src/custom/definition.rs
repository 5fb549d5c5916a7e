//! A CustomResourceDefinition, read once into what the server needs of it.

use super::Custom;
use super::columns::Column;
use super::intern;
use super::scale::Scale;
use super::schema::Schema;
use crate::kind::Kind;
use crate::meta;
use objects::resources::Resource;
use serde_json::{Value, json};
use std::sync::Arc;

/// The finalizer that keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub name: String,
    pub group: String,
    pub namespaced: bool,
    pub names: Names,
    /// In the order of the definition.
    pub versions: Vec<Version>,
    pub conversion: Conversion,
}

/// What a kind is called. Of a definition that is served these are the names that were accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    /// What clients of a deprecated version are warned of.
    pub warning: Option<String>,
    /// As the definition has it.
    pub stated: Value,
    pub schema: Schema,
    pub has_status: bool,
    pub scale: Option<Scale>,
    /// The columns beside the name.
    pub columns: Vec<Column>,
    /// Paths such as `.spec.color`.
    pub selectable: Vec<String>,
}

/// How an object of one version becomes one of another.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// Only `apiVersion` changes.
    None,
    /// Somebody is asked; the value is the `clientConfig`.
    Webhook { client_config: Value, review_versions: Vec<String> },
}

impl Definition {
    /// Read a definition. What is missing is empty: only what was checked before is served.
    pub fn parse(crd: &Value) -> Definition {
        let spec = &crd["spec"];
        let accepted = &crd["status"]["acceptedNames"];
        let names = if !meta::text(accepted, &["plural"]).is_empty() { accepted } else { &spec["names"] };
        let group = meta::text(spec, &["group"]).to_string();
        let names = Names::parse(names);
        let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Definition {
            name: meta::name(crd).to_string(),
            namespaced: spec["scope"] != "Cluster",
            versions: versions.iter().map(|v| Version::parse(v, &group, &names.kind)).collect(),
            conversion: Conversion::parse(&spec["conversion"]),
            group,
            names,
        }
    }

    /// `/registry/GROUP/PLURAL`
    pub fn storage_prefix(&self) -> String {
        format!("/registry/{}/{}", self.group, self.names.plural)
    }

    /// The kinds that clients may ask for, the versions in the order of their priority.
    pub fn served(self: &Arc<Self>) -> Vec<Kind> {
        let mut served: Vec<&Version> = self.versions.iter().filter(|v| v.served).collect();
        served.sort_by(|a, b| super::versions::by_priority(&a.name, &b.name));
        served.into_iter().filter_map(|v| self.kind(&v.name)).collect()
    }

    /// The kind in whose version objects are stored.
    pub fn stored(self: &Arc<Self>) -> Option<Kind> {
        self.versions.iter().find(|v| v.storage).and_then(|v| self.kind(&v.name))
    }

    /// One version as a kind, served or not.
    pub fn kind(self: &Arc<Self>, version: &str) -> Option<Kind> {
        let index = self.versions.iter().position(|v| v.name == version)?;
        let resource = intern::resource(self, &self.versions[index]);
        Some(Kind { resource, custom: Some(Arc::new(Custom::new(self.clone(), index))) })
    }
}

impl Names {
    pub fn parse(names: &Value) -> Names {
        let text = |key: &str| meta::text(names, &[key]).to_string();
        Names {
            plural: text("plural"),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
        }
    }

    pub fn to_value(&self) -> Value {
        let mut out = json!({});
        let map = meta::as_map(&mut out);
        if !self.categories.is_empty() {
            map.insert("categories".into(), json!(self.categories));
        }
        for (key, text) in [("kind", &self.kind), ("listKind", &self.list_kind), ("plural", &self.plural)] {
            map.insert(key.into(), json!(text));
        }
        if !self.short_names.is_empty() {
            map.insert("shortNames".into(), json!(self.short_names));
        }
        if !self.singular.is_empty() {
            map.insert("singular".into(), json!(self.singular));
        }
        out
    }
}

impl Version {
    fn parse(version: &Value, group: &str, kind: &str) -> Version {
        let name = meta::text(version, &["name"]).to_string();
        let warning = match (version["deprecated"] == true, version["deprecationWarning"].as_str()) {
            (false, _) => None,
            (true, Some(text)) => Some(text.to_string()),
            (true, None) => Some(format!("{group}/{name} {kind} is deprecated")),
        };
        let stated = version["schema"]["openAPIV3Schema"].clone();
        let subresources = &version["subresources"];
        let columns = version["additionalPrinterColumns"].as_array();
        let selectable = version["selectableFields"].as_array();
        Version {
            served: version["served"] == true,
            storage: version["storage"] == true,
            warning,
            schema: Schema::parse(&stated),
            stated,
            has_status: subresources["status"].is_object(),
            scale: Scale::parse(&subresources["scale"]),
            columns: Column::parse_all(columns.map(Vec::as_slice).unwrap_or_default()),
            selectable: selectable
                .into_iter()
                .flatten()
                .map(|field| meta::text(field, &["jsonPath"]).to_string())
                .collect(),
            name,
        }
    }
}

impl Conversion {
    fn parse(conversion: &Value) -> Conversion {
        match conversion["strategy"].as_str() {
            Some("Webhook") => Conversion::Webhook {
                client_config: conversion["webhook"]["clientConfig"].clone(),
                review_versions: texts(&conversion["webhook"]["conversionReviewVersions"]),
            },
            _ => Conversion::None,
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
}

/// What a definition leaves unsaid.
pub fn apply_defaults(crd: &mut Value) {
    let spec = meta::map_at(crd, "spec");
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_string();
        if !kind.is_empty() {
            meta::default_text(names, "listKind", &format!("{kind}List"));
            meta::default_text(names, "singular", &kind.to_lowercase());
        }
    }
    meta::default_to(spec, "conversion", json!({ "strategy": "None" }));
    for version in spec.get_mut("versions").and_then(Value::as_array_mut).into_iter().flatten() {
        let columns = version.get_mut("additionalPrinterColumns").and_then(Value::as_array_mut);
        for column in columns.into_iter().flatten() {
            if column["priority"] == 0 {
                meta::as_map(column).shift_remove("priority");
            }
        }
    }
    // A new definition gets its status later, in one piece.
    if crd["status"].is_object() {
        note_stored_version(crd);
    }
    if let Some(service) = crd.pointer_mut("/spec/conversion/webhook/clientConfig/service") {
        meta::default_to(meta::as_map(service), "port", 443);
    }
}

/// The status that a new definition begins with: not served yet, its objects stored in one version.
pub fn initial_status(crd: &Value) -> Value {
    json!({
        "acceptedNames": { "kind": "", "plural": "" },
        "conditions": [],
        "storedVersions": storage_version(crd).into_iter().collect::<Vec<_>>(),
    })
}

/// No condition yet is an empty list. Upstream says `null` here, by which `kubectl wait` right after
/// `kubectl create` fails (it must be a list) and the Python client too (it must not be `None`).
pub fn list_conditions(crd: &mut Value) {
    if let Some(conditions @ Value::Null) = crd.pointer_mut("/status/conditions") {
        *conditions = json!([]);
    }
}

fn storage_version(crd: &Value) -> Option<Value> {
    let mut versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    versions.find(|version| version["storage"] == true).map(|version| version["name"].clone())
}

/// The version in which objects are stored from now on is among those that the store may hold.
fn note_stored_version(crd: &mut Value) {
    let Some(name) = storage_version(crd) else { return };
    let stored = meta::map_at(crd, "status").entry("storedVersions").or_insert_with(|| json!([]));
    if let Value::Array(list) = stored
        && !list.contains(&name)
    {
        list.push(name);
    }
}

/// A definition that somebody wants to delete: it goes when its objects are gone.
pub fn hold_for_cleanup(crd: &mut Value, now: jiff::Timestamp) {
    let mut finalizers = meta::finalizers(crd);
    if meta::is_deleting(crd) || finalizers.iter().any(|f| f == CLEANUP) {
        return;
    }
    finalizers.push(CLEANUP.into());
    meta::set_finalizers(crd, &finalizers);
    let why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    super::conditions::set(crd, "Terminating", true, "InstanceDeletionPending", why, now);
}

/// Whether this row is a definition's own.
pub fn is_definition(resource: &Resource) -> bool {
    (resource.group, resource.kind) == ("apiextensions.k8s.io", "CustomResourceDefinition")
}
