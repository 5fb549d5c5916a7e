//! One book of all definitions: every type that a built-in kind is made of, in the words of
//! OpenAPI v2, under upstream's names. The types describe themselves (`k8s-openapi`'s schemas);
//! what they leave out is added from [`super::facts`] and [`super::enums`].

use super::enums;
use super::facts::{self, Fact};
use k8s_openapi::api::{
    admissionregistration::v1 as admissionregistration, apps::v1 as apps,
    authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling_v1, autoscaling::v2 as autoscaling_v2, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, flowcontrol::v1 as flowcontrol,
    networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
    scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Definitions by upstream's name; `$ref`s point at `#/definitions/NAME`.
pub static BOOK: LazyLock<BTreeMap<String, Value>> = LazyLock::new(write);

pub const DEFINITIONS: &str = "#/definitions/";

/// The name that a `$ref` points at.
pub fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(DEFINITIONS)
}

/// Every type that stands at the root of a request or an answer. What they are made of follows.
fn roots(generator: &mut SchemaGenerator) {
    macro_rules! describe {
        ($($package:ident: $($name:ident)*;)*) => {
            $($(generator.subschema_for::<$package::$name>();)*)*
        };
    }
    describe! {
        core: Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume
            PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service
            ServiceAccount;
        admissionregistration: MutatingWebhookConfiguration ValidatingAdmissionPolicy
            ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration;
        apiextensions: CustomResourceDefinition;
        apiregistration: APIService;
        apps: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet;
        authentication: SelfSubjectReview TokenRequest TokenReview;
        authorization: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview;
        autoscaling_v1: HorizontalPodAutoscaler Scale;
        autoscaling_v2: HorizontalPodAutoscaler;
        batch: CronJob Job;
        certificates: CertificateSigningRequest;
        coordination: Lease;
        discovery: EndpointSlice;
        events: Event;
        flowcontrol: FlowSchema PriorityLevelConfiguration;
        networking: Ingress IngressClass NetworkPolicy;
        node: RuntimeClass;
        policy: Eviction PodDisruptionBudget;
        rbac: ClusterRole ClusterRoleBinding Role RoleBinding;
        scheduling: PriorityClass;
        storage: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment;
        meta: APIResourceList DeleteOptions ListMeta Patch Status;
    }
    generator.subschema_for::<meta::WatchEvent<core::Pod>>();
}

fn write() -> BTreeMap<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/definitions".into());
    let mut generator = SchemaGenerator::new(settings);
    roots(&mut generator);
    let definitions = generator.take_definitions(true);
    definitions.into_iter().map(|(name, schema)| (name.clone(), complete(&name, schema))).collect()
}

/// What upstream says of a type that its Rust form cannot say of itself.
fn complete(name: &str, mut schema: Value) -> Value {
    if let Some(own) = written_by_hand(name, &schema) {
        return own;
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (field, property) in properties {
            let Value::Object(property) = property else { continue };
            let untyped = facts::of(name, field).any(|fact| fact == Fact::Untyped);
            let is_list = property.get("type").is_some_and(|t| t == "array");
            if is_list && !untyped {
                property.insert("x-kubernetes-list-type".into(), "atomic".into());
            }
            facts::of(name, field).for_each(|fact| note(property, fact));
            if let Some(values) = enums::of(name, field) {
                enums::note(property, values);
            }
        }
    }
    require(name, &mut schema);
    if facts::atomic_type(name) {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    for (_, discriminator, members) in facts::UNIONS.iter().filter(|(of, ..)| *of == name) {
        let members: Map<String, Value> =
            members.iter().map(|(field, value)| ((*field).to_owned(), (*value).into())).collect();
        schema["x-kubernetes-unions"] =
            json!([{ "discriminator": discriminator, "fields-to-discriminateBy": members }]);
    }
    schema
}

/// Upstream requires less than the types do: nearly every kind may come without metadata, and what
/// has a default may be left out.
fn require(name: &str, schema: &mut Value) {
    let has = |field: &str, wanted: fn(Fact) -> bool| facts::of(name, field).any(wanted);
    let said = |field: &str| {
        (field != "metadata" || name == "io.k8s.api.core.v1.Event")
            && !has(field, |fact| matches!(fact, Fact::Default(_)))
    };
    let listed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut required: Vec<String> = listed.filter(|field| said(field)).map(str::to_owned).collect();
    let fields = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    required.extend(fields.filter(|field| has(field, |fact| fact == Fact::Required)).cloned());
    match schema.as_object_mut() {
        Some(schema) if required.is_empty() => drop(schema.remove("required")),
        Some(schema) => drop(schema.insert("required".into(), json!(required))),
        None => {}
    }
}

fn note(property: &mut Map<String, Value>, fact: Fact) {
    let mut set = |key: &str, value: Value| property.insert(key.into(), value);
    match fact {
        Fact::MapBy(keys) => {
            set("x-kubernetes-list-map-keys", json!(keys));
            set("x-kubernetes-list-type", "map".into())
        }
        Fact::Set => set("x-kubernetes-list-type", "set".into()),
        Fact::AtomicList => set("x-kubernetes-list-type", "atomic".into()),
        Fact::AtomicMap => set("x-kubernetes-map-type", "atomic".into()),
        Fact::GranularMap => set("x-kubernetes-map-type", "granular".into()),
        Fact::Untyped | Fact::Required => None,
        Fact::Strategy(strategy) => set("x-kubernetes-patch-strategy", strategy.into()),
        Fact::MergeKey(key) => set("x-kubernetes-patch-merge-key", key.into()),
        Fact::Default(value) => set("default", value.into()),
    };
}

/// Types that are more than one thing in JSON have a form of their own.
fn written_by_hand(name: &str, schema: &Value) -> Option<Value> {
    let mut own = match name.rsplit_once('.')?.1 {
        "Quantity" => json!({ "type": "string" }),
        "IntOrString" => json!({ "type": "string", "format": "int-or-string" }),
        // Anything at all.
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            json!({})
        }
        _ => return None,
    };
    if let Some(description) = schema.get("description") {
        let mut described = json!({ "description": description });
        described.as_object_mut()?.append(own.as_object_mut()?);
        own = described;
    }
    Some(own)
}
