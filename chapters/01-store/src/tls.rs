//! Certificates and keys in PEM files, as both ends of TLS need them: for this chapter's server and
//! command line, for members among themselves, and for the API server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::WantsClientCert;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Files of a TLS client, all PEM.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// Who signs the server's certificate.
    pub ca: Option<PathBuf>,
    /// The client's own.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// What a server wants of its clients.
#[derive(Debug, Clone, Copy)]
pub enum Clients<'a> {
    Anybody,
    /// A certificate of one of these authorities, or none; a wrong one ends the handshake.
    MayShow(&'a [&'a Path]),
    MustShow(&'a Path),
}

/// Checks certificates of clients that one of these authorities has signed.
pub fn verifier(authorities: &[&Path]) -> anyhow::Result<ClientCertVerifierBuilder> {
    let mut all = RootCertStore::empty();
    for authority in authorities {
        all.roots.extend(roots(authority)?.roots);
    }
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(all), provider()))
}

pub fn server_config(
    cert: &Path,
    key: &Path,
    clients: Clients<'_>,
    alpn: &[&[u8]],
) -> anyhow::Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Clients::Anybody => builder.with_no_client_auth(),
        Clients::MayShow(cas) => {
            builder.with_client_cert_verifier(verifier(cas)?.allow_unauthenticated().build()?)
        }
        Clients::MustShow(ca) => builder.with_client_cert_verifier(verifier(&[ca])?.build()?),
    };
    let config = builder.with_single_cert(certificates(cert)?, private_key(key)?);
    let mut config = config.with_context(|| format!("{} and {}", cert.display(), key.display()))?;
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(config)
}

/// Without a CA the other side is not checked: whoever calls says so to the user, or has a reason.
pub fn client_config(files: &ClientFiles, alpn: &[&[u8]]) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match &files.ca {
        Some(ca) => return client_config_with(roots(ca)?, files, alpn),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider()))),
    };
    identified(builder, files, alpn)
}

/// The same, with authorities that stand in no file.
pub fn client_config_with(
    roots: RootCertStore,
    files: &ClientFiles,
    alpn: &[&[u8]],
) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    identified(builder.with_root_certificates(roots), files, alpn)
}

fn identified(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &ClientFiles,
    alpn: &[&[u8]],
) -> anyhow::Result<ClientConfig> {
    let mut config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => builder.with_client_auth_cert(certificates(cert)?, private_key(key)?)?,
        (None, None) => builder.with_no_client_auth(),
        _ => bail!("a certificate needs its key, and a key its certificate"),
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(config)
}

/// All certificates of a file; at least one.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certs = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if certs.is_empty() {
        bail!("{}: no certificate in it", path.display());
    }
    Ok(certs)
}

pub fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("cannot read a key from {}", path.display()))
}

pub fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).with_context(|| path.display().to_string())?;
    }
    Ok(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Takes any certificate for good; its signature over the handshake is still checked.
#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
