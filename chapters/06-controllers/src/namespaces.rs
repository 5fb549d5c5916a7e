//! Empties namespaces that are being deleted, as `heart::namespace` judges.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use informer::{ApiResource, Error, ListOptions};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use objects::meta;

use crate::context::Context;
use crate::driver::{Again, Reconcile};
use crate::heart::namespace::{Content, Verdict, is_terminating, judge};
use crate::owned::delete_options;

/// How many objects are deleted at a time.
const AT_ONCE: usize = 16;
/// The net under the watches that wake us when something in the namespace is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub struct Namespaces;

impl Reconcile for Namespaces {
    type Key = String;
    const NAME: &'static str = "namespace";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let Some(namespace) = context.caches.namespaces.get("", key) else {
            return Ok(None);
        };
        if !is_terminating(&namespace) {
            return Ok(None);
        }
        let name = meta::name(&namespace.metadata);
        let content = empty(context, name).await;
        match judge(&namespace, &content, Timestamp::now()) {
            Verdict::NotTerminating => Ok(None),
            Verdict::Finalize(finalizers) => finalize(context, &namespace, finalizers).await,
            Verdict::Wait(status) => {
                if let Some(status) = status {
                    let updated = Namespace { status: Some(status), ..Namespace::clone(&namespace) };
                    let written = context.client.replace_status(&updated).await?;
                    context.wrote(Self::NAME, key, "Namespace", &written);
                }
                Ok(Some(LOOK_AGAIN))
            }
        }
    }
}

/// One pass: deletes what is not going yet, then counts what is left.
async fn empty(context: &Context, namespace: &str) -> Content {
    let mut content = Content::default();
    let resources = match context.client.discovery().await {
        Ok(resources) => resources,
        Err(error) => {
            content.discovery_error = Some(error.to_string());
            return content;
        }
    };
    let ours = |resource: &&ApiResource| {
        resource.namespaced && resource.supports("list") && resource.supports("delete")
    };
    for resource in resources.iter().filter(ours) {
        if let Err(error) = empty_of(context, namespace, resource, &mut content).await {
            content.deletion_error = Some(error.to_string());
        }
    }
    content
}

async fn empty_of(
    context: &Context,
    namespace: &str,
    resource: &ApiResource,
    content: &mut Content,
) -> Result<(), Error> {
    let client = &context.client;
    let options = ListOptions { namespace: Some(namespace.to_owned()), ..ListOptions::default() };
    let found = client.list_dynamic(resource, &options).await?.items;
    let mut trouble = None;
    for some in found.chunks(AT_ONCE) {
        let mut requests = Vec::new();
        for object in some.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
            let options = delete_options(meta::uid(&object.metadata), "Background");
            let name = meta::name(&object.metadata).to_owned();
            requests.push(async move { client.delete_dynamic(resource, namespace, &name, &options).await });
        }
        for result in join_all(requests).await {
            match result {
                Err(error) if !error.is_not_found() && !error.is_conflict() => trouble = Some(error),
                _ => {}
            }
        }
    }
    if !found.is_empty() {
        let left = client.list_dynamic(resource, &options).await?.items;
        if !left.is_empty() {
            content.remaining.insert(format!("{}.{}", resource.plural, resource.group), left.len());
        }
        for finalizer in left.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
            *content.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
    }
    trouble.map_or(Ok(()), Err)
}

async fn finalize(context: &Context, namespace: &Namespace, finalizers: Vec<String>) -> Result<Again, Error> {
    let name = meta::name(&namespace.metadata);
    let mut updated = namespace.clone();
    updated.spec.get_or_insert_default().finalizers = Some(finalizers);
    let body = serde_json::to_vec(&updated)?;
    let path = format!("/api/v1/namespaces/{name}/finalize");
    let (code, answer) = context.client.raw(Method::PUT, &path, "application/json", body.into()).await?;
    if code.is_success() || code.as_u16() == 404 {
        return Ok(None);
    }
    Err(Error::Api(Box::new(serde_json::from_slice(&answer)?)))
}
