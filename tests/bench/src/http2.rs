//! One HTTP/2 connection that carries gRPC calls, as small as a load generator can have it.
//!
//! It never looks into the server's headers: a call that succeeds answers with a message, a call that
//! fails does not. Its own headers are literals that no table remembers, so a block of them can be
//! made once. All its windows are as wide as they can be, so a server never waits for credit.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// gRPC's: compressed or not, and the length.
const MESSAGE_HEAD: usize = 5;
const MAX_WINDOW: u32 = i32::MAX as u32;
/// What a server may take before it says anything.
const FIRST_WINDOW: i64 = 65_535;
/// Bytes in a frame that any server takes.
const MAX_FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub type StreamId = u32;

pub struct Connection {
    socket: TcpStream,
    authority: String,
    next: StreamId,
    /// To be sent; from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Messages that the server's window has no room for yet.
    waiting: VecDeque<Waiting>,
    window: i64,
    /// Came, and is not a whole frame yet.
    input: Vec<u8>,
    /// Messages of which only a part has come.
    parts: HashMap<StreamId, Vec<u8>>,
    /// Bytes that the server was not given back yet.
    taken: u32,
}

/// Frames that begin a call, and what of them the server's window counts.
struct Waiting {
    frames: Vec<u8>,
    cost: i64,
}

/// What the server sends.
pub enum Got<'a> {
    Message(&'a [u8]),
    /// No more will come on this stream.
    End,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = PREFACE.to_vec();
        let mut settings = Vec::new();
        // No table of headers, no pushes, wide windows, frames of up to 1 MiB.
        for (setting, value) in [(1u16, 0u32), (2, 0), (4, MAX_WINDOW), (5, 1 << 20)] {
            settings.extend_from_slice(&setting.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame(&mut out, SETTINGS, 0, 0, &settings);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(MAX_WINDOW - FIRST_WINDOW as u32).to_be_bytes());
        Ok(Connection {
            socket,
            authority: address.to_string(),
            next: 1,
            out,
            sent: 0,
            waiting: Default::default(),
            window: FIRST_WINDOW,
            input: Vec::new(),
            parts: HashMap::new(),
            taken: 0,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Begins a call with its first message. `last`: no other will follow.
    pub fn call(&mut self, path: &str, message: &[u8], last: bool) -> StreamId {
        let stream = self.next;
        self.next += 2;
        let mut frames = Vec::with_capacity(message.len() + 160);
        frame(&mut frames, HEADERS, END_HEADERS, stream, &headers(path, &self.authority));
        data(&mut frames, stream, message, last);
        let cost = (MESSAGE_HEAD + message.len()) as i64;
        self.waiting.push_back(Waiting { frames, cost });
        self.fill();
        stream
    }

    /// Moves what the window has room for to what is to be sent.
    fn fill(&mut self) {
        while let Some(call) = self.waiting.front_mut()
            && call.cost <= self.window
        {
            self.window -= call.cost;
            self.out.append(&mut call.frames);
            self.waiting.pop_front();
        }
    }

    pub fn wants_to_write(&self) -> bool {
        self.sent < self.out.len()
    }

    pub fn write(&mut self) -> Result<()> {
        while self.wants_to_write() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e).context("writing to the server"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads once, and tells of each message and of each end.
    pub fn read(&mut self, buffer: &mut [u8], mut each: impl FnMut(StreamId, Got<'_>)) -> Result<()> {
        let count = match self.socket.read(buffer) {
            Ok(0) => bail!("the server has closed the connection"),
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e).context("reading from the server"),
        };
        if self.input.is_empty() {
            let used = self.take_frames(&buffer[..count], &mut each)?;
            self.input.extend_from_slice(&buffer[used..count]);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(&buffer[..count]);
            let used = self.take_frames(&input, &mut each)?;
            input.drain(..used);
            self.input = input;
        }
        if self.taken > MAX_WINDOW / 4 {
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &std::mem::take(&mut self.taken).to_be_bytes());
        }
        Ok(())
    }

    fn take_frames(&mut self, bytes: &[u8], each: &mut impl FnMut(StreamId, Got<'_>)) -> Result<usize> {
        let mut at = 0;
        while let Some(head) = bytes[at..].first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let Some(payload) = bytes[at + FRAME_HEAD..].get(..length) else { break };
            at += FRAME_HEAD + length;
            match kind {
                DATA => self.take_data(stream, payload, each),
                RST_STREAM => each(stream, Got::End),
                SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
                GOAWAY => bail!("the server says goodbye: {}", String::from_utf8_lossy(payload)),
                WINDOW_UPDATE if stream == 0 => {
                    let more = payload.first_chunk().context("a window update without a number")?;
                    self.window += i64::from(u32::from_be_bytes(*more));
                    self.fill();
                }
                _ => {}
            }
            if flags & END_STREAM != 0 && matches!(kind, DATA | HEADERS) {
                self.parts.remove(&stream);
                each(stream, Got::End);
            }
        }
        Ok(at)
    }

    /// Data of a stream: most of the time exactly one message.
    fn take_data(&mut self, stream: StreamId, payload: &[u8], each: &mut impl FnMut(StreamId, Got<'_>)) {
        self.taken += payload.len() as u32;
        match self.parts.remove(&stream) {
            None => {
                let rest = take_messages(payload, |message| each(stream, Got::Message(message)));
                if !rest.is_empty() {
                    self.parts.insert(stream, rest.to_vec());
                }
            }
            Some(mut part) => {
                part.extend_from_slice(payload);
                let rest = take_messages(&part, |message| each(stream, Got::Message(message))).len();
                if rest > 0 {
                    part.drain(..part.len() - rest);
                    self.parts.insert(stream, part);
                }
            }
        }
    }
}

fn take_messages(mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> &[u8] {
    while let Some(head) = bytes.first_chunk::<MESSAGE_HEAD>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some(message) = bytes[MESSAGE_HEAD..].get(..length) else { break };
        each(message);
        bytes = &bytes[MESSAGE_HEAD + length..];
    }
    bytes
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: StreamId, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

fn data(out: &mut Vec<u8>, stream: StreamId, message: &[u8], last: bool) {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message);
    let mut frames = bytes.chunks(MAX_FRAME).peekable();
    while let Some(payload) = frames.next() {
        let flags = if last && frames.peek().is_none() { END_STREAM } else { 0 };
        frame(out, DATA, flags, stream, payload);
    }
}

/// A block of headers without Huffman codes. Names that HPACK's fixed table has are numbers.
fn headers(path: &str, authority: &str) -> Vec<u8> {
    const METHOD_POST: u8 = 0x83;
    const SCHEME_HTTP: u8 = 0x86;
    const LITERAL: u8 = 0;
    let mut block = vec![METHOD_POST, SCHEME_HTTP];
    let mut text = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    };
    // Entry 4 is `:path`, 1 `:authority`, 31 (15 and 16 more) `content-type`.
    text(&[LITERAL | 4], path);
    text(&[LITERAL | 1], authority);
    text(&[LITERAL | 15, 16], "application/grpc");
    text(&[LITERAL, 2, b't', b'e'], "trailers");
    block
}
