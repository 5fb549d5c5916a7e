//! etcd's messages, as far as a load needs them, written by hand: the generator shares its two cores
//! with the server that it measures.

/// Protobuf, being written.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn number(mut self, field: u32, number: u64) -> Self {
        self.varint(u64::from(field << 3));
        self.varint(number);
        self
    }

    pub fn message(self, field: u32, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
}

pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// `PutRequest`.
pub fn put(key: &[u8], value: &[u8]) -> Message {
    Message::default().bytes(1, key).bytes(2, value)
}

/// `RangeRequest`; an empty end means one key.
pub fn range(key: &[u8], end: &[u8]) -> Message {
    let request = Message::default().bytes(1, key);
    if end.is_empty() { request } else { request.bytes(2, end) }
}

/// `TxnRequest`: put if nobody has since `revision` (0: if there is no such key), else read, as API
/// servers update.
pub fn put_if_unchanged(key: &[u8], value: &[u8], revision: u64) -> Message {
    const TARGET_MOD: u64 = 2;
    let compare = Message::default().number(2, TARGET_MOD).bytes(3, key).number(6, revision);
    let put = Message::default().message(2, put(key, value));
    let read = Message::default().message(1, range(key, b""));
    Message::default().message(1, compare).message(2, put).message(3, read)
}

/// `TxnRequest`: many puts at once.
pub fn puts(of: impl Iterator<Item = Message>) -> Message {
    of.fold(Message::default(), |txn, put| txn.message(2, Message::default().message(2, put)))
}

/// `WatchRequest` for all keys from `key` to `end`.
pub fn watch(key: &[u8], end: &[u8]) -> Message {
    Message::default().message(1, Message::default().bytes(1, key).bytes(2, end))
}

/// One field of a message: its number, and its number or bytes.
type Field<'a> = (u32, u64, &'a [u8]);

/// The fields of a message until they end, or make no sense.
pub fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let tag = take_varint(&mut rest)?;
        let number = take_varint(&mut rest)?;
        let bytes = match tag & 7 {
            0 => &[],
            2 => rest.split_off(..usize::try_from(number).ok()?)?,
            _ => return None,
        };
        Some(((tag >> 3) as u32, number, bytes))
    })
}

/// The revision in an answer's header.
pub fn revision(answer: &[u8]) -> u64 {
    const HEADER: u32 = 1;
    let header = fields(answer).find(|field| field.0 == HEADER);
    header.and_then(|(_, _, header)| fields(header).find(|field| field.0 == 3)).map_or(0, |field| field.1)
}

/// What a `WatchResponse` says: created, cancelled, so many events.
pub fn watched(answer: &[u8]) -> (bool, bool, u64) {
    fields(answer).fold((false, false, 0), |(created, cancelled, events), (field, number, _)| match field {
        3 => (number == 1, cancelled, events),
        4 => (created, number == 1, events),
        11 => (created, cancelled, events + 1),
        _ => (created, cancelled, events),
    })
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Message::default().number(1, 7).number(3, 300);
        let answer =
            Message::default().message(1, header).number(3, 1).bytes(11, b"event").bytes(11, b"").finish();
        assert_eq!(revision(&answer), 300);
        assert_eq!(watched(&answer), (true, false, 2));
    }

    #[test]
    fn what_is_cut_short_ends() {
        let answer = Message::default().number(1, 1).bytes(11, b"event").finish();
        assert_eq!(fields(&answer[..answer.len() - 1]).count(), 1);
    }
}
