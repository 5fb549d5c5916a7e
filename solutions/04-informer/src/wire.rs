//! The bytes of a watch: one JSON object a line, `{"type":"ADDED","object":{…}}`, for as
//! long as the connection lives. A network packet ends wherever it likes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// A line may hold one object of the largest size that etcd stores, and room to spare.
pub const MAX_LINE: usize = 16 << 20;

/// A line that grew beyond the bound: the watch must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a watch event is longer than {limit} bytes")]
pub struct LineTooLong {
    pub limit: usize,
}

/// Cuts a byte stream into lines. Call [`push`](Lines::push) with what came, then
/// [`next_line`](Lines::next_line) until it has none.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the unread part of the buffer starts.
    start: usize,
    /// Up to here no end of line was found, so no byte is searched twice.
    searched: usize,
    // lab:given
    limit: usize,
}

impl Lines {
    pub fn new(limit: usize) -> Lines {
        Lines { buffer: Vec::new(), start: 0, searched: 0, limit }
    }

    /// Forgets what was read, keeps what is unfinished, appends what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line, without its end. Empty lines are no lines.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        // lab:begin 04.1 find the next line's end; refuse a line that exceeds the limit
        loop {
            let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|offset| self.searched + offset) else {
                self.searched = self.buffer.len();
                let unfinished = self.buffer.len() - self.start;
                let limit = self.limit;
                return if unfinished > limit { Err(LineTooLong { limit }) } else { Ok(None) };
            };
            let start = std::mem::replace(&mut self.start, end + 1);
            self.searched = end + 1;
            if end - start > self.limit {
                return Err(LineTooLong { limit: self.limit });
            }
            let stop = if self.buffer[start..end].ends_with(b"\r") { end - 1 } else { end };
            if start < stop {
                return Ok(Some(&self.buffer[start..stop]));
            }
        }
        // lab:end
    }
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<K> {
    Added(K),
    Modified(K),
    /// The object as it was when it went, with the version of its going.
    Deleted(K),
    /// Nothing happened to what this watch selects, up to this version.
    Bookmark {
        resource_version: String,
        initial_events_end: bool,
    },
    /// The watch ends with this reason; 410 means that its start is too old.
    Error(Box<Status>),
}

/// Reads one line of a watch.
pub fn decode<K: DeserializeOwned>(line: &[u8]) -> Result<WatchEvent<K>, serde_json::Error> {
    serde_json::from_slice(line)
}

/// All that a bookmark's object holds, whatever its kind would need besides.
#[derive(Default, Deserialize)]
struct OnlyMeta {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for WatchEvent<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor(PhantomData))
    }
}

struct EventVisitor<K>(PhantomData<K>);

impl<'de, K: DeserializeOwned> Visitor<'de> for EventVisitor<K> {
    type Value = WatchEvent<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event with a type and an object")
    }

    /// The type comes first in practice, and then the object is read straight into its own
    /// type; a server that sends it last costs a detour over a dynamic value.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut event, mut early) = (None::<String>, None, None::<Value>);
        while let Some(name) = map.next_key::<String>()? {
            match (name.as_str(), kind.as_deref()) {
                ("type", _) => kind = Some(map.next_value()?),
                ("object", None) => early = Some(map.next_value()?),
                ("object", Some("ADDED")) => event = Some(WatchEvent::Added(map.next_value()?)),
                ("object", Some("MODIFIED")) => {
                    event = Some(WatchEvent::Modified(map.next_value()?));
                }
                ("object", Some("DELETED")) => event = Some(WatchEvent::Deleted(map.next_value()?)),
                ("object", Some("BOOKMARK")) => event = Some(bookmark(map.next_value()?)),
                ("object", Some("ERROR")) => {
                    event = Some(WatchEvent::Error(Box::new(map.next_value()?)));
                }
                ("object", Some(other)) => {
                    return Err(A::Error::custom(format!("unknown watch event type {other:?}")));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (event, kind, early) {
            (Some(event), _, _) => Ok(event),
            (None, Some(kind), Some(object)) => from_value(&kind, object).map_err(A::Error::custom),
            _ => Err(A::Error::custom("a watch event needs a type and an object")),
        }
    }
}

fn from_value<K: DeserializeOwned>(kind: &str, object: Value) -> serde_json::Result<WatchEvent<K>> {
    Ok(match kind {
        "ADDED" => WatchEvent::Added(serde_json::from_value(object)?),
        "MODIFIED" => WatchEvent::Modified(serde_json::from_value(object)?),
        "DELETED" => WatchEvent::Deleted(serde_json::from_value(object)?),
        "BOOKMARK" => bookmark(serde_json::from_value(object)?),
        "ERROR" => WatchEvent::Error(Box::new(serde_json::from_value(object)?)),
        other => {
            return Err(serde_json::Error::custom(format!("unknown watch event type {other:?}")));
        }
    })
}

fn bookmark<K>(object: OnlyMeta) -> WatchEvent<K> {
    let end = objects::meta::annotation(&object.metadata, "k8s.io/initial-events-end");
    WatchEvent::Bookmark {
        initial_events_end: end == Some("true"),
        resource_version: object.metadata.resource_version.unwrap_or_default(),
    }
}
