use crate::{ApiResource, DynamicObject, Error};
use bytes::Bytes;
use http::{Method, StatusCode};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

pub trait Object: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<K> Object for K where K: Metadata<Ty = ObjectMeta> + Serialize + DeserializeOwned + Send + Sync + 'static {}

#[derive(Clone)]
pub struct Client {}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub resource_version: Option<String>,
    pub limit: Option<u32>,
    pub continue_: Option<String>,
}

#[derive(Clone, Debug)]
pub struct List<K> {
    pub items: Vec<K>,
    pub resource_version: String,
    pub continue_: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

impl Client {
    pub fn from_kubeconfig(_path: &Path) -> Result<Client, Error> {
        todo!()
    }
    pub async fn get<K: Object>(&self, _ns: &str, _name: &str) -> Result<K, Error> {
        todo!()
    }
    pub async fn list<K: Object>(&self, _options: &ListOptions) -> Result<List<K>, Error> {
        todo!()
    }
    pub async fn create<K: Object>(&self, _object: &K) -> Result<K, Error> {
        todo!()
    }
    pub async fn replace<K: Object>(&self, _object: &K) -> Result<K, Error> {
        todo!()
    }
    pub async fn replace_status<K: Object>(&self, _object: &K) -> Result<K, Error> {
        todo!()
    }
    pub async fn patch<K: Object>(
        &self,
        _ns: &str,
        _name: &str,
        _patch: &Patch,
        _subresource: Option<&str>,
    ) -> Result<K, Error> {
        todo!()
    }
    pub async fn delete<K: Object>(
        &self,
        _ns: &str,
        _name: &str,
        _options: &DeleteOptions,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn bind(&self, _ns: &str, _pod: &str, _node: &str) -> Result<(), Error> {
        todo!()
    }
    pub async fn raw(
        &self,
        _method: Method,
        _path_and_query: &str,
        _content_type: &str,
        _body: Bytes,
    ) -> Result<(StatusCode, Bytes), Error> {
        todo!()
    }
    pub async fn discovery(&self) -> Result<Vec<ApiResource>, Error> {
        todo!()
    }
    pub async fn list_dynamic(
        &self,
        _resource: &ApiResource,
        _options: &ListOptions,
    ) -> Result<List<DynamicObject>, Error> {
        todo!()
    }
    pub async fn get_dynamic(
        &self,
        _resource: &ApiResource,
        _ns: &str,
        _name: &str,
    ) -> Result<DynamicObject, Error> {
        todo!()
    }
    pub async fn patch_dynamic(
        &self,
        _resource: &ApiResource,
        _ns: &str,
        _name: &str,
        _patch: &Patch,
        _subresource: Option<&str>,
    ) -> Result<DynamicObject, Error> {
        todo!()
    }
    pub async fn delete_dynamic(
        &self,
        _resource: &ApiResource,
        _ns: &str,
        _name: &str,
        _options: &DeleteOptions,
    ) -> Result<(), Error> {
        todo!()
    }
}
