//! SPDY/3.1: many streams in one connection, as kubectl's exec, attach and port-forward need them.
//!
//! SPDY was Google's sketch of what became HTTP/2, and lives on in Kubernetes alone. A connection
//! begins as HTTP/1.1 and is switched over (`Upgrade: SPDY/3.1`); then the client opens a stream
//! for each thing that flows:
//!
//! ```text
//!           client                              server
//!   SYN_STREAM 1  streamtype: error   ──►
//!                                     ◄──  SYN_REPLY 1
//!   SYN_STREAM 3  streamtype: stdin   ──►
//!                                     ◄──  SYN_REPLY 3       ... 5 stdout, 7 stderr
//!   DATA 3 "ls\n"                     ──►
//!   DATA 3 fin                        ──►
//!                                     ◄──  DATA 5 "a\nb\n"   DATA 5 fin   DATA 7 fin
//!                                     ◄──  DATA 1 {"status":"Success"}    DATA 1 fin
//! ```
//!
//! [`frames`] knows bytes, [`Connection`] knows what has been opened and closed; neither does any
//! input or output. Invariants: a stream's events come in the order of its bytes; after `Finished`
//! or `Reset` of a stream nothing more of it comes; what is kept is bounded, by
//! [`MAX_STREAMS`] and by what is handed in at a time; no bytes make it panic.
//!
//! Source: draft-mbelshe-httpbis-spdy-00, <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>.
//! Left out, because nobody who speaks it to Kubernetes does it (`github.com/moby/spdystream`):
//! windows (the transport's own hold back who is too fast), priorities, push, settings,
//! credentials.

mod connection;
mod dictionary;
pub mod frames;
pub mod headers;

pub use connection::{Connection, Event, MAX_STREAMS, Side};
pub use frames::{Frame, StreamId};
pub use headers::{Headers, value};

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not a frame of SPDY/3")]
    Version,
    #[error("a frame or a block of headers is too long")]
    TooLong,
    #[error("a frame is shorter than its fields")]
    Length,
    #[error("compressed headers do not unpack")]
    Compression,
    #[error("a block of headers makes no sense")]
    Headers,
    #[error("stream {0} is out of order")]
    StreamId(StreamId),
}
