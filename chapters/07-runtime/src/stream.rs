//! The streaming server: where the URLs of Exec, Attach and PortForward lead.
//!
//! ```text
//! kubectl ═ API server ═ kubelet ═ ws://127.0.0.1/exec/TOKEN ═ here ═ frames ═ shim ═ process
//! ```
//! CRI itself carries no streams: a call answers with a URL, whose token is good once and for one
//! minute. Bytes travel in WebSocket messages whose first byte is the channel
//! (`v5.channel.k8s.io`; `v4` has no closing of channels).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, frame::coding::CloseCode};

use crate::server::Runtime;
use crate::shim::protocol::{self, CLOSE, Ended, ExecSpec, STATUS, STDERR, STDOUT};

/// How long a URL may wait to be used.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// URLs that wait at once; more are refused.
const MAX_TOKENS: usize = 1024;
const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// What a token stands for.
#[derive(Debug)]
pub enum Session {
    Exec {
        sandbox: String,
        id: String,
        exec: ExecSpec,
        /// The client wants standard error as a channel of its own, which a terminal has not.
        stderr: bool,
    },
    Attach {
        sandbox: String,
        id: String,
        stdin: bool,
        stderr: bool,
    },
    /// No namespace: the pod is in the node's network.
    PortForward {
        netns: Option<String>,
        ports: Vec<u16>,
    },
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
    let token = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let upgrade = header(request.headers(), UPGRADE.as_str());
    if !upgrade.eq_ignore_ascii_case("websocket") {
        let message = match upgrade.as_str() {
            "" => "this is a stream: ask to upgrade to websocket",
            _ => {
                "streams are served over WebSocket (v5.channel.k8s.io, v4.channel.k8s.io), not over SPDY/3.1"
            }
        };
        return Ok(refuse(StatusCode::BAD_REQUEST, message));
    }
    let offered = header(request.headers(), SEC_WEBSOCKET_PROTOCOL.as_str());
    let offered: Vec<&str> = offered.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let chosen = [V5, V4].into_iter().find(|known| offered.contains(known));
    let Some(chosen) = chosen.or(if offered.is_empty() { Some("") } else { None }) else {
        let message = format!("none of the subprotocols {offered:?} is served: use {V5} or {V4}");
        return Ok(refuse(StatusCode::BAD_REQUEST, &message));
    };
    let Some(session) = runtime.streams.take(&token) else {
        return Ok(refuse(StatusCode::NOT_FOUND, "unknown or used stream"));
    };
    let accept = derive_accept_key(header(request.headers(), SEC_WEBSOCKET_KEY.as_str()).as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        if let Err(error) = stream(&runtime, socket, session).await {
            tracing::debug!("stream: {error:#}");
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept);
    let response = if chosen.is_empty() { response } else { response.header(SEC_WEBSOCKET_PROTOCOL, chosen) };
    Ok(response.body(Full::default()).unwrap_or_default())
}

/// The first value of a header; further lines of the same name are joined.
fn header(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn refuse(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{message}\n")));
    *response.status_mut() = status;
    response
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

async fn stream(runtime: &Runtime, socket: Socket, session: Session) -> anyhow::Result<()> {
    match session {
        Session::Exec { sandbox, id, exec, stderr } => {
            commands(runtime, socket, &sandbox, protocol::Request::Exec { id, exec }, stderr, true).await
        }
        Session::Attach { sandbox, id, stdin, stderr } => {
            commands(runtime, socket, &sandbox, protocol::Request::Attach { id, stdin }, stderr, false).await
        }
        Session::PortForward { netns, ports } => crate::forward::serve(socket, netns, ports).await,
    }
}

/// Carries frames between a WebSocket and a shim. `codes`: an exit code other than 0 is a failure.
async fn commands(
    runtime: &Runtime,
    mut socket: Socket,
    sandbox: &str,
    request: protocol::Request,
    stderr: bool,
    codes: bool,
) -> anyhow::Result<()> {
    let (mut shim, _) = match runtime.shim(sandbox).open(&request).await {
        Ok(opened) => opened,
        Err(error) => {
            let message = format!("Internal error occurred: error executing command in container: {error}");
            return finish(socket, &failure_status(&message)).await;
        }
    };
    // Every channel that will carry something is opened with an empty message: clients wait for it,
    // and complain about one that they did not ask for.
    send(&mut socket, STDOUT, b"").await?;
    if stderr {
        send(&mut socket, STDERR, b"").await?;
    }
    let (mut from_shim, mut to_shim) = shim.split();
    let mut status = None;
    loop {
        // `read_frame` must not be given up half way, so it is kept across turns.
        let frame = protocol::read_frame(&mut from_shim);
        tokio::pin!(frame);
        let frame = loop {
            tokio::select! {
                frame = &mut frame => break frame?,
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => take_message(&mut to_shim, &bytes).await?,
                    Some(Ok(Message::Text(text))) => take_message(&mut to_shim, text.as_bytes()).await?,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => {}
                },
            }
        };
        match frame {
            Some((STATUS, bytes)) => {
                let ended: Ended = serde_json::from_slice(&bytes)?;
                status = Some(if codes { exit_status(ended.code) } else { exit_status(0) });
                break;
            }
            Some((channel, bytes)) => send(&mut socket, channel, &bytes).await?,
            None => break,
        }
    }
    let status = status.unwrap_or_else(|| failure_status("the pod's shim is gone"));
    finish(socket, &status).await
}

/// The last words. A close without a code reads as an accident, and hides the status from kubectl.
async fn finish(mut socket: Socket, status: &Value) -> anyhow::Result<()> {
    send(&mut socket, STATUS, status.to_string().as_bytes()).await?;
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    Ok(socket.close(Some(close)).await?)
}

/// One message of the client: the first byte is the channel; 255 and a channel closes that one.
async fn take_message(shim: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) -> anyhow::Result<()> {
    match bytes {
        [CLOSE, protocol::STDIN] => protocol::write_frame(shim, CLOSE, b"").await?,
        [channel @ (protocol::STDIN | protocol::RESIZE), rest @ ..] => {
            for part in rest.chunks(protocol::MAX_FRAME) {
                protocol::write_frame(shim, *channel, part).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

async fn send(socket: &mut Socket, channel: u8, bytes: &[u8]) -> anyhow::Result<()> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Ok(socket.send(Message::binary(message)).await?)
}

/// What kubectl makes its own exit code of.
fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

fn failure_status(message: &str) -> Value {
    json!({ "metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500 })
}
