//! Where the API server is and who we are: the kubeconfig file
//! (client-go's tools/clientcmd).

use crate::Error;
use base64::Engine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a client needs to know. PEM texts, not paths.
#[derive(Clone, Default)]
pub struct Config {
    /// `https://host:port`, or `http://…`, over which nothing is authenticated.
    pub server: String,
    pub certificate_authority: Option<Vec<u8>>,
    pub client_certificate: Option<Vec<u8>>,
    pub client_key: Option<Vec<u8>>,
    pub token: Option<String>,
    pub insecure_skip_tls_verify: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    current_context: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

impl Config {
    /// Reads the file's current context. Paths in it are relative to the file.
    pub fn from_kubeconfig(path: &Path) -> Result<Config, Error> {
        let wrong = |what: String| Error::Config(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let file: Kubeconfig = serde_yaml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let named = &file.current_context;
        let context = file
            .contexts
            .into_iter()
            .find(|context| context.name == *named)
            .ok_or_else(|| wrong(format!("no context {named:?}")))?
            .context;
        let cluster = file
            .clusters
            .into_iter()
            .find(|cluster| cluster.name == context.cluster)
            .ok_or_else(|| wrong(format!("no cluster {:?}", context.cluster)))?
            .cluster;
        let user = file
            .users
            .into_iter()
            .find(|user| user.name == context.user)
            .map(|named| named.user)
            .unwrap_or_default();
        let directory = path.parent().unwrap_or(Path::new("."));
        let load = |data: Option<String>, file: Option<PathBuf>| match (data, file) {
            (Some(data), _) => {
                let data: String = data.split_whitespace().collect();
                let decoded = base64::engine::general_purpose::STANDARD.decode(data);
                decoded.map(Some).map_err(|e| wrong(e.to_string()))
            }
            (None, Some(file)) => {
                let file = directory.join(file);
                let read = std::fs::read(&file).map(Some);
                read.map_err(|e| Error::Config(format!("{}: {e}", file.display())))
            }
            (None, None) => Ok(None),
        };
        let token_file = match user.token {
            Some(_) => None,
            None => load(None, user.token_file)?,
        };
        let token_file = token_file.map(|token| String::from_utf8_lossy(&token).trim().to_owned());
        Ok(Config {
            server: cluster.server,
            certificate_authority: load(cluster.certificate_authority_data, cluster.certificate_authority)?,
            client_certificate: load(user.client_certificate_data, user.client_certificate)?,
            client_key: load(user.client_key_data, user.client_key)?,
            token: user.token.or(token_file),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
        })
    }

    /// The TLS side of it. Without an authority no server is trusted.
    pub(crate) fn tls(&self) -> Result<ClientConfig, Error> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| Error::Config(format!("{what}: {e}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong("tls", &e))?;
        let builder = if self.insecure_skip_tls_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
        } else {
            let mut roots = RootCertStore::empty();
            for certificate in
                CertificateDer::pem_slice_iter(self.certificate_authority.as_deref().unwrap_or(b""))
            {
                let certificate = certificate.map_err(|e| wrong("certificate-authority", &e))?;
                roots.add(certificate).map_err(|e| wrong("certificate-authority", &e))?;
            }
            builder.with_root_certificates(roots)
        };
        let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| wrong("client-certificate", &e))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong("client-key", &e))?;
        builder.with_client_auth_cert(chain, key).map_err(|e| wrong("client-certificate", &e))
    }
}

/// `insecure-skip-tls-verify`: signatures are checked, but not whose certificate it is.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
