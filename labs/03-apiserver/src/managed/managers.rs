//! The managers of an object: `metadata.managedFields` read and written (upstream:
//! `apimachinery/pkg/util/managedfields/internal/managedfields.go`).

use super::path::Path;
use super::set::Set;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How fields came to their manager. One that applies says what it wants to own; one that
/// updates owns what it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// What tells the entries of an object apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    pub name: String,
    pub operation: Operation,
    /// Of an Update. Who applies in another version is still the same applier: none.
    pub api_version: String,
    pub subresource: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub fields: Set,
    /// The version of the kind whose fields these are.
    pub api_version: String,
    /// When the manager last changed what it owns, as written in the object.
    pub time: Option<String>,
}

pub type Managers = BTreeMap<Manager, Entry>;

/// A field that somebody else owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub manager: Manager,
    pub path: Path,
}

/// Whether a client says with this list that all is to be forgotten: an empty list, or one
/// empty entry.
pub fn is_reset(managed_fields: &Value) -> bool {
    match managed_fields.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// Read `metadata.managedFields`; an error when any entry is not valid.
pub fn decode(managed_fields: &Value) -> Result<Managers, String> {
    let list = match managed_fields {
        Value::Null => return Ok(Managers::new()),
        Value::Array(list) => list,
        _ => return Err("managedFields is no list".into()),
    };
    list.iter().enumerate().map(|(place, entry)| decode_entry(place, entry)).collect()
}

fn decode_entry(place: usize, entry: &Value) -> Result<(Manager, Entry), String> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_string();
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".into()),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".into());
    }
    match text("fieldsType").as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {place}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {place}")),
    }
    let fields = match &entry["fieldsV1"] {
        Value::Null => Set::default(),
        fields => Set::from_fields(fields)?,
    };
    let id = Manager {
        name: text("manager"),
        operation,
        api_version: if operation == Operation::Update { api_version.clone() } else { String::new() },
        subresource: text("subresource"),
    };
    let time = entry["time"].as_str().map(str::to_string);
    Ok((id, Entry { fields, api_version, time }))
}

/// Write `metadata.managedFields`: those that apply first, then by time and name.
pub fn encode(managers: &Managers) -> Value {
    let mut entries: Vec<(&Manager, &Entry)> = managers.iter().collect();
    entries.sort_by(|(a, x), (b, y)| {
        let order =
            |m: &Manager, e: &Entry| (m.operation, e.time.clone(), m.name.clone(), e.api_version.clone());
        order(a, x).cmp(&order(b, y)).then_with(|| a.subresource.cmp(&b.subresource))
    });
    Value::Array(entries.into_iter().map(|(id, entry)| encode_entry(id, entry)).collect())
}

fn encode_entry(id: &Manager, entry: &Entry) -> Value {
    let mut out = Map::new();
    if !id.name.is_empty() {
        out.insert("manager".into(), json!(id.name));
    }
    out.insert("operation".into(), json!(format!("{:?}", id.operation)));
    out.insert("apiVersion".into(), json!(entry.api_version));
    if let Some(time) = &entry.time {
        out.insert("time".into(), json!(time));
    }
    out.insert("fieldsType".into(), json!("FieldsV1"));
    out.insert("fieldsV1".into(), entry.fields.to_fields());
    if !id.subresource.is_empty() {
        out.insert("subresource".into(), json!(id.subresource));
    }
    Value::Object(out)
}

/// The most entries of updates that are kept apart.
const MOST_UPDATERS: usize = 10;

/// Under which the oldest are put together.
const ANCIENT: &str = "ancient-changes";

/// Keep the list short: the oldest entries of updates become one for each version of the kind
/// (upstream: `internal/capmanagers.go`).
pub fn cap(managers: &mut Managers) {
    let is_update = |id: &&Manager| id.operation == Operation::Update;
    let mut oldest: Vec<Manager> = managers.keys().filter(is_update).cloned().collect();
    oldest.sort_by_cached_key(|id| (managers.get(id).and_then(|entry| entry.time.clone()), id.clone()));
    let mut older: BTreeMap<String, Manager> = BTreeMap::new();
    for id in oldest {
        if managers.keys().filter(is_update).count() <= MOST_UPDATERS {
            return;
        }
        let bucket = Manager { name: ANCIENT.into(), subresource: String::new(), ..id.clone() };
        let Some(before) = older.insert(id.api_version.clone(), bucket.clone()) else {
            older.insert(id.api_version.clone(), id);
            continue;
        };
        let Some(mut entry) = managers.remove(&id) else { continue };
        for other in [before, bucket.clone()] {
            if let Some(other) = managers.remove(&other) {
                entry.fields = entry.fields.union(&other.fields);
            }
        }
        managers.insert(bucket, entry);
    }
}
