//! Tells what happened to objects: Events, for `kubectl describe` and `kubectl get events`.

use crate::heart;
use crate::{Client, Error, Patch};
use heart::correlate::{Action, Correlator, Occurrence};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many occurrences wait while the API server is away; the newest beyond are dropped.
const WAITING: usize = 1000;
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(1);

/// Records what one component does. Clones share the queue and the memory.
#[derive(Clone, Debug)]
pub struct EventRecorder {
    occurrences: mpsc::Sender<Occurrence>,
}

impl EventRecorder {
    /// Starts the task that writes; it ends when the last clone is dropped and all is told.
    pub fn new(client: Client, component: &str, host: Option<&str>) -> EventRecorder {
        let (occurrences, told) = mpsc::channel(WAITING);
        tokio::spawn(write(client, Correlator::new(component, host), told));
        EventRecorder { occurrences }
    }

    /// Tells that something happened. Never waits: what does not fit is dropped.
    pub fn event(&self, about: &ObjectReference, type_: &str, reason: &str, message: &str) {
        let occurrence = Occurrence {
            about: about.clone(),
            type_: type_.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        if self.occurrences.try_send(occurrence).is_err() {
            tracing::warn!(reason, message, "too many events wait, dropped one");
        }
    }
}

async fn write(client: Client, mut correlator: Correlator, mut told: mpsc::Receiver<Occurrence>) {
    while let Some(occurrence) = told.recv().await {
        let action = correlator.handle(occurrence, Timestamp::now());
        for _ in 0..TRIES {
            match carry_out(&client, &action).await {
                Ok(()) => break,
                Err(error) if error.is_retriable() => tokio::time::sleep(PAUSE).await,
                // A namespace that is going away takes no Events: nobody will miss them.
                Err(error) => {
                    tracing::debug!(%error, "event not written");
                    break;
                }
            }
        }
    }
}

async fn carry_out(client: &Client, action: &Action) -> Result<(), Error> {
    match action {
        Action::Drop => Ok(()),
        Action::Create(event) => create(client, event).await,
        Action::Count(event) => {
            let patch = Patch::Merge(json!({
                "count": event.count,
                "lastTimestamp": event.last_timestamp,
            }));
            let ns = objects::meta::namespace(&event.metadata);
            let name = objects::meta::name(&event.metadata);
            match client.patch::<Event>(ns, name, &patch, None).await {
                Err(error) if error.is_not_found() => create(client, event).await,
                answer => answer.map(drop),
            }
        }
    }
}

async fn create(client: &Client, event: &Event) -> Result<(), Error> {
    match client.create(event).await {
        // An earlier try arrived although its answer did not.
        Err(error) if error.is_already_exists() => Ok(()),
        answer => answer.map(drop),
    }
}
