//! In which form an answer is wanted, and making it: the object, a Table, or the metadata alone.

use crate::convert;
use crate::kind::Kind;
use crate::kinds;
pub use crate::negotiation::View;
use crate::status::ApiError;
use crate::stored::{Stored, encode};
use crate::tables::{self, Include};
use crate::watch_cache::{self, CacheEvent, EventType, Row};
use bytes::Bytes;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// What a list says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMeta {
    pub revision: i64,
    pub continue_token: Option<String>,
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("resourceVersion".into(), json!(self.revision.to_string()));
        if let Some(token) = &self.continue_token {
            out.insert("continue".into(), json!(token));
        }
        if let Some(remaining) = self.remaining {
            out.insert("remainingItemCount".into(), json!(remaining));
        }
        Value::Object(out)
    }
}

/// One object in the form that was asked for.
pub fn object(kind: &Kind, view: View, stored: &Stored, now: Timestamp) -> Bytes {
    match view {
        View::Object if kind.is_shown_as_stored() => stored.json.clone(),
        View::Object => encode(&convert::from_storage(kind.resource, stored.value())),
        View::PartialMetadata => encode(&tables::partial(&stored.value())),
        View::Table(include) => {
            encode(&table(kind, include, &of_object(stored), std::iter::once(stored), now))
        }
    }
}

/// What a Table of one object says about itself.
fn of_object(stored: &Stored) -> Value {
    json!({ "resourceVersion": stored.revision.to_string() })
}

fn table<'s>(
    kind: &Kind,
    include: Include,
    metadata: &Value,
    items: impl Iterator<Item = &'s Stored>,
    now: Timestamp,
) -> Value {
    let rows = items.map(|s| kind.row(&s.value(), include, now)).collect();
    table_of(kind.column_definitions(), rows, metadata)
}

fn table_of(columns: Value, rows: Vec<Value>, metadata: &Value) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// What no store holds, a Scale say, or a list of such: `answer` in the form that was asked for.
pub fn unstored(resource: &Resource, view: View, answer: &Value, now: Timestamp) -> Bytes {
    let list = answer["items"].as_array();
    let items = list.map_or(std::slice::from_ref(answer), Vec::as_slice);
    let mut metadata = Map::new();
    if let Some(version) = answer["metadata"].get("resourceVersion") {
        metadata.insert("resourceVersion".into(), version.clone());
    }
    let metadata = Value::Object(metadata);
    encode(&match view {
        View::Object => answer.clone(),
        View::PartialMetadata if list.is_none() => tables::partial(answer),
        View::PartialMetadata => partial_list(&metadata, items.iter().map(tables::partial).collect()),
        View::Table(include) => {
            let rows = items.iter().map(|item| tables::row(resource, item, include, now)).collect();
            table_of(tables::column_definitions(resource), rows, &metadata)
        }
    })
}

fn partial_list(metadata: &Value, items: Vec<Value>) -> Value {
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "items": items,
    })
}

/// A list. Objects that are passed on as they are are copied, not encoded again.
pub fn list<'s>(
    kind: &Kind,
    view: View,
    meta: &ListMeta,
    items: impl Iterator<Item = &'s Stored>,
    now: Timestamp,
) -> Bytes {
    let metadata = meta.to_value();
    match view {
        View::Table(include) => encode(&table(kind, include, &metadata, items, now)),
        View::PartialMetadata => {
            encode(&partial_list(&metadata, items.map(|s| tables::partial(&s.value())).collect()))
        }
        View::Object => {
            let (name, version) = (kind.list_kind(), kinds::api_version(kind.resource));
            let mut out = format!(
                "{{\"kind\":\"{name}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":["
            )
            .into_bytes();
            for (i, item) in items.enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&object(kind, View::Object, item, now));
            }
            out.extend_from_slice(b"]}\n");
            Bytes::from(out)
        }
    }
}

/// One line of a watch, in the form that was asked for. What several watchers are told is made
/// once. `columns`: of a stream of Tables the first alone says what its columns are.
pub fn watch_line(
    kind: &Kind,
    view: View,
    what: EventType,
    event: &CacheEvent,
    columns: bool,
    now: Timestamp,
) -> Bytes {
    let make = || match event.shown(what) {
        Some(stored) => object_line(kind, view, what, stored, columns, now),
        None => Bytes::new(),
    };
    match view {
        // The cache is of the stored form; another version has lines of its own.
        _ if !kind.is_shown_as_stored() => make(),
        View::Object => event.line(what),
        View::PartialMetadata => event.partial_line(what, make),
        // A custom kind's columns may change.
        View::Table(_) if kind.custom.is_some() => make(),
        View::Table(include) => {
            event.row_line(Row { second: now.as_second(), kind: what, include, columns }, make)
        }
    }
}

/// The line of an object that a watcher has not been told of, or not in this form.
pub fn object_line(
    kind: &Kind,
    view: View,
    what: EventType,
    stored: &Stored,
    columns: bool,
    now: Timestamp,
) -> Bytes {
    let shown = match view {
        View::Table(include) if !columns => {
            let mut table = table(kind, include, &of_object(stored), std::iter::once(stored), now);
            table["columnDefinitions"] = Value::Null;
            encode(&table)
        }
        view => object(kind, view, stored, now),
    };
    watch_cache::line(what.as_str(), &shown)
}

/// A line that says how far the watch has come, and with `initial_done` that everything which was
/// there at the start has been sent.
pub fn bookmark(resource: &Resource, view: View, revision: i64, initial_done: bool) -> Bytes {
    let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
    if initial_done {
        metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    let object = match view {
        View::Object => {
            json!({ "kind": resource.kind, "apiVersion": kinds::api_version(resource), "metadata": metadata })
        }
        View::PartialMetadata => {
            json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
        }
        View::Table(_) => json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": { "resourceVersion": revision.to_string() },
            "columnDefinitions": null,
            "rows": [{ "cells": null, "object": { "kind": resource.kind, "apiVersion": kinds::api_version(resource), "metadata": metadata } }],
        }),
    };
    watch_cache::line("BOOKMARK", &encode(&object))
}

/// The line that ends a watch which cannot go on.
pub fn error_line(error: &ApiError) -> Bytes {
    watch_cache::line("ERROR", &encode(&error.to_status()))
}
