//! What a part of an object was before an update: the other side of ratcheting and of `oldSelf`
//! (upstream: `apiserver/pkg/cel/common/equality.go`).

use super::schema::Schema;
use serde_json::Value;

/// The earlier value of the part that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Old<'a> {
    At(&'a Value),
    /// Nothing to compare with: a create, a new field, or an item of a list that has no keys.
    Nothing,
}

impl<'a> Old<'a> {
    pub fn value(self) -> Option<&'a Value> {
        match self {
            Old::At(value) => Some(value),
            Old::Nothing => None,
        }
    }

    pub fn is_same(self, now: &Value) -> bool {
        self.value() == Some(now)
    }

    /// What stood under this key.
    pub fn key(self, key: &str) -> Old<'a> {
        self.value().and_then(|old| old.get(key)).map_or(Old::Nothing, Old::At)
    }

    /// What this item was: only in a list whose items have keys does an item stay itself when
    /// others come and go.
    pub fn item(self, list: &Schema, item: &Value) -> Old<'a> {
        if list.list_type != "map" || list.list_map_keys.is_empty() {
            return Old::Nothing;
        }
        let same = |other: &&Value| list.list_map_keys.iter().all(|key| other.get(key) == item.get(key));
        let old = self.value().and_then(Value::as_array);
        old.and_then(|items| items.iter().find(same)).map_or(Old::Nothing, Old::At)
    }
}
