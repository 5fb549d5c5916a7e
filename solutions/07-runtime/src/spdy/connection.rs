//! What is open on a connection, and what the frames of its other side mean.

use std::collections::BTreeMap;

use super::frames::{Decoder, Encoder};
use super::{Error, Frame, Headers, StreamId};

/// Streams that are open at once; further ones are refused.
pub const MAX_STREAMS: usize = 512;

/// RST_STREAM's reasons: section 2.6.3 of the draft.
const INVALID_STREAM: u32 = 2;
const REFUSED_STREAM: u32 = 3;
const CANCEL: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Opens streams with odd numbers.
    Client,
    Server,
}

/// What the other side did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wants a stream: answer with [`Connection::reply`] or [`Connection::reset`].
    Opened {
        stream: StreamId,
        headers: Headers,
    },
    /// It took a stream of ours.
    Replied {
        stream: StreamId,
    },
    Data {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    /// It will send nothing more on this stream; the other direction may still be open.
    Finished {
        stream: StreamId,
    },
    /// The stream is gone, both ways.
    Reset {
        stream: StreamId,
    },
    /// It wants no more streams, and will close when those that are open have ended.
    GoneAway,
}

/// Which directions of a stream are still open. With neither, it is forgotten.
struct Open {
    ours: bool,
    theirs: bool,
}

/// One side of a connection. Hand in what was read with [`Connection::handle`], take what happened
/// by [`Connection::poll`] until there is nothing, and write what [`Connection::take_output`] has.
pub struct Connection {
    side: Side,
    decoder: Decoder,
    encoder: Encoder,
    streams: BTreeMap<StreamId, Open>,
    /// The newest stream that the other side opened, and the next one of ours.
    last: StreamId,
    next: StreamId,
    /// What the frame that was taken last says besides.
    then: Option<Event>,
    output: Vec<u8>,
}

impl Connection {
    pub fn new(side: Side) -> Connection {
        Connection {
            side,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            streams: BTreeMap::new(),
            last: 0,
            next: if side == Side::Client { 1 } else { 2 },
            then: None,
            output: Vec::new(),
        }
    }

    pub fn handle(&mut self, bytes: &[u8]) {
        self.decoder.handle(bytes);
    }

    /// The next event. After an error the connection is to be closed.
    pub fn poll(&mut self) -> Result<Option<Event>, Error> {
        if let Some(event) = self.then.take() {
            return Ok(Some(event));
        }
        while let Some(frame) = self.decoder.poll()? {
            if let Some(event) = self.take(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Bytes for the other side.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Opens a stream; `None` when there are no numbers left.
    pub fn open(&mut self, headers: Headers) -> Option<StreamId> {
        let stream = self.next;
        self.next = stream.checked_add(2).filter(|next| *next < 1 << 31)?;
        self.streams.insert(stream, Open { ours: true, theirs: true });
        self.write(&Frame::SynStream { stream, fin: false, one_way: false, headers });
        Some(stream)
    }

    /// Takes a stream that the other side opened.
    pub fn reply(&mut self, stream: StreamId) {
        if self.streams.contains_key(&stream) {
            self.write(&Frame::SynReply { stream, fin: false, headers: Headers::new() });
        }
    }

    /// Sends bytes, unless our direction has ended.
    pub fn send(&mut self, stream: StreamId, bytes: Vec<u8>) {
        if self.streams.get(&stream).is_some_and(|open| open.ours) && !bytes.is_empty() {
            self.write(&Frame::Data { stream, fin: false, bytes });
        }
    }

    /// Ends our direction.
    pub fn finish(&mut self, stream: StreamId) {
        if let Some(open) = self.streams.get_mut(&stream).filter(|open| open.ours) {
            open.ours = false;
            self.write(&Frame::Data { stream, fin: true, bytes: Vec::new() });
            self.forget_closed(stream);
        }
    }

    /// Ends a stream at once, both ways.
    pub fn reset(&mut self, stream: StreamId) {
        if self.streams.remove(&stream).is_some() {
            self.write(&Frame::RstStream { stream, status: CANCEL });
        }
    }

    pub fn go_away(&mut self) {
        self.write(&Frame::GoAway { last: self.last, status: 0 });
    }

    fn write(&mut self, frame: &Frame) {
        self.encoder.encode(frame, &mut self.output);
    }

    fn forget_closed(&mut self, stream: StreamId) {
        if self.streams.get(&stream).is_some_and(|open| !open.ours && !open.theirs) {
            self.streams.remove(&stream);
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        Ok(match frame {
            Frame::SynStream { stream, fin, one_way, headers } => {
                let odd = stream % 2 == 1;
                if odd != (self.side == Side::Server) || stream <= self.last {
                    return Err(Error::StreamId(stream));
                }
                self.last = stream;
                if self.streams.len() >= MAX_STREAMS {
                    self.write(&Frame::RstStream { stream, status: REFUSED_STREAM });
                    return Ok(None);
                }
                self.streams.insert(stream, Open { ours: !one_way, theirs: true });
                if fin {
                    self.then = self.end(stream);
                }
                Some(Event::Opened { stream, headers })
            }
            Frame::SynReply { stream, fin, .. } => {
                if fin {
                    return Ok(self.end(stream));
                }
                self.streams.contains_key(&stream).then_some(Event::Replied { stream })
            }
            Frame::Headers { stream, fin: true, .. } => self.end(stream),
            Frame::Data { stream, fin, bytes } => {
                if !self.streams.get(&stream).is_some_and(|open| open.theirs) {
                    // What was on its way when we reset a stream is no fault.
                    if self.is_unheard_of(stream) {
                        self.write(&Frame::RstStream { stream, status: INVALID_STREAM });
                    }
                    return Ok(None);
                }
                if fin {
                    return Ok(self.end(stream));
                }
                (!bytes.is_empty()).then_some(Event::Data { stream, bytes })
            }
            Frame::RstStream { stream, .. } => self.streams.remove(&stream).map(|_| Event::Reset { stream }),
            Frame::Ping { id } => {
                // Ours have the parity of our streams; only the other side's are answered.
                if (id % 2 == 1) == (self.side == Side::Server) {
                    self.write(&Frame::Ping { id });
                }
                None
            }
            Frame::GoAway { .. } => Some(Event::GoneAway),
            Frame::Headers { .. } | Frame::Settings | Frame::WindowUpdate { .. } => None,
        })
    }

    fn end(&mut self, stream: StreamId) -> Option<Event> {
        let open = self.streams.get_mut(&stream).filter(|open| open.theirs)?;
        open.theirs = false;
        self.forget_closed(stream);
        Some(Event::Finished { stream })
    }

    /// Nobody has opened it yet.
    fn is_unheard_of(&self, stream: StreamId) -> bool {
        let theirs = (stream % 2 == 1) == (self.side == Side::Server);
        stream > if theirs { self.last } else { self.next.saturating_sub(2) }
    }
}
