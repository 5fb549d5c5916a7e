//! Sockets: addresses from URLs, inherited ones by number, plain or TLS.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::auth::Peer;
use crate::connection::Connection;
use crate::tls::{self, Clients};

/// Connections that are accepted and not yet served.
const ACCEPTED: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After accept fails, for want of file descriptors most of the time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Ready at SIGTERM or SIGINT, which from now on do nothing else.
pub fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A socket that listens, and how to speak on it.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Files of a TLS server, all PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The certificate, and what leads from it to its authority.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who signs clients' certificates.
    pub trusted_ca: Option<PathBuf>,
    /// Serve only clients with a certificate.
    pub client_cert_auth: bool,
}

/// Opens a door for each URL, and for each socket that listens already, by its number: those speak
/// TLS when there is any.
pub async fn open(urls: &[String], fds: &[RawFd], tls: Option<TlsAcceptor>) -> anyhow::Result<Vec<Door>> {
    let mut doors = Vec::new();
    for url in urls {
        let url = url.trim().trim_end_matches('/');
        let (address, tls) = match url.split_once("://") {
            Some(("http", address)) => (address, None),
            Some(("https", address)) => {
                let tls = tls.clone().with_context(|| format!("{url}: https needs a certificate"))?;
                (address, Some(tls))
            }
            _ => bail!("{url:?} is not a URL that can be listened on: http://HOST:PORT or https://HOST:PORT"),
        };
        let addresses = tokio::net::lookup_host(address).await;
        let mut found = 0;
        for address in addresses.with_context(|| format!("cannot resolve {url}"))? {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    found += 1;
                    doors.push(Door { listener, tls: tls.clone() });
                }
                // A name may stand for an address that this machine does not have, as ::1.
                Err(e) if e.kind() == std::io::ErrorKind::AddrNotAvailable => {}
                Err(e) => return Err(e).with_context(|| format!("cannot listen on {url}")),
            }
        }
        if found == 0 {
            bail!("cannot listen on {url}: no such address here");
        }
    }
    for fd in fds {
        let listener = inherited(*fd).with_context(|| format!("--listen-fd {fd}"))?;
        doors.push(Door { listener, tls: tls.clone() });
    }
    if doors.is_empty() {
        bail!("there is nothing to listen on");
    }
    Ok(doors)
}

fn inherited(fd: RawFd) -> anyhow::Result<TcpListener> {
    if fd < 3 {
        bail!("0, 1 and 2 are standard streams");
    }
    nix::fcntl::fcntl(
        // SAFETY: only asks whether the descriptor is open; nothing is kept.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) },
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )
    .context("not an open file descriptor")?;
    // SAFETY: the descriptor is open, and whoever started this program gave it to us with the flag.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let listener = std::net::TcpListener::from(owned);
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// `None` when there is no certificate. Clients must speak one of the `alpn` protocols.
pub fn tls(files: &TlsFiles, alpn: &[&[u8]]) -> anyhow::Result<Option<TlsAcceptor>> {
    let (cert, key) = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) if !files.client_cert_auth => return Ok(None),
        _ => bail!("TLS needs a certificate file and a key file"),
    };
    // As etcd has it: who names an authority wants to see its certificates.
    let clients = match &files.trusted_ca {
        Some(ca) => Clients::MustShow(ca),
        None if files.client_cert_auth => bail!("checking clients' certificates needs a trusted CA file"),
        None => Clients::Anybody,
    };
    let config = tls::server_config(cert, key, clients, alpn)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Accepts on all doors; connections come out when they are ready to be served.
pub fn accept(doors: Vec<Door>) -> mpsc::Receiver<std::io::Result<Connection>> {
    let (accepted, connections) = mpsc::channel(ACCEPTED);
    for door in doors {
        if let Ok(address) = door.listener.local_addr() {
            info!(%address, tls = door.tls.is_some(), "listening");
        }
        tokio::spawn(serve_door(door, accepted.clone()));
    }
    connections
}

async fn serve_door(door: Door, accepted: mpsc::Sender<std::io::Result<Connection>>) {
    loop {
        let stream = tokio::select! {
            stream = door.listener.accept() => stream,
            () = accepted.closed() => return,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(e) => {
                warn!("cannot accept: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for more to send.
        let _ = stream.set_nodelay(true);
        match door.tls.clone() {
            None => {
                if accepted.send(Ok(Connection::new(stream, Peer::default()))).await.is_err() {
                    return;
                }
            }
            Some(tls) => drop(tokio::spawn(shake_hands(tls, stream, accepted.clone()))),
        }
    }
}

async fn shake_hands(
    tls: TlsAcceptor,
    stream: TcpStream,
    accepted: mpsc::Sender<std::io::Result<Connection>>,
) {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let peer = Peer::of(stream.get_ref().1.peer_certificates());
            // A failed send means that the server is stopping.
            let _ = accepted.send(Ok(Connection::new(stream, peer))).await;
        }
        Ok(Err(e)) => debug!("TLS handshake failed: {e}"),
        Err(_) => debug!("TLS handshake took too long"),
    }
}
