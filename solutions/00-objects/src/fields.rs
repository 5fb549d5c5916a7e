#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub path: String,
    pub op: Operator,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldSelectorError(pub String);

impl FieldSelector {
    pub fn everything() -> Self {
        Self::default()
    }
    pub fn parse(_text: &str) -> Result<Self, FieldSelectorError> {
        todo!()
    }
    pub fn matches(&self, _field: impl Fn(&str) -> Option<String>) -> bool {
        todo!()
    }
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl std::fmt::Display for FieldSelector {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
