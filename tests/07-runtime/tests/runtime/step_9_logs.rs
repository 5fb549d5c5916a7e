use graded::graded;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::heart::logs::{LineWriter, MAX_LINE, Stream, parse};

fn now() -> Timestamp {
    "2006-01-02T15:04:05.000000007Z".parse().expect("a time")
}

fn log(stream: Stream, chunks: &[&[u8]]) -> Vec<u8> {
    let mut writer = LineWriter::new(stream);
    let mut out = Vec::new();
    for chunk in chunks {
        writer.handle_bytes(now(), chunk, &mut out);
    }
    writer.finish(now(), &mut out);
    out
}

/// `kubectl logs` reads this file, and `--since`, `--timestamps` live on the first field.
#[graded]
fn a_line_has_time_stream_tag_and_text() {
    let out = log(Stream::Stdout, &[b"hello\n", b"wor", b"ld\n"]);
    let expected =
        "2006-01-02T15:04:05.000000007Z stdout F hello\n2006-01-02T15:04:05.000000007Z stdout F world\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// Programs print empty lines to be read by people.
#[graded]
fn an_empty_line_is_a_line_and_nothing_is_not() {
    assert_eq!(log(Stream::Stderr, &[b"\n"]), b"2006-01-02T15:04:05.000000007Z stderr F \n");
    assert!(log(Stream::Stderr, &[]).is_empty());
}

/// A prompt, or the last words of a process that was killed: they are not lost, and no newline is
/// made up.
#[graded]
fn what_ends_without_a_newline_is_partial() {
    assert_eq!(log(Stream::Stdout, &[b"prompt> "]), b"2006-01-02T15:04:05.000000007Z stdout P prompt> \n");
}

/// A process may write a gigabyte without a newline; the runtime's memory must not grow with it.
#[graded]
fn a_line_longer_than_16_kib_is_cut_into_pieces() {
    let long = [vec![b'x'; MAX_LINE + 3], b"\n".to_vec()].concat();
    let out = log(Stream::Stdout, &[&long]);
    let lines: Vec<_> = out.split_inclusive(|byte| *byte == b'\n').map(|line| parse(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| (line.full, line.text.len())).collect::<Vec<_>>(),
        [(false, MAX_LINE), (true, 3)]
    );
}

/// A log file is text that anybody may have written to; a reader skips what it does not understand.
#[graded]
fn other_peoples_lines_are_no_log_lines() {
    for line in [
        "",
        "x",
        "2006-01-02T15:04:05Z stdout F",
        "2006-01-02T15:04:05Z out F x",
        "yesterday stdout F x",
        "2006-01-02T15:04:05Z stdout X x",
    ] {
        assert_eq!(parse(line.as_bytes()), None, "{line:?}");
    }
    let docker = parse(b"2016-10-06T00:17:09.669794202Z stdout P:more log content 1\n").unwrap();
    assert!(!docker.full && docker.text == b"log content 1");
}

proptest! {
    /// However the bytes arrive, the log gives back exactly those that were written.
    #[graded]
    fn a_stream_can_be_had_back_from_its_log(
        lines in prop::collection::vec((0..4_usize, 0..40_usize), 0..12), ends: bool, cuts in prop::collection::vec(1..5000_usize, 0..20),
    ) {
        let mut bytes = Vec::new();
        for (blocks, rest) in lines {
            bytes.extend(std::iter::repeat_n(b"ab cd "[rest % 6], blocks * MAX_LINE / 2 + rest));
            bytes.push(b'\n');
        }
        if ends {
            bytes.pop();
        }
        let mut chunks: Vec<&[u8]> = Vec::new();
        let mut left = bytes.as_slice();
        for cut in cuts {
            let (chunk, rest) = left.split_at(cut.min(left.len()));
            chunks.push(chunk);
            left = rest;
        }
        chunks.push(left);
        let mut back = Vec::new();
        for line in log(Stream::Stderr, &chunks).split_inclusive(|byte| *byte == b'\n') {
            let line = parse(line).expect("a log line");
            prop_assert_eq!((line.stream, line.timestamp), (Stream::Stderr, now()));
            prop_assert!(line.text.len() <= MAX_LINE);
            back.extend_from_slice(line.text);
            if line.full {
                back.push(b'\n');
            }
        }
        prop_assert_eq!(back, bytes);
    }
}
