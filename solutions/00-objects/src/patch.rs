use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKind {
    pub group: String,
    pub kind: String,
}

impl GroupKind {
    pub fn new(group: &str, kind: &str) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch cannot be applied to this document, or a `test` failed: 422.
    #[error("{0}")]
    Unprocessable(String),
}

pub fn json_patch(_doc: &Value, _patch: &Value) -> Result<Value, PatchError> {
    todo!()
}
pub fn json_merge(_doc: &Value, _patch: &Value) -> Result<Value, PatchError> {
    todo!()
}
pub fn strategic(_doc: &Value, _patch: &Value, _kind: &GroupKind) -> Result<Value, PatchError> {
    todo!()
}
