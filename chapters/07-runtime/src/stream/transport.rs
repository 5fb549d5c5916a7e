//! The two ways in which the bytes of SPDY travel: as they are, or in the messages of a WebSocket.

use std::io;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

pub type Connection = TokioIo<Upgraded>;
pub type Socket = WebSocketStream<Connection>;

const BUFFER_BYTES: usize = 16 << 10;

pub enum Transport {
    Plain(Connection),
    Tunnel(Box<Socket>),
}

pub enum Reader {
    Plain(ReadHalf<Connection>, Vec<u8>),
    Tunnel(SplitStream<Socket>),
}

pub enum Writer {
    Plain(WriteHalf<Connection>),
    Tunnel(SplitSink<Socket, Message>),
}

impl Transport {
    pub fn split(self) -> (Reader, Writer) {
        match self {
            Transport::Plain(connection) => {
                let (from, to) = tokio::io::split(connection);
                (Reader::Plain(from, vec![0; BUFFER_BYTES]), Writer::Plain(to))
            }
            Transport::Tunnel(socket) => {
                let (to, from) = (*socket).split();
                (Reader::Tunnel(from), Writer::Tunnel(to))
            }
        }
    }
}

impl Reader {
    /// What came next; `None` at the end. Nothing is lost if it is given up half way.
    pub async fn read(&mut self) -> Option<Vec<u8>> {
        match self {
            Reader::Plain(from, buffer) => match from.read(buffer).await {
                Ok(count @ 1..) => Some(buffer[..count].to_vec()),
                _ => None,
            },
            Reader::Tunnel(from) => loop {
                match from.next().await? {
                    Ok(Message::Binary(bytes)) => return Some(bytes.to_vec()),
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            },
        }
    }
}

impl Writer {
    pub async fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Writer::Plain(to) => to.write_all(&bytes).await,
            Writer::Tunnel(to) => to.send(Message::binary(bytes)).await.map_err(io::Error::other),
        }
    }

    pub async fn close(&mut self) {
        let _ = match self {
            Writer::Plain(to) => to.shutdown().await,
            Writer::Tunnel(to) => to.send(normal_close()).await.map_err(io::Error::other),
        };
    }
}

/// A close without a code reads as an accident, and hides the status from kubectl.
pub fn normal_close() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))
}
