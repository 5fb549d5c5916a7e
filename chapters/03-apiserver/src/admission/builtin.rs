//! What every cluster does to some new objects by itself, with what the caches know.

use crate::app::{self, App};
use crate::heart::admission::pod_security::{self, Subject};
use crate::heart::admission::{Attributes, Operation, account, builtin, limits, quota};
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::meta;
use crate::heart::status::{ApiError, Reason};
use crate::writing::{Change, Target};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// How long a pod waits for its namespace's default account, which a controller makes. (Upstream looks
/// ten times in two seconds; to wait longer costs nobody anything.)
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// What may be switched off of what this server does to new objects by itself, under upstream's names.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
pub enum Plugin {
    DefaultIngressClass,
    DefaultStorageClass,
    LimitRanger,
    PodSecurity,
    Priority,
    ResourceQuota,
    RuntimeClass,
    ServiceAccount,
    TaintNodesByCondition,
}

impl App {
    fn all_of(&self, group: &str, kind: &str) -> Vec<Value> {
        self.all_in(group, kind, None)
    }

    fn all_in(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<Value> {
        let Some(kind) = Kind::named(group, "v1", kind) else { return Vec::new() };
        let prefix = match namespace {
            Some(_) => keys::list_prefix(kind.resource, namespace).unwrap_or_default(),
            None => String::new(),
        };
        let cache = self.caches.of(kind.resource);
        let all = cache.map(|cache| cache.read(|cache| cache.list(&prefix).cloned().collect::<Vec<_>>()));
        all.unwrap_or_default().iter().map(|stored| stored.value()).collect()
    }

    fn has(&self, plugin: Plugin) -> bool {
        !self.disabled_plugins.contains(&plugin)
    }

    /// Whether a new object stays within what its namespace allows.
    pub fn within_limits(&self, attributes: &Attributes, object: &Value) -> Result<(), ApiError> {
        if !is_new(attributes) || !self.has(Plugin::LimitRanger) {
            return Ok(());
        }
        let ranges = || self.all_in("", "LimitRange", attributes.namespace.as_deref());
        let checked = match (attributes.kind.resource.group, attributes.kind.resource.kind) {
            ("", "Pod") => limits::check_pod(object, &ranges()),
            ("", "PersistentVolumeClaim") => limits::check_claim(object, &ranges()),
            _ => Ok(()),
        };
        checked.map_err(|why| attributes.forbidden(Some(object), &why))
    }

    /// Whether pods are as careful as their namespace wants them; and if a namespace wants more than it
    /// did, which of its pods are not.
    pub async fn pod_security(
        &self,
        attributes: &Attributes,
        object: &Value,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let subject = pod_security::subject(attributes).filter(|_| self.has(Plugin::PodSecurity));
        let Some(subject) = subject else { return Ok(()) };
        if subject == Subject::Namespace {
            if let Some(measure) = pod_security::judge_namespace(attributes, object, old)? {
                let name = meta::name(object);
                let pods = self.all_in("", "Pod", Some(name));
                warnings.extend(pod_security::existing(name, measure, pods.iter()));
            }
            return Ok(());
        }
        let namespace = self.namespace_of_write(attributes, Some(object)).await?.unwrap_or_default();
        warnings.extend(match subject {
            Subject::Template(pointer) => pod_security::judge_template(object, pointer, &namespace),
            _ => pod_security::judge_pod(attributes, object, old, &namespace)?,
        });
        Ok(())
    }

    /// Whether a new pod says of itself what only its runtime class may say.
    pub fn within_its_class(&self, attributes: &Attributes, object: &Value) -> Result<(), ApiError> {
        let resource = attributes.kind.resource;
        if !is_new(attributes)
            || !self.has(Plugin::RuntimeClass)
            || (resource.group, resource.kind) != ("", "Pod")
        {
            return Ok(());
        }
        let classes = self.all_of("node.k8s.io", "RuntimeClass");
        builtin::overhead(object, &classes).map_err(|why| attributes.forbidden(Some(object), &why))
    }

    /// Take what a write costs off the quotas of its namespace: last, when everybody else has agreed. What
    /// then fails all the same has been paid for until the quota controller counts again.
    pub async fn within_quotas(
        &self,
        attributes: &Attributes,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let resource = attributes.kind.hub().resource;
        let Some(namespace) = attributes.namespace.as_deref() else { return Ok(()) };
        if !self.has(Plugin::ResourceQuota)
            || !quota::concerns(resource, attributes.operation, &attributes.subresource)
        {
            return Ok(());
        }
        let Some(kind) = Kind::named("", "v1", "ResourceQuota") else { return Ok(()) };
        let write = quota::Write { resource, object, old, now: Timestamp::now() };
        let charge =
            |quota: &Value| write.charge(quota).map_err(|why| attributes.forbidden(Some(object), &why));
        let mut concerned: Vec<(bool, String)> = Vec::new();
        for quota in self.all_in("", "ResourceQuota", Some(namespace)) {
            let charged = charge(&quota);
            if !matches!(charged, Ok(None)) {
                concerned.push((charged.is_ok(), meta::name(&quota).to_owned()));
            }
        }
        if concerned.is_empty() {
            return Ok(());
        }
        let target = Target { kind: &attributes.kind, namespace: Some(namespace), name: &attributes.name };
        if attributes.operation == Operation::Create
            && !attributes.name.is_empty()
            && self.get(target).await.is_ok()
        {
            // The store will refuse it, and nobody gives back what was paid.
            return Ok(());
        }
        // Those that seem to refuse are asked first, so that nothing is paid to the others in vain.
        concerned.sort();
        let _one_at_a_time = self.quotas.lock().await;
        for (_, name) in concerned {
            let target = Target { kind: &kind, namespace: Some(namespace), name: &name };
            let paid = self.change(target, attributes.dry_run, |quota, _| {
                let Some(mut charged) = charge(quota)? else { return Ok(Change::Same) };
                meta::map_at(&mut charged, "metadata").shift_remove("resourceVersion");
                Ok(Change::Put(charged))
            });
            match paid.await {
                Err(error) if error.reason == Reason::NotFound => {}
                paid => drop(paid?),
            }
        }
        Ok(())
    }

    /// Twice is once: it is done again when a webhook has changed the object.
    pub async fn built_in(&self, attributes: &Attributes, object: &mut Value) -> Result<(), ApiError> {
        if !is_new(attributes) {
            return Ok(());
        }
        let resource = attributes.kind.resource;
        match (resource.group, resource.kind) {
            ("", "Pod") => self.complete_pod(attributes, object).await?,
            ("", "Node") if self.has(Plugin::TaintNodesByCondition) => builtin::taint_until_ready(object),
            ("", "PersistentVolumeClaim") if self.has(Plugin::DefaultStorageClass) => {
                builtin::storage_class(object, &self.all_of("storage.k8s.io", "StorageClass"));
            }
            ("networking.k8s.io", "Ingress") if self.has(Plugin::DefaultIngressClass) => {
                builtin::ingress_class(object, &self.all_of("networking.k8s.io", "IngressClass"));
            }
            _ => {}
        }
        Ok(())
    }

    async fn complete_pod(&self, attributes: &Attributes, pod: &mut Value) -> Result<(), ApiError> {
        if self.has(Plugin::LimitRanger) {
            limits::fill(pod, &self.all_in("", "LimitRange", attributes.namespace.as_deref()));
        }
        if self.has(Plugin::ServiceAccount) {
            self.run_as(attributes, pod).await?;
        }
        let refused = |pod: &Value, why: String| attributes.forbidden(Some(pod), &why);
        if self.has(Plugin::Priority) {
            let classes = self.all_of("scheduling.k8s.io", "PriorityClass");
            builtin::priority(pod, &classes).map_err(|why| refused(pod, why))?;
        }
        if self.has(Plugin::RuntimeClass) {
            let classes = self.all_of("node.k8s.io", "RuntimeClass");
            builtin::runtime_class(pod, &classes).map_err(|why| refused(pod, why))?;
        }
        Ok(())
    }

    /// Let a new pod run as the account that it names.
    async fn run_as(&self, attributes: &Attributes, pod: &mut Value) -> Result<(), ApiError> {
        let wanted = account::wanted(pod).map_err(|why| attributes.forbidden(Some(pod), &why))?;
        let Some(name) = wanted else { return Ok(()) };
        let namespace = attributes.namespace.as_deref().unwrap_or_default();
        let Some(found) = self.account(namespace, name).await? else {
            let why = format!(
                "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
            );
            return Err(attributes.forbidden(Some(pod), &why));
        };
        account::run_as(pod, &found, &app::name_suffix());
        Ok(())
    }

    /// The account, if there is one. A new namespace's default account is waited for.
    async fn account(&self, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let kind = Kind::named("", "v1", "ServiceAccount").ok_or_else(ApiError::no_route)?;
        let target = Target { kind: &kind, namespace: Some(namespace), name };
        if let Some(stored) = self.cached(target) {
            return Ok(Some(stored.value()));
        }
        // The cache may be a moment behind.
        match self.get(target).await {
            Err(error) if error.reason == Reason::NotFound => {}
            found => return found.map(|stored| Some(stored.value())),
        }
        let Some(cache) = self.caches.of(kind.resource).filter(|_| name == account::DEFAULT) else {
            return Ok(None);
        };
        let mut changed = cache.changed.subscribe();
        let made = changed.wait_for(|_| self.cached(target).is_some());
        let _ = tokio::time::timeout(ACCOUNT_TIMEOUT, made).await;
        Ok(self.cached(target).map(|stored| stored.value()))
    }
}

/// Only new objects are completed, and only as a whole.
fn is_new(attributes: &Attributes) -> bool {
    attributes.operation == Operation::Create && attributes.subresource.is_empty()
}
