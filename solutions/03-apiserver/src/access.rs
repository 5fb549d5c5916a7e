//! Who is asking, and whether they may. Who somebody is comes from a client certificate (its common
//! name is the user, its organisations are the groups) or from a token ([`crate::tokens`]).
//! Authorisation is one rule for now ([`may_do_all`]): whoever is known may do everything, and
//! everybody else may see that the server is alive and which version it is.

use crate::request::{RequestInfo, ResourcePath, Route};
use crate::status::{ApiError, Reason};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
    /// Tells one bearer of a name from the next; empty where names are never given twice.
    pub uid: String,
    /// What else is known: `authentication.kubernetes.io/pod-name`, say.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub fn anonymous() -> User {
        User {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            ..User::default()
        }
    }

    /// From a verified certificate.
    pub fn authenticated(name: &str, organisations: Vec<String>) -> User {
        let mut groups = organisations;
        groups.push("system:authenticated".into());
        User { name: name.into(), groups, ..User::default() }
    }

    /// As an AdmissionReview, a TokenReview or a SelfSubjectReview shows it (authentication/v1
    /// `UserInfo`).
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("username".into(), json!(self.name));
        if !self.uid.is_empty() {
            out.insert("uid".into(), json!(self.uid));
        }
        if !self.groups.is_empty() {
            out.insert("groups".into(), json!(self.groups));
        }
        if !self.extra.is_empty() {
            out.insert("extra".into(), json!(self.extra));
        }
        Value::Object(out)
    }

    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }
}

/// Paths that say nothing about what the cluster holds.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// The subresource, where there is one: `pods/log`.
fn resource_of(path: &ResourcePath) -> String {
    match &path.subresource {
        Some(subresource) => format!("{}/{subresource}", path.resource),
        None => path.resource.clone(),
    }
}

/// The one rule.
pub fn may_do_all(user: &User) -> bool {
    !user.is_anonymous()
}

pub fn authorize(user: &User, info: &RequestInfo) -> Result<(), ApiError> {
    if may_do_all(user) {
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
                resource_of(path),
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
