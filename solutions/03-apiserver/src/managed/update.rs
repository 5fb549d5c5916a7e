//! The fields of who creates, updates and patches: whoever changes a field owns it (upstream:
//! `internal/fieldmanager.go`, `Update`, and the managers that it is made of).

use super::Writer;
use super::managers::{self, Entry, Manager, Managers, Operation};
use super::ownership::settle;
use super::scope::stripped;
use super::versions::Change;
use crate::kinds;
use crate::meta::{self, as_map, map_at};
use serde_json::{Value, json};

/// Note in `new` that the fields in which it differs from `old` are the writer's now.
/// Both are in the form of `writer.kind`.
///
/// A client may rewrite `managedFields` itself; what cannot be read of it is ignored, and the
/// list of `old` stays. `[]` and `[{}]` say that all is to be forgotten: from then on nothing is
/// noted until somebody applies.
pub fn note_update(writer: &Writer<'_>, old: Option<&Value>, new: &mut Value) {
    let sent = take(new);
    let live = old.map_or(Value::Null, |old| old["metadata"]["managedFields"].clone());
    let mut managers = base(writer, &sent, &live);
    if !managers.is_empty() || old.is_none() {
        let nothing = json!({});
        let mut before = old.cloned().unwrap_or(nothing);
        take(&mut before);
        let mut after = new.clone();
        writer.kind.trim(&mut after);
        note(writer, writer.manager, &before, &after, &mut managers);
        managers::cap(&mut managers);
    }
    put(new, &managers);
}

/// Who owns what is noted before others change the object on its way: what they change is nobody's. But
/// they cannot make the list unreadable: then it is again what it was before, and the writer is told.
pub fn keep_readable(before: &Value, object: &mut Value) -> Option<String> {
    let now = &object["metadata"]["managedFields"];
    let why = managers::decode(now).err()?;
    put(object, &managers::decode(before).unwrap_or_default());
    Some(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated \
         mutating admission controller; please fix your requests: {why}"
    ))
}

/// The entries that a write begins with.
fn base(writer: &Writer<'_>, sent: &Value, live: &Value) -> Managers {
    let live = || managers::decode(live).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return live();
    }
    if managers::is_reset(sent) {
        return Managers::new();
    }
    match managers::decode(sent) {
        Ok(sent) if !sent.is_empty() => sent,
        _ => live(),
    }
}

/// Make `name` the owner of what changed from `old` to `new`.
pub fn note(writer: &Writer<'_>, name: &str, old: &Value, new: &Value, managers: &mut Managers) {
    let change = Change::new(writer, old, new);
    let told = |version: &str| change.told_in(version);
    let version = kinds::api_version(writer.kind.resource);
    // With force there are no conflicts to speak of.
    let _ = settle(managers, None, &told, true);
    let mine = told(&version).map(|change| stripped(&change.written())).unwrap_or_default();
    if mine.is_empty() {
        return;
    }
    let id = Manager {
        name: if name.is_empty() { "unknown".into() } else { name.into() },
        operation: Operation::Update,
        api_version: version.clone(),
        subresource: writer.subresource.into(),
    };
    let before = managers.remove(&id).map(|entry| entry.fields).unwrap_or_default();
    let time = Some(meta::time(writer.now));
    managers.insert(id, Entry { fields: before.union(&mine), api_version: version, time });
}

/// Take the list out of the object.
pub fn take(object: &mut Value) -> Value {
    match object.get_mut("metadata").and_then(Value::as_object_mut) {
        Some(metadata) => metadata.shift_remove("managedFields").unwrap_or_default(),
        None => Value::Null,
    }
}

/// Put the list into the object; no list if there are no entries.
pub fn put(object: &mut Value, managers: &Managers) {
    if managers.is_empty() {
        as_map(object);
        take(object);
    } else {
        map_at(object, "metadata").insert("managedFields".into(), managers::encode(managers));
    }
}
