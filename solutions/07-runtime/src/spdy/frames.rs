//! Frames as bytes: section 2.2 of the draft.
//!
//! ```text
//! control  |1| version = 3 (15) | type (16) | flags (8) | length (24) | ...
//! data     |0| stream (31)                  | flags (8) | length (24) | ...
//! ```

use super::Error;
use super::headers::{Deflater, Headers, Inflater};

/// A stream's number: those that a client opens are odd.
pub type StreamId = u32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream. `fin`: its sender will send nothing; `one_way`: nor will its receiver.
    SynStream {
        stream: StreamId,
        fin: bool,
        one_way: bool,
        headers: Headers,
    },
    SynReply {
        stream: StreamId,
        fin: bool,
        headers: Headers,
    },
    /// Ends a stream at once, both ways.
    RstStream {
        stream: StreamId,
        status: u32,
    },
    /// What the sender would like. Nobody here asks for anything, so it is not read.
    Settings,
    /// To be sent back as it is.
    Ping {
        id: u32,
    },
    /// The sender takes no streams beyond this one.
    GoAway {
        last: StreamId,
        status: u32,
    },
    Headers {
        stream: StreamId,
        fin: bool,
        headers: Headers,
    },
    WindowUpdate {
        stream: StreamId,
        delta: u32,
    },
    /// Bytes of a stream. They are handed on as they come, in pieces; `fin` comes by itself, with
    /// no bytes.
    Data {
        stream: StreamId,
        fin: bool,
        bytes: Vec<u8>,
    },
}

const VERSION: u16 = 3;
const CONTROL: u8 = 0x80;
const FIN: u8 = 1;
const ONE_WAY: u8 = 2;
const HEAD_BYTES: usize = 8;
/// No frame's length has more than 24 bits.
const MAX_LENGTH: usize = (1 << 24) - 1;
/// No control frame that anyone sends is longer, and it is kept until it is complete.
const MAX_CONTROL_BYTES: usize = 64 << 10;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// Bytes in, frames out. After an error there is no way on: the rest makes no sense.
pub struct Decoder {
    inflater: Inflater,
    /// Bytes that make no whole control frame yet.
    kept: Vec<u8>,
    /// The data frame that is under way: its stream, its `fin`, and how much of it is to come.
    data: Option<(StreamId, bool, usize)>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { inflater: Inflater::new(), kept: Vec::new(), data: None }
    }
}

impl Decoder {
    /// Takes the bytes that came next. Call [`Decoder::poll`] until it has nothing more.
    pub fn handle(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// The next frame, if its bytes are there.
    pub fn poll(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some((stream, fin, left)) = self.data {
                return Ok(self.piece(stream, fin, left));
            }
            let Some(head) = self.kept.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
            let flags = head[4];
            let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            if head[0] & CONTROL == 0 {
                let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                self.kept.drain(..HEAD_BYTES);
                self.data = Some((stream, flags & FIN != 0, length));
                continue;
            }
            if u16::from_be_bytes([head[0] & !CONTROL, head[1]]) != VERSION {
                return Err(Error::Version);
            }
            if length > MAX_CONTROL_BYTES {
                return Err(Error::TooLong);
            }
            if self.kept.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            let kind = u16::from_be_bytes([head[2], head[3]]);
            let frame: Vec<u8> = self.kept.drain(..HEAD_BYTES + length).collect();
            if let Some(frame) = self.control(kind, flags, &frame[HEAD_BYTES..])? {
                return Ok(Some(frame));
            }
        }
    }

    /// What is there of a data frame.
    fn piece(&mut self, stream: StreamId, fin: bool, left: usize) -> Option<Frame> {
        if left == 0 {
            self.data = None;
            return Some(Frame::Data { stream, fin, bytes: Vec::new() });
        }
        let length = left.min(self.kept.len());
        if length == 0 {
            return None;
        }
        let (bytes, left) = (self.kept.drain(..length).collect(), left - length);
        self.data = (left > 0 || fin).then_some((stream, fin, left));
        Some(Frame::Data { stream, fin: false, bytes })
    }

    /// A whole control frame; `None` for a kind that is not known, which is to be ignored.
    fn control(&mut self, kind: u16, flags: u8, body: &[u8]) -> Result<Option<Frame>, Error> {
        let number = |at: usize| -> Result<u32, Error> {
            let bytes = body.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Error::Length)?;
            Ok(u32::from_be_bytes(*bytes))
        };
        let stream = |at| number(at).map(|id| id & 0x7fff_ffff);
        let rest = |at: usize| body.get(at..).ok_or(Error::Length);
        let fin = flags & FIN != 0;
        Ok(Some(match kind {
            SYN_STREAM => {
                // The stream, the one it belongs to, a priority and a slot; then the headers.
                let (stream, headers) = (stream(0)?, self.inflater.block(rest(10)?)?);
                Frame::SynStream { stream, fin, one_way: flags & ONE_WAY != 0, headers }
            }
            SYN_REPLY => Frame::SynReply { stream: stream(0)?, fin, headers: self.inflater.block(rest(4)?)? },
            HEADERS => Frame::Headers { stream: stream(0)?, fin, headers: self.inflater.block(rest(4)?)? },
            RST_STREAM => Frame::RstStream { stream: stream(0)?, status: number(4)? },
            SETTINGS => Frame::Settings,
            PING => Frame::Ping { id: number(0)? },
            GOAWAY => Frame::GoAway { last: stream(0)?, status: number(4)? },
            WINDOW_UPDATE => Frame::WindowUpdate { stream: stream(0)?, delta: number(4)? & 0x7fff_ffff },
            _ => return Ok(None),
        }))
    }
}

/// Frames in, bytes out.
#[derive(Default)]
pub struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// Appends the frame to `out`.
    pub fn encode(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let id = |stream: &StreamId| (stream & 0x7fff_ffff).to_be_bytes();
        match frame {
            Frame::SynStream { stream, fin, one_way, headers } => {
                let block = self.deflater.block(headers);
                let flags = flag(*fin, FIN) | flag(*one_way, ONE_WAY);
                control(out, SYN_STREAM, flags, &[&id(stream), &[0; 6], &block]);
            }
            Frame::SynReply { stream, fin, headers } => {
                let block = self.deflater.block(headers);
                control(out, SYN_REPLY, flag(*fin, FIN), &[&id(stream), &block]);
            }
            Frame::Headers { stream, fin, headers } => {
                let block = self.deflater.block(headers);
                control(out, HEADERS, flag(*fin, FIN), &[&id(stream), &block]);
            }
            Frame::RstStream { stream, status } => {
                control(out, RST_STREAM, 0, &[&id(stream), &status.to_be_bytes()]);
            }
            // A list of no settings.
            Frame::Settings => control(out, SETTINGS, 0, &[&[0; 4]]),
            Frame::Ping { id } => control(out, PING, 0, &[&id.to_be_bytes()]),
            Frame::GoAway { last, status } => {
                control(out, GOAWAY, 0, &[&id(last), &status.to_be_bytes()]);
            }
            Frame::WindowUpdate { stream, delta } => {
                control(out, WINDOW_UPDATE, 0, &[&id(stream), &id(delta)]);
            }
            Frame::Data { stream, fin, bytes } => {
                // Too much for one frame is two, and only the last is the last.
                let mut rest = bytes.as_slice();
                loop {
                    let (piece, more) = rest.split_at(rest.len().min(MAX_LENGTH));
                    out.extend_from_slice(&id(stream));
                    length(out, flag(*fin && more.is_empty(), FIN), piece.len());
                    out.extend_from_slice(piece);
                    rest = more;
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

fn control(out: &mut Vec<u8>, kind: u16, flags: u8, body: &[&[u8]]) {
    out.extend_from_slice(&(VERSION | u16::from(CONTROL) << 8).to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    length(out, flags, body.iter().map(|part| part.len()).sum());
    for part in body {
        out.extend_from_slice(part);
    }
}

/// Flags and length share four bytes.
fn length(out: &mut Vec<u8>, flags: u8, length: usize) {
    out.extend_from_slice(&(u32::from(flags) << 24 | length as u32).to_be_bytes());
}
