//! Connections to a store, or to another member: plain or TLS, for tonic.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

const DEFAULT_PORT: u16 = 2379;

/// A connection of either kind.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// For [`Endpoint::connect_with_connector`](tonic::transport::Endpoint::connect_with_connector). TLS is
/// done here, so that for tonic every URL is `http://`.
#[derive(Clone)]
pub struct Connector {
    pub tls: Option<Arc<ClientConfig>>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Socket>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(DEFAULT_PORT))).await?;
            // Small messages must not wait for more to send.
            stream.set_nodelay(true)?;
            let Some(config) = tls else { return Ok(TokioIo::new(Box::new(stream) as Box<dyn Socket>)) };
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(TokioIo::new(Box::new(stream) as Box<dyn Socket>))
        })
    }
}
