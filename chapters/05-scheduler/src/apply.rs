//! From decisions to requests.

use std::sync::Arc;
use std::time::Duration;

use informer::{Client, EventRecorder, Patch, object_reference};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use objects::meta;
use serde_json::json;
use tokio::task::JoinSet;

use crate::heart::Action;
use crate::heart::pod::{node_name, pod_key};

/// At most so many requests at a time.
pub const IN_FLIGHT: usize = 64;

/// How a request ended.
pub enum Done {
    /// The API server has the binding of this pod.
    Bound(String),
    /// It has not, and will not have it.
    NotBound(String),
    Told,
}

/// Carries out actions beside the loop.
pub struct Applier {
    client: Client,
    recorder: EventRecorder,
    requests: JoinSet<Done>,
}

impl Applier {
    pub fn new(client: Client, recorder: EventRecorder) -> Self {
        Applier { client, recorder, requests: JoinSet::new() }
    }

    pub fn has_room(&self) -> bool {
        self.requests.len() < IN_FLIGHT
    }

    pub fn start(&mut self, action: Action) {
        let (client, recorder) = (self.client.clone(), self.recorder.clone());
        match action {
            Action::Bind { pod, node } => {
                self.requests.spawn(async move { bind(&client, &recorder, &pod, &node).await });
            }
            Action::TellWaiting { pod, message, condition } => {
                tracing::info!(pod = pod_key(&pod), message, "no node fits");
                recorder.event(&object_reference(&*pod), "Warning", "FailedScheduling", &message);
                if let Some(condition) = condition {
                    self.requests.spawn(async move { tell(&client, &pod, condition).await });
                }
            }
        }
    }

    /// The next request to end; `None` at once if there is none, which a `select!` takes as
    /// "not this one".
    pub async fn next(&mut self) -> Option<Done> {
        match self.requests.join_next().await? {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::error!(%error, "a request's task ended before its time");
                Some(Done::Told)
            }
        }
    }
}

async fn bind(client: &Client, recorder: &EventRecorder, pod: &Arc<Pod>, node: &str) -> Done {
    let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
    let key = pod_key(pod);
    let bound = match client.bind(namespace, name, node).await {
        Ok(()) => true,
        Err(error) if !error.is_retriable() => {
            tracing::warn!(pod = key, node, %error, "the binding was refused");
            false
        }
        // No answer, or one in the middle of trouble: it may have been taken all the same.
        Err(error) => {
            tracing::warn!(pod = key, node, %error, "no answer to the binding");
            is_bound_to(client, namespace, name, pod.metadata.uid.as_deref(), node).await
        }
    };
    if !bound {
        return Done::NotBound(key);
    }
    tracing::info!(pod = key, node, "bound");
    let message = format!("Successfully assigned {namespace}/{name} to {node}");
    recorder.event(&object_reference(&**pod), "Normal", "Scheduled", &message);
    Done::Bound(key)
}

/// Asks until there is an answer.
async fn is_bound_to(client: &Client, namespace: &str, name: &str, uid: Option<&str>, node: &str) -> bool {
    let mut pause = Duration::from_millis(50);
    loop {
        match client.get::<Pod>(namespace, name).await {
            Ok(pod) => return pod.metadata.uid.as_deref() == uid && node_name(&pod) == Some(node),
            Err(error) if error.is_not_found() => return false,
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

async fn tell(client: &Client, pod: &Pod, condition: PodCondition) -> Done {
    let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
    let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
    if let Err(error) = client.patch::<Pod>(namespace, name, &patch, Some("status")).await {
        // The next attempt will say it again.
        tracing::debug!(pod = pod_key(pod), %error, "the condition was not written");
    }
    Done::Told
}
