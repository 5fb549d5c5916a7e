use graded::graded;
use proptest::prelude::*;

use crate::heart::crc;
use crate::heart::log::{Batch, Segment, Walked, encode_batch, walk};
use crate::heart::wal::{self, Damage, Frames, HEADER_LEN, Kind, Next};
use crate::random::command;

/// The commands of a log file and how it ends.
fn read(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, Option<Walked>), Damage> {
    let mut commands = Vec::new();
    let walked = walk(bytes, None, |frame| {
        let batch = Batch::decode(frame.payload).map_err(|m| Damage { at: frame.at, why: m.0 })?;
        assert_eq!((frame.kind, batch.first, batch.term), (Kind::Entries, commands.len() as u64 + 1, 1));
        commands.extend(batch.commands.iter().map(|c| c.to_vec()));
        Ok::<_, Damage>(())
    })?;
    Ok((commands, walked))
}

/// A log file, and where each of its frames ends.
fn write(batches: &[Vec<Vec<u8>>]) -> (Vec<u8>, Vec<usize>) {
    let mut file = Vec::new();
    let mut chain = Segment { first: 1, chain: 0 }.encode(&mut file);
    let mut ends = vec![file.len()];
    let mut next = 1;
    for batch in batches {
        chain = encode_batch(&mut file, chain, next, 1, batch);
        next += batch.len() as u64;
        ends.push(file.len());
    }
    (file, ends)
}

fn batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let batch = proptest::collection::vec(command().prop_map(|c| c.encode()), 1..4);
    proptest::collection::vec(batch, 1..5)
}

/// A file outlives the program that wrote it: its format is a promise to every later version.
#[graded]
fn a_frame_is_as_the_picture_shows() {
    let mut out = Vec::new();
    let checksum = wal::encode(&mut out, 0, Kind::Entries, b"hello");
    assert_eq!(out.len(), HEADER_LEN + 5 + 1);
    assert_eq!(&out[..7], [0xC7, 2, 1, 5, 0, 0, 0]);
    assert_eq!(out[9..13], checksum.to_le_bytes());
    assert_eq!(&out[13..18], b"hello");
    assert_eq!(out[18], 0x5A);
    assert_eq!(checksum, crc::update(0, b"\xC7\x02\x01\x05\0\0\0hello"));
    let mut frames = Frames::new(&out);
    assert_eq!(frames.next_frame(), Ok(Next::Frame { kind: Kind::Entries, payload: b"hello" }));
    assert_eq!(frames.next_frame(), Ok(Next::End));
}

/// The checksum runs on from frame to frame, as a chain.
#[graded]
fn a_frame_belongs_behind_the_one_before_it() {
    let mut file = Vec::new();
    let first = wal::encode(&mut file, 0, Kind::Segment, b"one");
    let end = file.len();
    let second = wal::encode(&mut file, first, Kind::Entries, b"two");
    assert_eq!(second, crc::update(first, b"\xC7\x02\x01\x03\0\0\0two"), "it goes on from the one before");
    let mut frames = Frames::new(&file);
    assert_eq!(frames.next_frame(), Ok(Next::Frame { kind: Kind::Segment, payload: b"one" }));
    assert_eq!((frames.offset(), frames.chain()), (end, first));
    assert_eq!(frames.next_frame(), Ok(Next::Frame { kind: Kind::Entries, payload: b"two" }));
    assert_eq!((frames.offset(), frames.chain()), (file.len(), second));
    // Alone, doubled, or behind another frame it is whole, and still in the wrong place.
    let mut alone = Frames::new(&file[end..]);
    assert!(alone.next_frame().is_err(), "the first of the file is missing");
    let doubled = [&file[..], &file[end..]].concat();
    let mut frames = Frames::new(&doubled);
    for _ in 0..2 {
        assert!(matches!(frames.next_frame(), Ok(Next::Frame { .. })));
    }
    assert_eq!(
        frames.next_frame().map_err(|damage| damage.at),
        Err(file.len()),
        "the second stands there twice"
    );
    assert_eq!(frames.next_frame().map_err(|damage| damage.at), Err(file.len()), "and damage stays damage");
}

/// Each checksum contains the one before it, so a frame cannot be lost, doubled or moved unseen.
#[graded]
fn the_same_bytes_twice_are_damage() {
    let (file, ends) = write(&[vec![b"one".to_vec()], vec![b"two".to_vec()]]);
    let mut doubled = file.clone();
    doubled.extend_from_slice(&file[ends[1]..ends[2]]);
    assert_eq!(read(&doubled).unwrap_err().at, ends[2]);
    let mut lost = file.clone();
    lost.drain(ends[0]..ends[1]);
    assert_eq!(read(&lost).unwrap_err().at, ends[0]);
}

/// Whoever goes back to an older version must be told, and not lose what the newer one wrote.
#[graded]
fn a_newer_format_is_refused_and_not_guessed() {
    let (mut file, ends) = write(&[vec![b"one".to_vec()]]);
    // A frame of the next version, with all its checks right.
    let head = [0xC7, 2, 2, 1, 0, 0, 0];
    let check = crc::update(0, &head);
    file.extend_from_slice(&head);
    file.extend_from_slice(&((check ^ (check >> 16)) as u16).to_le_bytes());
    file.extend_from_slice(&[0, 0, 0, 0, b'x', 0x5A]);
    let damage = read(&file).unwrap_err();
    assert_eq!(
        (damage.at, damage.why),
        (ends[1], "the frame has a format version that this program does not know")
    );
}

/// A log is many files. One that is missing in the middle must not go unnoticed.
#[graded]
fn a_file_must_follow_the_one_before_it() {
    let (file, _) = write(&[vec![b"one".to_vec()]]);
    let end = read(&file).unwrap().1.unwrap();
    assert_eq!((end.frames, end.torn, end.len), (1, false, file.len()));
    let mut second = Vec::new();
    let segment = Segment { first: 2, chain: end.chain };
    let chain = segment.encode(&mut second);
    let follow = |chain| walk(&second, chain, |_| Ok::<_, Damage>(()));
    let len = second.len();
    assert_eq!(follow(Some(end.chain)), Ok(Some(Walked { segment, frames: 0, len, torn: false, chain })));
    assert!(follow(None).is_ok(), "the oldest file that is left");
    assert_eq!(follow(Some(end.chain ^ 1)).unwrap_err().at, 0, "another log's file");
}

/// Chapter 02 writes what it likes into the log; only what belongs to snapshots has no place there.
#[graded]
fn a_log_holds_frames_of_commands_and_of_consensus() {
    for (kind, expected) in
        [(Kind::Entries, true), (Kind::Raft, true), (Kind::Records, false), (Kind::End, false)]
    {
        let mut file = Vec::new();
        let chain = Segment { first: 1, chain: 0 }.encode(&mut file);
        let at = file.len();
        wal::encode(&mut file, chain, kind, b"payload");
        let mut found = Vec::new();
        let walked = walk(&file, None, |frame| {
            found.push((frame.at, frame.kind, frame.payload.to_vec()));
            Ok::<_, Damage>(())
        });
        if expected {
            assert_eq!(found, [(at, kind, b"payload".to_vec())]);
        } else {
            assert_eq!(walked.unwrap_err().at, at, "{kind:?}");
        }
    }
    let mut headless = Vec::new();
    wal::encode(&mut headless, 0, Kind::Entries, b"payload");
    assert!(walk(&headless, None, |_| Ok::<_, Damage>(())).is_err(), "a log file begins with its segment");
}

/// The power went while the file was being made: nothing in it was promised to anybody.
#[graded]
fn an_unfinished_first_frame_means_that_the_file_was_never_begun() {
    let (file, ends) = write(&[]);
    for cut in 0..ends[0] {
        assert_eq!(read(&file[..cut]).unwrap(), (vec![], None));
    }
    assert_eq!(read(&vec![0; file.len()]).unwrap(), (vec![], None), "a length, and nothing yet");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    /// Wherever the power goes, what was waited for is there, and nothing else.
    #[graded]
    fn a_log_torn_at_any_byte_is_a_whole_number_of_batches(batches in batches()) {
        let (file, ends) = write(&batches);
        for cut in ends[0]..=file.len() {
            let (commands, tail) = read(&file[..cut]).expect("torn is not damaged");
            let whole = ends[1..].iter().filter(|end| **end <= cut).count();
            prop_assert_eq!(&commands, &batches[..whole].concat());
            let tail = tail.expect("the file was begun");
            prop_assert_eq!(tail.len, ends[whole], "cut back to the last whole batch");
            prop_assert_eq!(tail.torn, ends[whole] != cut);
            prop_assert_eq!(tail.frames, whole);
        }
    }

    /// The file has its length, but of the last write some sectors never came. Disks write sectors in any
    /// order.
    #[graded]
    fn a_last_write_with_missing_sectors_is_torn_and_an_earlier_one_is_damaged(
        batches in batches(),
        choice in any::<proptest::sample::Index>(),
    ) {
        let (file, ends) = write(&batches);
        let frame = choice.index(batches.len());
        let (start, end) = (ends[frame], ends[frame + 1]);
        let sectors: Vec<usize> = (start / 512..end.div_ceil(512)).collect();
        for sector in sectors {
            let mut holed = file.clone();
            holed[start.max(sector * 512)..end.min((sector + 1) * 512)].fill(0);
            match read(&holed) {
                Ok((commands, tail)) => {
                    prop_assert_eq!(end, file.len(), "an earlier write was once whole");
                    prop_assert_eq!(commands, batches[..frame].concat());
                    prop_assert_eq!(tail.map(|t| (t.len, t.torn)), Some((start, true)));
                }
                Err(damage) => {
                    prop_assert!(end != file.len(), "the last write was torn: {}", damage);
                    prop_assert_eq!(damage.at, start);
                }
            }
        }
    }

    /// No flipped bit goes unnoticed, and none is taken for a torn write: that would cut off what was
    /// acknowledged.
    #[graded]
    fn a_flipped_bit_anywhere_is_damage(batches in batches(), bit in 0..8u8) {
        let (file, ends) = write(&batches);
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let frame = ends.iter().filter(|end| **end <= at).count();
            let start = if frame == 0 { 0 } else { ends[frame - 1] };
            let damage = read(&flipped);
            prop_assert_eq!(damage.map_err(|d| d.at), Err(start), "byte {}", at);
        }
    }
}
