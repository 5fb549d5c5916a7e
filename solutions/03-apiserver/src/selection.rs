//! Which objects of a collection a list or a watch is about: labels, and the few fields that
//! each kind indexes.

use crate::kinds;
use crate::query::Query;
use crate::status::ApiError;
use objects::fields::{FieldSelector, Operator, Requirement};
use objects::labels::Selector;
use objects::resources::{self, Resource};
use serde_json::Value;
use std::collections::BTreeMap;

/// The values that selectors look at, read once when an object enters the cache.
pub type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Clone)]
pub struct Selection {
    labels: Selector,
    fields: FieldSelector,
}

impl Selection {
    pub fn everything() -> Selection {
        Selection { labels: Selector::everything(), fields: FieldSelector::everything() }
    }

    /// Read `labelSelector` and `fieldSelector`. A field that the kind does not index is refused:
    /// finding nothing in silence would be worse.
    pub fn parse(resource: &Resource, query: &Query) -> Result<Selection, ApiError> {
        Selection::parse_with(resource, query, |_| false)
    }

    /// The same for a kind that indexes further fields: `own` knows their paths.
    pub fn parse_with(
        resource: &Resource,
        query: &Query,
        own: impl Fn(&str) -> bool,
    ) -> Result<Selection, ApiError> {
        let labels = query.get("labelSelector").unwrap_or("");
        let fields = query.get("fieldSelector").unwrap_or("");
        let labels = Selector::parse(labels).map_err(|e| ApiError::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(fields).map_err(|e| ApiError::bad_request(e.to_string()))?;
        for requirement in fields.requirements() {
            let path = requirement.path.as_str();
            let known = ["metadata.name", "metadata.namespace"].contains(&path)
                || extra_fields(resource).iter().any(|(own, _)| *own == path) && is_word_of(resource, path)
                || own(path);
            if !known {
                return Err(not_indexed(resource, path));
            }
        }
        Ok(Selection { labels, fields })
    }

    /// The one object of this name, for a path that names it. A field selector beside it must say
    /// the same.
    pub fn of_name(self, name: &str) -> Result<Selection, ApiError> {
        let terms = self.fields.requirements();
        let same =
            |r: &Requirement| r.path == "metadata.name" && r.operator == Operator::Equals && r.value == name;
        if terms.is_empty() {
            let (path, value) = ("metadata.name".into(), name.into());
            let only = Requirement { path, operator: Operator::Equals, value };
            return Ok(Selection { fields: FieldSelector::new(vec![only]), ..self });
        }
        if !terms.iter().any(same) {
            return Err(ApiError::bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        Ok(self)
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>, fields: &Fields) -> bool {
        // A field without a value counts as empty.
        let field = |path: &str| Some(fields.get(path).cloned().unwrap_or_default());
        self.labels.matches(labels) && self.fields.matches(field)
    }
}

/// The labels of an object.
pub fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    labels.into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect()
}

/// The selectable fields of an object of this kind: `metadata.name` and `metadata.namespace` for
/// all, and those of `extra_fields`, found by [`source_pointer`]. All values are text, also of
/// numbers and booleans; what is absent or empty has the text that stands for "unset".
pub fn fields_of(resource: &Resource, object: &Value) -> Fields {
    // lab:begin 03.5 two fields for every kind, and the kind's own from its table
    let metadata = &object["metadata"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let mut fields = Fields::new();
    fields.insert("metadata.name", text(&metadata["name"]));
    fields.insert("metadata.namespace", text(&metadata["namespace"]));
    for (path, default) in extra_fields(resource) {
        let pointer = source_pointer(path);
        let value = match object.pointer(&pointer) {
            Some(Value::String(s)) => s.clone(),
            Some(Value::Bool(b)) => b.to_string(),
            Some(Value::Number(n)) => n.to_string(),
            _ => String::new(),
        };
        fields.insert(path, if value.is_empty() { default.to_string() } else { value });
    }
    fields
    // lab:end
}

/// Where the value of a selectable field is found. Events are stored in their core form, so the
/// names of `events.k8s.io` lead there too.
pub fn source_pointer(path: &str) -> String {
    let path = match path {
        // What it was called before v1.
        "spec.host" => "spec.nodeName",
        "source" => "source.component",
        "reportingController" => "reportingComponent",
        "status.successful" => "status.succeeded",
        _ => path,
    };
    let path = path.replace("regarding.", "involvedObject.");
    format!("/{}", path.replace('.', "/"))
}

/// Events have two vocabularies, and a request speaks one of them.
fn is_word_of(resource: &Resource, path: &str) -> bool {
    let newer = path.starts_with("regarding.") || path == "reportingController";
    let older = path.starts_with("involvedObject.") || ["reportingComponent", "source"].contains(&path);
    match (resource.group, resource.kind) {
        ("", "Event") => !newer,
        ("events.k8s.io", "Event") => !older,
        _ => true,
    }
}

/// The refusal of a field that nobody indexes. Upstream has four wordings (`AddFieldLabelConversionFunc`
/// of each kind, and `runtime.DefaultMetaV1FieldSelectorConversion` where there is none).
fn not_indexed(resource: &Resource, path: &str) -> ApiError {
    let (version, kind) = (kinds::api_version(resource), resource.kind);
    let is_custom = resources::by_kind(resource.group, resource.version, kind).is_none();
    ApiError::bad_request(match (resource.group, kind) {
        ("batch", "Job") => format!("field label {path:?} not supported for batchv1.Job"),
        _ if is_custom => format!("field label not supported for {version}, Kind={kind}: {path}"),
        _ if extra_fields(resource).is_empty() => {
            format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
        _ => format!("field label not supported: {path}"),
    })
}

/// Selectable fields beside name and namespace, each with the value that stands for "unset".
fn extra_fields(resource: &Resource) -> &'static [(&'static str, &'static str)] {
    let found = FIELDS.iter().find(|(group, kind, _)| (*group, *kind) == (resource.group, resource.kind));
    found.map_or(&[], |(_, _, fields)| fields)
}

type Indexed = &'static [(&'static str, &'static str)];

static FIELDS: &[(&str, &str, Indexed)] = &[
    ("", "Event", EVENT_FIELDS),
    ("", "Namespace", &[("status.phase", "")]),
    ("", "Node", &[("spec.unschedulable", "false")]),
    (
        "",
        "Pod",
        &[
            ("spec.nodeName", ""),
            ("spec.host", ""),
            ("spec.restartPolicy", ""),
            ("spec.schedulerName", ""),
            ("spec.serviceAccountName", ""),
            ("spec.hostNetwork", "false"),
            ("status.phase", ""),
            ("status.podIP", ""),
            ("status.podIPs", ""),
            ("status.nominatedNodeName", ""),
        ],
    ),
    ("", "ReplicationController", &[("status.replicas", "0")]),
    ("", "Secret", &[("type", "")]),
    ("", "Service", &[("spec.clusterIP", ""), ("spec.type", "")]),
    ("events.k8s.io", "Event", EVENT_FIELDS),
    ("batch", "Job", &[("status.successful", "0")]),
    ("certificates.k8s.io", "CertificateSigningRequest", &[("spec.signerName", "")]),
];

/// In both vocabularies: the cache does not know who will ask.
static EVENT_FIELDS: Indexed = &[
    ("involvedObject.kind", ""),
    ("involvedObject.namespace", ""),
    ("involvedObject.name", ""),
    ("involvedObject.uid", ""),
    ("involvedObject.apiVersion", ""),
    ("involvedObject.resourceVersion", ""),
    ("involvedObject.fieldPath", ""),
    ("regarding.kind", ""),
    ("regarding.namespace", ""),
    ("regarding.name", ""),
    ("regarding.uid", ""),
    ("regarding.apiVersion", ""),
    ("regarding.resourceVersion", ""),
    ("regarding.fieldPath", ""),
    ("reason", ""),
    ("reportingComponent", ""),
    ("reportingController", ""),
    ("source", ""),
    ("type", ""),
];
