//! The API's verbs, typed: the kind says the path.

use crate::heart;
use crate::http_client::{HttpClient, Watch, api_error};
use crate::{ApiResource, Config, DynamicObject, Error};
use bytes::Bytes;
use heart::paths;
use http::{Method, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroupList, APIResourceList, DeleteOptions, ListMeta, ObjectMeta,
};
use k8s_openapi::{ClusterResourceScope, Metadata, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::any::TypeId;
use std::path::Path;

const JSON: &str = "application/json";

/// What the client reads and writes: every kind of k8s-openapi that has metadata.
pub trait Object: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<K> Object for K where K: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static {}

/// A connection to the API server. Cheap to clone; clones share the connection.
///
/// No call retries by itself, except where the server asked for it (429 with Retry-After):
/// only the caller knows whether its request still makes sense.
#[derive(Clone)]
pub struct Client {
    http: HttpClient,
}

/// Which objects to list, and how many at once.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `None` means all namespaces.
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub resource_version: Option<String>,
    pub limit: Option<u32>,
    pub continue_: Option<String>,
}

impl ListOptions {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| limit.to_string());
        [
            ("labelSelector", &self.label_selector),
            ("fieldSelector", &self.field_selector),
            ("resourceVersion", &self.resource_version),
            ("limit", &limit),
            ("continue", &self.continue_),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct List<K> {
    pub items: Vec<K>,
    pub resource_version: String,
    /// Where the next page starts, if there is one.
    pub continue_: Option<String>,
}

/// What a server says that it serves.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Each resource in its group's preferred version; subresources are left out.
    pub resources: Vec<ApiResource>,
    /// Groups and versions that could not be asked.
    pub failed: Vec<(String, Error)>,
}

#[derive(Deserialize)]
struct RawList<K> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Only for built-in kinds.
    Strategic(Value),
    /// Server-side apply: the fields that `manager` wants, and nothing else. With `force` they
    /// are taken from others who own them.
    Apply { manager: String, force: bool, fields: Value },
}

impl Patch {
    fn parts(&self) -> (&'static str, &Value) {
        match self {
            Patch::Json(value) => ("application/json-patch+json", value),
            Patch::Merge(value) => ("application/merge-patch+json", value),
            Patch::Strategic(value) => ("application/strategic-merge-patch+json", value),
            Patch::Apply { fields, .. } => ("application/apply-patch+yaml", fields),
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let Patch::Apply { manager, force, .. } = self else { return Vec::new() };
        vec![("fieldManager", manager.clone()), ("force", force.to_string())]
    }
}

/// Where a kind lives.
pub fn resource_of<K: Object>() -> ApiResource {
    ApiResource {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        plural: K::URL_PATH_SEGMENT.to_owned(),
        namespaced: TypeId::of::<<K as Resource>::Scope>() != TypeId::of::<ClusterResourceScope>(),
        verbs: Vec::new(),
    }
}

impl Client {
    /// The client of the file's current context.
    pub fn from_kubeconfig(path: &Path) -> Result<Client, Error> {
        Client::from_config(&Config::from_kubeconfig(path)?)
    }

    pub fn from_config(config: &Config) -> Result<Client, Error> {
        Ok(Client { http: HttpClient::new(config)? })
    }

    /// The same client under a name of its own: the server writes it beside the fields that this
    /// program changes (`managedFields`).
    pub fn called(mut self, program: &str) -> Client {
        self.http.call_me(program);
        self
    }

    /// Reads one object. The namespace of a cluster-scoped kind is ignored.
    pub async fn get<K: Object>(&self, ns: &str, name: &str) -> Result<K, Error> {
        self.read(&paths::object(&resource_of::<K>(), ns, name, None)).await
    }

    /// Reads one page.
    pub async fn list<K: Object>(&self, options: &ListOptions) -> Result<List<K>, Error> {
        self.list_at(&resource_of::<K>(), options).await
    }

    /// Opens a watch from `options.resource_version`.
    pub async fn watch<K: Object>(&self, options: &ListOptions) -> Result<Watch, Error> {
        self.watch_at(&resource_of::<K>(), options, None).await
    }

    /// Creates the object in the namespace that its metadata names.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, Error> {
        let ns = objects::meta::namespace(object.metadata());
        self.write(Method::POST, &resource_of::<K>().path(ns), object).await
    }

    /// Replaces the object. With a resourceVersion in it, only if nobody wrote since.
    pub async fn replace<K: Object>(&self, object: &K) -> Result<K, Error> {
        self.replace_at(object, None).await
    }

    /// Replaces the object's status alone.
    pub async fn replace_status<K: Object>(&self, object: &K) -> Result<K, Error> {
        self.replace_at(object, Some("status")).await
    }

    /// Changes an object, or one of its subresources.
    pub async fn patch<K: Object>(
        &self,
        ns: &str,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
    ) -> Result<K, Error> {
        self.patch_at(&resource_of::<K>(), ns, name, patch, subresource).await
    }

    /// Server-side apply: makes the object so, or creates it. Whoever applies again without a
    /// field gives it up. Another manager's field is a conflict, unless `force` takes it.
    pub async fn apply<K: Object>(&self, object: &K, manager: &str, force: bool) -> Result<K, Error> {
        let meta = object.metadata();
        let (ns, name) = (objects::meta::namespace(meta), objects::meta::name(meta));
        let fields = serde_json::to_value(object)?;
        let patch = Patch::Apply { manager: manager.to_owned(), force, fields };
        self.patch(ns, name, &patch, None).await
    }

    /// Deletes an object; with finalizers or a grace period it only begins to go.
    pub async fn delete<K: Object>(
        &self,
        ns: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        self.delete_dynamic(&resource_of::<K>(), ns, name, options).await
    }

    /// Gives a pod its node, once and for ever.
    pub async fn bind(&self, ns: &str, pod: &str, node: &str) -> Result<(), Error> {
        let pods = resource_of::<k8s_openapi::api::core::v1::Pod>();
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": ns},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = paths::object(&pods, ns, pod, Some("binding"));
        self.answer(Method::POST, &path, JSON, encode(&binding)?).await.map(drop)
    }

    /// Anything else: the answer as it came, whatever its code. An empty content type sends
    /// none.
    pub async fn raw(
        &self,
        method: Method,
        path_and_query: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Error> {
        self.http.send(method, path_and_query, content_type, body).await
    }

    /// What is served, as far as it can be known: the server behind one group may be away, and
    /// the others still answer. A group that went while we asked is not there.
    pub async fn discover(&self) -> Result<Discovered, Error> {
        let groups: APIGroupList = self.read("/apis").await?;
        let mut versions = vec!["v1".to_owned()];
        versions.extend(groups.groups.iter().filter_map(|group| {
            let preferred = group.preferred_version.as_ref().or(group.versions.first());
            preferred.map(|version| version.group_version.clone())
        }));
        let mut found = Discovered::default();
        for group_version in versions {
            match self.resources_of(&group_version).await {
                Ok(resources) => found.resources.extend(resources),
                Err(error) if error.is_not_found() => {}
                Err(error @ Error::Transport(_)) => return Err(error),
                Err(error) => found.failed.push((group_version, error)),
            }
        }
        found.resources.sort();
        Ok(found)
    }

    async fn resources_of(&self, group_version: &str) -> Result<Vec<ApiResource>, Error> {
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        let root = if group.is_empty() { "/api" } else { "/apis" };
        let list: APIResourceList = self.read(&format!("{root}/{group_version}")).await?;
        let own = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        let resources = own.map(|resource| ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: resource.kind,
            plural: resource.name,
            namespaced: resource.namespaced,
            verbs: resource.verbs,
        });
        Ok(resources.collect())
    }

    /// The same, and an error where anything is missing: for those who must know of everything.
    pub async fn discovery(&self) -> Result<Vec<ApiResource>, Error> {
        let found = self.discover().await?;
        match found.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(found.resources),
        }
    }

    pub async fn get_dynamic(
        &self,
        resource: &ApiResource,
        ns: &str,
        name: &str,
    ) -> Result<DynamicObject, Error> {
        self.read(&paths::object(resource, ns, name, None)).await
    }

    pub async fn list_dynamic(
        &self,
        resource: &ApiResource,
        options: &ListOptions,
    ) -> Result<List<DynamicObject>, Error> {
        self.list_at(resource, options).await
    }

    pub async fn patch_dynamic(
        &self,
        resource: &ApiResource,
        ns: &str,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
    ) -> Result<DynamicObject, Error> {
        self.patch_at(resource, ns, name, patch, subresource).await
    }

    pub async fn delete_dynamic(
        &self,
        resource: &ApiResource,
        ns: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        let options = DeleteOptions {
            api_version: Some("v1".to_owned()),
            kind: Some("DeleteOptions".to_owned()),
            ..options.clone()
        };
        let path = paths::object(resource, ns, name, None);
        self.answer(Method::DELETE, &path, JSON, encode(&options)?).await.map(drop)
    }

    pub(crate) async fn list_at<K: DeserializeOwned>(
        &self,
        resource: &ApiResource,
        options: &ListOptions,
    ) -> Result<List<K>, Error> {
        let ns = options.namespace.as_deref().unwrap_or("");
        let path = paths::with_query(&resource.path(ns), &options.query());
        let list: RawList<K> = self.read(&path).await?;
        Ok(List {
            items: list.items,
            resource_version: list.metadata.resource_version.unwrap_or_default(),
            continue_: list.metadata.continue_.filter(|token| !token.is_empty()),
        })
    }

    pub(crate) async fn watch_at(
        &self,
        resource: &ApiResource,
        options: &ListOptions,
        timeout_s: Option<u32>,
    ) -> Result<Watch, Error> {
        let ns = options.namespace.as_deref().unwrap_or("");
        let mut query = options.query();
        query.push(("watch", "true".to_owned()));
        query.push(("allowWatchBookmarks", "true".to_owned()));
        query.extend(timeout_s.map(|seconds| ("timeoutSeconds", seconds.to_string())));
        self.http.watch(&paths::with_query(&resource.path(ns), &query)).await
    }

    async fn patch_at<K: DeserializeOwned>(
        &self,
        resource: &ApiResource,
        ns: &str,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
    ) -> Result<K, Error> {
        let (content_type, body) = patch.parts();
        let path = paths::with_query(&paths::object(resource, ns, name, subresource), &patch.query());
        let answer = self.answer(Method::PATCH, &path, content_type, encode(body)?).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn replace_at<K: Object>(&self, object: &K, subresource: Option<&str>) -> Result<K, Error> {
        let meta = object.metadata();
        let (ns, name) = (objects::meta::namespace(meta), objects::meta::name(meta));
        let path = paths::object(&resource_of::<K>(), ns, name, subresource);
        self.write(Method::PUT, &path, object).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let answer = self.answer(Method::GET, path, "", Bytes::new()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn write<K: Object>(&self, method: Method, path: &str, object: &K) -> Result<K, Error> {
        let answer = self.answer(method, path, JSON, encode(object)?).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Bytes, Error> {
        let (code, answer) = self.http.send(method, path, content_type, body).await?;
        if code.is_success() { Ok(answer) } else { Err(api_error(code, &answer)) }
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    Ok(serde_json::to_vec(value)?.into())
}
