//! exec and attach: frames of a shim on one side, channels of a WebSocket or streams of SPDY on the
//! other.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::handshake::Dialect;
use super::spdy::{Heard, Session, StreamWriter};
use super::transport::{Socket, normal_close};
use super::{Command, Wants};
use crate::heart::spdy::value;
use crate::server::Runtime;
use crate::shim::protocol::{self, CLOSE, Ended, RESIZE, STATUS, STDERR, STDIN, STDOUT};

/// How long a client may take to open its streams, and to hang up when all is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// A terminal's size is a few dozen bytes.
const MAX_SIZE_BYTES: usize = 1024;

/// What a client said.
enum Said {
    Bytes(u8, Vec<u8>),
    /// No more input.
    NoInput,
    Gone,
}

/// The client's direction.
pub enum Hearing {
    Channels(SplitStream<Socket>, Dialect),
    Spdy {
        session: Session,
        stdin: Option<mpsc::Receiver<Heard>>,
        /// Sizes as JSON, one after the other, and what has come of the next one.
        resize: Option<mpsc::Receiver<Heard>>,
        size: Vec<u8>,
    },
}

/// Our direction.
pub enum Speaking {
    Channels(SplitSink<Socket, Message>, Dialect),
    Spdy { version: u8, stdout: Option<StreamWriter>, stderr: Option<StreamWriter>, error: StreamWriter },
}

/// Carries a command's streams until it ends or the client goes away.
pub async fn serve(
    runtime: &Runtime,
    mut hearing: Hearing,
    mut speaking: Speaking,
    command: Command,
) -> anyhow::Result<()> {
    let (mut shim, _) = match runtime.shim(&command.sandbox).open(&command.request).await {
        Ok(opened) => opened,
        Err(error) => {
            let message = format!("Internal error occurred: error executing command in container: {error}");
            return finish(hearing, speaking, &failure_status(&message)).await;
        }
    };
    let (mut from_shim, mut to_shim) = shim.split();
    // Each direction waits for itself alone: a command that does not read must still be heard.
    let input = async {
        loop {
            match hearing.next().await {
                Said::Bytes(channel, bytes) => forward(&mut to_shim, channel, &bytes).await,
                Said::NoInput => forward(&mut to_shim, CLOSE, b"").await,
                Said::Gone => return,
            }
        }
    };
    let wants = command.wants;
    let output = async {
        while let Some((channel, bytes)) = protocol::read_frame(&mut from_shim).await? {
            match channel {
                STATUS => {
                    let ended: Ended = serde_json::from_slice(&bytes)?;
                    return Ok(exit_status(if command.codes { ended.code } else { 0 }));
                }
                STDOUT if !wants.stdout => {}
                STDERR if !wants.stderr => {}
                _ => speaking.send(channel, bytes).await?,
            }
        }
        anyhow::Ok(failure_status("the pod's shim is gone"))
    };
    let status = tokio::select! {
        status = output => status?,
        () = input => return Ok(()),
    };
    finish(hearing, speaking, &status).await
}

/// A command that has ended reads nothing more, which is no reason to stop listening to the client.
async fn forward(shim: &mut (impl AsyncWrite + Unpin), channel: u8, bytes: &[u8]) {
    if bytes.is_empty() {
        let _ = protocol::write_frame(shim, channel, bytes).await;
    }
    for part in bytes.chunks(protocol::MAX_FRAME) {
        if protocol::write_frame(shim, channel, part).await.is_err() {
            return;
        }
    }
}

/// The last words, and then the client's turn to hang up: whoever closes first may cut off what is
/// still under way.
async fn finish(mut hearing: Hearing, mut speaking: Speaking, status: &Value) -> anyhow::Result<()> {
    speaking.finish(status).await?;
    drop(speaking);
    let hang_up = async { while !matches!(hearing.next().await, Said::Gone) {} };
    let _ = tokio::time::timeout(PATIENCE, hang_up).await;
    Ok(())
}

/// The two directions of a WebSocket.
pub async fn channels(socket: Socket, dialect: Dialect, wants: Wants) -> anyhow::Result<(Hearing, Speaking)> {
    let (to, from) = socket.split();
    let mut speaking = Speaking::Channels(to, dialect);
    // Every channel that will carry something is opened with an empty message: clients wait for it,
    // and complain about one that they did not ask for.
    for (channel, wanted) in [(STDOUT, wants.stdout), (STDERR, wants.stderr)] {
        if wanted {
            speaking.send(channel, Vec::new()).await?;
        }
    }
    Ok((Hearing::Channels(from, dialect), speaking))
}

/// Waits for the streams that a client of SPDY opens for what it wants.
pub async fn streams(mut session: Session, version: u8, wants: Wants) -> anyhow::Result<(Hearing, Speaking)> {
    let (mut error, mut stdin, mut stdout, mut stderr, mut resize) = (None, None, None, None, None);
    // Terminals have had a size since version 3.
    let sized = wants.tty && version >= 3;
    let expected =
        1 + [wants.stdin, wants.stdout, wants.stderr, sized].into_iter().filter(|wanted| *wanted).count();
    let open = async {
        for _ in 0..expected {
            let stream = session.accept().await.context("the client left before its streams were open")?;
            match value(&stream.headers, "streamtype") {
                Some("error") => error = Some(stream.to),
                Some("stdin") => stdin = Some(stream.from),
                Some("stdout") => stdout = Some(stream.to),
                Some("stderr") => stderr = Some(stream.to),
                Some("resize") => resize = Some(stream.from),
                other => bail!("an unexpected stream: {other:?}"),
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, open)
        .await
        .context("timed out waiting for client to create streams")??;
    let error = error.context("no stream for errors was opened")?;
    let hearing = Hearing::Spdy { session, stdin, resize, size: Vec::new() };
    Ok((hearing, Speaking::Spdy { version, stdout, stderr, error }))
}

impl Hearing {
    /// Nothing is lost if this is given up half way.
    async fn next(&mut self) -> Said {
        loop {
            let said = match self {
                Hearing::Channels(from, dialect) => match from.next().await {
                    Some(Ok(Message::Binary(bytes))) => dialect.read(&bytes),
                    Some(Ok(Message::Text(text))) => dialect.read(text.as_bytes()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Said::Gone),
                    Some(Ok(_)) => None,
                },
                Hearing::Spdy { session, stdin, resize, size } => tokio::select! {
                    heard = heard(stdin) => match heard {
                        Some(Heard::Bytes(bytes)) => Some(Said::Bytes(STDIN, bytes)),
                        _ => { *stdin = None; Some(Said::NoInput) }
                    },
                    heard = heard(resize) => match heard {
                        Some(Heard::Bytes(bytes)) => whole_size(size, &bytes),
                        _ => { *resize = None; None }
                    },
                    more = session.accept() => match more {
                        Some(stream) => { let _ = stream.to.reset().await; None }
                        None => Some(Said::Gone),
                    },
                },
            };
            if let Some(said) = said {
                return said;
            }
        }
    }
}

/// The next thing on a stream; for ever, if there is none.
async fn heard(from: &mut Option<mpsc::Receiver<Heard>>) -> Option<Heard> {
    match from {
        Some(from) => from.recv().await,
        None => std::future::pending().await,
    }
}

/// The newest whole size of those that have come. Each ends with a brace, and holds no other.
fn whole_size(size: &mut Vec<u8>, bytes: &[u8]) -> Option<Said> {
    size.extend_from_slice(bytes);
    let end = size.iter().rposition(|byte| *byte == b'}').map(|at| at + 1);
    let Some(end) = end else {
        size.truncate(MAX_SIZE_BYTES);
        return None;
    };
    let rest = size.split_off(end);
    let whole = std::mem::replace(size, rest);
    let start = whole.iter().rposition(|byte| *byte == b'{')?;
    Some(Said::Bytes(RESIZE, whole[start..].to_vec()))
}

impl Dialect {
    /// One message of the client: the first byte is the channel; 255 and a channel closes that one.
    fn read(self, message: &[u8]) -> Option<Said> {
        let (channel, bytes) = self.split(message)?;
        match channel {
            STDIN | RESIZE => Some(Said::Bytes(channel, bytes)),
            CLOSE if bytes == [STDIN] => Some(Said::NoInput),
            _ => None,
        }
    }
}

impl Speaking {
    async fn send(&mut self, channel: u8, bytes: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Speaking::Channels(to, dialect) => to.send(dialect.join(channel, &bytes)).await?,
            Speaking::Spdy { stdout, stderr, .. } => {
                let stream = if channel == STDOUT { stdout } else { stderr };
                if let Some(stream) = stream {
                    stream.write(bytes).await?;
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self, status: &Value) -> anyhow::Result<()> {
        match self {
            Speaking::Channels(to, dialect) => {
                let last = last_words(status, dialect.status);
                if !last.is_empty() {
                    to.send(dialect.join(STATUS, &last)).await?;
                }
                to.send(normal_close()).await?;
            }
            Speaking::Spdy { version, stdout, stderr, error } => {
                error.write(last_words(status, *version >= 4)).await?;
                for stream in [stdout.as_ref(), stderr.as_ref(), Some(&*error)].into_iter().flatten() {
                    stream.finish().await?;
                }
            }
        }
        Ok(())
    }
}

/// Since version 4 a Status; before, the text of what went wrong.
fn last_words(status: &Value, whole: bool) -> Vec<u8> {
    match (whole, status["message"].as_str()) {
        (true, _) => status.to_string().into_bytes(),
        (false, message) => message.unwrap_or_default().into(),
    }
}

/// What kubectl makes its own exit code of.
fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

fn failure_status(message: &str) -> Value {
    json!({ "metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500 })
}
