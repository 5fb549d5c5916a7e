//! The little of ELF that is needed to put a program into an image: who loads it, and where the
//! part ends that is loaded. (See elf(5).)

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The size of the file's header.
const HEADER: usize = 0x40;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// A part of the file, as its program header tells it.
struct Segment {
    kind: u32,
    offset: usize,
    size: usize,
}

impl Segment {
    fn end(&self) -> Result<usize> {
        self.offset.checked_add(self.size).context("a damaged program")
    }
}

/// The loader that a program asks for; `None` for one that needs none.
pub fn interpreter(program: &[u8]) -> Result<Option<PathBuf>> {
    let Some(segment) = segments(program)?.into_iter().find(|segment| segment.kind == PT_INTERP) else {
        return Ok(None);
    };
    let name = program.get(segment.offset..segment.end()?).context("a cut program")?;
    let name = std::str::from_utf8(name)?.trim_end_matches('\0');
    Ok(Some(PathBuf::from(name)))
}

/// The program cut behind the last byte that is ever loaded: what follows are debug information,
/// symbols, and the table of sections, whose absence is noted in the header.
pub fn without_debug_information(program: &[u8]) -> Result<Vec<u8>> {
    let loaded = segments(program)?.into_iter().filter(|segment| segment.kind == PT_LOAD);
    let end =
        loaded.map(|segment| segment.offset + segment.size).max().context("a program that loads nothing")?;
    let mut cut = program.get(..end).context("a cut program")?.to_vec();
    // e_shoff, and e_shentsize, e_shnum, e_shstrndx.
    cut[0x28..0x30].fill(0);
    cut[0x3a..0x40].fill(0);
    Ok(cut)
}

fn segments(program: &[u8]) -> Result<Vec<Segment>> {
    // 64 bits, little-endian: all machines that we are built for.
    if program.len() < HEADER || !program.starts_with(b"\x7fELF\x02\x01") {
        bail!("not a 64-bit ELF program");
    }
    let table = number(program, 0x20, 8)?;
    let (entry, count) = (number(program, 0x36, 2)?, number(program, 0x38, 2)?);
    (0..count)
        .map(|i| {
            let at = table.checked_add(i * entry).context("a damaged program")?;
            let kind = u32::try_from(number(program, at, 4)?)?;
            Ok(Segment {
                kind,
                offset: number(&program[at..], 0x08, 8)?,
                size: number(&program[at..], 0x20, 8)?,
            })
        })
        .collect()
}

fn number(program: &[u8], at: usize, size: usize) -> Result<usize> {
    let bytes = program.get(at..).and_then(|rest| rest.get(..size)).context("a cut program")?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    Ok(usize::try_from(value)?)
}
