//! Connections to other members: plain, or TLS with a certificate on both sides.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::Context;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::Args;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection over which nothing comes for so long is given up: a network that was cut and comes
/// back would otherwise be waited for as long as TCP does.
const SILENCE: Duration = Duration::from_secs(1);
const WINDOW: u32 = 4 << 20;

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tls: Option<TlsConnector>,
}

impl Dialer {
    pub fn new(args: &Args) -> anyhow::Result<Dialer> {
        let Some(ca) = &args.peer_trusted_ca_file else { return Ok(Dialer { tls: None }) };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut roots = RootCertStore::empty();
        for cert in certificates(ca)? {
            roots.add(cert).with_context(|| ca.display().to_string())?;
        }
        let config = config.with_root_certificates(roots);
        let mut config = match (&args.peer_cert_file, &args.peer_key_file) {
            (Some(cert), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).with_context(|| key.display().to_string())?;
                config.with_client_auth_cert(certificates(cert)?, key).context("the peers' certificate")?
            }
            _ => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Dialer { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    pub async fn connect(&self, url: &str) -> anyhow::Result<Channel> {
        let (address, tls) = match url.split_once("://") {
            Some(("http", address)) => (address, None),
            Some(("https", address)) => {
                let tls = self.tls.clone();
                (address, Some(tls.with_context(|| format!("{url}: https needs --peer-trusted-ca-file"))?))
            }
            _ => anyhow::bail!("{url:?} is not a member's URL"),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint.connect_with_connector(Connector { tls }).await;
        channel.with_context(|| format!("cannot connect to {url}"))
    }

    /// The first of the URLs at which somebody answers.
    pub async fn connect_any(&self, urls: &[String]) -> anyhow::Result<Channel> {
        let mut last = anyhow::anyhow!("the member has no peer URLs");
        for url in urls {
            match self.connect(url).await {
                Ok(channel) => return Ok(channel),
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certs = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    certs.with_context(|| path.display().to_string())
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What tonic asks for a connection. The URI has no scheme of ours: TLS is decided here.
struct Connector {
    tls: Option<TlsConnector>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let invalid = |what| std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
            let host = uri.host().ok_or_else(|| invalid("no host"))?.trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().ok_or_else(|| invalid("no port"))?;
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            // Heartbeats must not wait for more to send.
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name =
                        ServerName::try_from(host).map_err(|_| invalid("no name for a certificate"))?;
                    Box::new(tls.connect(name, stream).await?)
                }
            };
            Ok(TokioIo::new(stream))
        })
    }
}
