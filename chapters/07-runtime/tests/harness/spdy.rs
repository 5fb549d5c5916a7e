//! A client of the streaming server that speaks SPDY, plainly or within a WebSocket.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use runtime::cri::*;
use runtime::heart::spdy::{Connection, Event, Side, StreamId};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Node;

enum Wire {
    Plain(TcpStream),
    Tunnel(Box<WebSocketStream<TcpStream>>),
}

/// What came on a stream, and whether that is all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub ended: bool,
}

pub struct Client {
    wire: Wire,
    connection: Connection,
    heard: BTreeMap<StreamId, Heard>,
}

fn address(url: &str) -> (String, String) {
    let rest = url.trim_start_matches("http://");
    let (address, path) = rest.split_once('/').expect("a path");
    (address.to_owned(), format!("/{path}"))
}

impl Client {
    fn new(wire: Wire) -> Client {
        Client { wire, connection: Connection::new(Side::Client), heard: BTreeMap::new() }
    }

    /// Switches over as client-go does, and answers the response's head.
    async fn plain(url: &str, protocols: &[&str]) -> (Client, String) {
        let (address, path) = address(url);
        let mut socket = TcpStream::connect(&address).await.expect("the streaming server");
        let offers: String =
            protocols.iter().map(|name| format!("X-Stream-Protocol-Version: {name}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{offers}\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.expect("an answer"));
        }
        (Client::new(Wire::Plain(socket)), String::from_utf8_lossy(&answer).to_lowercase())
    }

    async fn tunnel(url: &str) -> Client {
        let mut request = url.replacen("http://", "ws://", 1).into_client_request().expect("a request");
        let protocol = "SPDY/3.1+portforward.k8s.io".parse().expect("a value");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let socket = TcpStream::connect(address(url).0).await.expect("the streaming server");
        Client::new(Wire::Tunnel(Box::new(client_async(request, socket).await.expect("a tunnel").0)))
    }

    async fn flush(&mut self) {
        let output = self.connection.take_output();
        match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(&output).await.expect("write"),
            Wire::Tunnel(socket) => socket.send(Message::binary(output)).await.expect("write"),
        }
    }

    pub async fn open(&mut self, headers: &[(&str, &str)]) -> StreamId {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stream = self.connection.open(headers).expect("a number");
        self.flush().await;
        stream
    }

    pub async fn send(&mut self, stream: StreamId, bytes: &[u8]) {
        self.connection.send(stream, bytes.to_vec());
        self.flush().await;
    }

    pub async fn finish(&mut self, stream: StreamId) {
        self.connection.finish(stream);
        self.flush().await;
    }

    /// Reads on until `enough`, and answers what `stream` has said so far.
    pub async fn read_until(&mut self, stream: StreamId, enough: impl Fn(&Heard) -> bool) -> Heard {
        loop {
            while let Some(event) = self.connection.poll().expect("sound frames") {
                match event {
                    Event::Data { stream, bytes } => {
                        self.heard.entry(stream).or_default().bytes.extend(bytes);
                    }
                    Event::Finished { stream } | Event::Reset { stream } => {
                        self.heard.entry(stream).or_default().ended = true;
                    }
                    _ => {}
                }
            }
            let heard = self.heard.entry(stream).or_default();
            if enough(heard) {
                return heard.clone();
            }
            let read = tokio::time::timeout(Duration::from_secs(20), self.read()).await;
            let bytes = read.unwrap_or_else(|_| panic!("nothing came; so far {:?}", self.heard));
            self.connection.handle(&bytes);
        }
    }

    pub async fn read_all(&mut self, stream: StreamId) -> String {
        String::from_utf8_lossy(&self.read_until(stream, |heard| heard.ended).await.bytes).into_owned()
    }

    pub async fn status(&mut self, stream: StreamId) -> Value {
        serde_json::from_str(&self.read_all(stream).await).expect("a status")
    }

    async fn read(&mut self) -> Vec<u8> {
        match &mut self.wire {
            Wire::Plain(socket) => {
                let mut bytes = vec![0; 4096];
                let count = socket.read(&mut bytes).await.expect("read");
                assert!(count > 0, "the server hung up; heard {:?}", self.heard);
                bytes.truncate(count);
                bytes
            }
            Wire::Tunnel(socket) => {
                socket.next().await.expect("no end").expect("a message").into_data().to_vec()
            }
        }
    }
}

impl Node {
    /// A command over SPDY, with the head of the answer.
    pub async fn exec_spdy(&self, id: &str, script: &str, tty: bool, protocols: &[&str]) -> (Client, String) {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request =
            ExecRequest { container_id: id.into(), cmd, tty, stdin: true, stdout: true, stderr: !tty };
        let url = self.calls().exec(request).await.expect("Exec").into_inner().url;
        Client::plain(&url, protocols).await
    }

    pub async fn forward_spdy(&self, pod: &str, tunnel: bool) -> Client {
        let request = PortForwardRequest { pod_sandbox_id: pod.into(), port: Vec::new() };
        let url = self.calls().port_forward(request).await.expect("PortForward").into_inner().url;
        if tunnel { Client::tunnel(&url).await } else { Client::plain(&url, &["portforward.k8s.io"]).await.0 }
    }
}
