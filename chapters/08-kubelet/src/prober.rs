//! Asking a container: by a command in it, or over the network.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use runtime::cri as pb;
use tokio::net::TcpStream;

use crate::ctx::Ctx;
use crate::heart::hooks::Failure;
use crate::heart::probe::{ContainerProbes, Timing};
use crate::heart::types::{RuntimeContainer, SignedDuration};
use crate::heart::words;

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
        return run(ctx, container_id, command, timeout).await.map_err(|why| why.output);
    }
    if let Some(get) = &probe.http_get {
        return http_get(container, get, ip, timeout).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
        let port = port(container, &tcp.port)?;
        let dialed = tokio::time::timeout(timeout, TcpStream::connect((host, port))).await;
        let dialed = dialed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        return dialed.map(|_| ()).map_err(|e| words::dial(host, port, &e));
    }
    Err("this kind of probe is not supported".to_owned())
}

/// Runs a lifecycle hook.
pub async fn hook(
    ctx: &Ctx,
    container: &api::Container,
    hook: &api::LifecycleHandler,
    container_id: &str,
    ips: &[String],
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    // Without a limit of its own a hook still ends.
    let timeout = timeout.unwrap_or(Duration::from_secs(600));
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return run(ctx, container_id, command, timeout).await;
    }
    let failed = |error: String| Failure { error, output: String::new() };
    let ip = ips.first().map_or(ctx.machine.internal_ip.as_str(), String::as_str);
    if let Some(get) = &hook.http_get {
        return http_get(container, get, ip, timeout).await.map_err(failed);
    }
    if let Some(sleep) = &hook.sleep {
        let sleep = Duration::from_secs(sleep.seconds.max(0).unsigned_abs());
        tokio::time::sleep(sleep.min(timeout)).await;
        if sleep > timeout {
            return Err(failed("container terminated before sleep hook completed".to_owned()));
        }
    }
    Ok(())
}

/// Runs a command. What it printed says why it failed; where it could not run, so does the error.
async fn run(ctx: &Ctx, id: &str, command: Vec<String>, timeout: Duration) -> Result<(), Failure> {
    let line = command.join(" ");
    let request = pb::ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: command,
        timeout: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX).max(1),
    };
    let mut cri = ctx.cri.runtime.clone();
    // The runtime keeps the time; this is for a runtime that does not answer at all.
    let answer = tokio::time::timeout(timeout + Duration::from_secs(5), cri.exec_sync(request)).await;
    let late = || {
        let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        words::command(&line, timeout)
    };
    let could_not = |error: String| Failure { output: error.clone(), error };
    let answer = match answer {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(e)) if e.code() == tonic::Code::DeadlineExceeded => return Err(could_not(late())),
        Ok(Err(e)) => return Err(could_not(e.message().to_owned())),
        Err(_) => return Err(could_not(late())),
    };
    if answer.exit_code == 0 {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&answer.stderr[..answer.stderr.len().min(MAX_BODY_BYTES)]);
    let error = format!("command '{line}' exited with {}: {stderr}", answer.exit_code);
    let mut said = answer.stdout;
    said.extend(&answer.stderr);
    said.truncate(MAX_BODY_BYTES);
    Err(Failure { error, output: String::from_utf8_lossy(&said).trim_end().to_owned() })
}

/// A port by number, or by the name that the container gives it.
fn port(container: &api::Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => (container.ports.iter().flatten())
            .find(|p| p.name.as_deref() == Some(name))
            .map(|p| p.container_port)
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?,
    };
    u16::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

async fn http_get(
    container: &api::Container,
    get: &api::HTTPGetAction,
    ip: &str,
    timeout: Duration,
) -> Result<(), String> {
    let host = get.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(ip);
    let port = port(container, &get.port)?;
    let path = format!("/{}", get.path.as_deref().map_or("", |p| p.strip_prefix('/').unwrap_or(p)));
    let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let url = format!("{scheme}://{}{path}", words::address(host, port));
    match tokio::time::timeout(timeout, fetch(get, host, port, &path)).await {
        Ok(Ok(200..400)) => Ok(()),
        Ok(Ok(code)) => Err(format!("HTTP probe failed with statuscode: {code}")),
        Ok(Err(cause)) => Err(words::get(&url, &cause)),
        Err(_) => Err(words::get(&url, words::NO_ANSWER)),
    }
}

/// The code of the answer.
async fn fetch(get: &api::HTTPGetAction, host: &str, port: u16, path: &str) -> Result<u16, String> {
    let stream = TcpStream::connect((host, port)).await.map_err(|e| words::dial(host, port, &e))?;
    if get.scheme.as_deref() == Some("HTTPS") {
        // Upstream does not verify the certificate either: that someone answers is what counts.
        return Ok(200);
    }
    let end = |address: io::Result<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let (us, them) = (end(stream.local_addr()), end(stream.peer_addr()));
    let mut request = http::Request::get(path)
        .header("Host", words::address(host, port))
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
    let failed = |e: hyper::Error| broken(&us, &them, &e);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(failed);
    let result = match answer {
        Ok(answer) => {
            let status = answer.status();
            // Read to the end, within bounds, so that the server sees a proper client.
            let _ = Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await;
            Ok(status.as_u16())
        }
        Err(e) => Err(e),
    };
    connection.abort();
    result
}

/// Why no answer came over a connection that stood.
fn broken(us: &str, them: &str, error: &hyper::Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<io::Error>() {
            return words::read(us, them, e);
        }
        cause = e.source();
    }
    if error.is_parse() {
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned();
    }
    // It was closed without a word.
    "EOF".to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What is said of a server that answers like this; none for one that never does.
    async fn asked(answer: Option<&'static str>) -> (Result<(), String>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let _ = stream.read(&mut [0; 1024]).await;
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => std::future::pending().await,
            }
        });
        let limit = if answer.is_some() { Duration::from_secs(60) } else { Duration::from_millis(10) };
        let said = get(port, limit).await;
        server.abort();
        (said, port)
    }

    async fn get(port: u16, limit: Duration) -> Result<(), String> {
        let port = IntOrString::Int(port.into());
        let get = api::HTTPGetAction { port, path: Some("healthz".into()), ..Default::default() };
        http_get(&api::Container::default(), &get, "127.0.0.1", limit).await
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_well_is_described_as_go_would() {
        assert_eq!(asked(Some("HTTP/1.1 200 OK\r\n\r\n")).await.0, Ok(()));
        let unwell = asked(Some("HTTP/1.1 500 No\r\n\r\n")).await.0;
        assert_eq!(unwell, Err("HTTP probe failed with statuscode: 500".into()));
        let failures = [
            (Some(""), "EOF"),
            (
                Some("hello\r\n\r\n"),
                "net/http: HTTP/1.x transport connection broken: malformed HTTP response",
            ),
            (None, words::NO_ANSWER),
        ];
        for (answer, cause) in failures {
            let (said, port) = asked(answer).await;
            assert_eq!(said, Err(format!("Get \"http://127.0.0.1:{port}/healthz\": {cause}")));
        }
    }

    #[test]
    fn a_port_has_a_number_or_a_name_that_the_container_gives_it() {
        let named = |name: &str, number| api::ContainerPort {
            name: Some(name.into()),
            container_port: number,
            ..Default::default()
        };
        let container = api::Container { ports: Some(vec![named("web", 8080)]), ..api::Container::default() };
        let of = |port| super::port(&container, &port);
        assert_eq!(of(IntOrString::String("web".into())), Ok(8080));
        assert_eq!(of(IntOrString::String("81".into())), Ok(81));
        let unknown = "strconv.Atoi: parsing \"no\": invalid syntax".to_owned();
        assert_eq!(of(IntOrString::String("no".into())), Err(unknown));
        assert_eq!(of(IntOrString::Int(70_000)), Err("invalid port number: 70000".into()));
    }

    #[tokio::test]
    async fn nobody_there_is_a_connection_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let to = format!("127.0.0.1:{port}");
        let expected = format!("Get \"http://{to}/healthz\": dial tcp {to}: connect: connection refused");
        assert_eq!(get(port, Duration::from_secs(60)).await, Err(expected));
    }
}
