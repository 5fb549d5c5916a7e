//! Port forwarding: a client on one side, connections inside the pod on the other.
//!
//! In streams of SPDY a connection is a pair of streams with one `requestid`: `data`, and `error`,
//! which ends empty when all went well. In channels of a WebSocket, for the n-th port of the
//! request, channel 2n carries its bytes and 2n+1 its errors; the first message of each is the
//! port, as two bytes, the lower first; so a port is one connection. Upstream:
//! `k8s.io/kubelet/pkg/cri/streaming/portforward`.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::{SinkExt, StreamExt};
use nix::sched::{CloneFlags, setns};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::Forward;
use super::handshake::Dialect;
use super::spdy::{Heard, Session, Stream, StreamWriter};
use super::transport::{Socket, normal_close};
use crate::heart::spdy::value;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Messages on their way to the client; a connection waits when there are more.
const QUEUE: usize = 16;
const BUFFER_BYTES: usize = 16 << 10;

/// The streams of one connection, as far as they are there.
#[derive(Default)]
struct Pair {
    data: Option<Stream>,
    error: Option<Stream>,
}

/// Serves pairs of streams until the client is gone.
pub async fn streams(mut session: Session, forward: Forward) {
    let forward = Arc::new(forward);
    // No more than the connection has streams.
    let mut pairs: HashMap<String, Pair> = HashMap::new();
    while let Some(stream) = session.accept().await {
        // Clients that name no request open the two streams one after the other.
        let request = value(&stream.headers, "requestid").unwrap_or_default().to_owned();
        let pair = pairs.entry(request.clone()).or_default();
        let place = match value(&stream.headers, "streamtype") {
            Some("data") => &mut pair.data,
            Some("error") => &mut pair.error,
            _ => {
                let _ = stream.to.reset().await;
                continue;
            }
        };
        if let Some(twice) = place.replace(stream) {
            let _ = twice.to.reset().await;
        }
        if let Some(Pair { data: Some(_), error: Some(_) }) = pairs.get(&request)
            && let Some(Pair { data: Some(data), error: Some(error) }) = pairs.remove(&request)
        {
            tokio::spawn(connect_pair(Arc::clone(&forward), data, error.to));
        }
    }
}

async fn connect_pair(forward: Arc<Forward>, data: Stream, error: StreamWriter) {
    let port = value(&data.headers, "port").unwrap_or_default();
    let connected = async {
        let port: u16 = port.parse().ok().filter(|port| *port > 0).context("no such port")?;
        connect(forward.netns.clone(), port).await
    };
    let writer = data.to.clone();
    match connected.await {
        // Whether the client or the pod ends it is for them to know, and no error.
        Ok(connection) => drop(carry(connection, data).await),
        Err(why) => {
            let pod = &forward.pod;
            let message = format!("error forwarding port {port} to pod {pod}, uid : {why:#}");
            let _ = error.write(message.into_bytes()).await;
        }
    }
    let _ = writer.finish().await;
    let _ = error.finish().await;
}

/// Copies both ways until the pod has said everything, or the client wants no more.
async fn carry(connection: TcpStream, data: Stream) -> anyhow::Result<()> {
    let (mut from, mut to) = connection.into_split();
    let Stream { from: mut client, to: writer, .. } = data;
    let output = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let count @ 1.. = from.read(&mut buffer).await? {
            writer.write(buffer[..count].to_vec()).await?;
        }
        anyhow::Ok(())
    };
    let input = async {
        while let Some(heard) = client.recv().await {
            match heard {
                Heard::Bytes(bytes) => to.write_all(&bytes).await?,
                Heard::Finished => {
                    to.shutdown().await?;
                    // What the pod still has to say is waited for.
                    return std::future::pending().await;
                }
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = output => done,
        done = input => done,
    }
}

/// Serves the ports that the request named, each in two channels.
pub async fn channels(mut socket: Socket, dialect: Dialect, forward: Forward) -> anyhow::Result<()> {
    let (out, mut messages) = mpsc::channel::<(u8, Vec<u8>)>(QUEUE);
    let mut writers: Vec<Option<OwnedWriteHalf>> = Vec::new();
    for (at, port) in forward.ports.iter().enumerate() {
        let (data, error) = numbers(at)?;
        for channel in [data, error] {
            socket.send(dialect.join(channel, &port.to_le_bytes())).await?;
        }
        match connect(forward.netns.clone(), *port).await {
            Ok(connection) => {
                let (mut from, to) = connection.into_split();
                writers.push(Some(to));
                let out = out.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; BUFFER_BYTES];
                    while let Ok(count @ 1..) = from.read(&mut buffer).await {
                        if out.send((data, buffer[..count].to_vec())).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(why) => {
                writers.push(None);
                let pod = &forward.pod;
                let message = format!("error forwarding port {port} to pod {pod}, uid : {why:#}");
                socket.send(dialect.join(error, message.as_bytes())).await?;
            }
        }
    }
    drop(out);
    let (mut to_client, mut from_client) = socket.split();
    let output = async {
        while let Some((channel, bytes)) = messages.recv().await {
            to_client.send(dialect.join(channel, &bytes)).await?;
        }
        anyhow::Ok(to_client.send(normal_close()).await?)
    };
    let input = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes = match &message {
                Message::Binary(bytes) => bytes.as_ref(),
                Message::Text(text) => text.as_bytes(),
                Message::Close(_) => return,
                _ => continue,
            };
            let Some((channel, bytes)) = dialect.split(bytes) else { continue };
            let port = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
            if let Some(Some(to)) = port {
                // A pod that hangs up says so in the other direction.
                let _ = to.write_all(&bytes).await;
            }
        }
    };
    tokio::select! {
        done = output => done,
        () = input => Ok(()),
    }
}

/// The data and error channels of the n-th port. 255 has a meaning of its own.
fn numbers(at: usize) -> anyhow::Result<(u8, u8)> {
    let data = u8::try_from(at * 2).ok().filter(|data| *data < u8::MAX - 1);
    let data = data.ok_or_else(|| anyhow!("too many ports in one stream"))?;
    Ok((data, data + 1))
}

/// Connects to the pod's own localhost. A socket belongs to the namespace that it was made in, so a
/// thread goes there, makes it, and ends.
async fn connect(netns: Option<String>, port: u16) -> anyhow::Result<TcpStream> {
    let (done, connected) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("port-forward".into()).spawn(move || {
        let connect = || {
            if let Some(netns) = netns {
                let namespace = File::open(&netns).context("the pod's network is gone")?;
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
            }
            let try_host = |host: IpAddr| {
                std::net::TcpStream::connect_timeout(&SocketAddr::new(host, port), CONNECT_TIME)
            };
            try_host(Ipv4Addr::LOCALHOST.into()).or_else(|four| {
                try_host(Ipv6Addr::LOCALHOST.into()).map_err(|six| {
                    anyhow!("failed to connect to localhost:{port} inside the pod, IPv4: {four}, IPv6: {six}")
                })
            })
        };
        let _ = done.send(connect());
    })?;
    let stream = connected.await??;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream)?)
}
