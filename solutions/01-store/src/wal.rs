//! Bytes on disk that can be trusted: frames.
//!
//! ```text
//!   byte 0      1      2        3..7    7..9          9..13      13..13+length   1
//!   ┌────────┬──────┬─────────┬────────┬─────────────┬──────────┬──────────────┬──────────┐
//!   │ 0xC7   │ kind │ version │ length │ header check│ checksum │ payload      │ 0x5A     │
//!   └────────┴──────┴─────────┴────────┴─────────────┴──────────┴──────────────┴──────────┘
//! ```
//!
//! The checksum covers the checksum of the frame before it, the header and the payload, so frames
//! can be neither changed nor lost, doubled or swapped. The header has a check of its own, so the
//! length can be believed before the payload is looked at.
//!
//! **One frame is one disk write.** The log's writer waits for the disk after each frame and only
//! then writes the next. A crash can therefore leave at most one frame unfinished, the last: its
//! end is missing, or sectors of it are still zeros. That is a *torn tail*; nobody was told that
//! it was written, and it is cut off. Everything else that does not fit is *damage*: what was
//! acknowledged is lost, and that is for a person to decide about, never for a program to smooth
//! over.

use crate::crc;

/// The version of the frame itself.
pub const FORMAT: u8 = 1;
pub const HEADER_LEN: usize = 13;
/// A header, and the mark after the payload. Both marks are not zero, so that a frame's share of
/// any sector shows whether it was written.
pub const OVERHEAD: usize = HEADER_LEN + 1;
const FIRST: u8 = 0xC7;
const LAST: u8 = 0x5A;
const SECTOR: usize = 512;

/// What a frame holds. A kind's payload keeps its form for ever: what is new gets a kind of its own, so
/// that older programs refuse it and newer ones read what is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The start of a log file.
    Segment = 1,
    /// Commands of the log.
    Entries = 2,
    /// The start of a snapshot file.
    Snapshot = 3,
    Leases = 4,
    /// Records in the order of the first version: older than the compacted revision by key, then by
    /// revision. Read, and not written any more.
    FirstRecords = 5,
    /// A snapshot is complete.
    End = 6,
    /// In a snapshot: what others than the store keep with it. In a log: what they did. Chapter 02 has
    /// its members and its log there, and its own encoding.
    Extra = 7,
    Raft = 8,
    /// Leases that have not all of their time left.
    Checkpoints = 9,
    Alarms = 10,
    /// Users and roles.
    Auth = 11,
    /// Records by key.
    Records = 12,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        const KINDS: [Kind; 12] = [
            Kind::Segment,
            Kind::Entries,
            Kind::Snapshot,
            Kind::Leases,
            Kind::FirstRecords,
            Kind::End,
            Kind::Extra,
            Kind::Raft,
            Kind::Checkpoints,
            Kind::Alarms,
            Kind::Auth,
            Kind::Records,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Bytes that no crash explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged at byte {at}: {why}")]
pub struct Damage {
    /// From the start of the file.
    pub at: usize,
    pub why: &'static str,
}

/// A frame's first 13 bytes, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// Of the payload, in bytes.
    pub len: usize,
    pub checksum: u32,
}

/// Adds a frame to `out`. `chain` is the checksum of the frame before it, 0 at the start of a
/// file; the new one is returned.
pub fn encode(out: &mut Vec<u8>, chain: u32, kind: Kind, payload: &[u8]) -> u32 {
    // lab:begin 01.7 header without checksums, its check, the checksum chained to the frame before, payload, mark
    let len = u32::try_from(payload.len()).expect("a frame is smaller than 4 GiB");
    let mut head = [FIRST, kind as u8, FORMAT, 0, 0, 0, 0];
    head[3..7].copy_from_slice(&len.to_le_bytes());
    let checksum = checksum(chain, &head, payload);
    out.reserve(payload.len() + OVERHEAD);
    out.extend_from_slice(&head);
    out.extend_from_slice(&header_check(&head));
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(payload);
    out.push(LAST);
    checksum
    // lab:end
}

fn checksum(chain: u32, head: &[u8], payload: &[u8]) -> u32 {
    crc::update(crc::update(chain, head), payload)
}

fn header_check(head: &[u8]) -> [u8; 2] {
    let crc = crc::update(0, head);
    ((crc ^ (crc >> 16)) as u16).to_le_bytes()
}

/// Reads a header. `Err` says why these bytes are none.
pub fn decode_header(bytes: &[u8; HEADER_LEN]) -> Result<Header, &'static str> {
    if bytes[0] != FIRST || bytes[7..9] != header_check(&bytes[..7]) {
        return Err("there should be a frame here");
    }
    if bytes[2] != FORMAT {
        return Err("the frame has a format version that this program does not know");
    }
    let kind = Kind::from_byte(bytes[1]).ok_or("the frame has a kind that this program does not know")?;
    let len = u32::from_le_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]) as usize;
    let checksum = u32::from_le_bytes([bytes[9], bytes[10], bytes[11], bytes[12]]);
    Ok(Header { kind, len, checksum })
}

/// Whether `rest`, which is the payload and the mark, belongs to the header and follows `chain`.
pub fn is_intact(header: &Header, chain: u32, rest: &[u8]) -> bool {
    let mut head = [FIRST, header.kind as u8, FORMAT, 0, 0, 0, 0];
    head[3..7].copy_from_slice(&(header.len as u32).to_le_bytes());
    match rest.split_last() {
        Some((&LAST, payload)) => checksum(chain, &head, payload) == header.checksum,
        _ => false,
    }
}

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    Frame {
        kind: Kind,
        payload: &'a [u8],
    },
    /// The file ends where a frame ends.
    End,
    /// The file ends in a frame that was being written: cut it here.
    Torn {
        at: usize,
    },
}

/// Reads the frames of a log file, one after the other.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    chain: u32,
}

impl<'a> Frames<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Frames { bytes, at: 0, chain: 0 }
    }

    /// Where the next frame begins.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Checksum of the last frame.
    pub fn chain(&self) -> u32 {
        self.chain
    }

    /// After anything but a frame, the same comes again.
    pub fn next_frame(&mut self) -> Result<Next<'a>, Damage> {
        // lab:begin 01.7 an end, a frame that is whole, a tail that is torn, or damage: decide which
        let (bytes, at) = (self.bytes, self.at);
        let damage = |why| Err(Damage { at, why });
        if at == bytes.len() {
            return Ok(Next::End);
        }
        let Some(header) = bytes[at..].first_chunk::<HEADER_LEN>() else {
            return Ok(Next::Torn { at });
        };
        let header = match decode_header(header) {
            Ok(header) => header,
            Err(_) if self.is_unwritten(at, at + HEADER_LEN) && !self.has_frame_after(at + 1) => {
                return Ok(Next::Torn { at });
            }
            Err(why) => return damage(why),
        };
        let end = at + OVERHEAD + header.len;
        if end > bytes.len() {
            return Ok(Next::Torn { at });
        }
        let rest = &bytes[at + HEADER_LEN..end];
        if is_intact(&header, self.chain, rest) {
            self.at = end;
            self.chain = header.checksum;
            return Ok(Next::Frame { kind: header.kind, payload: &rest[..header.len] });
        }
        if end == bytes.len() && self.is_unwritten(at, end) {
            return Ok(Next::Torn { at });
        }
        damage("the frame does not have its checksum")
        // lab:end
    }

    // lab:given
    /// Whether some sector's share of these bytes is all zeros: disks write whole sectors, in any
    /// order, and what was never written reads as zeros.
    fn is_unwritten(&self, from: usize, to: usize) -> bool {
        let mut start = from;
        while start < to {
            let end = to.min((start / SECTOR + 1) * SECTOR);
            if self.bytes[start..end].iter().all(|b| *b == 0) {
                return true;
            }
            start = end;
        }
        false
    }

    // lab:given
    /// Whether anything that begins like a frame is there from `from` on: then what is before it
    /// was once whole.
    fn has_frame_after(&self, from: usize) -> bool {
        self.bytes[from..]
            .windows(HEADER_LEN)
            .any(|w| w.first_chunk::<HEADER_LEN>().is_some_and(|header| decode_header(header).is_ok()))
    }
}
