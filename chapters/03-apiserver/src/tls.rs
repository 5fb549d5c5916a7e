//! Whom a client's certificate speaks for. Certificates themselves are read where the store's are.

use crate::heart::access::User;
use rustls_pki_types::CertificateDer;

/// Who a verified certificate speaks for.
pub fn user_of(certificate: Option<&CertificateDer<'_>>) -> User {
    let Some(certificate) = certificate else { return User::anonymous() };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return User::anonymous() };
    let subject = parsed.subject();
    let name = subject.iter_common_name().next().and_then(|cn| cn.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return User::anonymous();
    }
    let organisations = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_string);
    User::authenticated(name, organisations.collect())
}
