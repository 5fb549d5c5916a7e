//! exec, attach, port-forward: the runtime gives an address where the bytes flow, and the kubelet
//! stands in the middle.
//!
//! The caller's request goes there as it is, upgrade and all. Once both sides have switched
//! protocols the bytes are passed on unread: whatever client and runtime speak, the kubelet need
//! not. Upstream: `pkg/kubelet/cri/streaming`, `proxyStream` in `pkg/kubelet/server/server.go`.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use runtime::cri as pb;
use tokio::net::TcpStream;
use tonic::Status;
use tracing::debug;

use crate::ctx::Ctx;
use crate::heart::streams;
use crate::registry::View;
use crate::server::{Answer, flag, query, text};

/// What is read of an answer that is not a switch of protocols.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

pub enum Call<'a> {
    Exec { namespace: &'a str, pod: &'a str, container: &'a str },
    Attach { namespace: &'a str, pod: &'a str, container: &'a str },
    PortForward { namespace: &'a str, pod: &'a str },
}

pub async fn serve(ctx: &Ctx, call: &Call<'_>, request: Request<Incoming>) -> Answer {
    match try_serve(ctx, call, request).await {
        Ok(answer) => answer,
        Err((status, message)) => text(status, message),
    }
}

type Refusal = (StatusCode, String);

fn from_runtime(status: Status) -> Refusal {
    let code = match status.code() {
        tonic::Code::NotFound => StatusCode::NOT_FOUND,
        tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
        tonic::Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (code, status.message().to_owned())
}

/// Upstream's code for whom the kubelet does not find among what runs.
fn not_running(message: String) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, message)
}

fn find(ctx: &Ctx, namespace: &str, pod: &str) -> Result<View, Refusal> {
    let found = ctx.registry.find(namespace, pod);
    found.map(|(_, view)| view).ok_or_else(|| (StatusCode::NOT_FOUND, "pod does not exist".to_owned()))
}

/// Asks the runtime where the bytes will flow.
async fn address(ctx: &Ctx, call: &Call<'_>, query: &[(String, String)]) -> Result<String, Refusal> {
    let mut cri = ctx.cri.runtime.clone();
    let stdin = flag(query, &["input", "stdin"]);
    let (stdout, stderr) = (flag(query, &["output", "stdout"]), flag(query, &["error", "stderr"]));
    let tty = flag(query, &["tty"]);
    let streams = stdin || stdout || stderr;
    if !streams && !matches!(call, Call::PortForward { .. }) {
        let message = "you must specify at least 1 of stdin, stdout, stderr";
        return Err((StatusCode::BAD_REQUEST, message.into()));
    }
    match call {
        Call::Exec { namespace, pod, container } => {
            let view = find(ctx, namespace, pod)?;
            let container_id = streams::to_exec(&view.runtime, container).map_err(not_running)?.to_owned();
            let cmd = query.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
            // With a terminal there is one output.
            let stderr = stderr && !tty;
            let request = pb::ExecRequest { container_id, cmd, tty, stdin, stdout, stderr };
            cri.exec(request).await.map(|a| a.into_inner().url).map_err(from_runtime)
        }
        Call::Attach { namespace, pod, container } => {
            let view = find(ctx, namespace, pod)?;
            let container_id = streams::to_attach(&view.pod, &view.runtime, container);
            let container_id = container_id.map_err(not_running)?.to_owned();
            let stderr = stderr && !tty;
            let request = pb::AttachRequest { container_id, stdin, tty, stdout, stderr };
            cri.attach(request).await.map(|a| a.into_inner().url).map_err(from_runtime)
        }
        Call::PortForward { namespace, pod } => {
            let view = find(ctx, namespace, pod)?;
            let sandbox = streams::to_forward(&view.pod, &view.runtime);
            let pod_sandbox_id = sandbox.map_err(not_running)?.to_owned();
            let ports = query.iter().filter(|(k, _)| k == "port" || k == "ports");
            let port = ports.flat_map(|(_, v)| v.split(',')).filter_map(|p| p.parse().ok()).collect();
            let request = pb::PortForwardRequest { pod_sandbox_id, port };
            cri.port_forward(request).await.map(|a| a.into_inner().url).map_err(from_runtime)
        }
    }
}

async fn try_serve(ctx: &Ctx, call: &Call<'_>, mut request: Request<Incoming>) -> Result<Answer, Refusal> {
    if !request.headers().contains_key(UPGRADE) {
        return Err((StatusCode::BAD_REQUEST, "you must ask for an upgrade of the protocol".into()));
    }
    let query = query(request.uri().query().unwrap_or_default());
    let url = address(ctx, call, &query).await?;
    let broken = |what: &str, e: &dyn std::fmt::Display| -> Refusal {
        (StatusCode::BAD_GATEWAY, format!("the runtime's streaming server: {what}: {e}"))
    };
    let url: Uri = url.parse().map_err(|e| broken("address", &e))?;
    let (host, port) = (url.host().unwrap_or("127.0.0.1"), url.port_u16().unwrap_or(80));
    let socket = TcpStream::connect((host, port)).await.map_err(|e| broken("connecting", &e))?;
    let _ = socket.set_nodelay(true);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|e| broken("greeting", &e))?;
    tokio::spawn(connection.with_upgrades());

    let target = url.path_and_query().map_or("/", |p| p.as_str());
    let mut onward = Request::new(Empty::<Bytes>::new());
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = target.parse().map_err(|e| broken("address", &e))?;
    *onward.headers_mut() = request.headers().clone();
    onward.headers_mut().remove(CONTENT_LENGTH);
    let host = format!("{host}:{port}");
    let host = HeaderValue::from_str(&host).map_err(|e| broken("address", &e))?;
    onward.headers_mut().insert(HOST, host);
    let mut answer = sender.send_request(onward).await.map_err(|e| broken("asking", &e))?;

    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = answer.status();
        let said = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect().await;
        let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return Err((status, String::from_utf8_lossy(&said).into_owned()));
    }
    let headers: HeaderMap = answer.headers().clone();
    let (theirs, ours) = (hyper::upgrade::on(&mut answer), hyper::upgrade::on(&mut request));
    tokio::spawn(async move {
        let (theirs, ours) = match tokio::try_join!(theirs, ours) {
            Ok(both) => both,
            Err(e) => return debug!(error = %e, "the protocol was not switched"),
        };
        let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
        if let Err(e) = tokio::io::copy_bidirectional(&mut theirs, &mut ours).await {
            debug!(error = %e, "a stream broke");
        }
    });
    let mut switched = http::Response::new(Full::new(Bytes::new()).boxed_unsync());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = headers;
    switched.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("Upgrade"));
    Ok(switched)
}
