//! The `/scale` of a custom kind: three paths say where in its objects the numbers are (upstream:
//! `apiextensions-apiserver/pkg/registry/customresource/etcd.go`).

use super::paths::{at, put};
use crate::fields::Errors;
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Paths without their first dot, by key: `.spec.replicas` is `["spec", "replicas"]`.
    spec_replicas: Vec<String>,
    status_replicas: Vec<String>,
    label_selector: Option<Vec<String>>,
}

impl Scale {
    pub fn parse(scale: &Value) -> Option<Scale> {
        let path = |key: &str| {
            let text = scale[key].as_str().filter(|text| !text.is_empty())?;
            Some(text.trim_start_matches('.').split('.').map(str::to_string).collect::<Vec<_>>())
        };
        Some(Scale {
            spec_replicas: path("specReplicasPath")?,
            status_replicas: path("statusReplicasPath")?,
            label_selector: path("labelSelectorPath"),
        })
    }

    /// The `Scale` of an object: how many are wanted (none said is an error in what upstream
    /// answers, and 0 here), how many there are, and their selector, which is kept as text.
    pub fn of(&self, object: &Value) -> Value {
        let mut metadata = json!({});
        for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = object["metadata"].get(key) {
                metadata[key] = value.clone();
            }
        }
        let replicas = |path: &[String]| at(object, path).and_then(Value::as_i64).unwrap_or(0);
        let mut status = json!({ "replicas": replicas(&self.status_replicas) });
        let selector = self.label_selector.as_ref().and_then(|path| at(object, path)?.as_str());
        if let Some(selector) = selector {
            status["selector"] = json!(selector);
        }
        json!({
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": metadata,
            "spec": { "replicas": replicas(&self.spec_replicas) },
            "status": status,
        })
    }

    /// Put the number there that a changed `Scale` asks for.
    pub fn set(&self, object: &mut Value, replicas: i64) {
        put(object, &self.spec_replicas, json!(replicas));
    }

    /// Numbers that cannot be.
    pub fn check(&self, object: &Value, errors: &mut Errors) {
        for path in [&self.spec_replicas, &self.status_replicas] {
            let field = format!(".{}", path.join("."));
            let Some(value) = at(object, path) else { continue };
            match value.as_i64() {
                Some(number) if number < 0 => {
                    errors.invalid(&field, value, "should be a non-negative integer");
                }
                Some(number) if number > i64::from(i32::MAX) => {
                    let why = format!("should be less than or equal to {}", i32::MAX);
                    errors.invalid(&field, value, why);
                }
                Some(_) => {}
                None => {
                    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    let is = go_type(value);
                    let why = format!("{field} accessor error: {shown} is of the type {is}, expected int64");
                    errors.invalid(&field, &json!(0), why);
                }
            }
        }
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
