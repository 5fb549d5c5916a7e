//! The streaming server: where the URLs of Exec, Attach and PortForward lead.
//!
//! ```text
//! kubectl ═ API server ═ kubelet ═ http://127.0.0.1/exec/TOKEN ═ here ═ frames ═ shim ═ process
//!                                                                 └──── sockets ════ pod's port
//! ```
//! CRI itself carries no streams: a call answers with a URL, whose token is good once and for one
//! minute. Everyone before this server passes bytes on unread, so it speaks all that clients speak:
//!
//! | file | what |
//! |---|---|
//! | `handshake.rs` | which protocol: WebSocket channels, SPDY/3.1, SPDY within a WebSocket |
//! | `commands.rs` | exec and attach, in channels or streams |
//! | `forward.rs` | ports of a pod, in channels or streams |
//! | `spdy.rs`, `transport.rs` | the core's SPDY connection, run over one or the other |

mod commands;
mod forward;
mod handshake;
mod spdy;
mod transport;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use self::handshake::Protocol;
use self::transport::Transport;
use crate::server::Runtime;
use crate::shim::protocol;

/// How long a URL may wait to be used.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// URLs that wait at once; more are refused.
const MAX_TOKENS: usize = 1024;

/// What a token stands for.
#[derive(Debug)]
pub enum Session {
    Command(Command),
    Forward(Forward),
}

#[derive(Debug)]
pub struct Command {
    pub sandbox: String,
    pub request: protocol::Request,
    pub wants: Wants,
    /// An exit code other than 0 is a failure: of a command, but not of what one is attached to.
    pub codes: bool,
}

/// The streams that a client will use.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

#[derive(Debug)]
pub struct Forward {
    /// The pod's id, for messages.
    pub pod: String,
    /// No namespace: the pod is in the node's network.
    pub netns: Option<String>,
    /// For clients that name them in the request, as those of WebSocket channels do.
    pub ports: Vec<u16>,
}

/// The server's address and the tokens that wait.
#[derive(Debug)]
pub struct Streams {
    address: SocketAddr,
    listener: Mutex<Option<TcpListener>>,
    waiting: Mutex<HashMap<String, (Instant, Session)>>,
}

impl Streams {
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Arc<Streams>> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        Ok(Arc::new(Streams {
            address: listener.local_addr()?,
            listener: Mutex::new(Some(listener)),
            waiting: Mutex::default(),
        }))
    }

    /// A URL that leads to `session` once.
    pub fn url(&self, kind: &str, session: Session) -> anyhow::Result<String> {
        let token = crate::sys::random_id()?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (since, _)| since.elapsed() < TOKEN_LIFE);
        anyhow::ensure!(waiting.len() < MAX_TOKENS, "too many streams wait to be opened");
        waiting.insert(token.clone(), (Instant::now(), session));
        Ok(format!("http://{}/{kind}/{token}", self.address))
    }

    fn take(&self, token: &str) -> Option<Session> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, session) = waiting.remove(token)?;
        (since.elapsed() < TOKEN_LIFE).then_some(session)
    }
}

/// Serves until the runtime ends.
pub(crate) async fn serve(runtime: Arc<Runtime>) {
    let listener = runtime.streams.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(listener) = listener else { return };
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                tracing::warn!("streaming: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = connection.set_nodelay(true);
        let runtime = Arc::clone(&runtime);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&runtime), request));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(connection), service).with_upgrades().await;
        });
    }
}

async fn answer(
    runtime: Arc<Runtime>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut path = request.uri().path().rsplit('/');
    let (token, kind) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    // A client that is refused may try another protocol at the same URL: the token is still good.
    let (protocol, head) = match handshake::agree(request.headers(), kind == "portforward") {
        Ok(agreed) => agreed,
        Err(refusal) => {
            return Ok(refusal.head().body(format!("{}\n", refusal.message).into()).unwrap_or_default());
        }
    };
    let Some(session) = runtime.streams.take(token) else {
        let mut response = Response::new(Full::from("unknown or used stream\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        if let Err(error) = stream(&runtime, upgraded, protocol, session).await {
            tracing::debug!("stream: {error:#}");
        }
    });
    Ok(head.body(Full::default()).unwrap_or_default())
}

async fn stream(
    runtime: &Runtime,
    upgraded: Upgraded,
    protocol: Protocol,
    session: Session,
) -> anyhow::Result<()> {
    let connection = TokioIo::new(upgraded);
    let websocket = |connection| WebSocketStream::from_raw_socket(connection, Role::Server, None);
    match (session, protocol) {
        (Session::Command(command), Protocol::Channels(dialect)) => {
            let socket = websocket(connection).await;
            let (hearing, speaking) = commands::channels(socket, dialect, command.wants).await?;
            commands::serve(runtime, hearing, speaking, command).await
        }
        (Session::Command(command), Protocol::Spdy { version }) => {
            let session = spdy::Session::start(Transport::Plain(connection));
            let (hearing, speaking) = commands::streams(session, version, command.wants).await?;
            commands::serve(runtime, hearing, speaking, command).await
        }
        (Session::Forward(forward), Protocol::Channels(dialect)) => {
            forward::channels(websocket(connection).await, dialect, forward).await
        }
        (Session::Forward(forward), Protocol::Spdy { .. }) => {
            forward::streams(spdy::Session::start(Transport::Plain(connection)), forward).await;
            Ok(())
        }
        (Session::Forward(forward), Protocol::Tunnel) => {
            let socket = websocket(connection).await;
            forward::streams(spdy::Session::start(Transport::Tunnel(Box::new(socket))), forward).await;
            Ok(())
        }
        (Session::Command(_), Protocol::Tunnel) => anyhow::bail!("commands are not tunnelled"),
    }
}
