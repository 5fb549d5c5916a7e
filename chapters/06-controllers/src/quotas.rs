//! Keeps the status of ResourceQuotas: what `heart::quota` counts.

use std::sync::PoisonError;
use std::time::Duration;

use informer::{ApiResource, Error, ListOptions};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use objects::meta;

use crate::context::Context;
use crate::driver::{Again, Reconcile};
use crate::heart::quota::{Found, counts, status};
use crate::owned::namespace_is_terminating;

/// A write that was paid for and failed after all is found out so (upstream:
/// `--resource-quota-sync-period`).
const RESYNC: Duration = Duration::from_secs(5 * 60);

pub struct Quotas;

impl Reconcile for Quotas {
    type Key = String;
    const NAME: &'static str = "resourcequota";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let Some(quota) = context.caches.quotas.get(namespace, name) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for resource in counted(context, &quota).await? {
            found.push(contents(context, namespace, resource).await?);
        }
        let status = status(&quota, &found, Timestamp::now());
        if quota.status.as_ref() != Some(&status) {
            let updated = ResourceQuota { status: Some(status), ..ResourceQuota::clone(&quota) };
            match context.client.replace_status(&updated).await {
                Ok(written) => context.wrote(Self::NAME, key, "ResourceQuota", &written),
                Err(error) if error.is_not_found() || namespace_is_terminating(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(RESYNC))
    }
}

/// The kinds that this quota counts; of a kind with several versions, one.
async fn counted(context: &Context, quota: &ResourceQuota) -> Result<Vec<ApiResource>, Error> {
    let known = context.resources.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mut resources = if known.is_empty() { context.client.discovery().await? } else { known };
    resources.retain(|resource| {
        resource.namespaced && resource.supports("list") && counts(quota, &resource.group, &resource.plural)
    });
    resources.sort();
    resources.dedup_by(|a, b| (&a.group, &a.plural) == (&b.group, &b.plural));
    Ok(resources)
}

async fn contents(context: &Context, namespace: &str, resource: ApiResource) -> Result<Found, Error> {
    let options = ListOptions { namespace: Some(namespace.to_owned()), ..ListOptions::default() };
    let listed = context.client.list_dynamic(&resource, &options).await?.items;
    let objects = listed.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    Ok(Found { group: resource.group, plural: resource.plural, objects })
}
