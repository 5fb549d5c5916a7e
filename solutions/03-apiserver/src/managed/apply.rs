//! Server-side apply: a manager sends all that he wants, and owns just that (KEP-555; upstream:
//! `structured-merge-diff/merge/update.go`, `Apply`, and `internal/fieldmanager.go`).

use super::Writer;
use super::conflict::refusal;
use super::declared;
use super::fields::to_set;
use super::forget::forget;
use super::last_applied;
use super::managers::{self, Conflict, Entry, Manager, Managers, Operation};
use super::merge::merge;
use super::ownership::settle;
use super::scope::{reachable, stripped};
use super::set::Set;
use super::update::{note, put, take};
use super::versions::Change;
use crate::kinds;
use crate::meta;
use crate::status::ApiError;
use serde_json::{Value, json};

/// The owner of what was there before anybody applied, on objects without entries.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The object as it is when `applied` has been applied to `live` (none: it is created), with its
/// `managedFields`. Both are in the form of `writer.kind`. An apply that changes nothing gives
/// `live` back.
///
/// Without `force` a field with another value than its owner gave it is a conflict: 409, with
/// all of them.
pub fn apply(
    writer: &Writer<'_>,
    force: bool,
    live: Option<&Value>,
    applied: &Value,
) -> Result<Value, ApiError> {
    let resource = writer.kind.resource;
    declared::check_type(applied, &kinds::api_version(resource), resource.kind)?;
    let applied = declared::read(writer.kind, applied)?;
    let uid = meta::uid(&applied);
    if live.is_none() && !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict(resource, meta::name(&applied), &why));
    }
    let mut bare = live
        .cloned()
        .unwrap_or_else(|| json!({ "kind": resource.kind, "apiVersion": kinds::api_version(resource) }));
    let mut managers = managers::decode(&take(&mut bare)).unwrap_or_default();
    if live.is_some() && managers.is_empty() {
        note(writer, BEFORE_FIRST_APPLY, &json!({}), &bare, &mut managers);
    }
    let (mut object, managers) = match laid_over(writer, force, &bare, &applied, &managers) {
        Ok(done) => done,
        Err(conflicts) => {
            let left = last_applied::not_his_own(writer, &bare, conflicts);
            if !left.is_empty() {
                return Err(refusal(&left));
            }
            laid_over(writer, true, &bare, &applied, &managers).map_err(|conflicts| refusal(&conflicts))?
        }
    };
    last_applied::keep_in_step(writer, &mut object, &applied);
    put(&mut object, &managers);
    Ok(object)
}

/// Merge, forget, settle.
fn laid_over(
    writer: &Writer<'_>,
    force: bool,
    live: &Value,
    applied: &Value,
    managers: &Managers,
) -> Result<(Value, Managers), Vec<Conflict>> {
    let (kind, shape) = (writer.kind, writer.kind.shape());
    let version = kinds::api_version(kind.resource);
    let id = Manager {
        name: writer.manager.into(),
        operation: Operation::Apply,
        api_version: String::new(),
        subresource: writer.subresource.into(),
    };
    let mut managers = managers.clone();
    let fields = reachable(writer, &to_set(&shape, applied));
    let time = managers.get(&id).and_then(|entry| entry.time.clone());
    let entry = Entry { fields: fields.clone(), api_version: version.clone(), time };
    let last = managers.insert(id.clone(), entry);
    let mut new = merge(&shape, live, applied);
    // The fields of another version have other names; what was applied in it is kept.
    if let Some(last) = last.as_ref().filter(|last| last.api_version == version || kind.custom.is_some()) {
        let owned = managers.values().fold(Set::default(), |all, entry| all.union(&entry.fields));
        new = forget(&shape, &new, &last.fields, &owned);
    }
    let change = Change::new(writer, live, &new);
    settle(&mut managers, Some(&id), &|version| change.told_in(version), force)?;
    let mine = stripped(&fields);
    let same = last.is_some_and(|last| last.fields == mine && last.api_version == version);
    match managers.get_mut(&id) {
        Some(_) if mine.is_empty() => {
            managers.remove(&id);
        }
        Some(entry) => {
            entry.fields = mine;
            if !same || new != *live {
                entry.time = Some(meta::time(writer.now));
            }
        }
        None => {}
    }
    Ok((new, managers))
}
