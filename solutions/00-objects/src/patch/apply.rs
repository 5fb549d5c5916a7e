//! Three-way apply: what `kubectl apply` computes before it sends a patch
//! (`CreateThreeWayMergePatch` in strategicpatch, and jsonmergepatch for custom resources).
//!
//! ```text
//!   original   what you applied last time         (an annotation on the live object)
//!   modified   what you apply now                 (your file)
//!   current    what is live                       (yours, and everybody else's)
//!
//!   current  ──changes──▶ modified      what is not yet as you want it
//!   original ──deletions▶ modified      what you no longer want, and had wanted
//! ```
//!
//! A member that is only in `current` is somebody else's, and stays.

use super::directives::Object;
use super::schema::Type;
use super::{GroupKind, PatchError};
use serde_json::Value;

/// Where kubectl keeps what was applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The strategic merge patch that brings `current` to `modified`, and deletes what
/// `original` had and `modified` has not.
pub fn three_way_strategic(
    original: &Value,
    modified: &Value,
    current: &Value,
    kind: &GroupKind,
) -> Result<Value, PatchError> {
    // lab:begin 00.11 changes from current to modified, laid over deletions from original to modified
    use super::diff::{Wanted, diff_objects};
    use super::{malformed, schema::of_kind};
    let object = |value| Value::as_object(value).ok_or_else(|| malformed("invalid JSON document"));
    let (original, modified, current) = (object(original)?, object(modified)?, object(current)?);
    let of = of_kind(kind);
    let changes = diff_objects(current, modified, of, Wanted::CHANGES)?;
    let deletions = diff_objects(original, modified, of, Wanted::DELETIONS)?;
    Ok(Value::Object(lay_over(deletions, &changes, of)))
    // lab:end
}

/// One patch from two: deletions below, changes above. Directives stay what they are, and
/// where both have one they agree, since both come from the same modified object.
// lab:given
fn lay_over(deletions: Object, changes: &Object, of: Type) -> Object {
    // lab:begin 00.11 put the members of both together; go into objects, and into lists by key
    use super::directives::{arrange, order_of};
    use super::schema::Field;
    let mut patch = deletions;
    for (name, above) in changes {
        let rule = Field::of(of, name);
        let both = match (patch.shift_remove(name), above, rule) {
            (Some(Value::Object(below)), Value::Object(above), rule) => {
                Value::Object(lay_over(below, above, rule.map_or(&[][..], Field::inside)))
            }
            (Some(Value::Array(below)), Value::Array(above), Some(Field::Keyed { key, element, .. })) => {
                let elements = lay_over_elements(below, above, key, element);
                let order = order_of(name);
                let order = changes.get(&order).or(patch.get(&order)).and_then(Value::as_array);
                Value::Array(arrange(elements, order.map_or(&[][..], Vec::as_slice), &[], Some(key)))
            }
            (_, above, _) => above.clone(),
        };
        patch.insert(name.clone(), both);
    }
    patch
    // lab:end
}

/// The same for lists by key: an element that both have is one element of the result.
// lab:given
fn lay_over_elements(below: Vec<Value>, above: &[Value], key: &str, of: Type) -> Vec<Value> {
    // lab:begin 00.11 find each element from above among those below, by its key, or append it
    let mut elements = below;
    for element in above {
        let meets = |other: &&mut Value| other.get(key) == element.get(key);
        match (elements.iter_mut().find(meets), element) {
            (Some(Value::Object(below)), Value::Object(above)) => {
                *below = lay_over(std::mem::take(below), above, of);
            }
            _ => elements.push(element.clone()),
        }
    }
    elements
    // lab:end
}

/// The same with a JSON merge patch, for kinds whose lists nobody knows: custom resources.
pub fn three_way_json(original: &Value, modified: &Value, current: &Value) -> Result<Value, PatchError> {
    // lab:begin 00.12 two diffs; of one keep what is set, of the other what is deleted; merge them
    use super::{json_merge, json_merge_diff};
    let nothing = || Value::Object(Object::new());
    let changes = json_merge_diff(current, modified);
    let deletions = json_merge_diff(original, modified);
    let changes = sift(&changes, false).unwrap_or_else(nothing);
    let deletions = sift(&deletions, true).unwrap_or_else(nothing);
    json_merge(&deletions, &changes)
    // lab:end
}

/// The nulls of a merge patch, or all the rest of it; nothing, if nothing is left.
// lab:given
fn sift(patch: &Value, nulls: bool) -> Option<Value> {
    // lab:begin 00.12 keep nulls or keep values; an object stays if something in it stays
    match patch {
        Value::Null => nulls.then_some(Value::Null),
        Value::Object(members) if !members.is_empty() => {
            let kept: Object = members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), sift(value, nulls)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        // An object that was empty from the start is a value like any other.
        value => (!nulls).then(|| value.clone()),
    }
    // lab:end
}

/// The patch that `kubectl apply` sends for a manifest, given what is live. For a custom
/// resource, `kind` is none.
pub fn apply(manifest: &Value, current: &Value, kind: Option<&GroupKind>) -> Result<Value, PatchError> {
    // lab:begin 00.12 read what was applied last, remember what is applied now, and compute the patch
    use super::malformed;
    let modified = with_last_applied(manifest)?;
    let text = current.pointer("/metadata/annotations").and_then(|all| all.get(LAST_APPLIED)?.as_str());
    // Who never applied has wanted nothing, so nothing is deleted.
    let original = match text {
        None => Value::Object(Object::new()),
        Some(text) => serde_json::from_str(text).map_err(|_| malformed("invalid JSON document"))?,
    };
    match kind {
        Some(kind) => three_way_strategic(&original, &modified, current, kind),
        None => three_way_json(&original, &modified, current),
    }
    // lab:end
}

/// The manifest with an annotation that holds the manifest. It has no trace of itself, and
/// always has annotations, if only an empty object of them.
pub fn with_last_applied(manifest: &Value) -> Result<Value, PatchError> {
    // lab:begin 00.12 take an old annotation out, write the text of the rest, put it in
    use super::malformed;
    let mut modified = manifest.clone();
    let metadata = modified.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(|| malformed("an object to apply needs metadata"))?;
    let mut annotations = match metadata.get("annotations") {
        Some(Value::Object(annotations)) => annotations.clone(),
        _ => Object::new(),
    };
    annotations.shift_remove(LAST_APPLIED);
    metadata.insert("annotations".to_owned(), Value::Object(annotations.clone()));
    annotations.insert(LAST_APPLIED.to_owned(), Value::String(go_json(&modified)));
    modified["metadata"]["annotations"] = Value::Object(annotations);
    Ok(modified)
    // lab:end
}

/// JSON as Go's encoder writes it: members in order, three signs escaped, a line's end.
// lab:given
fn go_json(value: &Value) -> String {
    let text = sorted(value).to_string();
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    text + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let members = members.into_iter().map(|(name, value)| (name.clone(), sorted(value)));
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
