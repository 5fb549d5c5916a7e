//! Manifests: several YAML documents (or JSON, which is YAML) in one text.

use serde::Deserialize;
use serde_json::Value;

/// A document that is not YAML, by its place in the text (from 1).
#[derive(Debug, thiserror::Error)]
#[error("document {document}: {source}")]
pub struct YamlError {
    pub document: usize,
    pub source: serde_yaml::Error,
}

/// Every document of `text` in order. Empty documents (a trailing `---`, comments alone)
/// are left out, as kubectl leaves them out.
pub fn load(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut values = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let value =
            Value::deserialize(document).map_err(|source| YamlError { document: index + 1, source })?;
        if !value.is_null() {
            values.push(value);
        }
    }
    Ok(values)
}

/// One value as a YAML document.
pub fn dump(value: &Value) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(value)
}
