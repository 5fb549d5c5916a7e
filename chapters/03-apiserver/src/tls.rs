//! Whom a client's certificate speaks for. Certificates themselves are read where the store's are.

use crate::heart::access::User;
use crate::server::Args;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::path::Path;
use std::sync::Arc;

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Caller {
    pub user: User,
    /// A proxy in front of this server, another API server say: it tells in headers whose request it is.
    pub is_front: bool,
}

/// Whom this server believes, and what.
pub struct Callers {
    clients: Option<Arc<dyn ClientCertVerifier>>,
    fronts: Option<Arc<dyn ClientCertVerifier>>,
    /// The names that a proxy may have; any if there are none.
    names_of_fronts: Vec<String>,
}

impl Callers {
    pub fn new(args: &Args) -> anyhow::Result<Callers> {
        let verifier = |authority: &Option<_>| match authority {
            Some(path) => anyhow::Ok(Some(store::tls::verifier(&[Path::new(path)])?.build()?)),
            None => Ok(None),
        };
        Ok(Callers {
            clients: verifier(&args.client_ca_file)?,
            fronts: verifier(&args.requestheader_client_ca_file)?,
            names_of_fronts: args.requestheader_allowed_names.clone(),
        })
    }

    /// Who shows this chain, of which the handshake has proved the first.
    pub fn caller(&self, chain: &[CertificateDer<'_>]) -> Caller {
        let signed = |verifier: &Option<Arc<dyn ClientCertVerifier>>| match (verifier, chain) {
            (Some(verifier), [own, others @ ..]) => {
                verifier.verify_client_cert(own, others, UnixTime::now()).is_ok()
            }
            _ => false,
        };
        let own = chain.first().map_or_else(User::anonymous, user_of);
        let may_be_front = self.names_of_fronts.is_empty() || self.names_of_fronts.contains(&own.name);
        Caller {
            is_front: may_be_front && signed(&self.fronts),
            user: if signed(&self.clients) { own } else { User::anonymous() },
        }
    }
}

/// Who a verified certificate speaks for.
fn user_of(certificate: &CertificateDer<'_>) -> User {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return User::anonymous() };
    let subject = parsed.subject();
    let name = subject.iter_common_name().next().and_then(|cn| cn.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return User::anonymous();
    }
    let organisations = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_string);
    let mut user = User::authenticated(name, organisations.collect());
    // One name may have several certificates (upstream: `x509.CommonNameUserConversion`).
    let print = ring::digest::digest(&ring::digest::SHA256, certificate);
    let print: String = print.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra
        .insert("authentication.kubernetes.io/credential-id".into(), vec![format!("X509SHA256={print}")]);
    user
}
