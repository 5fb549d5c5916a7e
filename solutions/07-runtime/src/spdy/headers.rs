//! Blocks of headers, and the zlib streams that carry them.
//!
//! All blocks of one direction are one zlib stream, so a block can only be read by who has read
//! those before it: the state of `Inflater` and `Deflater` is that of the connection. Both
//! streams start with the dictionary.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress, inflate_flags};

use super::{Error, dictionary};

/// Names, in lower case, and values, in the order of the wire.
pub type Headers = Vec<(String, String)>;

/// The first value of that name.
pub fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// No block is longer when it is unpacked: a few bytes can be made of a great many.
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// zlib's first byte: deflate with a window of 32 KiB.
const CMF: u8 = 0x78;
/// zlib's second byte: a dictionary is used. (Both, as one number, are a multiple of 31.)
const FLG_DICTIONARY: u8 = 0x20;
/// The empty stored block, by which a compressor says: you have all that I have.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Unpacks the blocks of one direction.
pub(super) struct Inflater {
    state: Box<DecompressorOxide>,
    /// What was unpacked last, as a ring: later bytes are copies of earlier ones.
    window: Vec<u8>,
    at: usize,
    begun: bool,
}

impl Inflater {
    pub(super) fn new() -> Inflater {
        let mut window = dictionary::bytes();
        let at = window.len();
        window.resize(TINFL_LZ_DICT_SIZE, 0);
        Inflater { state: Box::default(), window, at, begun: false }
    }

    pub(super) fn block(&mut self, packed: &[u8]) -> Result<Headers, Error> {
        decode(&self.inflate(packed)?).ok_or(Error::Headers)
    }

    fn inflate(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.begun {
            let Some(([cmf, flags, id @ ..], rest)) = packed.split_first_chunk::<6>() else {
                return Err(Error::Compression);
            };
            let sum = u16::from_be_bytes([*cmf, *flags]);
            let deflate = cmf & 0x0f == 8 && sum.is_multiple_of(31);
            if !deflate || flags & FLG_DICTIONARY == 0 || u32::from_be_bytes(*id) != dictionary::ID {
                return Err(Error::Compression);
            }
            (self.begun, packed) = (true, rest);
        }
        let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT | inflate_flags::TINFL_FLAG_IGNORE_ADLER32;
        let mut block = Vec::new();
        loop {
            let (status, read, written) =
                decompress(&mut self.state, packed, &mut self.window, self.at, flags);
            block.extend_from_slice(&self.window[self.at..self.at + written]);
            self.at = (self.at + written) % TINFL_LZ_DICT_SIZE;
            packed = &packed[read..];
            if block.len() > MAX_BLOCK_BYTES {
                return Err(Error::TooLong);
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok(block),
                _ => return Err(Error::Compression),
            }
        }
    }
}

/// Packs the blocks of one direction. It saves nothing: what it writes are stored blocks, which
/// every inflater reads, and a stream has one or two short blocks in its life.
#[derive(Default)]
pub(super) struct Deflater {
    begun: bool,
}

impl Deflater {
    pub(super) fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut packed = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            packed.extend_from_slice(&[CMF, FLG_DICTIONARY]);
            packed.extend_from_slice(&dictionary::ID.to_be_bytes());
        }
        for part in encode(headers).chunks(usize::from(u16::MAX)) {
            let length = part.len() as u16;
            packed.push(0);
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(&(!length).to_le_bytes());
            packed.extend_from_slice(part);
        }
        packed.extend_from_slice(&FLUSH);
        packed
    }
}

/// A count, then each name and value with its length before it.
fn encode(headers: &Headers) -> Vec<u8> {
    let mut block = (headers.len() as u32).to_be_bytes().to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        block.extend_from_slice(&(text.len() as u32).to_be_bytes());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

fn decode(block: &[u8]) -> Option<Headers> {
    fn number(block: &mut &[u8]) -> Option<usize> {
        let (bytes, rest) = block.split_first_chunk::<4>()?;
        *block = rest;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    }
    fn text(block: &mut &[u8]) -> Option<String> {
        let length = number(block)?;
        let (bytes, rest) = block.split_at_checked(length)?;
        *block = rest;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
    let mut block = block;
    let count = number(&mut block)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = text(&mut block)?.to_ascii_lowercase();
        headers.push((name, text(&mut block)?));
    }
    block.is_empty().then_some(headers)
}
