//! Port forwarding: a WebSocket on one side, connections inside the pod on the other.
//!
//! For the n-th port of the request, channel 2n carries its bytes and 2n+1 its errors; the first
//! message of each is the port, as two bytes, the lower first. Clients that tunnel SPDY in a
//! WebSocket (kubectl) are refused by the handshake.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use nix::sched::{CloneFlags, setns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Messages on their way to the client; a connection waits when there are more.
const QUEUE: usize = 16;

pub async fn serve(
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    netns: Option<String>,
    ports: Vec<u16>,
) -> anyhow::Result<()> {
    let (out, mut messages) = mpsc::channel::<Vec<u8>>(QUEUE);
    let mut writers: Vec<Option<OwnedWriteHalf>> = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        let (data, error) = channels(at)?;
        let [low, high] = port.to_le_bytes();
        for channel in [data, error] {
            socket.send(Message::binary(vec![channel, low, high])).await?;
        }
        match connect(netns.clone(), *port).await {
            Ok(connection) => {
                let (mut from, to) = connection.into_split();
                writers.push(Some(to));
                let out = out.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![data; 16 * 1024];
                    while let Ok(count @ 1..) = from.read(&mut buffer[1..]).await {
                        if out.send(buffer[..=count].to_vec()).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(why) => {
                writers.push(None);
                let mut message = vec![error];
                message.extend_from_slice(format!("{why:#}").as_bytes());
                socket.send(Message::binary(message)).await?;
            }
        }
    }
    drop(out);
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => socket.send(Message::binary(message)).await?,
                None => return Ok(socket.close(None).await?),
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let Some((channel, rest)) = bytes.split_first() else { continue };
                    let port = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
                    if let Some(Some(to)) = port {
                        to.write_all(rest).await?;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
        }
    }
}

fn channels(at: usize) -> anyhow::Result<(u8, u8)> {
    let data = u8::try_from(at * 2).ok().filter(|data| *data < u8::MAX - 1);
    let data = data.ok_or_else(|| anyhow!("too many ports in one stream"))?;
    Ok((data, data + 1))
}

/// Connects to the pod's own localhost. A socket belongs to the namespace that it was made in, so a
/// thread goes there, makes it, and ends.
async fn connect(netns: Option<String>, port: u16) -> anyhow::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Some(netns) = netns else { return Ok(TcpStream::connect(address).await?) };
    let (done, connected) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("port-forward".into()).spawn(move || {
        let connect = || {
            let namespace = File::open(&netns).context("the pod's network is gone")?;
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIME);
            stream.with_context(|| format!("connecting to port {port} in the pod"))
        };
        let _ = done.send(connect());
    })?;
    let stream = connected.await??;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream)?)
}
