//! Delete: at once, gracefully, or when the last finalizer is done
//! (upstream: `apiserver/pkg/registry/rest/delete.go`, `registry/generic/registry/store.go`).

pub use crate::delete_options::{DeleteOptions, Propagation};
use crate::kinds;
use crate::meta::{self, map_at};
use crate::status::ApiError;
use jiff::{SignedDuration, Timestamp};
use objects::resources::Resource;
use serde_json::{Value, json};

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
    let grace = grace_seconds(resource, object, options);
    // Once it has begun, a graceful delete is only hurried: its policy stays what it was.
    let given = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if meta::is_deleting(object) && given > 0 && grace == given {
        return Ok(Deletion::Pending);
    }
    let mut marked = object.clone();
    meta::set_finalizers(&mut marked, &finalizers_for(resource, object, options.propagation));
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
    let (name, stored) = (meta::name(object), revision.to_string());
    let checks = [
        ("UID", options.uid.as_deref(), meta::uid(object), "deleted and then recreated"),
        ("ResourceVersion", options.resource_version.as_deref(), stored.as_str(), "modified"),
    ];
    for (what, sent, stored, else_) in checks {
        let Some(sent) = sent.filter(|sent| *sent != stored) else { continue };
        if resource.kind == "Namespace" {
            return Err(ApiError::precondition(resource, name, what, sent, stored));
        }
        // This message alone names the kind where others name the resource.
        let kind = Resource { plural: resource.kind, ..*resource };
        let why = format!(
            "the {what} in the precondition ({sent}) does not match the {what} in record ({stored}). \
             The object might have been {else_}"
        );
        return Err(ApiError::conflict(&kind, name, &why));
    }
    Ok(())
}

/// The garbage collector's two finalizers follow the policy; the others stay. Where a request has
/// none, what the object says of itself holds, and then the kind's own policy.
fn finalizers_for(resource: &Resource, object: &Value, policy: Option<Propagation>) -> Vec<String> {
    let mut list = meta::finalizers(object);
    let of_collector = |f: &String| f == "foregroundDeletion" || f == "orphan";
    let orphans = kinds::facts(resource).orphans && !list.iter().any(of_collector);
    let Some(policy) = policy.or(orphans.then_some(Propagation::Orphan)) else { return list };
    list.retain(|f| !of_collector(f));
    match policy {
        Propagation::Background => {}
        Propagation::Foreground => list.push("foregroundDeletion".into()),
        Propagation::Orphan => list.push("orphan".into()),
    }
    list
}

/// What a client is told who deletes a job and says nothing of its pods.
pub fn warning(resource: &Resource, options: &DeleteOptions) -> Option<&'static str> {
    let surprised = (resource.group, resource.kind) == ("batch", "Job") && options.propagation.is_none();
    surprised.then_some(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
         remove them or set propagationPolicy=Orphan to suppress this warning",
    )
}

/// How many seconds the object may take to go. Only pods take time, and only those that a kubelet
/// runs: no node yet, or nothing running any more, and there is nobody to wait for. The request
/// says how long, else the pod does, else it is 30; a negative number means 1. A pod that is going
/// already may be given less by a second request, never more, and one that names no time changes
/// nothing.
fn grace_seconds(resource: &Resource, object: &Value, options: &DeleteOptions) -> i64 {
    // lab:begin 03.3 whose death takes time; how long was asked for; what was promised before
    if (resource.group, resource.kind) != ("", "Pod") {
        return 0;
    }
    let unscheduled = meta::text(object, &["spec", "nodeName"]).is_empty();
    let finished = ["Succeeded", "Failed"].contains(&meta::text(object, &["status", "phase"]));
    if unscheduled || finished {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let wanted = options.grace_seconds.unwrap_or(own);
    let wanted = if wanted < 0 { 1 } else { wanted };
    // A second delete may shorten what is left, never lengthen it.
    match object["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        Some(given) if options.grace_seconds.is_none() => given,
        Some(given) => wanted.min(given),
        None => wanted,
    }
    // lab:end
}

fn mark(resource: &Resource, object: &mut Value, grace: i64, now: Timestamp) {
    let already = meta::is_deleting(object);
    let given = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let generation = object["metadata"]["generation"].as_i64();
    let metadata = map_at(object, "metadata");
    if !already || given.unwrap_or(0) != grace {
        // The moment at which patience ends, counted from the first request.
        let started = metadata
            .get("deletionTimestamp")
            .and_then(Value::as_str)
            .and_then(|t| t.parse::<Timestamp>().ok())
            .and_then(|t| t.checked_sub(SignedDuration::from_secs(given.unwrap_or(0))).ok())
            .unwrap_or(now);
        let end = started.checked_add(SignedDuration::from_secs(grace)).unwrap_or(started);
        metadata.insert("deletionTimestamp".into(), json!(meta::time(end)));
        // A namespace takes as long as it takes.
        if resource.kind != "Namespace" {
            metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
        }
    }
    if !already && let Some(generation) = generation.filter(|g| *g > 0) {
        metadata.insert("generation".into(), json!(generation + 1));
    }
    if resource.kind == "Namespace" {
        map_at(object, "status").insert("phase".into(), json!("Terminating"));
    }
}
