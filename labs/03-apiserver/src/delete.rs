//! Delete: at once, gracefully, or when the last finalizer is done
//! (upstream: `apiserver/pkg/registry/rest/delete.go`, `registry/generic/registry/store.go`).

use crate::meta::{self, map_at};
use crate::query::Query;
use crate::status::ApiError;
use jiff::{SignedDuration, Timestamp};
use objects::resources::Resource;
use serde_json::{Value, json};

/// What happens to the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
    /// They stay.
    Orphan,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Preconditions: delete only this very object, in this very state.
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Options come in a body, in the query, or not at all; the body wins.
    pub fn parse(body: &Value, query: &Query) -> Result<DeleteOptions, ApiError> {
        let text = |v: &Value| v.as_str().map(str::to_string);
        let propagation = match text(&body["propagationPolicy"])
            .or_else(|| query.get("propagationPolicy").map(str::to_string))
            .as_deref()
        {
            None | Some("") => match (&body["orphanDependents"], query.get("orphanDependents")) {
                (Value::Bool(true), _) | (Value::Null, Some("true")) => Some(Propagation::Orphan),
                (Value::Bool(false), _) | (Value::Null, Some("false")) => Some(Propagation::Background),
                _ => None,
            },
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
                )));
            }
        };
        let dry_body = body["dryRun"].as_array().into_iter().flatten().any(|v| v == "All");
        Ok(DeleteOptions {
            grace_seconds: body["gracePeriodSeconds"].as_i64().or(query.number("gracePeriodSeconds")?),
            propagation,
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            dry_run: dry_body || query.all("dryRun").any(|v| v == "All"),
        })
    }
}

/// What a delete does to the stored object.
#[derive(Debug, Clone, PartialEq)]
pub enum Deletion {
    /// It goes now.
    Remove,
    /// It is marked: others (the kubelet, a finalizer's controller) finish the work.
    Mark(Value),
    /// It was marked before, and this request changes nothing.
    Pending,
}

/// Decide what a delete of `object` (stored at `revision`) does at `now`.
pub fn prepare_delete(
    resource: &Resource,
    object: &Value,
    revision: i64,
    options: &DeleteOptions,
    now: Timestamp,
) -> Result<Deletion, ApiError> {
    check_preconditions(resource, object, revision, options)?;
    if resource.kind == "Namespace" {
        let name = meta::name(object);
        if ["default", "kube-system", "kube-public"].contains(&name) {
            return Err(ApiError::forbidden(resource, name, "this namespace may not be deleted"));
        }
    }
    let mut marked = object.clone();
    meta::set_finalizers(&mut marked, &finalizers_for(object, options.propagation));
    let grace = grace_seconds(resource, object, options);
    let held = !meta::finalizers(&marked).is_empty()
        || (resource.kind == "Namespace"
            && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty()));
    if grace == 0 && !held {
        return Ok(Deletion::Remove);
    }
    mark(resource, &mut marked, grace, now);
    Ok(if &marked == object { Deletion::Pending } else { Deletion::Mark(marked) })
}

fn check_preconditions(
    resource: &Resource,
    object: &Value,
    revision: i64,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let name = meta::name(object);
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != meta::uid(object)) {
        return Err(ApiError::precondition(resource, name, "UID", uid, meta::uid(object)));
    }
    let stored = revision.to_string();
    if let Some(sent) = options.resource_version.as_deref().filter(|sent| *sent != stored) {
        return Err(ApiError::precondition(resource, name, "ResourceVersion", sent, &stored));
    }
    Ok(())
}

/// The garbage collector's two finalizers follow the policy; the others stay.
fn finalizers_for(object: &Value, policy: Option<Propagation>) -> Vec<String> {
    let mut list = meta::finalizers(object);
    let Some(policy) = policy else { return list };
    list.retain(|f| f != "foregroundDeletion" && f != "orphan");
    match policy {
        Propagation::Background => {}
        Propagation::Foreground => list.push("foregroundDeletion".into()),
        Propagation::Orphan => list.push("orphan".into()),
    }
    list
}

/// How many seconds the object may take to go. Only pods take time, and only those that a kubelet
/// runs: no node yet, or nothing running any more, and there is nobody to wait for. The request
/// says how long, else the pod does, else it is 30; a negative number means 1. A pod that is going
/// already may be given less by a second request, never more, and one that names no time changes
/// nothing.
fn grace_seconds(resource: &Resource, object: &Value, options: &DeleteOptions) -> i64 {
    let _ = (&resource, &object, &options);
    todo!("lab 03.3: whose death takes time; how long was asked for; what was promised before")
}

fn mark(resource: &Resource, object: &mut Value, grace: i64, now: Timestamp) {
    let already = meta::is_deleting(object);
    let given = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let generation = object["metadata"]["generation"].as_i64();
    let metadata = map_at(object, "metadata");
    if !already || given != Some(grace) {
        // The moment at which patience ends, counted from the first request.
        let started = metadata
            .get("deletionTimestamp")
            .and_then(Value::as_str)
            .and_then(|t| t.parse::<Timestamp>().ok())
            .and_then(|t| t.checked_sub(SignedDuration::from_secs(given.unwrap_or(0))).ok())
            .unwrap_or(now);
        let end = started.checked_add(SignedDuration::from_secs(grace)).unwrap_or(started);
        metadata.insert("deletionTimestamp".into(), json!(meta::time(end)));
        metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
    }
    if !already && let Some(generation) = generation.filter(|g| *g > 0) {
        metadata.insert("generation".into(), json!(generation + 1));
    }
    if resource.kind == "Namespace" {
        map_at(object, "status").insert("phase".into(), json!("Terminating"));
    }
}
