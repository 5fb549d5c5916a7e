//! From client-side to server-side apply: what kubectl wrote into its annotation is its own
//! (upstream: `internal/lastapplied{manager,updater}.go`). Both hold for the manager `kubectl`
//! alone, which is what `kubectl apply --server-side` calls itself.

use super::Writer;
use super::compare::compare;
use super::fields::to_set;
use super::managers::Conflict;
use super::set::Set;
use crate::kinds;
use crate::meta::{self, as_map};
use serde_json::{Value, json};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl";

/// The most that all annotations may take together.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// The conflicts that are left when those about fields are taken away that client-side apply
/// has set, and that still are as it set them.
pub fn not_his_own(writer: &Writer<'_>, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    match own(writer, live) {
        Some(own) if writer.manager == KUBECTL => {
            conflicts.into_iter().filter(|conflict| !own.contains(&conflict.path)).collect()
        }
        _ => conflicts,
    }
}

fn own(writer: &Writer<'_>, live: &Value) -> Option<Set> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if meta::text(&last, &["apiVersion"]) != kinds::api_version(writer.kind.resource) {
        return None;
    }
    let shape = writer.kind.shape();
    let since = compare(&shape, Some(&last), Some(live));
    Some(to_set(&shape, &last).difference(&since.written()).difference(&since.removed))
}

fn annotation(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())
}

/// Write what was applied into the annotation, if the object has one, so that the next
/// client-side apply begins where this one ended.
pub fn keep_in_step(writer: &Writer<'_>, object: &mut Value, applied: &Value) {
    if writer.manager != KUBECTL || annotation(object).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(Value::Object(annotations)) = applied.pointer_mut("/metadata/annotations") {
        annotations.shift_remove(ANNOTATION);
    }
    sort(&mut applied);
    let annotations = as_map(&mut object["metadata"]["annotations"]);
    annotations.insert(ANNOTATION.into(), json!(format!("{applied}\n")));
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(size).sum::<usize>() > MOST_ANNOTATIONS {
        annotations.shift_remove(ANNOTATION);
    }
}

/// Sort the keys of every object, as Go does when it encodes a map.
fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(sort);
            map.sort_keys();
        }
        Value::Array(list) => list.iter_mut().for_each(sort),
        _ => {}
    }
}
