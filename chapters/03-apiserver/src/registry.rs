//! Objects in the store: each function is one verb, and each asks the core what to do and then
//! does it with a write that fails when someone else was first.

use crate::app::{self, App};
use crate::etcd::{Found, Written};
use crate::heart::alloc::{self, Used};
use crate::heart::convert;
use crate::heart::delete::{self, DeleteOptions, Deletion};
use crate::heart::keys;
use crate::heart::kinds;
use crate::heart::meta;
use crate::heart::query::{FieldValidation, WriteOptions};
use crate::heart::status::ApiError;
use crate::heart::stored::{Stored, encode};
use crate::heart::typed;
use crate::heart::write::{self, Context, Part};
use bytes::Bytes;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::Value;
use std::sync::Arc;

/// How often a write that is not bound to a version is tried against what others write.
const MAX_TRIES: usize = 10;
/// How often another generated name is tried.
const MAX_NAMES: usize = 8;

/// One object of a request.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// As served.
    pub resource: &'static Resource,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

impl Target<'_> {
    fn storage(&self) -> &'static Resource {
        kinds::storage_kind(self.resource)
    }

    fn key(&self) -> Result<String, ApiError> {
        keys::object_key(self.resource, self.namespace, self.name)
    }
}

/// What a change does to the stored object.
pub enum Change {
    Put(Value),
    Remove,
    Same,
}

/// How a change ended.
pub enum Outcome {
    /// The object as it is now.
    Now(Arc<Stored>),
    /// It is gone; this is what it was last.
    Gone(Arc<Stored>),
}

impl Outcome {
    pub fn stored(&self) -> &Arc<Stored> {
        match self {
            Outcome::Now(stored) | Outcome::Gone(stored) => stored,
        }
    }
}

impl App {
    /// The newest state of one object, from the store.
    pub async fn get(&self, target: Target<'_>) -> Result<Arc<Stored>, ApiError> {
        let key = target.key()?;
        let found = self.store.get(&key).await?;
        self.read(target, &key, found)
    }

    fn read(&self, target: Target<'_>, key: &str, found: Option<Found>) -> Result<Arc<Stored>, ApiError> {
        let Some(found) = found else { return Err(ApiError::not_found(target.resource, target.name)) };
        Stored::read(target.storage(), key, found.revision, &found.value)
            .map(Arc::new)
            .ok_or_else(|| ApiError::internal(format!("the value of {key} in the store is not an object")))
    }

    pub fn cached(&self, target: Target<'_>) -> Option<Arc<Stored>> {
        let key = target.key().ok()?;
        self.caches.of(target.resource)?.read(|cache| cache.get(&key).cloned())
    }

    /// Read a body as its kind; what the kind does not have is refused or noted in `warnings`.
    pub fn decode(
        &self,
        context: &Context<'_>,
        body: Value,
        options: WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Value, ApiError> {
        let decoded = write::decode_body(context, body)?;
        match options.field_validation {
            FieldValidation::Strict if !decoded.unknown.is_empty() => {
                return Err(typed::strict_error(context.resource, &decoded.unknown));
            }
            FieldValidation::Warn => {
                warnings.extend(decoded.unknown.iter().map(|path| format!("unknown field \"{path}\"")));
            }
            _ => {}
        }
        Ok(convert::to_storage(context.resource, decoded.object))
    }

    pub async fn create(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        body: Value,
        options: WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Stored>, ApiError> {
        let uid = app::new_uid();
        let mut suffix = app::name_suffix();
        let base = Context { resource, namespace, name: None, now: Timestamp::now(), uid: &uid, suffix: "" };
        let object = self.decode(&base, body, options, warnings)?;
        let storage = kinds::storage_kind(resource);
        if let Some(namespace) = namespace.filter(|_| resource.namespaced) {
            self.check_namespace(resource, meta::name(&object), namespace).await?;
        }
        let is_service = (storage.group, storage.kind) == ("", "Service");
        let allocating = if is_service { Some(self.services.lock().await) } else { None };
        for attempt in 1.. {
            let context = Context { resource: storage, suffix: &suffix, ..base };
            let mut prepared = write::prepare_create(&context, object.clone())?;
            if is_service {
                alloc::allocate(
                    storage,
                    &mut prepared,
                    &self.net,
                    &self.used_by_services(),
                    app::random_u64(),
                )?;
            }
            let name = meta::name(&prepared).to_string();
            let key = keys::object_key(storage, namespace, &name)?;
            if options.dry_run {
                if self.store.get(&key).await?.is_some() {
                    return Err(ApiError::already_exists(resource, &name));
                }
                return Ok(Arc::new(Stored::new(storage, &key, 0, prepared)));
            }
            let lease = if storage.kind == "Event" { self.event_lease().await? } else { 0 };
            match self.store.put(&key, 0, encode(&prepared), lease).await {
                Ok(Written::Done(revision)) => {
                    if allocating.is_some() {
                        // The next service must see what this one took.
                        self.caches.wait_for(revision).await?;
                    }
                    return Ok(Arc::new(Stored::new(storage, &key, revision, prepared)));
                }
                Ok(Written::Changed(_)) => {
                    let generated = meta::name(&object).is_empty();
                    if !generated || attempt >= MAX_NAMES {
                        return Err(ApiError::already_exists(resource, &name));
                    }
                    suffix = app::name_suffix();
                }
                Err(error) => {
                    if lease != 0 {
                        self.forget_event_lease();
                    }
                    return Err(error.into());
                }
            }
        }
        unreachable!("the loop returns")
    }

    async fn check_namespace(
        &self,
        resource: &Resource,
        name: &str,
        namespace: &str,
    ) -> Result<(), ApiError> {
        let Some(kind) = objects::resources::by_kind("", "v1", "Namespace") else { return Ok(()) };
        let target = Target { resource: kind, namespace: None, name: namespace };
        // The cache may be a moment behind: only what it has is believed.
        let stored = match self.cached(target) {
            Some(stored) => Some(stored),
            None => self.get(target).await.map(Some).or_else(|e| match e.reason {
                crate::heart::status::Reason::NotFound => Ok(None),
                _ => Err(e),
            })?,
        };
        let value = stored.map(|s| s.value());
        write::check_namespace(resource, name, namespace, value.as_ref())
    }

    fn used_by_services(&self) -> Used {
        let mut used = Used::default();
        let service = objects::resources::by_kind("", "v1", "Service").and_then(|r| self.caches.of(r));
        if let Some(cache) = service {
            let all: Vec<Arc<Stored>> = cache.read(|cache| cache.list("").cloned().collect());
            all.iter().for_each(|service| used.add(&service.value()));
        }
        used
    }

    /// Change one object: `change` sees the newest state (with its resourceVersion) and says what
    /// should become of it. It may be called again when someone else was first.
    pub async fn change(
        &self,
        target: Target<'_>,
        dry_run: bool,
        mut change: impl FnMut(&Value, i64) -> Result<Change, ApiError>,
    ) -> Result<Outcome, ApiError> {
        let key = target.key()?;
        let storage = target.storage();
        // The cache's state is a first guess; it is never the reason for a refusal.
        let (mut stored, mut fresh) = match self.cached(target) {
            Some(stored) => (stored, false),
            None => (self.get(target).await?, true),
        };
        for _ in 0..MAX_TRIES {
            let old = stored.value();
            let wanted = match change(&old, stored.revision) {
                Err(_) | Ok(Change::Same) if !fresh => {
                    stored = self.get(target).await?;
                    fresh = true;
                    continue;
                }
                wanted => wanted?,
            };
            let written = match wanted {
                Change::Same => return Ok(Outcome::Now(stored)),
                Change::Put(new) => {
                    let mut compare = new.clone();
                    meta::set_resource_version(&mut compare, stored.revision);
                    if compare == old {
                        // Nothing changed: no write, no new version, nobody is woken.
                        if fresh {
                            return Ok(Outcome::Now(stored));
                        }
                        stored = self.get(target).await?;
                        fresh = true;
                        continue;
                    }
                    if dry_run {
                        return Ok(Outcome::Now(Arc::new(Stored::new(storage, &key, stored.revision, new))));
                    }
                    let lease = if storage.kind == "Event" { self.event_lease().await? } else { 0 };
                    match self.store.put(&key, stored.revision, encode(&new), lease).await? {
                        Written::Done(revision) => {
                            return Ok(Outcome::Now(Arc::new(Stored::new(storage, &key, revision, new))));
                        }
                        changed => changed,
                    }
                }
                Change::Remove if dry_run => return Ok(Outcome::Gone(stored)),
                Change::Remove => match self.store.delete(&key, stored.revision).await? {
                    Written::Done(revision) => {
                        return Ok(Outcome::Gone(Arc::new(stored.at_revision(revision))));
                    }
                    changed => changed,
                },
            };
            let Written::Changed(now) = written else { continue };
            stored = self.read(target, &key, now)?;
            fresh = true;
        }
        Err(ApiError::modified(target.resource, target.name))
    }

    /// Update one part of an object to what `make` makes of its present state.
    pub async fn update(
        &self,
        target: Target<'_>,
        part: Part,
        dry_run: bool,
        mut make: impl FnMut(&Value) -> Result<Value, ApiError>,
    ) -> Result<Outcome, ApiError> {
        let storage = target.storage();
        let is_service = (storage.group, storage.kind) == ("", "Service") && part == Part::Main;
        let allocating = if is_service { Some(self.services.lock().await) } else { None };
        let used = if is_service { self.used_by_services() } else { Used::default() };
        let outcome = self
            .change(target, dry_run, |old, revision| {
                let context = Context {
                    resource: storage,
                    namespace: target.namespace,
                    name: Some(target.name),
                    now: Timestamp::now(),
                    uid: "",
                    suffix: "",
                };
                let mut new = write::prepare_update(&context, part, old, revision, make(old)?)?;
                if is_service {
                    let mut others = used.clone();
                    others.remove(old);
                    alloc::allocate(storage, &mut new, &self.net, &others, app::random_u64())?;
                }
                Ok(match write::is_finished(storage, &new) {
                    true => Change::Remove,
                    false => Change::Put(new),
                })
            })
            .await?;
        if allocating.is_some() && !dry_run {
            self.caches.wait_for(outcome.stored().revision).await?;
        }
        Ok(outcome)
    }

    pub async fn delete(&self, target: Target<'_>, options: &DeleteOptions) -> Result<Outcome, ApiError> {
        let storage = target.storage();
        self.change(target, options.dry_run, |old, revision| {
            let deletion = delete::prepare_delete(storage, old, revision, options, Timestamp::now())?;
            Ok(match deletion {
                Deletion::Remove => Change::Remove,
                Deletion::Pending => Change::Same,
                Deletion::Mark(mut marked) => {
                    if let Some(metadata) = marked["metadata"].as_object_mut() {
                        metadata.shift_remove("resourceVersion");
                    }
                    Change::Put(marked)
                }
            })
        })
        .await
    }

    /// What a delete answers.
    pub fn delete_answer(&self, target: Target<'_>, outcome: &Outcome) -> Bytes {
        match outcome {
            Outcome::Gone(stored) if !returns_deleted(target.resource) => {
                encode(&delete_status(target.resource, stored))
            }
            outcome => encode(&convert::from_storage(target.resource, outcome.stored().value())),
        }
    }
}

fn delete_status(resource: &Resource, stored: &Stored) -> Value {
    let value = stored.value();
    crate::heart::status::deleted(resource, meta::name(&value), meta::uid(&value))
}

/// Kinds whose delete answers with the object as it was.
fn returns_deleted(resource: &Resource) -> bool {
    resource.group.is_empty()
        && matches!(
            resource.kind,
            "Pod"
                | "Service"
                | "ServiceAccount"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "PodTemplate"
                | "ResourceQuota"
        )
}
