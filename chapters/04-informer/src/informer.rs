use crate::{ApiResource, Client, DynamicObject, Event, Keyed, client::Object};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::mpsc;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
}

pub type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

pub struct Informer<K>(PhantomData<Arc<K>>);

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<K: Object> Informer<K> {
    pub fn start(_client: &Client, _query: Query) -> Self {
        todo!()
    }
    pub fn start_indexed(_client: &Client, _query: Query, _indices: Vec<(&'static str, IndexFn<K>)>) -> Self {
        todo!()
    }
}

impl Informer<DynamicObject> {
    pub fn start_dynamic(_client: &Client, _resource: &ApiResource, _query: Query) -> Self {
        todo!()
    }
}

impl<K: Keyed> Informer<K> {
    pub fn subscribe(&self) -> mpsc::Receiver<Event<K>> {
        todo!()
    }
    pub fn get(&self, _ns: &str, _name: &str) -> Option<Arc<K>> {
        todo!()
    }
    pub fn list(&self) -> Vec<Arc<K>> {
        todo!()
    }
    pub fn list_in(&self, _ns: &str) -> Vec<Arc<K>> {
        todo!()
    }
    pub fn by_index(&self, _index: &str, _value: &str) -> Vec<Arc<K>> {
        todo!()
    }
    pub fn has_synced(&self) -> bool {
        todo!()
    }
    pub async fn synced(&self) {
        todo!()
    }
}
