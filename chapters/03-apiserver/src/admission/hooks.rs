//! Who is to be asked: read from this server's own caches, and anew only when they changed.

use crate::app::App;
use crate::caches::Caches;
use crate::heart::admission::Attributes;
use crate::heart::admission::policy::{Binding, Policy};
use crate::heart::admission::webhook::Webhook;
use crate::heart::catalog::Catalog;
use crate::heart::kind::Kind;
use crate::heart::{keys, meta};
use crate::writing::Target;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Policies with the bindings that use them.
pub type Policies = Vec<(Policy, Vec<Binding>)>;

/// Configurations as they were read, with the revisions of which they were.
#[derive(Default)]
pub struct Hooks {
    mutating: Read<Vec<Webhook>>,
    validating: Read<Vec<Webhook>>,
    policies: Read<Policies>,
}

type Read<T> = Mutex<Option<(Vec<(i64, u64)>, Arc<T>)>>;

impl Hooks {
    pub fn mutating(&self, caches: &Caches) -> Arc<Vec<Webhook>> {
        webhooks(&self.mutating, caches, "MutatingWebhookConfiguration")
    }

    pub fn validating(&self, caches: &Caches) -> Arc<Vec<Webhook>> {
        webhooks(&self.validating, caches, "ValidatingWebhookConfiguration")
    }

    pub fn policies(&self, caches: &Caches) -> Arc<Policies> {
        let kinds = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
        read(&self.policies, caches, &kinds, |objects| {
            let bindings: Vec<Binding> = objects[1].iter().map(Binding::read).collect();
            let of = |policy: &Policy| bindings.iter().filter(|b| b.policy == policy.name).cloned().collect();
            objects[0]
                .iter()
                .map(Policy::read)
                .map(|policy| (of(&policy), policy))
                .map(|(b, p)| (p, b))
                .collect()
        })
    }
}

fn webhooks(known: &Read<Vec<Webhook>>, caches: &Caches, kind: &str) -> Arc<Vec<Webhook>> {
    read(known, caches, &[kind], |objects| objects[0].iter().flat_map(Webhook::read_all).collect())
}

/// What was read before, if nothing has changed; else it is read anew. Objects come in the order
/// of their names.
fn read<T>(
    known: &Read<T>,
    caches: &Caches,
    kinds: &[&str],
    make: impl FnOnce(&[Vec<Value>]) -> T,
) -> Arc<T> {
    let found = |kind: &&str| {
        let kind = Kind::named("admissionregistration.k8s.io", "v1", kind)?;
        caches.of(kind.resource)
    };
    let caches: Vec<_> = kinds.iter().filter_map(found).collect();
    let at: Vec<(i64, u64)> = caches.iter().map(|cache| (*cache.changed.borrow(), cache.epoch())).collect();
    let mut known = known.lock().unwrap_or_else(|p| p.into_inner());
    if let Some((then, read)) = known.as_ref()
        && *then == at
    {
        return read.clone();
    }
    let objects: Vec<Vec<Value>> =
        caches.iter().map(|cache| cache.read(|cache| cache.list("").map(|s| s.value()).collect())).collect();
    let made = Arc::new(make(&objects));
    *known = Some((at, made.clone()));
    made
}

impl App {
    /// The objects that a binding gives its policy to go by; why not, if there is no way to look.
    pub fn params_of(
        &self,
        catalog: &Catalog,
        policy: &Policy,
        binding: &Binding,
        attributes: &Attributes,
    ) -> Result<Vec<Value>, String> {
        let (Some((api_version, kind)), Some(reference)) = (&policy.param_kind, &binding.params) else {
            return Ok(Vec::new());
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let missing = || {
            format!(
                "failed to configure policy: failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'"
            )
        };
        let kind = catalog.by_kind(group, version, kind).ok_or_else(missing)?;
        let cache = self.caches.of(kind.resource).ok_or_else(missing)?;
        let namespace = match (kind.resource.namespaced, reference.namespace.as_str()) {
            (false, _) => None,
            (true, "") => Some(attributes.namespace.as_deref().ok_or(
                "failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
            )?),
            (true, named) => Some(named),
        };
        if !reference.name.is_empty() {
            let target = Target { kind: &kind, namespace, name: &reference.name };
            return Ok(self.cached(target).map(|stored| stored.value()).into_iter().collect());
        }
        let prefix = keys::list_prefix(kind.resource, namespace).map_err(|error| error.to_string())?;
        let all = cache.read(|cache| {
            let chosen = cache.list(&prefix).filter(|stored| reference.selector.matches(&stored.labels));
            chosen.map(|stored| stored.value()).collect::<Vec<Value>>()
        });
        Ok(all.into_iter().filter(|object| !meta::is_deleting(object)).collect())
    }
}
