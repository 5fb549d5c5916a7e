//! Kinds that are questions: who creates one is answered at once, and nothing is stored
//! (authentication.k8s.io/v1 and authorization.k8s.io/v1).

use crate::access::{self, User};
use crate::fields::Errors;
use crate::meta;
use crate::status::ApiError;
use crate::tokens;
use objects::resources::Resource;
use serde_json::{Value, json};

/// What a token turned out to be: whose, and for which audiences; or why it is none.
pub type TokenVerdict = Result<(User, Vec<String>), String>;

/// Answer a question that `user` asks. `authenticate` looks at a token for a TokenReview.
pub fn answer(
    user: &User,
    resource: &Resource,
    namespace: Option<&str>,
    mut question: Value,
    authenticate: impl FnOnce(&str, &[String]) -> TokenVerdict,
) -> Result<Value, ApiError> {
    let spec = question["spec"].clone();
    let status = match resource.kind {
        "SelfSubjectReview" => json!({ "userInfo": user.to_value() }),
        "TokenReview" => token_review(resource, &spec, authenticate)?,
        "SelfSubjectRulesReview" if meta::text(&spec, &["namespace"]).is_empty() => {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        "SelfSubjectRulesReview" => rules(user),
        "SelfSubjectAccessReview" => {
            verdict(about(resource, &spec, namespace, false).map(|()| user.clone())?)
        }
        _ => verdict(about(resource, &spec, namespace, true).map(|()| subject(&spec))?),
    };
    let map = meta::as_map(&mut question);
    map.insert("status".into(), status);
    map.entry("metadata").or_insert_with(|| json!({}));
    match resource.kind {
        "SelfSubjectReview" => _ = map.shift_remove("spec"),
        // Answered with an object of its own (upstream: `selfsubjectrulesreview/rest.go`).
        "SelfSubjectRulesReview" => _ = map.insert("spec".into(), json!({})),
        _ => {}
    }
    let version = crate::kinds::api_version(resource);
    Ok(meta::in_order(question, resource.kind, &version))
}

fn verdict(subject: User) -> Value {
    match access::may_do_all(&subject) {
        true => json!({ "allowed": true }),
        false => json!({ "allowed": false, "reason": "anonymous" }),
    }
}

fn rules(user: &User) -> Value {
    let (resources, urls) = match access::may_do_all(user) {
        true => (
            json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]),
            json!([{ "verbs": ["*"], "nonResourceURLs": ["*"] }]),
        ),
        false => (
            json!([]),
            json!([{ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version"] }]),
        ),
    };
    json!({ "resourceRules": resources, "nonResourceRules": urls, "incomplete": false })
}

/// Whom a SubjectAccessReview is about.
fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten();
    let groups: Vec<String> = groups.filter_map(|g| g.as_str().map(str::to_string)).collect();
    let name = spec["user"].as_str().filter(|name| !name.is_empty());
    match name {
        Some(name) => User { name: name.into(), groups, ..User::default() },
        // Groups without a name: somebody, whoever it is.
        None => User { groups, ..User::default() },
    }
}

/// A question must be about one thing, and about somebody.
fn about(
    resource: &Resource,
    spec: &Value,
    namespace: Option<&str>,
    of_others: bool,
) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    let (asked, url) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match (asked.is_null(), url.is_null()) {
        (false, false) => {
            let why = "cannot be specified in combination with resourceAttributes";
            errors.invalid("spec.nonResourceAttributes", url, why);
        }
        (true, true) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid("spec.resourceAttributes", url, why);
        }
        _ => {}
    }
    let nobody = meta::text(spec, &["user"]).is_empty()
        && spec["groups"].as_array().is_none_or(|groups| groups.is_empty());
    if of_others && nobody {
        errors.invalid("spec.user", &json!(""), "at least one of user or group must be specified");
    }
    if resource.namespaced {
        let of = meta::text(asked, &["namespace"]);
        if !asked.is_null() && Some(of) != namespace {
            let why = "must match metadata.namespace";
            errors.invalid("spec.resourceAttributes.namespace", &json!(of), why);
        }
        if !url.is_null() {
            errors.invalid("spec.nonResourceAttributes", url, "disallowed on this kind of request");
        }
    }
    // Upstream reads the kind from the object, where it is forgotten by then: the message names none.
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.into_error(resource.group, "", "")),
    }
}

fn token_review(
    resource: &Resource,
    spec: &Value,
    authenticate: impl FnOnce(&str, &[String]) -> TokenVerdict,
) -> Result<Value, ApiError> {
    let token = meta::text(spec, &["token"]);
    if token.is_empty() {
        return Err(ApiError::bad_request(format!(
            "token is required for {} in authentication",
            resource.kind
        )));
    }
    let audiences = spec["audiences"].as_array().into_iter().flatten();
    let audiences: Vec<String> = audiences.filter_map(|a| a.as_str().map(str::to_string)).collect();
    Ok(match authenticate(token, &audiences) {
        Ok((user, audiences)) => {
            json!({ "authenticated": true, "user": user.to_value(), "audiences": audiences })
        }
        Err(why) if why == tokens::JUNK => json!({ "user": {}, "error": why }),
        Err(why) => json!({ "user": {}, "error": format!("[{}, {why}]", tokens::JUNK) }),
    })
}
