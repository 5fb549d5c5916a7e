use crate::heart::wire::{LineTooLong, Lines};
use graded::graded;
use proptest::prelude::*;

/// Everything that the decoder gives when the bytes come in these pieces.
fn read(pieces: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
    let mut lines = Lines::new(limit);
    let mut all = Vec::new();
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next_line()? {
            all.push(line.to_vec());
        }
    }
    Ok(all)
}

/// A connection carries bytes, not messages. An object of a megabyte comes in some hundred pieces.
#[graded]
fn a_line_may_come_in_pieces_and_a_piece_may_hold_lines() {
    assert_eq!(
        read(&[b"ab", b"c\nd", b"\nef\ngh"], 10),
        Ok(vec![b"abc".to_vec(), b"d".to_vec(), b"ef".to_vec()])
    );
}

/// Half an object is not JSON; whoever reads it would close a healthy watch.
#[graded]
fn an_unfinished_line_is_kept_back() {
    assert_eq!(read(&[b"{\"type\":"], 100), Ok(vec![]));
}

/// Proxies on the way may add them, and some use them to keep a quiet connection open.
#[graded]
fn empty_lines_and_carriage_returns_are_no_content() {
    assert_eq!(read(&[b"\n\r\na\r\n\nb\n"], 10), Ok(vec![b"a".to_vec(), b"b".to_vec()]));
}

/// Otherwise one endless line fills the memory of whoever watches.
#[graded]
fn a_line_beyond_the_limit_is_refused_before_it_ends() {
    assert_eq!(read(&[b"1234", b"5"], 4), Err(LineTooLong { limit: 4 }));
    assert_eq!(read(&[b"12345\n"], 4), Err(LineTooLong { limit: 4 }));
    assert_eq!(read(&[b"a\n", b"12345\n"], 4), Err(LineTooLong { limit: 4 }), "whatever came before it");
    assert_eq!(read(&[b"1234\n1234\n"], 4), Ok(vec![b"1234".to_vec(), b"1234".to_vec()]));
}

proptest! {
    #[graded]
    fn however_the_bytes_are_cut_the_lines_are_the_same(
        lines in prop::collection::vec("[a-z]{1,8}", 0..12),
        cuts in prop::collection::vec(0..100usize, 0..20),
    ) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let expected: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
        prop_assert_eq!(read(&pieces, 8), Ok(expected));
    }
}
