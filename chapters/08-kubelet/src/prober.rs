//! Asking a container: by a command in it, or over the network.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use runtime::cri as pb;
use tokio::net::TcpStream;

use crate::ctx::Ctx;
use crate::heart::probe::{ContainerProbes, Timing};
use crate::heart::types::RuntimeContainer;

/// What is kept of an answer's body, for the event.
const MAX_BODY_BYTES: usize = 10 << 10;

/// The probes of a run that has none yet. If the API server shows this very run as ready, a kubelet
/// has found it so before: then it stays ready until it is asked.
pub fn probes(pod: &api::Pod, container: &api::Container, run: &RuntimeContainer) -> ContainerProbes {
    let statuses = pod.status.iter().flat_map(|s| {
        s.init_container_statuses.iter().flatten().chain(s.container_statuses.iter().flatten())
    });
    let id = format!("://{}", run.id);
    let was_ready = statuses
        .filter(|s| s.name == container.name && s.ready)
        .any(|s| s.container_id.as_deref().is_some_and(|other| other.ends_with(&id)));
    ContainerProbes::new(container, run.started_at.unwrap_or(run.created_at), was_ready)
}

/// Asks once. `Err` says what was wrong, in the words of the `Unhealthy` event.
pub async fn ask(
    ctx: &Ctx,
    container: &api::Container,
    probe: &api::Probe,
    container_id: &str,
    ip: &str,
) -> Result<(), String> {
    let timeout = Duration::try_from(Timing::of(probe).timeout).unwrap_or(Duration::from_secs(1));
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return run(ctx, container_id, command, timeout).await;
    }
    let network = async {
        if let Some(get) = &probe.http_get {
            return http_get(container, get, ip).await;
        }
        if let Some(tcp) = &probe.tcp_socket {
            let host = tcp.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
            return connect(host, port(container, &tcp.port)?).await.map(|_| ());
        }
        Err("this kind of probe is not supported".to_owned())
    };
    match tokio::time::timeout(timeout, network).await {
        Ok(result) => result,
        Err(_) => Err("context deadline exceeded (timed out while awaiting an answer)".to_owned()),
    }
}

/// Runs a lifecycle hook.
pub async fn hook(
    ctx: &Ctx,
    container: &api::Container,
    hook: &api::LifecycleHandler,
    container_id: &str,
    ips: &[String],
    timeout: Option<Duration>,
) -> Result<(), String> {
    // Without a limit of its own a hook still ends.
    let timeout = timeout.unwrap_or(Duration::from_secs(600));
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return run(ctx, container_id, command, timeout).await;
    }
    let ip = ips.first().map_or(ctx.machine.internal_ip.as_str(), String::as_str);
    let rest = async {
        if let Some(get) = &hook.http_get {
            return http_get(container, get, ip).await;
        }
        if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0).unsigned_abs())).await;
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, rest).await {
        Ok(result) => result,
        Err(_) => Err("the grace period is over".to_owned()),
    }
}

async fn run(ctx: &Ctx, id: &str, command: Vec<String>, timeout: Duration) -> Result<(), String> {
    let request = pb::ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: command,
        timeout: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX).max(1),
    };
    let mut cri = ctx.cri.runtime.clone();
    // The runtime keeps the time; this is for a runtime that does not answer at all.
    let answer = tokio::time::timeout(timeout + Duration::from_secs(5), cri.exec_sync(request)).await;
    let answer = match answer {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(e)) => return Err(e.message().to_owned()),
        Err(_) => return Err(format!("command timed out after {timeout:?}")),
    };
    if answer.exit_code == 0 {
        return Ok(());
    }
    let mut said = answer.stdout;
    said.extend(answer.stderr);
    said.truncate(MAX_BODY_BYTES);
    Err(String::from_utf8_lossy(&said).trim_end().to_owned())
}

/// A port by number, or by the name that the container gives it.
fn port(container: &api::Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => (container.ports.iter().flatten())
            .find(|p| p.name.as_deref() == Some(name))
            .map(|p| p.container_port)
            .or_else(|| name.parse().ok()),
    };
    number.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| format!("invalid port {port:?}"))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let dialed = TcpStream::connect((host, port)).await;
    dialed.map_err(|e| format!("dial tcp {host}:{port}: {e}"))
}

async fn http_get(container: &api::Container, get: &api::HTTPGetAction, ip: &str) -> Result<(), String> {
    let host = get.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
    let port = port(container, &get.port)?;
    if get.scheme.as_deref() == Some("HTTPS") {
        // Upstream does not verify the certificate either: that someone answers is what counts.
        return connect(host, port).await.map(|_| ());
    }
    let path = get.path.as_deref().filter(|p| p.starts_with('/')).unwrap_or("/");
    let url = format!("http://{host}:{port}{path}");
    let mut request = http::Request::get(path)
        .header("Host", format!("{host}:{port}"))
        .header("User-Agent", "kube-probe/1.32")
        .header("Accept", "*/*")
        .header("Connection", "close");
    for header in get.http_headers.iter().flatten() {
        if header.name.eq_ignore_ascii_case("host")
            && let Some(headers) = request.headers_mut()
        {
            headers.remove("Host");
        }
        request = request.header(&header.name, &header.value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let failed = |e: hyper::Error| format!("Get {url:?}: {e}");
    let stream = connect(host, port).await.map_err(|e| format!("Get {url:?}: {e}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failed);
    let result = match answer {
        Ok(answer) => {
            let status = answer.status();
            // Read to the end, within bounds, so that the server sees a proper client.
            let _ = Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await;
            match status.as_u16() {
                200..400 => Ok(()),
                code => Err(format!("HTTP probe failed with statuscode: {code}")),
            }
        }
        Err(e) => Err(e),
    };
    connection.abort();
    result
}
