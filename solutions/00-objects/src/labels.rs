use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selector {}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl Selector {
    pub fn everything() -> Self {
        Self::default()
    }
    pub fn nothing() -> Self {
        Self::default()
    }
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        todo!()
    }
    pub fn from_label_selector(_selector: &LabelSelector) -> Result<Self, SelectorError> {
        todo!()
    }
    pub fn from_labels(_labels: &BTreeMap<String, String>) -> Result<Self, SelectorError> {
        todo!()
    }
    pub fn matches(&self, _labels: &BTreeMap<String, String>) -> bool {
        todo!()
    }
    pub fn is_everything(&self) -> bool {
        todo!()
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
