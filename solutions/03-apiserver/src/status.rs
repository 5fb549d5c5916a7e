//! Every answer that is not the object asked for is a `Status` (meta/v1): one shape for every
//! failure, which clients read by `reason` and people read by `message`.

use crate::kinds;
use crate::meta;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// Upstream's machine-readable reasons that this server uses. Each has one HTTP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
    Timeout,
    /// Upstream names no reason.
    Unknown,
}

impl Reason {
    /// Those that others may name: in the answer of a webhook, in a policy.
    const NAMED: [Reason; 16] = [
        Reason::BadRequest,
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::NotFound,
        Reason::MethodNotAllowed,
        Reason::NotAcceptable,
        Reason::AlreadyExists,
        Reason::Conflict,
        Reason::Expired,
        Reason::RequestEntityTooLarge,
        Reason::UnsupportedMediaType,
        Reason::Invalid,
        Reason::TooManyRequests,
        Reason::InternalError,
        Reason::ServiceUnavailable,
        Reason::Timeout,
    ];

    pub fn named(name: &str) -> Option<Reason> {
        Reason::NAMED.into_iter().find(|reason| format!("{reason:?}") == name)
    }

    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError | Reason::Unknown => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

/// One reason among several, with the field it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

impl Cause {
    pub fn new(reason: &str, field: &str, message: impl Into<String>) -> Cause {
        Cause { reason: reason.into(), message: message.into(), field: field.into() }
    }

    pub fn forbidden(field: &str, why: &str) -> Cause {
        Cause::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// `printed` is the value as Go prints it.
    pub fn unsupported(field: &str, printed: &str, supported: &[&str]) -> Cause {
        let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {printed}: supported values: {}", supported.join(", "));
        Cause::new("FieldValueNotSupported", field, message)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    pub name: String,
    pub group: String,
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

/// A failed request, ready to be printed as a `Status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub reason: Reason,
    pub message: String,
    /// Boxed: most results are `Ok` and should stay small.
    pub details: Option<Box<Details>>,
    /// Set only by an expired continue token: the token with which the list may go on.
    pub continue_token: Option<String>,
    /// Set only by a webhook's refusal: the Status as the webhook wants it shown.
    pub foreign: Option<Box<Value>>,
}

impl ApiError {
    pub fn new(reason: Reason, message: impl Into<String>) -> ApiError {
        ApiError { reason, message: message.into(), details: None, continue_token: None, foreign: None }
    }

    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(Reason::BadRequest, message)
    }

    pub fn internal(message: impl std::fmt::Display) -> ApiError {
        ApiError::new(Reason::InternalError, format!("Internal error occurred: {message}"))
    }

    /// The store is away: the client should come back.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(Reason::ServiceUnavailable, message).retry_after(1)
    }

    pub fn too_many_requests() -> ApiError {
        ApiError::new(Reason::TooManyRequests, "Too many requests, please try again later.").retry_after(1)
    }

    pub fn unauthorized() -> ApiError {
        ApiError::new(Reason::Unauthorized, "Unauthorized")
    }

    /// A path that leads nowhere.
    pub fn no_route() -> ApiError {
        ApiError::new(Reason::NotFound, "the server could not find the requested resource").with(|_| {})
    }

    pub fn not_found(resource: &Resource, name: &str) -> ApiError {
        ApiError::new(Reason::NotFound, format!("{} \"{name}\" not found", kinds::qualified_plural(resource)))
            .about(resource, name)
    }

    pub fn already_exists(resource: &Resource, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" already exists", kinds::qualified_plural(resource));
        ApiError::new(Reason::AlreadyExists, message).about(resource, name)
    }

    /// The same of one that is on its way out: whoever waits may have the name.
    pub fn still_exists(resource: &Resource, name: &str) -> ApiError {
        let mut error = ApiError::already_exists(resource, name);
        error.message = format!("object is being deleted: {}", error.message);
        error
    }

    pub fn conflict(resource: &Resource, name: &str, why: &str) -> ApiError {
        let what = kinds::qualified_plural(resource);
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        ApiError::new(Reason::Conflict, message).about(resource, name)
    }

    /// The client meant another object, or another state of it. `what` is `UID` or
    /// `ResourceVersion`.
    pub fn precondition(resource: &Resource, name: &str, what: &str, sent: &str, stored: &str) -> ApiError {
        let why =
            format!("Precondition failed: {what} in precondition: {sent}, {what} in object meta: {stored}");
        ApiError::conflict(resource, name, &why)
    }

    /// The client meant one object by its uid, and under this key is another, or none (upstream:
    /// `storage.NewInvalidObjError`).
    pub fn not_meant(resource: &Resource, key: &str, name: &str, sent: &str, stored: &str) -> ApiError {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {sent}, UID in object meta: {stored}"
        );
        ApiError::conflict(resource, name, &why)
    }

    /// The optimistic lock failed: someone else wrote first.
    pub fn modified(resource: &Resource, name: &str) -> ApiError {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        ApiError::conflict(resource, name, why)
    }

    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> ApiError {
        let what = kinds::qualified_plural(resource);
        let message = match name {
            "" => format!("{what} is forbidden: {why}"),
            _ => format!("{what} \"{name}\" is forbidden: {why}"),
        };
        ApiError::new(Reason::Forbidden, message).about(resource, name)
    }

    pub fn method_not_allowed(what: &str) -> ApiError {
        ApiError::new(
            Reason::MethodNotAllowed,
            format!("the server does not allow this method on the requested resource{what}"),
        )
        .with(|_| {})
    }

    pub fn unsupported_media_type(message: impl Into<String>) -> ApiError {
        ApiError::new(Reason::UnsupportedMediaType, message)
    }

    /// The options of a request contradict themselves, or are none that there are.
    pub fn invalid_options(kind: &str, causes: Vec<Cause>) -> ApiError {
        let texts: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let what = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {what}");
        ApiError::new(Reason::Invalid, message).with(|details| {
            details.group = "meta.k8s.io".into();
            details.kind = kind.into();
            details.causes = causes;
        })
    }

    /// The window of remembered events no longer reaches back to `revision`.
    pub fn too_old(revision: i64, oldest: i64) -> ApiError {
        ApiError::new(Reason::Expired, format!("too old resource version: {revision} ({oldest})"))
    }

    pub fn retry_after(self, seconds: u32) -> ApiError {
        self.with(|d| d.retry_after_seconds = seconds)
    }

    pub fn cause(self, reason: &str, message: &str, field: &str) -> ApiError {
        self.with(|d| {
            d.causes.push(Cause { reason: reason.into(), message: message.into(), field: field.into() });
        })
    }

    /// Name the object in the details.
    pub fn about(self, resource: &Resource, name: &str) -> ApiError {
        self.with(|d| {
            d.name = name.into();
            d.group = resource.group.into();
            d.kind = resource.plural.into();
        })
    }

    pub fn with(mut self, change: impl FnOnce(&mut Details)) -> ApiError {
        change(self.details.get_or_insert_default());
        self
    }

    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        let foreign = self.foreign.as_ref().and_then(|status| status["code"].as_u64());
        foreign.and_then(|code| u16::try_from(code).ok()).unwrap_or(self.reason.code())
    }

    /// The `Status` object of this failure.
    pub fn to_status(&self) -> Value {
        if let Some(status) = &self.foreign {
            return status.as_ref().clone();
        }
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".into(), json!(token));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "reason": format!("{:?}", self.reason),
        });
        if self.reason == Reason::Unknown {
            meta::as_map(&mut status).shift_remove("reason");
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status["code"] = json!(self.reason.code());
        status
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts {
            if !text.is_empty() {
                out.insert(key.into(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_value).collect();
            out.insert("causes".into(), Value::Array(causes));
        }
        if self.retry_after_seconds > 0 {
            out.insert("retryAfterSeconds".into(), json!(self.retry_after_seconds));
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                out.insert(key.into(), json!(text));
            }
        }
        Value::Object(out)
    }
}

/// What a delete answers when the object is gone.
pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut details = Details { name: name.into(), group: resource.group.into(), ..Details::default() };
    details.kind = resource.plural.into();
    details.uid = uid.into();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details.to_value(),
    })
}
