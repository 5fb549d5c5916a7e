//! What every object has: its metadata, and the selectors that look at it (upstream:
//! `apimachinery/pkg/api/validation/objectmeta.go`, `apis/meta/v1/validation`).

use super::at::At;
use crate::fields::{Errors, go_strings};
use crate::meta;
use crate::names::{self, Rule};
use objects::labels::Selector;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

const MAX_ANNOTATIONS: i64 = 256 * 1024;

/// Metadata of an object. `rule` is what may be its name.
pub fn object_meta(object: &At<'_>, namespaced: bool, rule: Rule, errors: &mut Errors) {
    let at = object.get("metadata");
    let base = at.get("generateName");
    if !base.is_empty() {
        for why in names::prefix(rule, base.text()) {
            base.invalid(why, errors);
        }
    }
    let name = at.get("name");
    if name.is_empty() {
        name.required("name or generateName is required", errors);
    } else {
        name.obey(rule, errors);
    }
    let namespace = at.get("namespace");
    if namespaced {
        if namespace.require(errors) {
            namespace.obey(names::label, errors);
        }
    } else if !namespace.is_empty() {
        namespace.forbidden("not allowed on this type", errors);
    }
    at.get("generation").not_negative(errors);
    labels(&at.get("labels"), errors);
    annotations(&at.get("annotations"), errors);
    owners(&at.get("ownerReferences"), errors);
    finalizers(&at.get("finalizers"), errors);
}

/// Metadata of a template: labels and annotations. Upstream's paths leave `metadata` out.
pub fn template_meta(template: &At<'_>, errors: &mut Errors) {
    let metadata = template.get("metadata");
    labels(&metadata.get("labels").named(template.child("labels")), errors);
    annotations(&metadata.get("annotations").named(template.child("annotations")), errors);
}

/// Keys and values of labels.
pub fn labels(at: &At<'_>, errors: &mut Errors) {
    for (key, value) in at.entries() {
        label_key(&at.path, key, errors);
        for why in names::label_value(value.text()) {
            errors.invalid(&at.path, value.value, why);
        }
    }
}

pub fn label_key(path: &str, key: &str, errors: &mut Errors) {
    for why in names::qualified(key) {
        errors.invalid(path, &Value::from(key), why);
    }
}

pub fn annotations(at: &At<'_>, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in at.entries() {
        for why in names::lower(names::qualified, key) {
            errors.invalid(&at.path, &Value::from(key), why);
        }
        size += key.len() + value.text().len();
    }
    if size as i64 > MAX_ANNOTATIONS {
        errors.too_long(&at.path, MAX_ANNOTATIONS);
    }
}

fn owners(at: &At<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for owner in at.items() {
        // Upstream's paths do not say which owner it is.
        let owner = owner.named(at.path.clone());
        for (key, what) in [("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")] {
            let field = owner.get(key);
            if field.is_empty() {
                errors.invalid(&field.path, &Value::from(""), format!("{what} must not be empty"));
            }
        }
        if *owner.get("apiVersion").value == "v1" && *owner.get("kind").value == "Event" {
            owner.invalid("/v1, Kind=Event is disallowed from being an owner", errors);
        }
        if owner.get("controller").is_true() {
            let this = format!("{}/{}", owner.get("kind").text(), owner.get("name").text());
            match &controller {
                None => controller = Some(this),
                Some(first) => at.invalid(
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"),
                    errors,
                ),
            }
        }
    }
}

fn finalizers(at: &At<'_>, errors: &mut Errors) {
    for finalizer in at.items() {
        label_key(&at.path, finalizer.text(), errors);
    }
    let list = at.texts();
    if list.contains(&"orphan") && list.contains(&"foregroundDeletion") {
        at.invalid("finalizer orphan and foregroundDeletion cannot be both set", errors);
    }
}

/// Kinds of Kubernetes itself know three finalizers without a domain, and want one for the rest.
/// Custom kinds and the extension points do not ask.
pub fn kube_finalizers(object: &At<'_>, errors: &mut Errors) {
    object.at("metadata.finalizers").items().for_each(|finalizer| finalizer_name(&finalizer, errors));
}

/// A finalizer belongs to somebody, and says to whom; three old ones are known without.
pub fn finalizer_name(at: &At<'_>, errors: &mut Errors) {
    let name = at.text();
    if !name.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&name) {
        at.invalid("name is neither a standard finalizer name nor is it fully qualified", errors);
    }
}

/// Once an object is going, nobody may hold it back any more.
pub fn object_meta_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    if !meta::is_deleting(old.value) {
        return;
    }
    let before = meta::finalizers(old.value);
    let mut added = meta::finalizers(new.value);
    added.retain(|finalizer| !before.contains(finalizer));
    if !added.is_empty() {
        let list = go_strings("string", &Value::from(added));
        new.get("metadata").get("finalizers").forbidden(
            &format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {list}"
            ),
            errors,
        );
    }
}

/// A label selector, if there is one.
pub fn selector(at: &At<'_>, errors: &mut Errors) {
    labels(&at.get("matchLabels"), errors);
    for requirement in at.get("matchExpressions").items() {
        let (operator, values) = (requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "In" | "NotIn" => {
                if values.is_empty() {
                    values.required("must be specified when `operator` is 'In' or 'NotIn'", errors);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    values.forbidden(
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                        errors,
                    );
                }
            }
            _ => operator.invalid("not a valid selector operator", errors),
        }
        let key = requirement.get("key");
        label_key(&key.path, key.text(), errors);
        for value in values.items() {
            value.obey(names::label_value, errors);
        }
    }
}

/// A label selector in the form that matches; `None` when it is none.
pub fn parse_selector(at: &At<'_>) -> Option<Selector> {
    let selector = Deserialize::deserialize(at.value).ok()?;
    Selector::from_label_selector(&selector).ok()
}

pub fn is_empty_selector(at: &At<'_>) -> bool {
    at.get("matchLabels").is_empty() && at.get("matchExpressions").is_empty()
}

/// The values of a map of texts.
pub fn strings(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_string())).collect()
}
