use crate::Client;
use k8s_openapi::api::core::v1::ObjectReference;

#[derive(Clone)]
pub struct EventRecorder {}

impl EventRecorder {
    pub fn new(_client: Client, _component: &str, _host: Option<&str>) -> Self {
        todo!()
    }
    pub fn event(&self, _about: &ObjectReference, _type_: &str, _reason: &str, _message: &str) {
        todo!()
    }
}
