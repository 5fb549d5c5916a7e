//! Who is asking, and whether they may. Authentication is a client certificate: its common name
//! is the user, its organisations are the groups. Authorisation is one rule for now: whoever has
//! a certificate may do everything, and everybody else may see that the server is alive and
//! which version it is. RBAC replaces `authorize` later, and nothing else.

use crate::request::{RequestInfo, Route};
use crate::status::{ApiError, Reason};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    pub fn anonymous() -> User {
        User { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()] }
    }

    /// From a verified certificate.
    pub fn authenticated(name: &str, organisations: Vec<String>) -> User {
        let mut groups = organisations;
        groups.push("system:authenticated".into());
        User { name: name.into(), groups }
    }

    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }
}

/// Paths that say nothing about what the cluster holds.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

pub fn authorize(user: &User, info: &RequestInfo) -> Result<(), ApiError> {
    if !user.is_anonymous() {
        return Ok(());
    }
    match &info.route {
        Route::Plain(path) => {
            let path = path.trim_end_matches('/');
            let public =
                PUBLIC.iter().any(|p| path == *p || path.strip_prefix(p).is_some_and(|r| r.starts_with('/')));
            if public {
                return Ok(());
            }
            let message = format!("forbidden: User \"{}\" cannot get path \"{path}\"", user.name);
            Err(ApiError::new(Reason::Forbidden, message).with(|_| {}))
        }
        Route::Resource(path) => {
            let what = if path.group.is_empty() {
                path.resource.clone()
            } else {
                format!("{}.{}", path.resource, path.group)
            };
            let name = path.name.as_deref().map(|n| format!(" \"{n}\"")).unwrap_or_default();
            let place = match &path.namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".into(),
            };
            let message = format!(
                "{what}{name} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
                user.name,
                info.verb.as_str(),
                path.resource,
                path.group,
            );
            Err(ApiError::new(Reason::Forbidden, message).with(|d| {
                d.name = path.name.clone().unwrap_or_default();
                d.group = path.group.clone();
                d.kind = path.resource.clone();
            }))
        }
    }
}

/// Kinds that are questions: a POST is answered at once, and nothing is stored.
pub fn is_question(group: &str, resource: &str) -> bool {
    matches!(
        (group, resource),
        (
            "authorization.k8s.io",
            "selfsubjectaccessreviews" | "selfsubjectrulesreviews" | "subjectaccessreviews"
        ) | ("authentication.k8s.io", "selfsubjectreviews")
    )
}

/// Answer a question about access, or about oneself.
pub fn answer(user: &User, resource: &str, question: &Value) -> Value {
    let allowed = |name: &str| name != "system:anonymous";
    let verdict = |may: bool| {
        let reason = if may { "every authenticated user may do everything" } else { "anonymous" };
        json!({ "allowed": may, "reason": reason })
    };
    let (kind, status) = match resource {
        "selfsubjectreviews" => {
            return json!({
                "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                "status": { "userInfo": { "username": user.name, "groups": user.groups } },
            });
        }
        "selfsubjectrulesreviews" => (
            "SelfSubjectRulesReview",
            json!({
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
                "incomplete": false,
            }),
        ),
        "subjectaccessreviews" => {
            let subject = question["spec"]["user"].as_str().unwrap_or("system:anonymous");
            ("SubjectAccessReview", verdict(allowed(subject)))
        }
        _ => ("SelfSubjectAccessReview", verdict(allowed(&user.name))),
    };
    json!({
        "kind": kind, "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": question["spec"], "status": status,
    })
}
