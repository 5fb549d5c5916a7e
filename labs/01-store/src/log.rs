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
pub fn encode_batch(out: &mut Vec<u8>, chain: u32, first: u64, term: u64, commands: &[Vec<u8>]) -> u32 {
    let mut e = Encoder::default();
    e.out.reserve(commands.iter().map(|c| c.len() + 4).sum::<usize>() + 16);
    e.u64(first);
    e.u64(term);
    e.list(commands, |e, command| e.bytes(command));
    wal::encode(out, chain, Kind::Entries, &e.out)
}

/// One command of the log, still as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub index: u64,
    /// The term of consensus in which it was proposed; on a single node always 1.
    pub term: u64,
    pub command: &'a [u8],
}

/// How a log file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Bytes of the file that are good; what is behind them was being written when it all stopped.
    pub len: usize,
    pub torn: bool,
    pub chain: u32,
    /// Index that the next command will have.
    pub next: u64,
}

/// Reads one log file. `before` is how the file before it ended, if there is one; `each` is given
/// every command in order. `None`: the crash came before the file had its first frame.
pub fn replay<E: From<Damage>>(
    bytes: &[u8],
    before: Option<Tail>,
    mut each: impl FnMut(Entry<'_>) -> Result<(), E>,
) -> Result<Option<Tail>, E> {
    let mut frames = Frames::new(bytes);
    let segment = match frames.next_frame()? {
        Next::Frame { kind: Kind::Segment, payload } => {
            Segment::decode(payload).map_err(|m| Damage { at: 0, why: m.0 })?
        }
        Next::Frame { .. } => {
            return Err(Damage { at: 0, why: "a log file begins with a segment frame" }.into());
        }
        Next::End | Next::Torn { .. } => return Ok(None),
    };
    if let Some(before) = before
        && (before.chain, before.next) != (segment.chain, segment.first)
    {
        return Err(Damage { at: 0, why: "the file does not follow the one before it" }.into());
    }
    let mut next = segment.first;
    loop {
        let at = frames.offset();
        let damage = |why| E::from(Damage { at, why });
        match frames.next_frame()? {
            Next::Frame { kind: Kind::Entries, payload } => {
                let mut d = Decoder::new(payload);
                let mut head = || Ok::<_, Malformed>((d.u64()?, d.u64()?, d.u64()?));
                let (first, term, count) = head().map_err(|m| damage(m.0))?;
                if first != next {
                    return Err(damage("commands are missing or doubled"));
                }
                for _ in 0..count {
                    let command = d.slice().map_err(|m| damage(m.0))?;
                    each(Entry { index: next, term, command })?;
                    next += 1;
                }
                d.finish().map_err(|m| damage(m.0))?;
            }
            Next::Frame { .. } => return Err(damage("the frame has no place in a log")),
            Next::End => return Ok(Some(Tail { len: at, torn: false, chain: frames.chain(), next })),
            Next::Torn { at } => {
                return Ok(Some(Tail { len: at, torn: true, chain: frames.chain(), next }));
            }
        }
    }
}
