//! ConfigMaps and Secrets that pods of this node refer to: one watch an object, while a pod needs
//! it. A node must not see the others, so there is no watch on all of them.
//! Upstream: `pkg/kubelet/util/manager/watch_based_manager.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use informer::{Client, Informer, Query};
use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::heart::env::References;
use crate::heart::names;
use crate::heart::types::{SignedDuration, Timestamp, Uid};
use crate::kubelet::Event;

/// How long a pod waits for the first answer about an object. The watch goes on; when it brings
/// something the pod is woken.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

type Key = (String, String);

struct Watched<K> {
    informer: Informer<K>,
    users: BTreeSet<Uid>,
    /// Ends the task that passes changes on.
    forward: tokio::task::JoinHandle<()>,
}

impl<K> Drop for Watched<K> {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

#[derive(Default)]
struct Tables {
    config_maps: BTreeMap<Key, Watched<api::ConfigMap>>,
    secrets: BTreeMap<Key, Watched<api::Secret>>,
}

pub struct Refs {
    client: Client,
    events: mpsc::Sender<Event>,
    tables: Mutex<Tables>,
}

/// What was found.
#[derive(Default)]
pub struct Found {
    pub config_maps: BTreeMap<String, Arc<api::ConfigMap>>,
    pub secrets: BTreeMap<String, Arc<api::Secret>>,
}

/// A service account's token and when a new one should be asked for.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: Option<String>,
    pub refresh_at: Timestamp,
}

impl Token {
    /// A token that could not be renewed is better than none; it is asked for again in a minute.
    pub fn or(self, old: Option<String>, now: Timestamp) -> Token {
        match (&self.text, old) {
            (None, Some(old)) => {
                let refresh_at = now.checked_add(SignedDuration::from_secs(60)).unwrap_or(now);
                Token { text: Some(old), refresh_at }
            }
            _ => self,
        }
    }
}

impl Refs {
    pub fn new(client: Client, events: mpsc::Sender<Event>) -> Refs {
        Refs { client, events, tables: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that the pod refers to, as far as it exists.
    pub async fn find(&self, pod: &api::Pod, wanted: &References) -> Found {
        let uid = Uid::of(pod);
        let namespace = names::namespace(pod);
        let (config_maps, secrets) = {
            let mut tables = self.lock();
            let mut maps = Vec::new();
            for name in &wanted.config_maps {
                maps.push((name.clone(), self.watched(&mut tables.config_maps, namespace, name, &uid)));
            }
            let mut secrets = Vec::new();
            for name in &wanted.secrets {
                secrets.push((name.clone(), self.watched(&mut tables.secrets, namespace, name, &uid)));
            }
            (maps, secrets)
        };
        let mut found = Found::default();
        for (name, informer) in config_maps {
            let _ = tokio::time::timeout(FIRST_ANSWER, informer.synced()).await;
            if let Some(object) = informer.get(namespace, &name) {
                found.config_maps.insert(name, object);
            }
        }
        for (name, informer) in secrets {
            let _ = tokio::time::timeout(FIRST_ANSWER, informer.synced()).await;
            if let Some(object) = informer.get(namespace, &name) {
                found.secrets.insert(name, object);
            }
        }
        found
    }

    fn watched<K: informer::Object + informer::Keyed>(
        &self,
        table: &mut BTreeMap<Key, Watched<K>>,
        namespace: &str,
        name: &str,
        uid: &Uid,
    ) -> Informer<K> {
        let key = (namespace.to_owned(), name.to_owned());
        let entry = table.entry(key).or_insert_with(|| {
            let query = Query {
                namespace: Some(namespace.to_owned()),
                field_selector: Some(format!("metadata.name={name}")),
                ..Query::default()
            };
            let informer = Informer::<K>::start(&self.client, query);
            let mut changes = informer.subscribe();
            let events = self.events.clone();
            let forward = tokio::spawn({
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                async move {
                    while let Some(change) = changes.recv().await {
                        if matches!(change, informer::Event::Synced) {
                            continue;
                        }
                        let event = Event::Reference { namespace: namespace.clone(), name: name.clone() };
                        if events.send(event).await.is_err() {
                            return;
                        }
                    }
                }
            });
            Watched { informer, users: BTreeSet::new(), forward }
        });
        entry.users.insert(uid.clone());
        entry.informer.clone()
    }

    /// Who refers to an object of this name?
    pub fn users(&self, namespace: &str, name: &str) -> BTreeSet<Uid> {
        let key = (namespace.to_owned(), name.to_owned());
        let tables = self.lock();
        let maps = tables.config_maps.get(&key).map(|w| &w.users);
        let secrets = tables.secrets.get(&key).map(|w| &w.users);
        maps.into_iter().chain(secrets).flatten().cloned().collect()
    }

    /// The pod needs nothing any more.
    pub fn release(&self, uid: &Uid) {
        fn drop_user<K>(table: &mut BTreeMap<Key, Watched<K>>, uid: &Uid) {
            table.retain(|_, watched| {
                watched.users.remove(uid);
                !watched.users.is_empty()
            });
        }
        let mut tables = self.lock();
        drop_user(&mut tables.config_maps, uid);
        drop_user(&mut tables.secrets, uid);
    }

    /// Asks the API server for a token of the pod's service account. Whether the pod can do without one
    /// is not decided here.
    pub async fn token(&self, pod: &api::Pod, audience: &str, seconds: i64, now: Timestamp) -> Token {
        let text = self.request_token(pod, audience, seconds).await;
        if let Err(cause) = &text {
            tracing::warn!(pod = names::full_name(pod), cause, "no service account token");
        }
        let text = text.ok();
        // As upstream: a new one when four fifths of the time are over. After a refusal the pod's own
        // back-off says when it is asked again.
        let wait = if text.is_some() { seconds * 4 / 5 } else { 0 };
        let refresh_at = now.checked_add(SignedDuration::from_secs(wait)).unwrap_or(now);
        Token { text, refresh_at }
    }

    async fn request_token(&self, pod: &api::Pod, audience: &str, seconds: i64) -> Result<String, String> {
        let spec = crate::heart::types::spec(pod);
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let namespace = names::namespace(pod);
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let audiences: Vec<&str> = Some(audience).filter(|a| !a.is_empty()).into_iter().collect();
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": {
                    "apiVersion": "v1", "kind": "Pod",
                    "name": names::name(pod), "uid": Uid::of(pod).0,
                },
            },
        });
        let call = self.client.raw(Method::POST, &path, "application/json", body.to_string().into());
        let (status, body) = call.await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("the API server answered {status}"));
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let token = answer.pointer("/status/token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or_else(|| "the answer holds no token".to_owned())
    }
}
