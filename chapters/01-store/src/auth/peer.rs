//! The other end of a connection.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;

/// What is known of a client before it says anything.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Of its certificate, which was checked.
    pub common_name: Option<Arc<str>>,
}

impl Peer {
    /// `certificates`: what the client has shown, its own first. There are some only if they are
    /// checked.
    pub fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        Peer { common_name: certificates.and_then(|all| all.first()).and_then(common_name) }
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(Arc::from)
}
