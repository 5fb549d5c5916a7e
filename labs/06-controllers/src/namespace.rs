//! Namespace deletion: everything in it goes first, the namespace last.
//!
//! The API server marks a namespace Terminating and keeps it for its finalizer
//! `kubernetes`. This controller deletes whatever discovery lists as namespaced, again and
//! again until nothing is left, shows in conditions what it waits for, and removes the
//! finalizer through the `finalize` subresource.
//!
//! Upstream: `pkg/controller/namespace/deletion`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::jiff::Timestamp;

use crate::pods::whole_seconds;

pub const FINALIZER: &str = "kubernetes";

/// What one pass over the namespace found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Objects left, by resource and group (`pods.`, `deployments.apps`).
    pub remaining: BTreeMap<String, usize>,
    /// Objects left with a finalizer, by finalizer.
    pub finalizers: BTreeMap<String, usize>,
    pub discovery_error: Option<String>,
    pub deletion_error: Option<String>,
}

/// What to do after a pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing to delete here.
    NotTerminating,
    /// All is gone: write these finalizers through `finalize`.
    Finalize(Vec<String>),
    /// Write this status if it is not there yet, and come back.
    Wait(Option<NamespaceStatus>),
}

pub fn is_terminating(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

/// Decides after a pass.
pub fn judge(namespace: &Namespace, content: &Content, now: Timestamp) -> Verdict {
    let _ = (&namespace, &content, &now);
    todo!(
        "lab 06.6: finalize only if nothing is left and every kind could be looked at; else say what is waited for"
    )
}

/// The five conditions that tell a person why a namespace is still there.
pub fn conditions(old: &[NamespaceCondition], content: &Content, now: Timestamp) -> Vec<NamespaceCondition> {
    let mut all = Vec::new();
    let mut push = |type_: &str, bad: Option<(&str, String)>, good: (&str, &str)| {
        let status = if bad.is_some() { "True" } else { "False" };
        let (reason, message) = bad.unwrap_or((good.0, good.1.to_owned()));
        let before = old.iter().find(|c| c.type_ == type_ && c.status == status);
        let since = before.and_then(|condition| condition.last_transition_time.clone());
        all.push(NamespaceCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(since.unwrap_or_else(|| whole_seconds(now))),
        });
    };
    push(
        "NamespaceDeletionDiscoveryFailure",
        content.discovery_error.clone().map(|error| ("DiscoveryFailed", error)),
        ("ResourcesDiscovered", "All resources successfully discovered"),
    );
    push(
        "NamespaceDeletionGroupVersionParsingFailure",
        None,
        ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    );
    push(
        "NamespaceDeletionContentFailure",
        content.deletion_error.clone().map(|error| ("ContentDeletionFailed", error)),
        ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    );
    let list = |counts: &BTreeMap<String, usize>, word: &str| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name}{word} {count} resource instances")).collect();
        parts.join(", ")
    };
    let remaining = (!content.remaining.is_empty())
        .then(|| format!("Some resources are remaining: {}", list(&content.remaining, " has")));
    push(
        "NamespaceContentRemaining",
        remaining.map(|message| ("SomeResourcesRemain", message)),
        ("ContentRemoved", "All content successfully removed"),
    );
    let finalizers = (!content.finalizers.is_empty()).then(|| {
        format!(
            "Some content in the namespace has finalizers remaining: {}",
            list(&content.finalizers, " in")
        )
    });
    push(
        "NamespaceFinalizersRemaining",
        finalizers.map(|message| ("SomeFinalizersRemain", message)),
        ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    );
    all
}
