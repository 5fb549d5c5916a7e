//! Objects in the store: each function is one verb, and each asks the core what to do and then
//! does it with a write that fails when someone else was first.
//!
//! ```text
//!  a write: decode ─► the change ─► mutating admission ─► owners ─► hub form ─► defaults, checks
//!             ▲                                                                        │
//!             │ someone was faster: again, on what they wrote                          ▼
//!             └──────────────── compare-and-put ◄── stored form ◄── validating admission
//! ```

use crate::app::{self, App};
use crate::attempts::Attempts;
use crate::etcd::{Found, Written};
use crate::forms;
use crate::heart::admission::builtin;
use crate::heart::alloc::{self, Used};
use crate::heart::convert;
use crate::heart::custom;
use crate::heart::delete::{self, DeleteOptions, Deletion};
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::kinds;
use crate::heart::managed;
use crate::heart::meant;
use crate::heart::meta;
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::{Stored, encode};
use crate::heart::validation;
use crate::heart::warnings;
use crate::heart::write::{self, Context, Part};
use crate::writing::{Change, Outcome, Target, Writing};
use bytes::Bytes;
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::MutexGuard;

/// How often another generated name is tried.
const MAX_NAMES: usize = 8;

impl App {
    /// The newest state of one object, from the store.
    pub async fn get(&self, target: Target<'_>) -> Result<Arc<Stored>, ApiError> {
        let key = target.key()?;
        let found = self.store.get(&key).await?;
        self.read(target, &key, found)
    }

    pub fn read(&self, target: Target<'_>, key: &str, found: Option<Found>) -> Result<Arc<Stored>, ApiError> {
        let Some(found) = found else { return Err(target.not_found()) };
        Stored::read(&target.kind.hub(), key, found.revision, &found.value)
            .map(Arc::new)
            .ok_or_else(|| ApiError::internal(format!("the value of {key} in the store is not an object")))
    }

    pub fn cached(&self, target: Target<'_>) -> Option<Arc<Stored>> {
        let key = target.key().ok()?;
        self.caches.of(target.kind.resource)?.read(|cache| cache.get(&key).cloned())
    }

    /// Make an object of what a client sent: `object` is decoded.
    pub async fn create(
        &self,
        writing: &Writing,
        mut object: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<Stored>, ApiError> {
        let attributes = &writing.attributes;
        let (kind, hub) = (&attributes.kind, attributes.kind.hub());
        let namespace = attributes.namespace.as_deref();
        meant::place(kind, namespace, &mut object)?;
        if let Some(namespace) = namespace.filter(|_| kind.resource.namespaced) {
            self.check_namespace(kind.resource, meta::name(&object), namespace).await?;
        }
        if !writing.applies {
            managed::note_update(&writing.writer(), None, &mut object);
        }
        self.admit_mutating(attributes, &mut object, None, warnings).await?;
        let object = forms::hub(kind, object);
        let uid = app::new_uid();
        let mut suffix = app::name_suffix();
        let is_service = (hub.resource.group, hub.resource.kind) == ("", "Service");
        let _allocating = if is_service { Some(self.allocating().await?) } else { None };
        for attempt in 1.. {
            let context = Context { name: None, uid: &uid, suffix: &suffix, ..writing.context(hub.clone()) };
            let mut prepared = write::prepare_create(&context, object.clone())?;
            kind.validate_served(None, &prepared)?;
            if is_service {
                let used = self.used_by_services();
                alloc::allocate(hub.resource, &mut prepared, &self.net, &used, app::random_u64())?;
            }
            warnings::add(warnings, warnings::of_create(&hub, &prepared));
            let name = meta::name(&prepared).to_string();
            let shown = forms::served(kind, prepared.clone());
            self.admit_validating(attributes, Some(&shown), None, warnings).await?;
            let prepared = self.stored_form(kind, prepared).await?;
            let key = keys::object_key(hub.resource, namespace, &name)?;
            if attributes.dry_run {
                if let Some(found) = self.store.get(&key).await? {
                    return Err(self.taken(kind, &key, &name, Some(found)));
                }
                return Ok(Arc::new(Stored::tried(&hub, &key, prepared)));
            }
            let lease = if hub.resource.kind == "Event" { self.event_lease().await? } else { 0 };
            match self.store.put(&key, 0, encode(&prepared), lease).await {
                Ok(Written::Done(revision)) => {
                    self.caches.catch_up(revision).await;
                    return Ok(Arc::new(Stored::new(&hub, &key, revision, prepared)));
                }
                Ok(Written::Changed(found)) => {
                    let generated = meta::name(&object).is_empty();
                    if !generated || attempt >= MAX_NAMES {
                        return Err(self.taken(kind, &key, &name, found));
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

    /// Why there cannot be another object under this key.
    fn taken(&self, kind: &Kind, key: &str, name: &str, found: Option<Found>) -> ApiError {
        let there = self.read(Target { kind, namespace: None, name }, key, found);
        match there.is_ok_and(|stored| meta::is_deleting(&stored.value())) {
            true => ApiError::still_exists(kind.resource, name),
            false => ApiError::already_exists(kind.resource, name),
        }
    }

    async fn check_namespace(
        &self,
        resource: &Resource,
        name: &str,
        namespace: &str,
    ) -> Result<(), ApiError> {
        let Some(kind) = Kind::named("", "v1", "Namespace") else { return Ok(()) };
        let target = Target { kind: &kind, namespace: None, name: namespace };
        // The cache may be a moment behind: only what it has is believed.
        let stored = match self.cached(target) {
            Some(stored) => Some(stored),
            None => self.get(target).await.map(Some).or_else(|e| match e.reason {
                Reason::NotFound => Ok(None),
                _ => Err(e),
            })?,
        };
        let value = stored.map(|s| s.value());
        builtin::check_namespace(resource, name, namespace, value.as_ref())
    }

    /// One service at a time takes addresses and ports, and sees what all before it took.
    async fn allocating(&self) -> Result<MutexGuard<'_, ()>, ApiError> {
        let alone = self.services.lock().await;
        self.caches.wait_for(self.store.revision().await?).await?;
        Ok(alone)
    }

    fn used_by_services(&self) -> Used {
        let mut used = Used::default();
        let service = Kind::named("", "v1", "Service").and_then(|kind| self.caches.of(kind.resource));
        if let Some(cache) = service {
            let all: Vec<Arc<Stored>> = cache.read(|cache| cache.list("").cloned().collect());
            all.iter().for_each(|service| used.add(&service.value()));
        }
        used
    }

    /// Change one object without asking anybody else: `change` sees the newest state (with its
    /// resourceVersion) and says what should become of it. It may be called again when someone
    /// else was first.
    pub async fn change(
        &self,
        target: Target<'_>,
        dry_run: bool,
        mut change: impl FnMut(&Value, i64) -> Result<Change, ApiError>,
    ) -> Result<Outcome, ApiError> {
        let mut attempts = Attempts::begin(self, target, dry_run).await?;
        while let Some(stored) = attempts.next() {
            let decision = change(&stored.value(), stored.revision);
            if let Some(outcome) = attempts.settle(decision).await? {
                return Ok(outcome);
            }
        }
        Err(ApiError::modified(target.kind.resource, target.name))
    }

    /// Write what a controller of this server's own makes of an object, if that is something new. `None`
    /// when the object is gone, which ends the work on it.
    pub async fn settle(
        &self,
        target: Target<'_>,
        mut settle: impl FnMut(&Value) -> Value,
    ) -> Result<Option<Arc<Stored>>, ApiError> {
        let settled = self.change(target, false, |old, _| {
            let mut new = settle(old);
            if new == *old {
                return Ok(Change::Same);
            }
            meta::map_at(&mut new, "metadata").shift_remove("resourceVersion");
            Ok(Change::Put(new))
        });
        match settled.await {
            Ok(outcome) => Ok(Some(outcome.stored().clone())),
            Err(error) if error.reason == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Update one part of an object to what `make` makes of its present state. `make` is shown
    /// the object as it is served, and gives a decoded one.
    pub async fn update(
        &self,
        writing: &Writing,
        part: Part,
        warnings: &mut Vec<String>,
        mut make: impl FnMut(&Value, &mut Vec<String>) -> Result<Value, ApiError>,
    ) -> Result<Outcome, ApiError> {
        let target = writing.target();
        let resource = target.kind.hub().resource;
        let is_service = (resource.group, resource.kind) == ("", "Service") && part == Part::Main;
        let _allocating = if is_service { Some(self.allocating().await?) } else { None };
        let mut attempts = Attempts::begin(self, target, writing.attributes.dry_run).await?;
        while let Some(stored) = attempts.next() {
            warnings.clear();
            let decision = self.updated(writing, part, &stored, warnings, &mut make).await;
            if let Some(outcome) = attempts.settle(decision).await? {
                return Ok(outcome);
            }
        }
        Err(ApiError::modified(target.kind.resource, target.name))
    }

    /// One attempt of an update, on the state `stored`.
    async fn updated(
        &self,
        writing: &Writing,
        part: Part,
        stored: &Stored,
        warnings: &mut Vec<String>,
        make: &mut impl FnMut(&Value, &mut Vec<String>) -> Result<Value, ApiError>,
    ) -> Result<Change, ApiError> {
        let attributes = &writing.attributes;
        let (kind, hub) = (&attributes.kind, attributes.kind.hub());
        let old = self.hub_form(kind, stored.value()).await?;
        let shown = forms::served(kind, old.clone());
        let mut new = make(&shown, warnings)?;
        if !writing.applies {
            managed::note_update(&writing.writer(), Some(&shown), &mut new);
        }
        self.admit_mutating(attributes, &mut new, Some(&shown), warnings).await?;
        let context = writing.context(hub.clone());
        let new = forms::hub(kind, new);
        let mut new = write::prepare_update(&context, part, &old, stored.revision, new)?;
        if (hub.resource.group, hub.resource.kind) == ("", "Service") && part == Part::Main {
            let mut others = self.used_by_services();
            others.remove(&old);
            alloc::allocate(hub.resource, &mut new, &self.net, &others, app::random_u64())?;
        }
        if part == Part::Finalize {
            validation::validate_finalize(hub.resource, &new)?;
        }
        if part == Part::Main {
            kind.validate_served(Some(&old), &new)?;
            warnings::add(warnings, warnings::of_update(&hub, &new, &old));
        }
        let wanted = forms::served(kind, new.clone());
        self.admit_validating(attributes, Some(&wanted), Some(&shown), warnings).await?;
        Ok(match write::is_finished(hub.resource, &new) {
            true => Change::Remove,
            false => Change::Put(self.stored_form(kind, new).await?),
        })
    }

    pub async fn delete(
        &self,
        writing: &Writing,
        options: &DeleteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, ApiError> {
        let target = writing.target();
        let mut attempts = Attempts::begin(self, target, options.dry_run).await?;
        while let Some(stored) = attempts.next() {
            warnings.clear();
            let decision = self.deleted(writing, options, &stored, warnings).await;
            if let Some(outcome) = attempts.settle(decision).await? {
                return Ok(outcome);
            }
        }
        Err(ApiError::modified(target.kind.resource, target.name))
    }

    /// One attempt of a delete. Only metadata changes, so the stored form is good enough.
    async fn deleted(
        &self,
        writing: &Writing,
        options: &DeleteOptions,
        stored: &Stored,
        warnings: &mut Vec<String>,
    ) -> Result<Change, ApiError> {
        let (kind, mut old) = (&writing.attributes.kind, stored.value());
        let now = Timestamp::now();
        if custom::is_definition(kind.resource) {
            custom::hold_for_cleanup(&mut old, now);
        }
        let deletion = delete::prepare_delete(kind.hub().resource, &old, stored.revision, options, now)?;
        if deletion != Deletion::Pending {
            let shown = forms::served(kind, self.hub_form(kind, old).await?);
            self.admit_validating(&writing.attributes, None, Some(&shown), warnings).await?;
        }
        Ok(match deletion {
            Deletion::Remove => Change::Remove,
            Deletion::Pending => Change::Same,
            Deletion::Mark(mut marked) => {
                meta::map_at(&mut marked, "metadata").shift_remove("resourceVersion");
                Change::Put(marked)
            }
        })
    }

    /// What a delete answers.
    pub async fn delete_answer(&self, target: Target<'_>, outcome: &Outcome) -> Result<Bytes, ApiError> {
        let resource = target.kind.resource;
        if let Outcome::Gone(stored) = outcome
            && !kinds::facts(resource).returns_deleted
        {
            let value = stored.value();
            return Ok(encode(&crate::heart::status::deleted(
                resource,
                meta::name(&value),
                meta::uid(&value),
            )));
        }
        let shown = self.shown(target.kind, outcome.stored().clone()).await?;
        Ok(encode(&convert::from_storage(resource, shown.value())))
    }
}
