//! The three ways to send a change instead of an object.
//!
//! | Content-Type                                   | function       | the patch is                     |
//! |------------------------------------------------|----------------|----------------------------------|
//! | `application/json-patch+json` (RFC 6902)       | [`json_patch`] | a list of operations             |
//! | `application/merge-patch+json` (RFC 7386)      | [`json_merge`] | a partial object, null deletes   |
//! | `application/strategic-merge-patch+json`       | [`strategic`]  | the same, and lists have keys    |
//!
//! All of them leave the document as it was and answer with a new one, or with why not.

mod apply;
mod diff;
pub mod directives;
mod json;
mod merge;
pub mod pointer;
pub mod schema;
mod strategic;

pub use apply::{LAST_APPLIED, apply, three_way_json, three_way_strategic, with_last_applied};
pub use diff::strategic_diff;
pub use json::json_patch;
pub use merge::{json_merge, json_merge_diff};
pub use strategic::strategic;

/// The kind whose lists a strategic merge patch must know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKind {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
}

impl GroupKind {
    pub fn new(group: &str, kind: &str) -> GroupKind {
        GroupKind { group: group.to_owned(), kind: kind.to_owned() }
    }
}

/// Why there is no patched document, by what the API server answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is wrong: 400 BadRequest.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit this document, or its `test` failed: 422 Invalid.
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has more operations than anybody needs: 413 RequestEntityTooLarge.
    #[error("the allowed maximum operations in a JSON patch is {limit}, got {count}")]
    TooLarge { count: usize, limit: usize },
}

fn malformed(message: impl Into<String>) -> PatchError {
    PatchError::Malformed(message.into())
}

fn unprocessable(message: impl Into<String>) -> PatchError {
    PatchError::Unprocessable(message.into())
}
