//! Kubernetes' URL library: absolute URLs and absolute paths, taken apart.

use super::functions::{Answer, Target};
use super::value::{Map, Value};
use super::{Budget, EvalError};
use std::rc::Rc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    /// With the port, and brackets around an IPv6 address.
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// A URI with a scheme, or a path from the root; no fragment (Go's `url.ParseRequestURI`).
    pub fn parse(text: &str) -> Option<Url> {
        if text.chars().any(|c| c.is_ascii_control() || c == ' ') || !has_good_escapes(text) {
            return None;
        }
        let (head, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = match head.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ if head.starts_with('/') => (String::new(), head),
            _ => return None,
        };
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
                (host, &rest[end..])
            }
            None if scheme.is_empty() || rest.starts_with('/') => ("", rest),
            None => return None,
        };
        let url = Url { scheme, host: host.into(), path: path.into(), query: query.into() };
        let port = url.port();
        let good =
            port.bytes().all(|b| b.is_ascii_digit()) && !url.host_name().contains(['[', ']', '<', '>', '"']);
        good.then_some(url)
    }

    fn host_name(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        }
    }

    fn port(&self) -> &str {
        let behind = match self.host.rsplit_once(']') {
            Some((_, rest)) => rest,
            None => self.host.as_str(),
        };
        behind.split_once(':').map_or("", |(_, port)| port)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn has_good_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

fn unescape(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[at], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) if plus => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    Some(match (target, name, args) {
        (Target::Global, "url", [Value::String(text)]) => {
            let text = text.as_str();
            budget.spend(text.len() / 10).and_then(|()| {
                let url = Url::parse(text).map(|url| Value::Url(Rc::new(url)));
                url.ok_or_else(|| EvalError::failed(format!("URL parse error during conversion from string: parse {text:?}: invalid URI for request")))
            })
        }
        (Target::Global, "isURL", [Value::String(text)]) => {
            budget.spend(text.as_str().len() / 10).map(|()| Value::Bool(Url::parse(text.as_str()).is_some()))
        }
        (Target::Receiver, _, [Value::Url(url)]) => Ok(match name {
            "getScheme" => Value::text(url.scheme.as_str()),
            "getHost" => Value::text(url.host.as_str()),
            "getHostname" => Value::text(url.host_name()),
            "getPort" => Value::text(url.port()),
            "getEscapedPath" => Value::text(url.path.as_str()),
            "getQuery" => query(url),
            _ => return None,
        }),
        _ => return None,
    })
}

/// Each key with all its values.
fn query<'a>(url: &Url) -> Value<'a> {
    let mut all: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key, true), Value::text(unescape(value, true)));
        match all.iter_mut().find(|(k, _)| *k == key) {
            Some((_, values)) => values.push(value),
            None => all.push((key, vec![value])),
        }
    }
    let pairs = all.into_iter().map(|(key, values)| (Value::text(key), Value::list(values)));
    Value::Map(Map::Made(Rc::new(pairs.collect())))
}
