//! The grading suite of chapter 04. Each module judges one step; `given` is about what students are given.

#[path = "informer/given.rs"]
mod given;
#[path = "informer/step_1_watch_lines.rs"]
mod step_1_watch_lines;
#[path = "informer/step_2_reflector.rs"]
mod step_2_reflector;
#[path = "informer/step_3_delta_fifo.rs"]
mod step_3_delta_fifo;
#[path = "informer/step_4_indexer.rs"]
mod step_4_indexer;
#[path = "informer/step_5_fan_out.rs"]
mod step_5_fan_out;
#[path = "informer/step_6_work_queue.rs"]
mod step_6_work_queue;
#[path = "informer/step_7_rate_limits.rs"]
mod step_7_rate_limits;
#[path = "informer/step_8_events.rs"]
mod step_8_events;

#[cfg(feature = "lab")]
use informer_lab as heart;
#[cfg(not(feature = "lab"))]
use informer_solution as heart;

use crate::heart::dynamic::DynamicObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::sync::Arc;

/// An object `default/NAME` with an identity and a version.
fn object(name: &str, uid: &str, version: u64) -> DynamicObject {
    DynamicObject {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("default".to_owned()),
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        },
        ..DynamicObject::default()
    }
}

/// The same, behind the pointer in which the cache holds it.
fn shared(name: &str, uid: &str, version: u64) -> Arc<DynamicObject> {
    Arc::new(object(name, uid, version))
}

/// `default/a(u1)@5`.
fn show(object: &DynamicObject) -> String {
    let meta = &object.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}({})@{}", text(&meta.name), text(&meta.uid), text(&meta.resource_version))
}
