//! A client of the streaming server: WebSocket, `v5.channel.k8s.io`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use runtime::cri::*;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Node;

/// One stream.
pub struct Stream {
    url: String,
    socket: WebSocketStream<TcpStream>,
}

/// All that a stream carried.
#[derive(Debug, Default)]
pub struct Ended {
    pub stdout: String,
    pub stderr: String,
    pub status: Value,
}

async fn open(url: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let url = url.replacen("http://", "ws://", 1);
    let address = url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "v5.channel.k8s.io".parse().unwrap());
    let connection = TcpStream::connect(address).await.expect("the streaming server");
    Ok(client_async(request, connection).await?.0)
}

impl Stream {
    async fn new(url: String) -> Stream {
        let socket = open(&url).await.expect("a stream");
        Stream { url, socket }
    }

    /// The same URL once more.
    pub async fn again(&self) -> Result<(), Error> {
        open(&self.url).await.map(drop)
    }

    pub async fn send(&mut self, channel: u8, bytes: &[u8]) {
        let message = [&[channel], bytes].concat();
        self.socket.send(Message::binary(message)).await.expect("send");
    }

    pub async fn close_stdin(&mut self) {
        self.send(255, &[0]).await;
    }

    /// The next message that is not empty.
    pub async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
            let message = message.expect("a message in time").expect("no end").expect("a message");
            if let (Message::Binary(bytes), true) = (&message, message.len() > 1) {
                return (bytes[0], bytes[1..].to_vec());
            }
        }
    }

    /// Everything up to the status, which ends a stream.
    pub async fn finish(&mut self) -> Ended {
        let mut ended = Ended::default();
        loop {
            match self.next().await {
                (1, bytes) => ended.stdout += &String::from_utf8_lossy(&bytes),
                (2, bytes) => ended.stderr += &String::from_utf8_lossy(&bytes),
                (3, bytes) => {
                    ended.status = serde_json::from_slice(&bytes).expect("a status");
                    return ended;
                }
                (channel, _) => panic!("channel {channel}"),
            }
        }
    }
}

impl Node {
    pub async fn exec_stream(&self, id: &str, script: &str, tty: bool) -> Stream {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request =
            ExecRequest { container_id: id.into(), cmd, tty, stdin: true, stdout: true, stderr: !tty };
        Stream::new(self.calls().exec(request).await.expect("Exec").into_inner().url).await
    }

    pub async fn attach_stream(&self, id: &str) -> Stream {
        let request =
            AttachRequest { container_id: id.into(), stdin: true, tty: false, stdout: true, stderr: true };
        Stream::new(self.calls().attach(request).await.expect("Attach").into_inner().url).await
    }

    pub async fn forward_stream(&self, pod: &str, ports: &[i32]) -> Stream {
        let request = PortForwardRequest { pod_sandbox_id: pod.into(), port: ports.to_vec() };
        Stream::new(self.calls().port_forward(request).await.expect("PortForward").into_inner().url).await
    }
}
