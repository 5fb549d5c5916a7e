//! From one version of a kind to another: without a word, by changing `apiVersion` alone; or by
//! asking a webhook (upstream: `apiextensions-apiserver/pkg/apiserver/conversion`).

use super::definition::Definition;
use crate::meta;
use crate::status::{ApiError, Reason};
use serde_json::{Value, json};

/// The object in another version, when versions differ in nothing but their name.
pub fn unchanged(mut object: Value, api_version: &str) -> Value {
    meta::as_map(&mut object).insert("apiVersion".into(), json!(api_version));
    object
}

/// A question to a conversion webhook, and what its answer must match.
#[derive(Debug)]
pub struct Review<'a> {
    definition: &'a Definition,
    uid: &'a str,
    api_version: &'a str,
    objects: &'a [Value],
}

/// Ask for `objects` in `api_version`; all of them at once.
pub fn review<'a>(
    definition: &'a Definition,
    uid: &'a str,
    api_version: &'a str,
    objects: &'a [Value],
) -> Review<'a> {
    Review { definition, uid, api_version, objects }
}

impl Review<'_> {
    /// The body of the call.
    pub fn request(&self) -> Value {
        json!({
            "kind": "ConversionReview",
            "apiVersion": "apiextensions.k8s.io/v1",
            "request": {
                "uid": self.uid, "desiredAPIVersion": self.api_version, "objects": self.objects,
            },
        })
    }

    /// The converted objects, in the order of the question. A webhook may change labels and
    /// annotations of the metadata and nothing else of it.
    pub fn read(&self, answer: &Value) -> Result<Vec<Value>, ApiError> {
        let response = &answer["response"];
        if response["uid"] != self.uid {
            let got = response["uid"].as_str().unwrap_or_default();
            return Err(self.failed(&format!("expected response.uid={:?}, got {got:?}", self.uid)));
        }
        if response["result"]["status"] != "Success" {
            let why = response["result"]["message"].as_str().unwrap_or("unknown error");
            return Err(self.failed(why));
        }
        let converted = response["convertedObjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        if converted.len() != self.objects.len() {
            let why =
                format!("webhook returned {} objects, expected {}", converted.len(), self.objects.len());
            return Err(self.failed(&why));
        }
        self.objects
            .iter()
            .zip(converted)
            .enumerate()
            .map(|(i, (old, new))| self.accept(i, old, new))
            .collect()
    }

    fn accept(&self, index: usize, old: &Value, new: &Value) -> Result<Value, ApiError> {
        let refuse =
            |what: &str| Err(self.failed(&format!("invalid converted object at index {index}: {what}")));
        if new["apiVersion"] != self.api_version {
            let got = meta::text(new, &["apiVersion"]);
            return refuse(&format!("invalid groupVersion (expected {}, received {got})", self.api_version));
        }
        if new["kind"] != old["kind"] {
            return refuse("invalid kind");
        }
        for key in ["name", "namespace", "uid"] {
            if new["metadata"].get(key) != old["metadata"].get(key) {
                return refuse(&format!("invalid metadata: {key} must not change"));
            }
        }
        let mut out = new.clone();
        let metadata = meta::map_at(&mut out, "metadata");
        let allowed = |metadata: &mut serde_json::Map<String, Value>, key: &str| metadata.shift_remove(key);
        let (labels, annotations) = (allowed(metadata, "labels"), allowed(metadata, "annotations"));
        let mut kept = old["metadata"].as_object().cloned().unwrap_or_default();
        for (key, value) in [("labels", labels), ("annotations", annotations)] {
            match value {
                Some(value) => kept.insert(key.into(), value),
                None => kept.shift_remove(key),
            };
        }
        *metadata = kept;
        Ok(out)
    }

    /// What a client is told when its object cannot be converted.
    pub fn failed(&self, why: &str) -> ApiError {
        let from = self.objects.first().map(|object| meta::text(object, &["apiVersion"])).unwrap_or_default();
        let kind = &self.definition.names.kind;
        let message = format!("conversion webhook for {from}, Kind={kind} failed: {why}");
        ApiError::new(Reason::InternalError, message)
    }
}
