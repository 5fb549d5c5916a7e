//! Log lines in CRI's format: what `kubectl logs` reads.
//!
//! ```text
//! 2006-01-02T15:04:05.999999999Z stdout F a whole line
//! 2006-01-02T15:04:05.999999999Z stderr P the beginning of a line that is too lo
//! ```
//! Tag `F` stands for the newline that ended the line; `P` (partial) means that none was there: the
//! line was longer than [`MAX_LINE`], or the stream ended in its middle. So the bytes of a stream
//! can be had back exactly.

use jiff::Timestamp;

/// A longer line is cut into pieces of this many bytes.
pub const MAX_LINE: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Cuts one stream into lines. Feed it what was read, then [`LineWriter::finish`] at the end.
#[derive(Debug)]
pub struct LineWriter {
    stream: Stream,
    /// The line so far: always shorter than [`MAX_LINE`], and without a newline.
    pending: Vec<u8>,
}

impl LineWriter {
    pub fn new(stream: Stream) -> LineWriter {
        LineWriter { stream, pending: Vec::new() }
    }

    /// Appends the log lines that `bytes` completes to `out`.
    pub fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8], out: &mut Vec<u8>) {
        // lab:begin 07.9 write a line when it ends, and a piece of it when the piece is full
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = MAX_LINE - self.pending.len();
            let window = &rest[..rest.len().min(room)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.pending.extend_from_slice(&rest[..end]);
                    self.write(now, 'F', out);
                    rest = &rest[end + 1..];
                }
                None => {
                    self.pending.extend_from_slice(window);
                    rest = &rest[window.len()..];
                    if self.pending.len() == MAX_LINE {
                        self.write(now, 'P', out);
                    }
                }
            }
        }
        // lab:end
    }

    /// The stream has ended: what has no newline is a partial line.
    pub fn finish(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.write(now, 'P', out);
        }
    }

    fn write(&mut self, now: Timestamp, tag: char, out: &mut Vec<u8>) {
        let head = format!("{} {} {tag} ", timestamp(now), self.stream.name());
        out.extend_from_slice(head.as_bytes());
        out.append(&mut self.pending);
        out.push(b'\n');
    }
}

/// UTC with nine digits after the point: lines sort as text.
pub fn timestamp(now: Timestamp) -> String {
    format!("{now:.9}")
}

/// One line of a log file, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    pub timestamp: Timestamp,
    pub stream: Stream,
    /// Whether a newline follows the text.
    pub full: bool,
    pub text: &'a [u8],
}

/// Reads one line, with or without its newline. `None`: it is not a log line.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    // lab:begin 07.9 take the line apart at three spaces; what does not fit is no log line
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let timestamp = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Tags may grow by `:`; the first says whether the line is whole.
    let full = match parts.next()?.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some(Line { timestamp, stream, full, text: parts.next()? })
    // lab:end
}
