//! From two documents to the strategic merge patch that leads from one to the other:
//! `CreateTwoWayMergePatch` (k8s.io/apimachinery/pkg/util/strategicpatch).
//!
//! `kubectl edit`, `set` and `label` send such a patch instead of the object, so that nobody
//! else's change is lost. `apply` makes two of them and lays one over the other.

use super::directives::{Object, deletions_of, go, keyed, order_of, same_types};
use super::schema::{Field, Type, of_kind};
use super::{GroupKind, PatchError, malformed};
use serde_json::Value;

// ANCHOR: wanted
/// Which differences are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is new or has another value.
    pub changes: bool,
    /// What has gone.
    pub deletions: bool,
}
// ANCHOR_END: wanted

impl Wanted {
    pub const ALL: Wanted = Wanted { changes: true, deletions: true };
    // lab:given
    pub const CHANGES: Wanted = Wanted { changes: true, deletions: false };
    // lab:given
    pub const DELETIONS: Wanted = Wanted { changes: false, deletions: true };
}

/// The strategic merge patch that makes `to` out of `from`.
pub fn strategic_diff(from: &Value, to: &Value, kind: &GroupKind) -> Result<Value, PatchError> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            diff_objects(from, to, of_kind(kind), Wanted::ALL).map(Value::Object)
        }
        _ => Err(malformed("invalid JSON document")),
    }
}

/// The differences of two objects, member by member.
pub fn diff_objects(from: &Object, to: &Object, of: Type, wanted: Wanted) -> Result<Object, PatchError> {
    // lab:begin 00.10 name what is new or different, go into objects and lists, null what has gone
    let mut patch = Object::new();
    for (name, new) in to {
        let rule = Field::of(of, name);
        match (from.get(name), new, rule) {
            (Some(Value::Object(old)), Value::Object(new), rule)
                if !matches!(rule, Some(Field::Replaced)) =>
            {
                let mut inner = diff_objects(old, new, rule.map_or(&[][..], Field::inside), wanted)?;
                if matches!(rule, Some(Field::Retained(_))) {
                    name_retained(&mut inner, old, new);
                }
                if !inner.is_empty() {
                    patch.insert(name.clone(), Value::Object(inner));
                }
            }
            (Some(Value::Array(old)), Value::Array(new), Some(rule @ Field::Keyed { .. })) => {
                diff_keyed(&mut patch, name, (old, new), rule, wanted)?;
            }
            (Some(Value::Array(old)), Value::Array(new), Some(Field::Set)) => {
                diff_sets(&mut patch, name, old, new, wanted)?;
            }
            (old, new, rule) => {
                let same = old == Some(new) && !matches!(rule, Some(Field::Replaced));
                if wanted.changes && !same {
                    patch.insert(name.clone(), new.clone());
                }
            }
        }
    }
    for name in from.keys().filter(|name| wanted.deletions && !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Ok(patch)
    // lab:end
}

/// Adds `$retainKeys` to the patch of a union: there is a change, or something must go that
/// the new object does not name.
// lab:given
fn name_retained(patch: &mut Object, old: &Object, new: &Object) {
    // lab:begin 00.10 list the new object's members, in order, where the patch needs $retainKeys
    use super::directives::RETAIN_KEYS;
    let extra = old.iter().any(|(name, value)| !value.is_null() && !new.contains_key(name));
    let mut retained: Vec<&String> =
        new.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
    if !retained.is_empty() && (!patch.is_empty() || extra) {
        retained.sort();
        let retained = retained.into_iter().cloned().map(Value::String).collect();
        patch.insert(RETAIN_KEYS.to_owned(), retained);
    }
    // lab:end
}

/// The differences of two lists by key: elements with changes in the new list's order, then
/// elements to delete by the order of their keys, then the order of all.
// lab:given
fn diff_keyed(
    patch: &mut Object,
    name: &str,
    (old, new): (&[Value], &[Value]),
    rule: Field,
    wanted: Wanted,
) -> Result<(), PatchError> {
    let Field::Keyed { key, element: of, retain } = rule else { return Ok(()) };
    if old.is_empty() {
        add_all(patch, name, new, wanted);
        return Ok(());
    }
    same_types(old, new)?;
    let key_of = |element: &Value| keyed(element, key).map(|(_, value)| value.clone());
    let old_keys = old.iter().map(key_of).collect::<Result<Vec<Value>, _>>()?;
    let new_keys = new.iter().map(key_of).collect::<Result<Vec<Value>, _>>()?;
    // lab:begin 00.10 pair the elements by their keys; say what changed, what goes, and the order
    use super::directives::PATCH;
    use serde_json::json;
    let mut elements = Vec::new();
    for (element, wanted_key) in new.iter().zip(&new_keys) {
        let before = old_keys.iter().position(|other| other == wanted_key).and_then(|at| old[at].as_object());
        match (before, element) {
            (Some(before), Value::Object(after)) => {
                let mut inner = diff_objects(before, after, of, wanted)?;
                if retain {
                    name_retained(&mut inner, before, after);
                }
                if !inner.is_empty() {
                    inner.insert(key.to_owned(), wanted_key.clone());
                    elements.push(Value::Object(inner));
                }
            }
            _ if wanted.changes => elements.push(element.clone()),
            _ => {}
        }
    }
    let mut gone: Vec<&Value> = old_keys.iter().filter(|other| !new_keys.contains(other)).collect();
    gone.sort_by_key(|value| go(value));
    if wanted.deletions {
        elements.extend(gone.iter().map(|value| json!({ key: value, PATCH: "delete" })));
    }
    let reordered = wanted.changes && old_keys != new_keys;
    if (reordered || !elements.is_empty()) && !new.is_empty() {
        let order: Vec<Value> = new_keys.iter().map(|value| json!({ key: value })).collect();
        patch.insert(order_of(name), Value::Array(order));
    }
    if !elements.is_empty() {
        patch.insert(name.to_owned(), Value::Array(elements));
    }
    Ok(())
    // lab:end
}

/// The differences of two sets: what is new, what goes, and the order.
// lab:given
fn diff_sets(
    patch: &mut Object,
    name: &str,
    old: &[Value],
    new: &[Value],
    wanted: Wanted,
) -> Result<(), PatchError> {
    if old.is_empty() {
        add_all(patch, name, new, wanted);
        return Ok(());
    }
    same_types(old, new)?;
    let mut added: Vec<Value> = new.iter().filter(|value| !old.contains(value)).cloned().collect();
    let mut gone: Vec<Value> = old.iter().filter(|value| !new.contains(value)).cloned().collect();
    if !wanted.changes {
        added.clear();
    }
    if !wanted.deletions {
        gone.clear();
    }
    gone.sort_by_key(go);
    gone.dedup();
    if (!gone.is_empty() || wanted.changes && old != new) && !new.is_empty() {
        patch.insert(order_of(name), new.into());
    }
    if !added.is_empty() {
        patch.insert(name.to_owned(), Value::Array(added));
    }
    if !gone.is_empty() {
        patch.insert(deletions_of(name), Value::Array(gone));
    }
    Ok(())
}

/// Where there was nothing the new list is the patch, and says nothing of its order.
fn add_all(patch: &mut Object, name: &str, new: &[Value], wanted: Wanted) {
    if wanted.changes && !new.is_empty() {
        patch.insert(name.to_owned(), new.into());
    }
}
