//! The log in terms of its frames: where a file begins, and batches of commands.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::wal::{self, Damage, Frames, Kind, Next};

/// The first frame of each log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the first command in the file.
    pub first: u64,
    /// Checksum of the last frame of the file before, 0 for the first file.
    pub chain: u32,
}

impl Segment {
    /// Returns the chain to go on from.
    pub fn encode(&self, out: &mut Vec<u8>) -> u32 {
        let mut e = Encoder::default();
        e.u64(self.first);
        e.u64(u64::from(self.chain));
        wal::encode(out, 0, Kind::Segment, &e.out)
    }

    fn decode(payload: &[u8]) -> Result<Segment, Malformed> {
        let mut d = Decoder::new(payload);
        let first = d.u64()?;
        let chain = u32::try_from(d.u64()?).map_err(|_| Malformed("a checksum is too long"))?;
        d.finish()?;
        Ok(Segment { first, chain })
    }
}

/// Commands that were written, and waited for, together. Returns the chain to go on from.
pub fn encode_batch(
    out: &mut Vec<u8>,
    chain: u32,
    first: u64,
    term: u64,
    commands: &[impl AsRef<[u8]>],
) -> u32 {
    let mut e = Encoder::default();
    e.out.reserve(commands.iter().map(|c| c.as_ref().len() + 4).sum::<usize>() + 16);
    e.u64(first);
    e.u64(term);
    e.list(commands, |e, command| e.bytes(command.as_ref()));
    wal::encode(out, chain, Kind::Entries, &e.out)
}

/// What [`encode_batch`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Index of the first command.
    pub first: u64,
    /// The term of consensus in which they were proposed; on a single node always 1.
    pub term: u64,
    /// Still as bytes.
    pub commands: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// Of the payload of an `Entries` frame.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut d = Decoder::new(payload);
        let (first, term) = (d.u64()?, d.u64()?);
        let commands = d.list(Decoder::slice)?;
        d.finish()?;
        Ok(Batch { first, term, commands })
    }
}

/// One frame of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it begins in the file.
    pub at: usize,
    pub kind: Kind,
    pub payload: &'a [u8],
}

/// A log file as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    pub segment: Segment,
    /// How many frames follow the segment's.
    pub frames: usize,
    /// Bytes of the file that are good.
    pub len: usize,
    /// There is more: it was being written when it all stopped.
    pub torn: bool,
    /// The chain to go on from.
    pub chain: u32,
}

/// Reads one log file. `before` is the chain at the end of the file before, if there is one; `each` is
/// given every frame behind the first, in order. `None`: the crash came before the file had its first
/// frame.
pub fn walk<E: From<Damage>>(
    bytes: &[u8],
    before: Option<u32>,
    mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Option<Walked>, E> {
    let damage = |at, why| E::from(Damage { at, why });
    let mut frames = Frames::new(bytes);
    let segment = match frames.next_frame()? {
        Next::Frame { kind: Kind::Segment, payload } => {
            Segment::decode(payload).map_err(|malformed| damage(0, malformed.0))?
        }
        Next::Frame { .. } => return Err(damage(0, "a log file begins with a segment frame")),
        Next::End | Next::Torn { .. } => return Ok(None),
    };
    if before.is_some_and(|chain| chain != segment.chain) {
        return Err(damage(0, "the file does not follow the one before it"));
    }
    let mut count = 0;
    loop {
        let at = frames.offset();
        let torn = match frames.next_frame()? {
            Next::Frame { kind: kind @ (Kind::Entries | Kind::Raft), payload } => {
                each(Frame { at, kind, payload })?;
                count += 1;
                continue;
            }
            Next::Frame { .. } => return Err(damage(at, "the frame has no place in a log")),
            Next::End => false,
            Next::Torn { .. } => true,
        };
        return Ok(Some(Walked { segment, frames: count, len: at, torn, chain: frames.chain() }));
    }
}
