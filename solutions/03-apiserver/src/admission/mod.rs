//! What others have to say about a write before it is stored.
//!
//! ```text
//!  the object, defaulted ──► built-in changes ──► mutating webhooks, one after the other
//!                                                     │  (those that ask for it again, if one
//!                                                     ▼   behind them changed something)
//!  the store ◄── validating webhooks, all at once ◄── policies ◄── defaults, validation
//! ```
//!
//! * [`rules`]: whether a webhook or a policy is about this write.
//! * [`webhook`]: what a configuration says, and which of its webhooks are to be asked.
//! * [`review`]: the question, and what an answer means.
//! * [`policy`]: ValidatingAdmissionPolicies, which are asked in this process.
//! * [`builtin`], [`limits`], [`quota`], [`account`], [`pod_security`]: what every cluster does without
//!   being told.
//!
//! Nothing here waits: the shell sends the questions.
//!
//! ## What is left out, and where to read it
//! * StorageObjectInUseProtection and PersistentVolumeClaimResize, of the plugins that upstream has on by
//!   default (`pkg/kubeapiserver/options/plugins.go`). DefaultTolerationSeconds is with the defaults of
//!   pods.
//! * Reviews of v1beta1, client certificates for webhooks, and audit: what webhooks and policies want
//!   noted there is dropped.
//! * Policies are not checked against the schemas of the kinds that they are about: a field that
//!   does not exist is found out when the policy is evaluated.

pub mod account;
pub mod builtin;
pub mod limits;
pub mod pod_security;
pub mod policy;
pub mod quota;
pub mod review;
pub mod rules;
pub mod webhook;

use crate::access::User;
use crate::kind::Kind;
use crate::status::ApiError;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As an AdmissionReview spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// One write, as admission sees it (upstream: `admission.Attributes`).
#[derive(Debug, Clone)]
pub struct Attributes {
    pub user: User,
    pub operation: Operation,
    /// As it was asked for.
    pub kind: Kind,
    pub namespace: Option<String>,
    /// Empty when the server is to make a name.
    pub name: String,
    /// Empty for the object itself.
    pub subresource: String,
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions or DeleteOptions as an object with kind and apiVersion.
    pub options: Value,
}

impl Attributes {
    /// What decides about others' writes is not decided by them: nobody could mend it otherwise
    /// (upstream: `rules.IsExemptAdmissionConfigurationResource`).
    pub fn is_exempt(&self) -> bool {
        let resource = self.kind.resource;
        resource.group == "admissionregistration.k8s.io"
            && matches!(
                resource.kind,
                "ValidatingWebhookConfiguration"
                    | "MutatingWebhookConfiguration"
                    | "ValidatingAdmissionPolicy"
                    | "ValidatingAdmissionPolicyBinding"
            )
    }

    /// The object's name for a message; one that is being made may only have the beginning of one.
    fn shown_name(&self, object: Option<&Value>) -> String {
        let generated =
            || object.map(|o| crate::meta::text(o, &["metadata", "generateName"])).unwrap_or_default();
        if self.name.is_empty() { generated().to_string() } else { self.name.clone() }
    }

    /// A refusal in the server's own name (upstream: `admission.NewForbidden`).
    pub fn forbidden(&self, object: Option<&Value>, why: &str) -> ApiError {
        ApiError::forbidden(self.kind.resource, &self.shown_name(object), why)
    }

    /// The request as webhooks and policies see it, matched as `matched`. Without uid and objects.
    fn request(&self, matched: &Kind) -> Value {
        let (resource, own) = (matched.resource, self.kind.resource);
        let kind_of = |kind: &Kind| {
            let (group, version, kind) = body_kind(kind, &self.subresource);
            json!({ "group": group, "version": version, "kind": kind })
        };
        let mut request = json!({
            "kind": kind_of(matched),
            "resource": { "group": resource.group, "version": resource.version, "resource": resource.plural },
            "requestKind": kind_of(&self.kind),
            "requestResource": { "group": own.group, "version": own.version, "resource": own.plural },
        });
        if !self.subresource.is_empty() {
            request["subResource"] = json!(self.subresource);
            request["requestSubResource"] = json!(self.subresource);
        }
        if !self.name.is_empty() {
            request["name"] = json!(self.name);
        }
        // A Namespace is said to be in itself.
        let namespace = match (own.group, own.kind) {
            ("", "Namespace") => Some(self.name.as_str()).filter(|name| !name.is_empty()),
            _ => self.namespace.as_deref(),
        };
        if let Some(namespace) = namespace {
            request["namespace"] = json!(namespace);
        }
        request["operation"] = json!(self.operation.as_str());
        request["userInfo"] = self.user.to_value();
        request["dryRun"] = json!(self.dry_run);
        request["options"] = self.options.clone();
        request
    }
}

/// The kind of a request's bodies: a subresource may have one of its own.
fn body_kind<'k>(kind: &'k Kind, subresource: &str) -> (&'k str, &'k str, &'k str) {
    let own = kind.resource.subresource(subresource);
    own.map_or((kind.resource.group, kind.resource.version, kind.resource.kind), |s| {
        (s.group, s.version, s.kind)
    })
}
