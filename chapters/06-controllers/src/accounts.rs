//! Sees to it that every namespace has its default ServiceAccount and the root certificate.

use informer::Error;
use objects::meta;

use crate::context::Context;
use crate::driver::{Again, Reconcile};
use crate::heart::service_account::{DEFAULT_ACCOUNT, ROOT_CA, missing_account, root_ca};
use crate::owned::namespace_is_terminating;

pub struct Accounts {
    pub root_certificate: Option<String>,
}

impl Reconcile for Accounts {
    type Key = String;
    const NAME: &'static str = "serviceaccount";

    async fn reconcile(&self, context: &Context, key: &String) -> Result<Again, Error> {
        let caches = &context.caches;
        let Some(namespace) = caches.namespaces.get("", key) else {
            return Ok(None);
        };
        let name = meta::name(&namespace.metadata);
        // The certificate first: as soon as the account is there pods are let in, and they need both.
        let existing = caches.root_cas.get(name, ROOT_CA);
        let certificate = self.root_certificate.as_deref();
        if let Some(map) = certificate.and_then(|it| root_ca(&namespace, it, existing.as_deref())) {
            let written = match existing {
                None => context.client.create(&map).await,
                Some(_) => context.client.replace(&map).await,
            };
            match written {
                Ok(written) => context.wrote(Self::NAME, key, "ConfigMap", &written),
                Err(error) if error.is_already_exists() || namespace_is_terminating(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let account = missing_account(&namespace, caches.accounts.get(name, DEFAULT_ACCOUNT).as_deref());
        if let Some(account) = account {
            match context.client.create(&account).await {
                Ok(written) => context.wrote(Self::NAME, key, "ServiceAccount", &written),
                Err(error) if error.is_already_exists() || namespace_is_terminating(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
