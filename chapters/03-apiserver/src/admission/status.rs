//! The loop behind ValidatingAdmissionPolicies: it says in their status up to which generation
//! they were looked at, and what was found wrong (upstream:
//! `pkg/controller/validatingadmissionpolicystatus`).

use crate::app::App;
use crate::caches::KindCache;
use crate::heart::admission::policy;
use crate::heart::kind::Kind;
use crate::heart::meta;
use crate::heart::status::ApiError;
use crate::writing::Target;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Keep the status of every policy right, for ever.
pub async fn run(app: Arc<App>) {
    let Some(kind) = Kind::named("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy") else {
        return;
    };
    let Some(cache) = app.caches.of(kind.resource) else { return };
    app.caches.wait_synced().await;
    let mut changed = cache.changed.subscribe();
    loop {
        // Seen before looking: what changes while we look is looked at again.
        changed.borrow_and_update();
        match round(&app, &kind, &cache).await {
            Ok(()) => drop(changed.changed().await),
            Err(error) => {
                tracing::warn!(%error, "the status of a policy could not be written");
                drop(tokio::time::timeout(RETRY, changed.changed()).await);
            }
        }
    }
}

async fn round(app: &App, kind: &Kind, cache: &KindCache) -> Result<(), ApiError> {
    let policies: Vec<Value> = cache.read(|cache| cache.list("").map(|stored| stored.value()).collect());
    for object in policies.iter().filter(|object| policy::settle(object) != **object) {
        let target = Target { kind, namespace: None, name: meta::name(object) };
        app.settle(target, policy::settle).await?;
    }
    Ok(())
}
