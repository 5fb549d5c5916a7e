//! Every namespace has a ServiceAccount `default` and the cluster's root certificate.
//!
//! Upstream: `pkg/controller/serviceaccount`, `pkg/controller/certificates/rootcacertpublisher`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::namespace::is_terminating;

pub const DEFAULT_ACCOUNT: &str = "default";
pub const ROOT_CA: &str = "kube-root-ca.crt";

fn named(namespace: &Namespace, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.metadata.name.clone(),
        ..ObjectMeta::default()
    }
}

/// The account to create, if it is missing.
pub fn missing_account(namespace: &Namespace, existing: Option<&ServiceAccount>) -> Option<ServiceAccount> {
    let missing = existing.is_none() && !is_terminating(namespace);
    missing.then(|| ServiceAccount { metadata: named(namespace, DEFAULT_ACCOUNT), ..Default::default() })
}

/// The ConfigMap with the root certificate as it should be, if it is not.
pub fn root_ca(namespace: &Namespace, certificate: &str, existing: Option<&ConfigMap>) -> Option<ConfigMap> {
    let data = BTreeMap::from([("ca.crt".to_owned(), certificate.to_owned())]);
    if is_terminating(namespace) || existing.is_some_and(|map| map.data.as_ref() == Some(&data)) {
        return None;
    }
    let mut map = existing.cloned().unwrap_or_else(|| {
        let text = "Contains a CA bundle that can be used to verify the kube-apiserver when using \
                    internal endpoints such as the internal service IP or kubernetes.default.svc.";
        let mut metadata = named(namespace, ROOT_CA);
        metadata.annotations =
            Some(BTreeMap::from([("kubernetes.io/description".to_owned(), text.to_owned())]));
        ConfigMap { metadata, ..ConfigMap::default() }
    });
    map.data = Some(data);
    Some(map)
}
