//! Which protocol a stream will speak: read off the request, answered with a 101.
//!
//! ```text
//! Upgrade: websocket   Sec-WebSocket-Protocol: v5.channel.k8s.io, ...          exec, attach
//!                                              v4.channel.k8s.io, ...          and forwarded ports
//!                                              SPDY/3.1+portforward.k8s.io     SPDY in messages
//! Upgrade: SPDY/3.1    X-Stream-Protocol-Version: v4.channel.k8s.io, ...       exec, attach
//!                                                 portforward.k8s.io           forwarded ports
//! ```
//! The names and their order are upstream's: `k8s.io/apimachinery/pkg/util/remotecommand`,
//! `k8s.io/kubelet/pkg/cri/streaming`.

use data_encoding::BASE64;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::response::Builder;
use http::{HeaderMap, Response, StatusCode};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: &str = "X-Stream-Protocol-Version";
const ACCEPTED_PROTOCOLS: &str = "X-Accepted-Stream-Protocol-Versions";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const PORT_FORWARD: &str = "portforward.k8s.io";

/// What is said in WebSocket messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Messages are text: a digit for the channel, then base64.
    pub base64: bool,
    /// How a command ended is a Status in JSON; before version 4 it was an error's text.
    pub status: bool,
}

/// What is spoken once the connection is switched over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Channels(Dialect),
    /// `version` of the protocol of commands, which counts streams and says how they end.
    Spdy {
        version: u8,
    },
    /// SPDY in the binary messages of a WebSocket.
    Tunnel,
}

impl Dialect {
    /// A message's channel and bytes.
    pub fn split(self, message: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (first, rest) = message.split_first()?;
        if self.base64 {
            return Some((first.wrapping_sub(b'0'), BASE64.decode(rest).ok()?));
        }
        Some((*first, rest.to_vec()))
    }

    pub fn join(self, channel: u8, bytes: &[u8]) -> Message {
        if self.base64 {
            let mut text = char::from(b'0' + channel).to_string();
            BASE64.encode_append(bytes, &mut text);
            return Message::text(text);
        }
        Message::binary([&[channel], bytes].concat())
    }
}

const fn dialect(base64: bool, status: bool) -> Protocol {
    Protocol::Channels(Dialect { base64, status })
}

/// Subprotocols of a WebSocket, best first. (v5 adds the closing of a channel, which nobody else
/// sends, so that it needs no name of its own here.)
const CHANNELS: [(&str, Protocol); 5] = [
    ("v5.channel.k8s.io", dialect(false, true)),
    ("v4.channel.k8s.io", dialect(false, true)),
    ("v4.base64.channel.k8s.io", dialect(true, true)),
    ("channel.k8s.io", dialect(false, false)),
    ("base64.channel.k8s.io", dialect(true, false)),
];

const COMMANDS: [(&str, u8); 4] =
    [("v4.channel.k8s.io", 4), ("v3.channel.k8s.io", 3), ("v2.channel.k8s.io", 2), ("channel.k8s.io", 1)];

/// Why there will be no stream.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub message: String,
    /// What would have been understood.
    pub accepted: Vec<&'static str>,
}

/// The protocol for `headers`, and the answer that agrees to it.
pub fn agree(headers: &HeaderMap, forward: bool) -> Result<(Protocol, Builder), Refusal> {
    let upgrade = list(headers, UPGRADE.as_str());
    let asks = |name: &str| upgrade.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    if asks("websocket") {
        return websocket(headers, forward);
    }
    if asks(SPDY) {
        return spdy(headers, forward);
    }
    let message =
        format!("unable to upgrade: missing upgrade headers in request: ask for websocket or {SPDY}");
    Err(Refusal { status: StatusCode::BAD_REQUEST, message, accepted: Vec::new() })
}

fn websocket(headers: &HeaderMap, forward: bool) -> Result<(Protocol, Builder), Refusal> {
    let offered = list(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let tunnel = [(TUNNEL, Protocol::Tunnel)];
    let known = tunnel.iter().filter(|_| forward).chain(&CHANNELS);
    let chosen = known.clone().find(|(name, _)| offered.contains(name));
    let key = headers.get(SEC_WEBSOCKET_KEY).map(|key| key.as_bytes()).unwrap_or_default();
    let answer = switching("websocket").header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key));
    match chosen {
        Some((name, protocol)) => Ok((*protocol, answer.header(SEC_WEBSOCKET_PROTOCOL, *name))),
        None if offered.is_empty() => Ok((dialect(false, false), answer)),
        None => {
            let accepted: Vec<_> = known.map(|(name, _)| *name).collect();
            let message = format!("none of the subprotocols {offered:?} is served: use one of {accepted:?}");
            Err(Refusal { status: StatusCode::BAD_REQUEST, message, accepted: Vec::new() })
        }
    }
}

fn spdy(headers: &HeaderMap, forward: bool) -> Result<(Protocol, Builder), Refusal> {
    let offered = list(headers, STREAM_PROTOCOL);
    let known = if forward { vec![(PORT_FORWARD, 1)] } else { COMMANDS.to_vec() };
    let chosen = offered.iter().find_map(|asked| known.iter().find(|(name, _)| name == asked));
    match chosen {
        Some((name, version)) => {
            Ok((Protocol::Spdy { version: *version }, switching(SPDY).header(STREAM_PROTOCOL, *name)))
        }
        // Who offers nothing is as old as Kubernetes.
        None if offered.is_empty() => Ok((Protocol::Spdy { version: 1 }, switching(SPDY))),
        None => {
            let accepted: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let message = format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
                offered.join(" "),
                accepted.join(" ")
            );
            Err(Refusal { status: StatusCode::FORBIDDEN, message, accepted })
        }
    }
}

fn switching(to: &str) -> Builder {
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, to)
}

impl Refusal {
    /// The refusal's head.
    pub fn head(&self) -> Builder {
        let head = Response::builder().status(self.status);
        self.accepted.iter().fold(head, |head, name| head.header(ACCEPTED_PROTOCOLS, *name))
    }
}

/// The words of a header, of all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)], forward: bool) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        match agree(&headers, forward) {
            Ok((protocol, answer)) => {
                let answer = answer.body(()).expect("an answer");
                let said = [STREAM_PROTOCOL, "sec-websocket-protocol"]
                    .iter()
                    .find_map(|name| answer.headers().get(*name))
                    .map_or("-", |name| name.to_str().expect("text"));
                format!("{} {said} {protocol:?}", answer.headers()["upgrade"].to_str().expect("text"))
            }
            Err(refusal) => format!("{} {}", refusal.status.as_u16(), refusal.message),
        }
    }

    #[test]
    fn a_message_is_a_channel_and_bytes_in_either_form() {
        let raw = Dialect { base64: false, status: true };
        let text = Dialect { base64: true, status: true };
        assert_eq!(raw.join(1, b"hi"), Message::binary(b"\x01hi".to_vec()));
        assert_eq!(text.join(1, b"hi"), Message::text("1aGk="));
        for dialect in [raw, text] {
            let message = dialect.join(4, &[0, 255]).into_data();
            assert_eq!(dialect.split(&message), Some((4, vec![0, 255])));
            assert_eq!(dialect.split(b""), None);
        }
        assert_eq!(text.split(b"0no base64!"), None);
    }

    #[test]
    fn the_best_that_both_know_is_spoken() {
        let spdy = [("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v5.channel.k8s.io")];
        let old = [spdy.as_slice(), &[("x-stream-protocol-version", "v4.channel.k8s.io, channel.k8s.io")]];
        assert_eq!(asked(&old.concat(), false), "SPDY/3.1 v4.channel.k8s.io Spdy { version: 4 }");
        assert_eq!(
            asked(&spdy, false),
            "403 unable to upgrade: unable to negotiate protocol: client supports [v5.channel.k8s.io], \
             server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]"
        );
        assert_eq!(asked(&spdy[..1], true), "SPDY/3.1 - Spdy { version: 1 }");
        let tunnel = [("upgrade", "websocket"), ("sec-websocket-protocol", TUNNEL)];
        assert_eq!(asked(&tunnel, true), "websocket SPDY/3.1+portforward.k8s.io Tunnel");
        assert!(asked(&tunnel, false).starts_with("400 none of the subprotocols"));
        let channels =
            [("upgrade", "websocket"), ("sec-websocket-protocol", "base64.channel.k8s.io,v4.channel.k8s.io")];
        assert_eq!(
            asked(&channels, false),
            "websocket v4.channel.k8s.io Channels(Dialect { base64: false, status: true })"
        );
        assert!(asked(&[], false).starts_with("400 unable to upgrade"));
    }
}
