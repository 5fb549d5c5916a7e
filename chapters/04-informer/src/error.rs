//! What can go wrong between a component and the API server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with a Status: it says what and why.
    #[error("{}", .0.message.as_deref().unwrap_or("the API server gave no reason"))]
    Api(Box<Status>),
    /// No answer came: refused, reset, timed out. Worth another try.
    #[error("cannot reach the API server: {0}")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An answer came that is not what was asked for.
    #[error("cannot read the API server's answer: {0}")]
    Decode(#[from] serde_json::Error),
    /// The request itself cannot be made, or the kubeconfig cannot be used.
    #[error("{0}")]
    Config(String),
}

impl Error {
    /// The HTTP code of an API error.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(status) => status.code.and_then(|code| u16::try_from(code).ok()),
            _ => None,
        }
    }

    /// The machine-readable reason, such as `AlreadyExists`.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Api(status) => status.reason.as_deref(),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Somebody else wrote first: read again and retry.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && self.reason() != Some("AlreadyExists")
    }

    pub fn is_already_exists(&self) -> bool {
        self.code() == Some(409) && self.reason() == Some("AlreadyExists")
    }

    /// The resourceVersion or the continue token is too old: list again.
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// No answer came, or one that asks for another try later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Transport(_)) || matches!(self.code(), Some(429 | 500 | 502 | 503 | 504))
    }
}
