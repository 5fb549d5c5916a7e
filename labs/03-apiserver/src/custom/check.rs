//! Whether a CustomResourceDefinition may be stored (upstream:
//! `apiextensions-apiserver/pkg/apis/apiextensions/validation`).
//!
//! A path in a message is that of upstream's inner form of a definition: what all versions say
//! alike (their schema, subresources, columns, fields) stands once beside them, so that a
//! definition of one version is told of `spec.validation`, and not of `spec.versions[0]`.

use super::definition::{Conversion, Definition, Version};
use super::{conditions, schema_check};
use crate::fields::{Errors, IMMUTABLE};
use crate::meta;
use crate::names;
use crate::status::ApiError;
use objects::resources::Resource;
use serde_json::{Value, json};

pub fn check_create(resource: &Resource, crd: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    metadata(resource, crd, &mut errors);
    spec(crd, &mut errors);
    let group = meta::text(crd, &["spec", "group"]);
    if conditions::is_protected(group)
        && let (false, reason, why) = conditions::approval(crd)
        && reason != "UnapprovedAnnotation"
    {
        let field = "metadata.annotations[api-approved.kubernetes.io]";
        match reason {
            "MissingAnnotation" => errors.required(field, &why),
            _ => {
                let value = &crd["metadata"]["annotations"]["api-approved.kubernetes.io"];
                errors.invalid(field, value, why);
            }
        }
    }
    if !list(&crd["spec"]["versions"]).any(|version| version["storage"] == true) {
        let why = "must have at least one stored version";
        errors.invalid_text("status.storedVersions", "[]string(nil)", why);
    }
    errors.into_result(resource, meta::name(crd))
}

pub fn check_update(resource: &Resource, old: &Value, new: &Value) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    metadata(resource, new, &mut errors);
    crate::validation::finalizers_while_deleting(old, new, &mut errors);
    spec(new, &mut errors);
    let mut fixed = |path: &[&str]| {
        let at = |crd: &Value| path.iter().fold(crd["spec"].clone(), |value, key| value[*key].clone());
        if at(old) != at(new) {
            errors.invalid(&format!("spec.{}", path.join(".")), &at(new), IMMUTABLE);
        }
    };
    if conditions::is_true(old, "Established") {
        fixed(&["scope"]);
        fixed(&["names", "kind"]);
    }
    fixed(&["group"]);
    fixed(&["names", "plural"]);
    let names: Vec<&Value> = list(&new["spec"]["versions"]).map(|version| &version["name"]).collect();
    for (i, stored) in list(&new["status"]["storedVersions"]).enumerate() {
        if !names.contains(&stored) {
            errors.invalid(&format!("status.storedVersions[{i}]"), stored, "must appear in spec.versions");
        }
    }
    errors.into_result(resource, meta::name(new))
}

fn metadata(resource: &Resource, crd: &Value, errors: &mut Errors) {
    crate::validation::metadata(resource, crd, errors);
    let (plural, group) =
        (meta::text(crd, &["spec", "names", "plural"]), meta::text(crd, &["spec", "group"]));
    if meta::name(crd) != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.invalid("metadata.name", &crd["metadata"]["name"], why);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn spec(crd: &Value, errors: &mut Errors) {
    let spec = &crd["spec"];
    let group = meta::text(spec, &["group"]);
    match group {
        "" => errors.required("spec.group", ""),
        group if !names::subdomain(group).is_empty() => {
            errors.invalid("spec.group", &json!(group), names::subdomain(group).join(","));
        }
        group if !group.contains('.') => {
            errors.invalid("spec.group", &json!(group), "should be a domain with at least one dot");
        }
        _ => {}
    }
    match spec["scope"].as_str().unwrap_or_default() {
        "" => errors.required("spec.scope", ""),
        "Cluster" | "Namespaced" => {}
        _ => errors.unsupported("spec.scope", &spec["scope"], &["Cluster", "Namespaced"]),
    }
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid("spec.preserveUnknownFields", &json!(true), why);
    }
    kind_names(&spec["names"], errors);
    versions(crd, errors);
    conversion(crd, errors);
}

fn kind_names(given: &Value, errors: &mut Errors) {
    let text = |key: &str| meta::text(given, &[key]);
    for key in ["plural", "singular", "kind", "listKind"] {
        if text(key).is_empty() {
            errors.required(&format!("spec.names.{key}"), "");
        }
    }
    for key in ["plural", "singular"] {
        let why = names::label_1035(text(key));
        if !text(key).is_empty() && !why.is_empty() {
            errors.invalid(&format!("spec.names.{key}"), &given[key], why.join(","));
        }
    }
    for key in ["kind", "listKind"] {
        let why = names::label_1035(&text(key).to_lowercase());
        if !text(key).is_empty() && !why.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", why.join(","));
            errors.invalid(&format!("spec.names.{key}"), &given[key], why);
        }
    }
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        errors.invalid("spec.names.listKind", &given["listKind"], "kind and listKind may not be the same");
    }
    for key in ["shortNames", "categories"] {
        for (i, name) in list(&given[key]).enumerate() {
            let why = names::label_1035(name.as_str().unwrap_or_default());
            if !why.is_empty() {
                errors.invalid(&format!("spec.names.{key}[{i}]"), name, why.join(","));
            }
        }
    }
}

fn versions(crd: &Value, errors: &mut Errors) {
    let stated = &crd["spec"]["versions"];
    let definition = Definition::parse(crd);
    for (i, version) in definition.versions.iter().enumerate() {
        let why = names::label_1035(&version.name);
        if !why.is_empty() {
            errors.invalid(&format!("spec.versions[{i}].name"), &json!(version.name), why.join(","));
        }
    }
    let why = "must have exactly one version marked as storage version";
    if stated.is_null() {
        errors.invalid_text("spec.versions", "[]apiextensions.CustomResourceDefinitionVersion(nil)", why);
        return;
    }
    let mut seen: Vec<&str> = definition.versions.iter().map(|version| version.name.as_str()).collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() != definition.versions.len() {
        errors.invalid("spec.versions", stated, "must contain unique version names");
    }
    if definition.versions.iter().filter(|version| version.storage).count() != 1 {
        errors.invalid("spec.versions", stated, why);
    }
    for (i, (version, value)) in definition.versions.iter().zip(list(stated)).enumerate() {
        let at = |key: &str, together: &str, apart: &str| match shared(stated, key) {
            true if i == 0 => Some(format!("spec.{together}")),
            true => None,
            false => Some(format!("spec.versions[{i}].{apart}")),
        };
        if let Some(at) = at("schema", "validation", "schema") {
            version_schema(version, &at, errors);
        }
        if let Some(at) = at("subresources", "subresources", "subresources") {
            subresources(&value["subresources"], &at, errors);
        }
        let key = "additionalPrinterColumns";
        if let Some(at) = at(key, key, key) {
            for (i, column) in list(&value[key]).enumerate() {
                printer_column(column, &format!("{at}[{i}]"), errors);
            }
        }
        if let Some(at) = at("selectableFields", "selectableFields", "selectableFields") {
            selectable(version, &at, errors);
        }
    }
}

/// Whether all versions say the same under this key.
fn shared(versions: &Value, key: &str) -> bool {
    let mut all = list(versions).map(|version| version.get(key));
    let first = all.next();
    all.all(|other| Some(other) == first)
}

fn version_schema(version: &Version, at: &str, errors: &mut Errors) {
    let at = format!("{at}.openAPIV3Schema");
    if version.stated.is_null() {
        return errors.required(&at, "schemas are required");
    }
    schema_check::check(&version.schema, &version.stated, version.has_status, &at, errors);
}

fn subresources(value: &Value, at: &str, errors: &mut Errors) {
    let scale = &value["scale"];
    if scale.is_null() {
        return;
    }
    let mut path = |key: &str, required: bool, roots: &[&str], why: &str| {
        let field = format!("{at}.scale.{key}");
        match meta::text(scale, &[key]) {
            "" if required => errors.required(&field, ""),
            "" => {}
            text if !text.starts_with('.') => {
                errors.invalid(&field, &scale[key], "must be a simple json path starting with .");
            }
            text if text.contains('[') => {
                errors.invalid(&field, &scale[key], "must be a simple json path without array notation");
            }
            text if !roots.iter().any(|root| text.starts_with(root)) => {
                errors.invalid(&field, &scale[key], why);
            }
            _ => {}
        }
    };
    path("specReplicasPath", true, &[".spec."], "should be a json path under .spec");
    path("statusReplicasPath", true, &[".status."], "should be a json path under .status");
    let why = "should be a json path under either .status or .spec";
    path("labelSelectorPath", false, &[".status.", ".spec."], why);
}

fn printer_column(column: &Value, at: &str, errors: &mut Errors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    let text = |key: &str| meta::text(column, &[key]);
    if text("name").is_empty() {
        errors.required(&format!("{at}.name"), "");
    }
    let (kind, rule) = (text("type"), format!("must be one of {}", TYPES.join(",")));
    if kind.is_empty() {
        errors.required(&format!("{at}.type"), &rule);
    } else if !TYPES.contains(&kind) {
        errors.invalid(&format!("{at}.type"), &column["type"], rule);
    }
    if !text("format").is_empty() && !FORMATS.contains(&text("format")) {
        let rule = format!("must be one of {}", FORMATS.join(","));
        errors.invalid(&format!("{at}.format"), &column["format"], rule);
    }
    // Upstream names it as its own field is named.
    let field = format!("{at}.JSONPath");
    match text("jsonPath") {
        "" => errors.required(&field, ""),
        path if !path.starts_with('.') => {
            errors.invalid(&field, &column["jsonPath"], "must be a simple json path starting with .");
        }
        _ => {}
    }
}

/// Fields that selectors may name must be there, and have a value that a text can stand for.
fn selectable(version: &Version, at: &str, errors: &mut Errors) {
    if version.selectable.len() > 8 {
        errors.too_many(at, version.selectable.len(), 8);
    }
    for (i, path) in version.selectable.iter().enumerate() {
        let field = format!("{at}[{i}].jsonPath");
        let Some(steps) = path.strip_prefix('.').filter(|rest| !rest.is_empty()) else {
            match path.is_empty() {
                true => errors.required(&field, ""),
                false => errors.invalid(&field, &json!(path), "must be a simple json path starting with ."),
            }
            continue;
        };
        if steps.split('.').next() == Some("metadata") {
            errors.invalid(&field, &json!(path), "must not point to fields in metadata");
            continue;
        }
        let found = steps.split('.').try_fold(&version.schema, |schema, key| schema.properties.get(key));
        match found.map(|schema| schema.kind.as_str()) {
            Some("string" | "boolean" | "integer") => {}
            Some(_) => {
                let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                errors.invalid(&field, &json!(path), why);
            }
            None => {
                let why = "is an invalid path: does not refer to a valid field";
                errors.invalid(&field, &json!(path), why);
            }
        }
        if version.selectable[..i].contains(path) {
            errors.duplicate(&field, &json!(path));
        }
    }
}

fn conversion(crd: &Value, errors: &mut Errors) {
    let stated = &crd["spec"]["conversion"];
    let strategy = stated["strategy"].as_str().unwrap_or_default();
    if !["None", "Webhook"].contains(&strategy) {
        match strategy {
            "" => errors.required("spec.conversion.strategy", ""),
            _ => errors.unsupported("spec.conversion.strategy", &stated["strategy"], &["None", "Webhook"]),
        }
        return;
    }
    let Conversion::Webhook { client_config, review_versions } = Definition::parse(crd).conversion else {
        if !stated["webhook"].is_null() {
            let why = "should not be set when strategy is not set to Webhook";
            errors.forbidden("spec.conversion.webhookClientConfig", why);
        }
        return;
    };
    if client_config.is_null() {
        let why = "required when strategy is set to Webhook";
        errors.required("spec.conversion.webhookClientConfig", why);
    } else if client_config["url"].is_null() == client_config["service"].is_null() {
        let why = "exactly one of url or service is required";
        errors.required("spec.conversion.webhookClientConfig", why);
    }
    if review_versions.is_empty() {
        errors.required("spec.conversion.conversionReviewVersions", "");
    } else if !review_versions.iter().any(|version| ["v1", "v1beta1"].contains(&version.as_str())) {
        let field = "spec.conversion.conversionReviewVersions";
        errors.invalid(field, &json!(review_versions), "must include at least one of v1, v1beta1");
    }
}
