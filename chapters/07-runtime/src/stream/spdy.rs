//! A SPDY connection as a server has it: the streams that a client opens, each with two ends.
//!
//! ```text
//!             ┌───────── pump ──────────┐  Opened ──► Session::accept
//! transport ══╡  heart::spdy::Connection ├─ Heard  ──► Stream::from   (a queue a stream)
//!             └─────────────────────────┘◄─ Say ───── Stream::to     (one queue for all)
//! ```
//! A stream whose queue is full holds back the whole connection, as it does upstream: there are no
//! windows.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use super::transport::{Reader, Transport, Writer};
use crate::heart::spdy::{Connection, Event, Headers, Side, StreamId};

/// What a stream's reader may be behind by; then nothing more is read from the client.
const HEARD_QUEUE: usize = 4;
/// What may wait to be written; then whoever writes waits.
const SAY_QUEUE: usize = 16;
const MAX_OUTPUT_BYTES: usize = 256 << 10;
/// When all is said, the client is given this long to close: whatever it has not read yet would be
/// lost if we were first.
const LINGER: Duration = Duration::from_secs(10);

/// From the client. The end of the queue without `Finished` is a reset, or the connection's end.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Bytes(Vec<u8>),
    /// It will send nothing more.
    Finished,
}

enum Say {
    Bytes(Vec<u8>),
    Finish,
    Reset,
}

pub struct Stream {
    pub headers: Headers,
    pub from: mpsc::Receiver<Heard>,
    pub to: StreamWriter,
}

/// Our direction of a stream.
#[derive(Clone)]
pub struct StreamWriter {
    stream: StreamId,
    to: mpsc::Sender<(StreamId, Say)>,
}

/// The connection is gone.
#[derive(Debug, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

impl StreamWriter {
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.to.send((self.stream, Say::Bytes(bytes))).await.map_err(|_| Gone)
    }

    pub async fn finish(&self) -> Result<(), Gone> {
        self.to.send((self.stream, Say::Finish)).await.map_err(|_| Gone)
    }

    pub async fn reset(&self) -> Result<(), Gone> {
        self.to.send((self.stream, Say::Reset)).await.map_err(|_| Gone)
    }
}

/// A client's connection. It is closed in good order after this is dropped.
pub struct Session {
    opened: mpsc::Receiver<Stream>,
}

impl Session {
    pub fn start(transport: Transport) -> Session {
        let (sender, opened) = mpsc::channel(HEARD_QUEUE);
        let (reader, writer) = transport.split();
        tokio::spawn(async move {
            let (wire, queue) = mpsc::channel(SAY_QUEUE);
            let writing = tokio::spawn(write(writer, queue));
            if let Err(error) = pump(reader, wire, sender).await {
                tracing::debug!("spdy: {error}");
            }
            let _ = tokio::time::timeout(LINGER, writing).await;
        });
        Session { opened }
    }

    /// The next stream that the client opens; `None` when it is gone.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }
}

async fn write(mut writer: Writer, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        if writer.write(bytes).await.is_err() {
            return;
        }
    }
    writer.close().await;
}

/// Someone whose queue is full, and what it is to be given. Until then nothing is read.
enum Stalled {
    Heard(mpsc::Sender<Heard>, Heard),
    Opened(Box<Stream>),
}

async fn pump(
    mut reader: Reader,
    wire: mpsc::Sender<Vec<u8>>,
    opened: mpsc::Sender<Stream>,
) -> Result<(), crate::heart::spdy::Error> {
    let mut connection = Connection::new(Side::Server);
    let mut listeners: BTreeMap<StreamId, mpsc::Sender<Heard>> = BTreeMap::new();
    let (say, mut said) = mpsc::channel(SAY_QUEUE);
    let mut output = Vec::new();
    let mut stalled: Option<Stalled> = None;
    let deadline = tokio::time::sleep(LINGER);
    tokio::pin!(deadline);
    let mut closing = false;
    loop {
        let room = output.len() < MAX_OUTPUT_BYTES;
        tokio::select! {
            permit = wire.reserve(), if !output.is_empty() => match permit {
                Ok(permit) => permit.send(std::mem::take(&mut output)),
                Err(_) => return Ok(()),
            },
            Some((stream, what)) = said.recv(), if room => match what {
                Say::Bytes(bytes) => connection.send(stream, bytes),
                Say::Finish => connection.finish(stream),
                Say::Reset => {
                    listeners.remove(&stream);
                    connection.reset(stream);
                }
            },
            bytes = reader.read(), if room && stalled.is_none() => match bytes {
                Some(bytes) => connection.handle(&bytes),
                None => return Ok(()),
            },
            () = deliver(&mut stalled, &opened), if stalled.is_some() => {}
            () = opened.closed(), if !closing => {
                closing = true;
                deadline.as_mut().reset(tokio::time::Instant::now() + LINGER);
            }
            () = &mut deadline, if closing => {
                connection.go_away();
                output.append(&mut connection.take_output());
                let _ = wire.try_send(output);
                return Ok(());
            }
        }
        while stalled.is_none() {
            let Some(event) = connection.poll()? else { break };
            match event {
                Event::Opened { stream, .. } if closing => connection.reset(stream),
                Event::Opened { stream, headers } => {
                    connection.reply(stream);
                    let (listener, from) = mpsc::channel(HEARD_QUEUE);
                    listeners.insert(stream, listener);
                    let to = StreamWriter { stream, to: say.clone() };
                    stalled = Some(Stalled::Opened(Box::new(Stream { headers, from, to })));
                }
                Event::Data { stream, bytes } => {
                    let listener = listeners.get(&stream).cloned();
                    stalled = listener.map(|listener| Stalled::Heard(listener, Heard::Bytes(bytes)));
                }
                Event::Finished { stream } => {
                    let listener = listeners.remove(&stream);
                    stalled = listener.map(|listener| Stalled::Heard(listener, Heard::Finished));
                }
                Event::Reset { stream } => drop(listeners.remove(&stream)),
                Event::Replied { .. } | Event::GoneAway => {}
            }
        }
        output.append(&mut connection.take_output());
    }
}

/// Hands over what waits, when its receiver has room; what nobody wants any more is dropped.
async fn deliver(stalled: &mut Option<Stalled>, opened: &mpsc::Sender<Stream>) {
    match stalled {
        Some(Stalled::Heard(listener, _)) => {
            let permit = listener.clone().reserve_owned().await;
            if let (Ok(permit), Some(Stalled::Heard(_, heard))) = (permit, stalled.take()) {
                permit.send(heard);
            }
        }
        Some(Stalled::Opened(_)) => {
            let permit = opened.reserve().await;
            if let (Ok(permit), Some(Stalled::Opened(stream))) = (permit, stalled.take()) {
                permit.send(*stream);
            }
        }
        None => {}
    }
}
