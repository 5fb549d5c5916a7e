//! What members say to each other, in words, for the trace. The core keeps its messages' form to itself;
//! here it is enough to know the numbers of a few fields of the `raft` crate's `eraftpb.proto`.

use bytes::Bytes;
use consensus::heart::Persist;

#[derive(Default)]
struct Fields {
    kind: u64,
    term: u64,
    log_term: u64,
    index: u64,
    entries: usize,
    commit: u64,
    reject: bool,
}

/// Nothing for a heartbeat and its answer, of which there are too many.
pub fn message(bytes: &Bytes) -> Option<String> {
    let Fields { kind, term, log_term, index, entries, commit, reject } = fields(bytes)?;
    let verdict = if reject { "no" } else { "yes" };
    let words = match kind {
        2 => format!("proposes {entries} entries"),
        3 => format!("term {term}: {entries} entries after {index} of term {log_term}, commit {commit}"),
        4 if reject => format!("term {term}: entries after {index} do not fit"),
        4 => format!("term {term}: has entries up to {index}"),
        5 => format!("term {term}: asks for a vote, with entries up to {index} of term {log_term}"),
        6 => format!("term {term}: a vote: {verdict}"),
        8 | 9 => return None,
        14 => format!("term {term}: should stand for election now"),
        15 => "asks how far reads must see".to_string(),
        16 => format!("term {term}: reads must see up to {index}"),
        17 => format!("term {term}: would it have a vote, with entries up to {index} of term {log_term}?"),
        18 => format!("term {term}: it would have a vote: {verdict}"),
        kind => format!("term {term}: a message of kind {kind}"),
    };
    Some(words)
}

/// Protobuf's wire format: a tag, then a number, or a length and bytes.
fn fields(bytes: &[u8]) -> Option<Fields> {
    let mut rest = bytes;
    let mut fields = Fields::default();
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let value = number(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (7, 2) => fields.entries += 1,
            (1, 0) => fields.kind = value,
            (4, 0) => fields.term = value,
            (5, 0) => fields.log_term = value,
            (6, 0) => fields.index = value,
            (8, 0) => fields.commit = value,
            (10, 0) => fields.reject = value != 0,
            _ => {}
        }
        if tag & 7 == 2 {
            rest = rest.get(value as usize..)?;
        }
    }
    Some(fields)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (first, after) = rest.split_first()?;
        *rest = after;
        n |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

pub fn persist(persist: &Persist) -> String {
    let mut words = Vec::new();
    if let Some(vote) = persist.vote {
        words.push(format!("term {} vote {} commit {}", vote.term, vote.vote, vote.commit));
    }
    if let Some(meta) = &persist.snapshot {
        words.push(format!("a snapshot of {}", meta.index));
    }
    if let (Some(first), Some(last)) = (persist.entries.first(), persist.entries.last()) {
        words.push(format!("entries {} to {} of term {}", first.index, last.index, last.term));
    }
    words.join(", ")
}
