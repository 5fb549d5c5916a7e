//! In which form an answer is wanted, and making it: the object, a Table, or the metadata alone.

use crate::convert;
use crate::kinds;
use crate::query::Query;
use crate::status::{ApiError, Reason};
use crate::stored::{Stored, encode};
use crate::tables::{self, Include};
use crate::watch_cache::{self, CacheEvent, EventType};
use bytes::Bytes;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Object,
    Table(Include),
    PartialMetadata,
}

impl View {
    /// Choose by the `Accept` header, in the order in which it names things.
    pub fn negotiate(accept: &str, query: &Query) -> Result<View, ApiError> {
        if accept.trim().is_empty() {
            return Ok(View::Object);
        }
        for offer in accept.split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
            let get = |key: &str| parameters.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
            if !matches!(media, "application/json" | "*/*" | "application/*" | "text/*" | "text/plain") {
                continue;
            }
            match (get("as"), get("v")) {
                (None, _) => return Ok(View::Object),
                (Some("Table"), Some("v1")) => {
                    let include = match query.get("includeObject").unwrap_or("") {
                        "None" => Include::Nothing,
                        "Object" => Include::Object,
                        _ => Include::Metadata,
                    };
                    return Ok(View::Table(include));
                }
                (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => {
                    return Ok(View::PartialMetadata);
                }
                _ => {}
            }
        }
        let message = "only the following media types are accepted: application/json";
        Err(ApiError::new(Reason::NotAcceptable, message))
    }
}

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
pub fn object(resource: &Resource, view: View, stored: &Stored, now: Timestamp) -> Bytes {
    match view {
        View::Object if convert::is_identity(resource) => stored.json.clone(),
        View::Object => encode(&convert::from_storage(resource, stored.value())),
        View::PartialMetadata => encode(&tables::partial(&stored.value())),
        View::Table(include) => encode(&table(
            resource,
            include,
            &json!({ "resourceVersion": stored.revision.to_string() }),
            std::iter::once(stored),
            now,
        )),
    }
}

fn table<'s>(
    resource: &Resource,
    include: Include,
    metadata: &Value,
    items: impl Iterator<Item = &'s Stored>,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = items.map(|s| tables::row(resource, &s.value(), include, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": tables::column_definitions(resource),
        "rows": rows,
    })
}

/// A list. Objects that are passed on as they are are copied, not encoded again.
pub fn list<'s>(
    resource: &Resource,
    view: View,
    meta: &ListMeta,
    items: impl Iterator<Item = &'s Stored>,
    now: Timestamp,
) -> Bytes {
    let metadata = meta.to_value();
    match view {
        View::Table(include) => encode(&table(resource, include, &metadata, items, now)),
        View::PartialMetadata => {
            let items: Vec<Value> = items.map(|s| tables::partial(&s.value())).collect();
            encode(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": items,
            }))
        }
        View::Object => {
            let (kind, version) = (resource.kind, kinds::api_version(resource));
            let mut out = format!(
                "{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":["
            )
            .into_bytes();
            for (i, item) in items.enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&object(resource, View::Object, item, now));
            }
            out.extend_from_slice(b"]}\n");
            Bytes::from(out)
        }
    }
}

/// One line of a watch, in the form that was asked for.
pub fn watch_line(
    resource: &Resource,
    view: View,
    kind: EventType,
    event: &CacheEvent,
    now: Timestamp,
) -> Bytes {
    if view == View::Object && convert::is_identity(resource) {
        return event.line(kind);
    }
    match event.shown(kind) {
        Some(stored) => watch_cache::line(kind.as_str(), &object(resource, view, stored, now)),
        None => Bytes::new(),
    }
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
