//! SPDY, which the lab gives: frames as bytes, and what is open on a connection.

use proptest::prelude::*;

use crate::heart::spdy::frames::{Decoder, Encoder};
use crate::heart::spdy::{Connection, Error, Event, Frame, Headers, MAX_STREAMS, Side};

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Everything that is decoded of `input`, handed in at once.
fn decode(input: &[u8]) -> Result<Vec<Frame>, Error> {
    let mut decoder = Decoder::default();
    decoder.handle(input);
    std::iter::from_fn(|| decoder.poll().transpose()).collect()
}

/// Data frames as they would be if each stream's bytes came in one piece.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    for frame in frames {
        match (all.last_mut(), frame) {
            (
                Some(Frame::Data { stream: last, fin: ended @ false, bytes: kept }),
                Frame::Data { stream, fin, bytes },
            ) if *last == stream => {
                kept.extend(bytes);
                *ended = fin;
            }
            (_, frame) => all.push(frame),
        }
    }
    all
}

fn any_headers() -> impl Strategy<Value = Headers> {
    prop::collection::vec(("[a-z-]{1,12}", ".{0,20}"), 0..5)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let id = 1u32..1 << 31;
    prop_oneof![
        (id.clone(), any::<bool>(), any::<bool>(), any_headers())
            .prop_map(|(stream, fin, one_way, headers)| Frame::SynStream { stream, fin, one_way, headers }),
        (id.clone(), any::<bool>(), any_headers()).prop_map(|(stream, fin, headers)| Frame::SynReply {
            stream,
            fin,
            headers
        }),
        (id.clone(), any::<bool>(), any_headers()).prop_map(|(stream, fin, headers)| Frame::Headers {
            stream,
            fin,
            headers
        }),
        (id.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::RstStream { stream, status }),
        Just(Frame::Settings),
        any::<u32>().prop_map(|id| Frame::Ping { id }),
        (id.clone(), any::<u32>()).prop_map(|(last, status)| Frame::GoAway { last, status }),
        (id.clone(), id.clone()).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
        (id, any::<bool>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(stream, fin, bytes)| Frame::Data { stream, fin, bytes }),
    ]
}

proptest! {
    #[test]
    fn frames_survive_the_wire_however_it_is_cut(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(1usize..64, 1..20),
    ) {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        for frame in &frames {
            encoder.encode(frame, &mut wire);
        }
        let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
        let (mut rest, mut cuts) = (wire.as_slice(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(cuts.next().unwrap()));
            rest = more;
            decoder.handle(piece);
            while let Some(frame) = decoder.poll().unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(joined(seen), joined(frames));
    }

    #[test]
    fn garbage_is_refused_or_ignored_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        for side in [Side::Client, Side::Server] {
            let mut connection = Connection::new(side);
            connection.handle(&garbage);
            while let Ok(Some(_)) = connection.poll() {}
        }
    }

    #[test]
    fn a_byte_that_was_changed_is_never_a_panic(
        frames in prop::collection::vec(any_frame(), 1..6),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        for frame in &frames {
            encoder.encode(frame, &mut wire);
        }
        let at = at.index(wire.len());
        wire[at] = value;
        let _ = decode(&wire);
    }
}

/// Written by Python's zlib with `zdict`: two blocks of one stream, each ended by a sync flush.
#[test]
fn blocks_that_zlib_packed_are_read() {
    let first = bytes(
        "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c6061606100a4398b20d198094ade8c0600000000ffff",
    );
    let second = bytes("c2aa19540e2512d60b000000ffff");
    let mut wire = Vec::new();
    for (stream, block) in [(1u8, &first), (3, &second)] {
        wire.extend([0x80, 3, 0, 1, 0, 0, 0, block.len() as u8 + 10, 0, 0, 0, stream, 0, 0, 0, 0, 0, 0]);
        wire.extend(block);
    }
    let opened = |stream, headers| Frame::SynStream { stream, fin: false, one_way: false, headers };
    assert_eq!(
        decode(&wire),
        Ok(vec![
            opened(1, headers(&[("streamtype", "error"), ("port", "8080"), ("requestid", "0")])),
            opened(3, headers(&[("streamtype", "data"), ("port", "8080"), ("requestid", "0")])),
        ])
    );
}

/// The first block's zlib header and dictionary, stored blocks, and after each an empty one: Go's
/// inflater hands out nothing before it. Python's zlib reads both blocks.
#[test]
fn blocks_are_written_so_that_every_inflater_hands_them_out() {
    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    let opening =
        Frame::SynStream { stream: 1, fin: false, one_way: false, headers: headers(&[("a", "bc")]) };
    encoder.encode(&opening, &mut wire);
    encoder.encode(&Frame::SynReply { stream: 1, fin: false, headers: vec![] }, &mut wire);
    assert_eq!(
        wire,
        bytes(
            "8003000100000029000000010000000000007820e3c6a7c2000f00f0ff000000010000000161000000026263000000ffff800300020000001200000001000400fbff00000000000000ffff"
        )
    );
}

#[test]
fn what_is_too_long_is_refused_before_it_is_kept() {
    assert_eq!(decode(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]), Err(Error::TooLong));
    // A block of a few hundred bytes that unpacks to 200000.
    let bomb = bytes(
        "78f9e3c6a7c2ecc13101000000c220fba75e067f6000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c02d000000ffff",
    );
    let length = (bomb.len() + 10).to_be_bytes();
    let mut wire = vec![0x80, 3, 0, 1, 0, length[5], length[6], length[7], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend(bomb);
    assert_eq!(decode(&wire), Err(Error::TooLong));
    assert_eq!(decode(b"GET / HTTP/1.1\r\n\r\n").map(|frames| frames.len()), Ok(1), "a long data frame");
    assert_eq!(decode(&[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]), Err(Error::Version));
}

/// A client and a server, with no wire between them.
struct Pair {
    client: Connection,
    server: Connection,
}

impl Pair {
    fn new() -> Pair {
        Pair { client: Connection::new(Side::Client), server: Connection::new(Side::Server) }
    }

    fn at_server(&mut self) -> Vec<Event> {
        self.server.handle(&self.client.take_output());
        std::iter::from_fn(|| self.server.poll().expect("sound frames")).collect()
    }

    fn at_client(&mut self) -> Vec<Event> {
        self.client.handle(&self.server.take_output());
        std::iter::from_fn(|| self.client.poll().expect("sound frames")).collect()
    }
}

#[test]
fn a_stream_is_opened_used_and_closed_in_each_direction() {
    let mut pair = Pair::new();
    let stream = pair.client.open(headers(&[("streamtype", "stdin")])).expect("a number");
    assert_eq!(pair.at_server(), [Event::Opened { stream: 1, headers: headers(&[("streamtype", "stdin")]) }]);
    pair.server.reply(stream);
    assert_eq!(pair.at_client(), [Event::Replied { stream }]);
    pair.client.send(stream, b"to".to_vec());
    pair.client.finish(stream);
    pair.client.send(stream, b"too late".to_vec());
    assert_eq!(pair.at_server(), [Event::Data { stream, bytes: b"to".to_vec() }, Event::Finished { stream }]);
    pair.server.send(stream, b"fro".to_vec());
    pair.server.finish(stream);
    assert_eq!(
        pair.at_client(),
        [Event::Data { stream, bytes: b"fro".to_vec() }, Event::Finished { stream }]
    );
    pair.server.reset(stream);
    assert_eq!(pair.at_client(), [], "a stream that both have closed is forgotten");
}

#[test]
fn a_reset_ends_both_directions_and_what_was_under_way_is_dropped() {
    let mut pair = Pair::new();
    let stream = pair.client.open(Headers::new()).expect("a number");
    pair.at_server();
    pair.client.send(stream, b"under way".to_vec());
    pair.server.reset(stream);
    assert_eq!(pair.at_server(), []);
    assert_eq!(pair.at_client(), [Event::Reset { stream }]);
    assert_eq!(pair.at_server(), []);
}

#[test]
fn one_stream_too_many_is_refused_and_the_others_go_on() {
    let mut pair = Pair::new();
    for _ in 0..=MAX_STREAMS {
        pair.client.open(Headers::new()).expect("a number");
    }
    assert_eq!(pair.at_server().len(), MAX_STREAMS);
    let refused = 2 * MAX_STREAMS as u32 + 1;
    assert_eq!(pair.at_client(), [Event::Reset { stream: refused }]);
    pair.client.finish(1);
    assert_eq!(pair.at_server(), [Event::Finished { stream: 1 }]);
}

#[test]
fn a_ping_comes_back_once() {
    let (mut encoder, mut ping) = (Encoder::default(), Vec::new());
    encoder.encode(&Frame::Ping { id: 7 }, &mut ping);
    let mut pair = Pair::new();
    pair.server.handle(&ping);
    assert_eq!(pair.server.poll(), Ok(None));
    let answer = pair.server.take_output();
    assert_eq!(answer, ping);
    pair.client.handle(&answer);
    assert_eq!(pair.client.poll(), Ok(None));
    assert!(pair.client.take_output().is_empty());
}

#[test]
fn streams_come_in_order_and_from_the_right_side() {
    for (side, stream) in [(Side::Server, 2), (Side::Client, 1)] {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        encoder.encode(&Frame::SynStream { stream, fin: false, one_way: false, headers: vec![] }, &mut wire);
        let mut connection = Connection::new(side);
        connection.handle(&wire);
        assert_eq!(connection.poll(), Err(Error::StreamId(stream)));
    }
    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    for stream in [3, 3] {
        encoder.encode(&Frame::SynStream { stream, fin: true, one_way: false, headers: vec![] }, &mut wire);
    }
    let mut server = Connection::new(Side::Server);
    server.handle(&wire);
    assert_eq!(server.poll(), Ok(Some(Event::Opened { stream: 3, headers: vec![] })));
    assert_eq!(server.poll(), Ok(Some(Event::Finished { stream: 3 })));
    assert_eq!(server.poll(), Err(Error::StreamId(3)));
}
