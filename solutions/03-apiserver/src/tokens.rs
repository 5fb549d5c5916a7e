//! Tokens of service accounts: what is written into one, and what it is worth when it comes back
//! (KEP-1205, RFC 7519; upstream: `pkg/serviceaccount/claims.go`). Signing is the shell's: here a
//! token is its claims.

use crate::access::User;
use crate::fields::Errors;
use crate::meta;
use crate::status::{ApiError, Reason};
use objects::resources::Resource;
use serde_json::{Value, json};

/// A request that names no time gets an hour.
const DEFAULT_SECONDS: i64 = 3600;
/// Shorter than this cannot be asked for.
const LEAST_SECONDS: i64 = 600;
/// What a token keeps being worth after its pod began to go.
const AFTER_DELETION_SECONDS: i64 = 60;

/// What the cluster says of its tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// `--service-account-issuer`: a URL that names the cluster.
    pub name: String,
    /// Whom a token speaks to when nobody is named: this server.
    pub audiences: Vec<String>,
}

/// A TokenRequest, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub audiences: Vec<String>,
    pub seconds: i64,
    pub bound: Option<Bound>,
}

/// The object with which a token ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub kind: String,
    pub name: String,
    /// Empty if the request does not say.
    pub uid: String,
}

impl Request {
    /// Read the body of `serviceaccounts/NAME/token`, which is a TokenRequest.
    pub fn parse(issuer: &Issuer, account: &Value, body: &Value) -> Result<Request, ApiError> {
        let spec = &body["spec"];
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        let mut errors = Errors::default();
        for key in ["name", "namespace"] {
            let sent = &body["metadata"][key];
            if sent.as_str().is_some_and(|sent| !sent.is_empty()) && *sent != account["metadata"][key] {
                let why = format!("must match the service account {key} if specified");
                errors.invalid(&format!("metadata.{key}"), sent, why);
                return Err(errors.into_error("authentication.k8s.io", "TokenRequest", meta::name(account)));
            }
        }
        let at = "spec.expirationSeconds";
        if seconds < LEAST_SECONDS {
            errors.invalid(at, &json!(seconds), "may not specify a duration less than 10 minutes");
        } else if seconds > 1 << 32 {
            errors.invalid(at, &json!(seconds), "may not specify a duration larger than 2^32 seconds");
        }
        let bound = &spec["boundObjectRef"];
        let bound = (!bound.is_null()).then(|| Bound {
            kind: meta::text(bound, &["kind"]).into(),
            name: meta::text(bound, &["name"]).into(),
            uid: meta::text(bound, &["uid"]).into(),
        });
        if let Some(bound) = &bound
            && !["Pod", "Secret", "Node"].contains(&bound.kind.as_str())
        {
            let why = format!("cannot bind token to object of type /v1, Kind={}", bound.kind);
            return Err(ApiError::bad_request(why));
        }
        errors.into_result(&token_request(), "")?;
        let audiences = spec["audiences"].as_array().into_iter().flatten();
        let audiences: Vec<String> = audiences.filter_map(|a| a.as_str().map(str::to_string)).collect();
        let audiences = if audiences.is_empty() { issuer.audiences.clone() } else { audiences };
        Ok(Request { audiences, seconds, bound })
    }
}

fn token_request() -> Resource {
    Resource {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenRequest",
        plural: "tokenrequests",
        singular: "tokenrequest",
        short_names: &[],
        namespaced: true,
        categories: &[],
        storage_prefix: "",
        verbs: &["create"],
        subresources: &[],
    }
}

/// Whether a token for `account` may be bound to `object`, which is there.
pub fn check_bound(bound: &Bound, object: &Value, account: &str) -> Result<(), ApiError> {
    if !bound.uid.is_empty() && bound.uid != meta::uid(object) {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. \
             The object might have been deleted and then recreated",
            bound.uid
        );
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {why}", bound.kind, bound.name);
        return Err(ApiError::new(Reason::Conflict, message));
    }
    let runs_as = meta::text(object, &["spec", "serviceAccountName"]);
    if bound.kind == "Pod" && runs_as != account {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    Ok(())
}

/// The claims of a new token. `now` is in seconds since 1970, `id` names the token.
pub fn claims(
    issuer: &Issuer,
    request: &Request,
    account: &Value,
    bound: Option<&Value>,
    now: i64,
    id: &str,
) -> Value {
    let (namespace, name) = (meta::namespace(account), meta::name(account));
    let mut private = json!({
        "namespace": namespace,
        "serviceaccount": { "name": name, "uid": meta::uid(account) },
    });
    if let (Some(wanted), Some(object)) = (&request.bound, bound) {
        let reference = json!({ "name": meta::name(object), "uid": meta::uid(object) });
        private[wanted.kind.to_lowercase().as_str()] = reference;
        let node = meta::text(object, &["spec", "nodeName"]);
        if wanted.kind == "Pod" && !node.is_empty() {
            private["node"] = json!({ "name": node });
        }
    }
    json!({
        "aud": request.audiences,
        "exp": now.saturating_add(request.seconds),
        "iat": now,
        "iss": issuer.name,
        "jti": id,
        "kubernetes.io": private,
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    })
}

/// What a token says, once its signature was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub namespace: String,
    pub account: String,
    pub account_uid: String,
    pub bound: Option<Bound>,
    pub node: String,
    pub id: String,
    /// Those of the wanted audiences that it is for.
    pub audiences: Vec<String>,
}

/// What is said of a token that is none of this server's (upstream: `bearertoken.invalidToken`).
pub const JUNK: &str = "invalid bearer token";

/// Read claims at `now` for one of `wanted` (this server, if nobody is named).
pub fn read(issuer: &Issuer, claims: &Value, wanted: &[String], now: i64) -> Result<Token, String> {
    if claims["iss"].as_str() != Some(&issuer.name) {
        return Err(JUNK.into());
    }
    let time = |key: &str| claims[key].as_i64().ok_or_else(|| format!("the token has no {key}"));
    if now < time("nbf")? {
        return Err("service account token is not valid yet".into());
    }
    if now >= time("exp")? {
        return Err("service account token has expired".into());
    }
    let wanted = if wanted.is_empty() { &issuer.audiences } else { wanted };
    let of_token: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let audiences: Vec<String> = wanted.iter().filter(|a| of_token.contains(&a.as_str())).cloned().collect();
    if audiences.is_empty() {
        return Err(format!("token audiences {of_token:?} is invalid for the target audiences {wanted:?}"));
    }
    let private = &claims["kubernetes.io"];
    let text = |path: &[&str]| meta::text(private, path).to_string();
    let bound = ["Pod", "Secret", "Node"].into_iter().find_map(|kind| {
        let reference = private.get(kind.to_lowercase())?;
        let uid = meta::text(reference, &["uid"]);
        // A pod's token names its node too, for information: without a uid.
        (!uid.is_empty()).then(|| Bound {
            kind: kind.into(),
            name: meta::text(reference, &["name"]).into(),
            uid: uid.into(),
        })
    });
    let token = Token {
        namespace: text(&["namespace"]),
        account: text(&["serviceaccount", "name"]),
        account_uid: text(&["serviceaccount", "uid"]),
        bound,
        node: text(&["node", "name"]),
        id: claims["jti"].as_str().unwrap_or_default().into(),
        audiences,
    };
    if claims["sub"].as_str() != Some(&format!("system:serviceaccount:{}:{}", token.namespace, token.account))
    {
        return Err("sub claim does not match private claims".into());
    }
    Ok(token)
}

impl Token {
    /// Whose token it is, if the account and the object that it is bound to are still there:
    /// `account` and `bound` are what is found under their names now.
    pub fn user(&self, account: Option<&Value>, bound: Option<&Value>, now: i64) -> Result<User, String> {
        let Some(account) = account.filter(|account| meta::uid(account) == self.account_uid) else {
            return Err(format!("service account {}/{} has been deleted", self.namespace, self.account));
        };
        if let Some(wanted) = &self.bound {
            let alive = |object: &Value| {
                let deleted = meta::text(object, &["metadata", "deletionTimestamp"]);
                match deleted.parse::<jiff::Timestamp>() {
                    Ok(at) => now <= at.as_second().saturating_add(AFTER_DELETION_SECONDS),
                    Err(_) => true,
                }
            };
            if bound.filter(|object| meta::uid(object) == wanted.uid && alive(object)).is_none() {
                return Err(format!("service account token has been invalidated: {} is gone", wanted.name));
            }
        }
        let mut user = account_user(&self.namespace, &self.account);
        user.uid = meta::uid(account).into();
        let mut note = |key: &str, value: &str| {
            if !value.is_empty() {
                user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_string()]);
            }
        };
        if !self.id.is_empty() {
            note("credential-id", &format!("JTI={}", self.id));
        }
        if let Some(bound) = self.bound.as_ref().filter(|bound| bound.kind == "Pod") {
            note("pod-name", &bound.name);
            note("pod-uid", &bound.uid);
        }
        note("node-name", &self.node);
        Ok(user)
    }
}

/// The user that a service account is.
pub fn account_user(namespace: &str, account: &str) -> User {
    let groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    User::authenticated(&format!("system:serviceaccount:{namespace}:{account}"), groups)
}

/// What `serviceaccounts/NAME/token` answers.
pub fn answer(account: &Value, request: &Request, body: &Value, token: &str, now: jiff::Timestamp) -> Value {
    let until = now.as_second().saturating_add(request.seconds);
    let until = jiff::Timestamp::from_second(until).unwrap_or(jiff::Timestamp::MAX);
    json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": meta::name(account),
            "namespace": meta::namespace(account),
            "creationTimestamp": meta::time(now),
        },
        "spec": {
            "audiences": request.audiences,
            "expirationSeconds": request.seconds,
            "boundObjectRef": body["spec"]["boundObjectRef"],
        },
        "status": { "token": token, "expirationTimestamp": meta::time(until) },
    })
}
