//! Asking a webhook: one POST of a review over TLS, one review back. Admission asks so, and the
//! conversion of custom kinds.

use crate::app::App;
use crate::backends::{self, Place, Trust};
use base64::Engine as _;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::tls::ClientFiles;

/// The largest answer that is read.
const MAX_ANSWER: usize = 3 * 1024 * 1024;
/// Connections that wait for the next question, for each webhook; more are closed.
const MAX_IDLE: usize = 8;
/// Webhooks whose connections are kept; beyond it all are forgotten.
const MAX_KNOWN: usize = 64;

type Sender = SendRequest<Full<Bytes>>;

/// What is kept from one question to the next.
#[derive(Default)]
pub struct Webhooks {
    known: Mutex<HashMap<(Place, Trust), Known>>,
}

struct Known {
    config: Arc<ClientConfig>,
    idle: Vec<Sender>,
}

impl Webhooks {
    /// A way to speak to the server, and a connection to it if one is open.
    fn take(&self, place: &Place, trust: &Trust) -> Result<(Arc<ClientConfig>, Option<Sender>), String> {
        let mut known = self.known.lock().unwrap_or_else(|p| p.into_inner());
        let key = (place.clone(), trust.clone());
        if !known.contains_key(&key) && known.len() >= MAX_KNOWN {
            known.clear();
        }
        if let Some(known) = known.get_mut(&key) {
            known.idle.retain(|sender| !sender.is_closed());
            return Ok((known.config.clone(), known.idle.pop()));
        }
        let config = Arc::new(backends::client_config(trust, &ClientFiles::default())?);
        known.insert(key, Known { config: config.clone(), idle: Vec::new() });
        Ok((config, None))
    }

    fn give_back(&self, place: Place, trust: Trust, sender: Sender) {
        let mut known = self.known.lock().unwrap_or_else(|p| p.into_inner());
        if let Some(known) = known.get_mut(&(place, trust))
            && known.idle.len() < MAX_IDLE
            && !sender.is_closed()
        {
            known.idle.push(sender);
        }
    }
}

/// What a `clientConfig` says: where to go, whom to believe, the URL as it is shown, and the path.
struct Addressed {
    place: Place,
    trust: Trust,
    url: String,
    path: String,
}

fn address(app: &App, client_config: &Value, timeout: Duration) -> Result<Addressed, String> {
    let bundle = client_config["caBundle"].as_str().unwrap_or_default();
    let bundle = base64::engine::general_purpose::STANDARD
        .decode(bundle)
        .map_err(|_| "unable to load root certificates: unable to parse bytes as PEM block")?;
    let wait = format!("timeout={}s", timeout.as_secs().max(1));
    let failed = |url: &str, why: String| format!("Post {url:?}: {why}");
    if let Some(url) = client_config["url"].as_str() {
        let joined = format!("{url}{}{wait}", if url.contains('?') { "&" } else { "?" });
        let parsed: http::Uri = joined.parse().map_err(|e| failed(&joined, format!("{e}")))?;
        let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https"));
        let host = host.ok_or_else(|| failed(&joined, "unsupported protocol scheme".into()))?.to_string();
        let place = Place { name: host.clone(), host, port: parsed.port_u16().unwrap_or(443) };
        let path = parsed.path_and_query().map_or("/", |p| p.as_str()).to_string();
        return Ok(Addressed { place, trust: Trust::Bundle(bundle), url: joined, path });
    }
    let service = &client_config["service"];
    let text = |key: &str| service[key].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    if name.is_empty() {
        return Err("webhook configuration must have either service or URL".into());
    }
    let port = service["port"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(443);
    let path = format!("/{}?{wait}", text("path").trim_start_matches('/'));
    let url = format!("https://{name}.{namespace}.svc:{port}{path}");
    let place = app.behind_service(namespace, name, port).map_err(|why| failed(&url, why))?;
    Ok(Addressed { place, trust: Trust::Bundle(bundle), url, path })
}

/// Ask. The text of an error is what upstream puts behind `failed to call webhook: `.
pub async fn call(
    app: &App,
    client_config: &Value,
    review: &Value,
    timeout: Duration,
) -> Result<Value, String> {
    let to = address(app, client_config, timeout)?;
    let asking = ask(&app.webhooks, &to, Bytes::from(review.to_string()));
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("Post {:?}: context deadline exceeded", to.url)),
    }
}

async fn ask(webhooks: &Webhooks, to: &Addressed, body: Bytes) -> Result<Value, String> {
    let failed = |why: String| format!("Post {:?}: {why}", to.url);
    let (config, mut idle) = webhooks.take(&to.place, &to.trust)?;
    if let Some(sender) = &mut idle
        && sender.ready().await.is_err()
    {
        // The last answer was read, and then the server went.
        idle = None;
    }
    let mut sender = match idle {
        Some(sender) => sender,
        None => connect(to, config.clone()).await.map_err(failed)?,
    };
    let answer = match sender.send_request(request(to, body.clone())?).await {
        // The server closed a connection that waited: nothing was asked yet.
        Err(error) if error.is_canceled() || error.is_closed() => {
            sender = connect(to, config).await.map_err(failed)?;
            sender.send_request(request(to, body)?).await
        }
        answer => answer,
    };
    let answer = answer.map_err(|error| match error.is_incomplete_message() {
        true => failed("EOF".into()),
        false => failed(error.to_string()),
    })?;
    let status = answer.status();
    let read = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let bytes = read.map_err(|error| failed(error.to_string()))?.to_bytes();
    webhooks.give_back(to.place.clone(), to.trust.clone(), sender);
    if status != StatusCode::OK {
        return Err(refused(status, &bytes));
    }
    serde_json::from_slice(&bytes).map_err(|_| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned();
        format!("couldn't get version/kind; json parse error: the answer begins with {start:?}")
    })
}

/// As client-go tells an answer that is none.
fn refused(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(512)]).trim().to_string();
    match status {
        StatusCode::NOT_FOUND => "the server could not find the requested resource".into(),
        StatusCode::UNAUTHORIZED => "the server has asked for the client to provide credentials".into(),
        StatusCode::FORBIDDEN => "the server does not allow access to the requested resource".into(),
        status if status.is_server_error() => {
            let shown = if text.is_empty() { "unknown".into() } else { format!("{text:?}") };
            format!("an error on the server ({shown}) has prevented the request from succeeding")
        }
        _ => format!("the server rejected our request for an unknown reason ({})", status.as_u16()),
    }
}

fn request(to: &Addressed, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    Request::post(to.path.as_str())
        .header(http::header::HOST, format!("{}:{}", to.place.name, to.place.port))
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json, */*")
        .header(http::header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|error| format!("Post {:?}: {error}", to.url))
}

async fn connect(to: &Addressed, config: Arc<ClientConfig>) -> Result<Sender, String> {
    let stream = backends::dial(&to.place, config).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a webhook ended");
        }
    });
    Ok(sender)
}
