//! `coracle web` and `coracle fetch`: a small server that says which pod answered, and a client
//! that asks it often. They are what the image `coracle/web:1` holds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// Connections that are served at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a client may take to send its request.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args, Debug, Clone)]
pub struct WebArgs {
    /// The port to listen on, on all addresses
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

#[derive(clap::Args, Debug, Clone)]
pub struct FetchArgs {
    /// An http:// URL
    pub url: Uri,
    /// How many requests, each on a connection of its own
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// How long one request may take
    #[arg(long, default_value = "2s", value_parser = objects::duration::parse_go)]
    pub timeout: Duration,
    /// Print the whole answer, not just its first line
    #[arg(long)]
    pub body: bool,
    /// Only open the connection and close it again
    #[arg(long)]
    pub connect_only: bool,
}

/// Everything that makes the server do something.
enum Event {
    Connected(TcpStream),
    Terminate,
}

/// Serves until SIGTERM or SIGINT.
pub async fn web(args: WebArgs) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], args.port)))
        .await
        .with_context(|| format!("listening on port {}", args.port))?;
    let name: &'static str =
        Box::leak(std::env::var("HOSTNAME").unwrap_or_else(|_| "unknown".to_owned()).into_boxed_str());
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    println!("{name} listens on port {}", args.port);
    loop {
        let place = places.clone().acquire_owned().await?;
        let event = tokio::select! {
            connected = listener.accept() => match connected {
                Ok((stream, _)) => Event::Connected(stream),
                Err(_) => continue,
            },
            _ = terminate.recv() => Event::Terminate,
            _ = interrupt.recv() => Event::Terminate,
        };
        match event {
            Event::Connected(stream) => {
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(name, request));
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEADER_PATIENCE);
                    // What goes wrong on a connection is its client's concern.
                    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                    drop(place);
                });
            }
            Event::Terminate => return Ok(()),
        }
    }
}

/// The pod's name on the first line, then the request as it came.
async fn answer(name: &str, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    println!("{} {}", request.method(), request.uri());
    let mut text = format!("{name}\n{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (header, value) in request.headers() {
        text += &format!("{header}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// Prints the first line of each answer, or as it is asked. Fails when a request failed, after the others were made.
pub async fn fetch(args: FetchArgs) -> Result<()> {
    let mut failed = 0;
    for _ in 0..args.count {
        let text = match tokio::time::timeout(args.timeout, get(&args)).await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!("no answer within {:?}", args.timeout)),
        };
        match text {
            Ok(text) => print!("{text}"),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error:#}", args.url);
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} requests failed", args.count);
    }
    Ok(())
}

async fn get(args: &FetchArgs) -> Result<String> {
    let url = &args.url;
    if url.scheme_str() != Some("http") {
        bail!("only http:// URLs can be fetched");
    }
    let host = url.host().context("the URL names no host")?;
    let port = url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.context("connecting")?;
    if args.connect_only {
        return Ok(String::new());
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(HOST, format!("{host}:{port}")).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    let text = String::from_utf8_lossy(&body);
    let line = text.lines().next().unwrap_or_default();
    if !status.is_success() {
        bail!("{status} {line}");
    }
    Ok(if args.body { text.into_owned() } else { format!("{line}\n") })
}
