//! Carries out what `heart::endpoints` plans: slices and the Endpoints object.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use informer::Error;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use objects::meta;

use crate::context::Context;
use crate::driver::{Again, Reconcile};
use crate::heart::endpoints::{
    CONTROLLER, MANAGED_BY, SERVICE_NAME, Target, plan_endpoints, plan_slices, selector, target,
};
use crate::owned::{delete_options, namespace_is_terminating};

const ZONE: &str = "topology.kubernetes.io/zone";

pub struct EndpointsOfServices;

impl Reconcile for EndpointsOfServices {
    type Key = String;
    const NAME: &'static str = "endpoints";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let (namespace, name) = meta::split_key(key);
        let Some(service) = context.caches.services.get(namespace, name) else {
            // The slices go by their owner reference; the older object has none.
            if context.caches.endpoints.get(namespace, name).is_some() {
                let options = DeleteOptions::default();
                ignore_missing(context.client.delete::<Endpoints>(namespace, name, &options).await)?;
            }
            return Ok(None);
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let Some(selector) = selector(&service) else {
            return Ok(None);
        };
        let zones = zones(context);
        let pods = context.caches.pods.list_in(namespace);
        let selected = pods.iter().filter(|pod| selector.matches(meta::labels(&pod.metadata)));
        let targets: Vec<Target> = selected.filter_map(|pod| target(&service, pod, &zones)).collect();
        let (slices, endpoints) = tokio::join!(
            write_slices(context, key, &service, &targets),
            write_endpoints(context, key, &service, &targets),
        );
        match slices.and(endpoints) {
            Err(error) if namespace_is_terminating(&error) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(None),
        }
    }
}

/// The Service that a slice of ours belongs to.
pub fn service_of(slice: &EndpointSlice) -> Option<String> {
    if meta::label(&slice.metadata, MANAGED_BY) != Some(CONTROLLER) {
        return None;
    }
    let name = meta::label(&slice.metadata, SERVICE_NAME)?;
    Some(meta::join_key(meta::namespace(&slice.metadata), name))
}

/// The Services that select this pod.
pub fn services_of(context: &Context, pod: &Pod) -> Vec<String> {
    let services = context.caches.services.list_in(meta::namespace(&pod.metadata));
    let labels = meta::labels(&pod.metadata);
    let selecting = services.iter().filter(|s| selector(s).is_some_and(|selector| selector.matches(labels)));
    selecting.map(|service| meta::key(&service.metadata)).collect()
}

fn zones(context: &Context) -> BTreeMap<String, String> {
    let nodes = context.caches.nodes.list();
    let zone = |node: &Arc<k8s_openapi::api::core::v1::Node>| {
        let zone = meta::label(&node.metadata, ZONE)?;
        Some((meta::name(&node.metadata).to_owned(), zone.to_owned()))
    };
    nodes.iter().filter_map(zone).collect()
}

async fn write_slices(
    context: &Context,
    key: &String,
    service: &Service,
    targets: &[Target],
) -> Result<(), Error> {
    let slices = context.caches.slices.list_in(meta::namespace(&service.metadata));
    let ours = slices.into_iter().filter(|slice| service_of(slice).as_ref() == Some(key));
    let existing: Vec<Arc<EndpointSlice>> = ours.collect();
    let plan = plan_slices(service, targets, &existing);
    let client = &context.client;
    let wrote = |slice: &EndpointSlice| {
        context.wrote(EndpointsOfServices::NAME, key, "EndpointSlice", slice);
    };
    // New addresses first, so that no endpoint is missing in between.
    for slice in join_all(plan.create.iter().map(|slice| client.create(slice))).await {
        wrote(&slice?);
    }
    for slice in join_all(plan.update.iter().map(|slice| client.replace(slice))).await {
        wrote(&slice?);
    }
    for slice in &plan.delete {
        let (namespace, name) = (meta::namespace(&slice.metadata), meta::name(&slice.metadata));
        let options = delete_options(meta::uid(&slice.metadata), "Background");
        ignore_missing(client.delete::<EndpointSlice>(namespace, name, &options).await)?;
    }
    Ok(())
}

async fn write_endpoints(
    context: &Context,
    key: &String,
    service: &Service,
    targets: &[Target],
) -> Result<(), Error> {
    let (namespace, name) = (meta::namespace(&service.metadata), meta::name(&service.metadata));
    let existing = context.caches.endpoints.get(namespace, name);
    let Some(desired) = plan_endpoints(service, targets, existing.as_deref()) else {
        return Ok(());
    };
    let written = match existing {
        None => context.client.create(&desired).await?,
        Some(_) => context.client.replace(&desired).await?,
    };
    context.wrote(EndpointsOfServices::NAME, key, "Endpoints", &written);
    Ok(())
}

pub fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
