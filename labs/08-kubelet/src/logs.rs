//! Container logs as the runtime writes them, and as `kubectl logs` reads them.
//!
//! One line of the file is `TIME STREAM TAGS TEXT`, such as
//! `2026-01-01T00:00:00.000000000Z stdout F hello`. The tag `P` marks a part of a line that was too
//! long for one entry; its last part has `F`. Upstream: `pkg/kubelet/kuberuntime/logs`.

use crate::types::Timestamp;

/// One entry of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub time: Timestamp,
    /// The time as it is written.
    pub stamp: &'a str,
    pub stderr: bool,
    /// The line goes on in the next entry.
    pub partial: bool,
    pub text: &'a [u8],
}

/// Reads one line of the file, without its newline. `None` if it is not a log entry.
pub fn parse_entry(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let stamp = std::str::from_utf8(parts.next()?).ok()?;
    let time: Timestamp = stamp.parse().ok()?;
    let stderr = match parts.next()? {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let tags = parts.next()?;
    let partial = tags.split(|b| *b == b':').next() == Some(b"P");
    Some(Entry { time, stamp, stderr, partial, text: parts.next().unwrap_or_default() })
}

/// What the reader asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
}

/// Turns a log file, given in pieces of any size, into what the container wrote.
#[derive(Clone, Debug)]
pub struct LogReader {
    options: Options,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    /// The last entry was a part: what follows continues its line.
    continues: bool,
    left: u64,
}

impl LogReader {
    pub fn new(options: Options) -> Self {
        let left = options.limit_bytes.unwrap_or(u64::MAX);
        LogReader { options, rest: Vec::new(), continues: false, left }
    }

    /// Has the limit been reached?
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Takes the next bytes of the file and returns what to send.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(bytes);
        let mut out = Vec::new();
        let lines = std::mem::take(&mut self.rest);
        let mut start = 0;
        while let Some(len) = lines[start..].iter().position(|b| *b == b'\n') {
            self.entry(&lines[start..start + len], &mut out);
            start += len + 1;
        }
        self.rest = lines[start..].to_vec();
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX);
        out.truncate(allowed);
        self.left -= out.len() as u64;
        out
    }

    fn entry(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(entry) = parse_entry(line) else {
            return;
        };
        if self.options.since.is_some_and(|since| entry.time < since) {
            return;
        }
        if self.options.timestamps && !self.continues {
            out.extend_from_slice(entry.stamp.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(entry.text);
        if !entry.partial {
            out.push(b'\n');
        }
        self.continues = entry.partial;
    }
}

/// Where the last `lines` lines begin in a piece of a file, counted from its end; `None` if there
/// are not that many in it, with the number that there are.
pub fn tail_start(piece: &[u8], lines: usize) -> Result<usize, usize> {
    if lines == 0 {
        return Ok(piece.len());
    }
    let mut seen = 0;
    let body = piece.strip_suffix(b"\n").unwrap_or(piece);
    for (i, byte) in body.iter().enumerate().rev() {
        if *byte == b'\n' {
            seen += 1;
            if seen == lines {
                return Ok(i + 1);
            }
        }
    }
    Err(seen)
}
