//! Connections to other members: plain, or TLS with a certificate on both sides.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use store::dial::Connector;
use store::tls::{ClientFiles, client_config};
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
    connector: Connector,
}

impl Dialer {
    pub fn new(args: &Args) -> anyhow::Result<Dialer> {
        let files = ClientFiles {
            ca: args.peer_trusted_ca_file.clone(),
            cert: args.peer_cert_file.clone(),
            key: args.peer_key_file.clone(),
        };
        let config = files.ca.is_some().then(|| client_config(&files, &[b"h2"])).transpose();
        let config = config.context("--peer-trusted-ca-file, --peer-cert-file and --peer-key-file")?;
        Ok(Dialer { connector: Connector { tls: config.map(Arc::new) } })
    }

    pub async fn connect(&self, url: &str) -> anyhow::Result<Channel> {
        let (address, connector) = match url.split_once("://") {
            Some(("http", address)) => (address, Connector { tls: None }),
            Some(("https", address)) if self.connector.tls.is_some() => (address, self.connector.clone()),
            Some(("https", _)) => anyhow::bail!("{url}: https needs --peer-trusted-ca-file"),
            _ => anyhow::bail!("{url:?} is not a member's URL"),
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint.connect_with_connector(connector).await;
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
