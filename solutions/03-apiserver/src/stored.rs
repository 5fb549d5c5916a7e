//! An object as the cache holds it: encoded once, with what selectors ask beside it.

use crate::defaults::zeros;
use crate::kind::Kind;
use crate::meta;
use crate::selection::{self, Fields};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub key: String,
    /// The store's revision of the last write: the object's `resourceVersion`.
    pub revision: i64,
    /// The whole object as JSON, its `resourceVersion` filled in. Shared by every answer.
    pub json: Bytes,
    pub labels: BTreeMap<String, String>,
    pub fields: Fields,
}

impl Stored {
    /// Take in what the store holds under `key`. `None` when it is not an object of this API:
    /// anyone may write anything into a store, and that must not stop the others from being served.
    pub fn read(kind: &Kind, key: &str, revision: i64, value: &[u8]) -> Option<Stored> {
        let value: Value = serde_json::from_slice(value).ok()?;
        let (namespace, name) = crate::keys::split_key(kind.resource, key)?;
        let metadata = &value["metadata"];
        let honest = metadata["name"].as_str() == Some(name)
            && metadata["namespace"].as_str().filter(|n| !n.is_empty()) == namespace;
        honest.then(|| Stored::new(kind, key, revision, value))
    }

    pub fn new(kind: &Kind, key: &str, revision: i64, mut value: Value) -> Stored {
        meta::set_resource_version(&mut value, revision);
        Stored::of(kind, key, revision, value)
    }

    /// An object that would be stored, if its writer did more than try: it has no version.
    pub fn tried(kind: &Kind, key: &str, value: Value) -> Stored {
        Stored::of(kind, key, 0, value)
    }

    fn of(kind: &Kind, key: &str, revision: i64, mut value: Value) -> Stored {
        if kind.custom.is_none() {
            // What was stored before this server wrote them is shown with them too.
            zeros::fill(kind.resource, &mut value);
        }
        Stored {
            key: key.to_string(),
            revision,
            json: encode(&value),
            labels: selection::labels_of(&value),
            fields: kind.fields_of(&value),
        }
    }

    /// The object itself. Parsed anew: most readers only pass the bytes on.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The same state under another revision: what a watcher sees when it is deleted.
    pub fn at_revision(&self, revision: i64) -> Stored {
        let mut value = self.value();
        meta::set_resource_version(&mut value, revision);
        Stored { revision, json: encode(&value), ..self.clone() }
    }
}

pub fn encode(value: &Value) -> Bytes {
    // A `Value` always encodes: its keys are strings and its numbers are finite.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}
