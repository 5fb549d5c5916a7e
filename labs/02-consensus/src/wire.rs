//! Messages to bytes, and back with care.
//!
//! The `raft` crate believes what members say, and stops the program where they contradict themselves. But
//! between members there are a network, other versions, and disks that have lost something. So a message is
//! looked at before it is handled, and one that cannot be is refused with a reason.

use bytes::Bytes;
use protobuf::{Message as _, ProtobufEnum as _};
use raft::eraftpb::{Entry, EntryType, Message as Raw, MessageType};
use raft::{RawNode, StateRole};

use crate::error::Error;
use crate::log::Log;
use crate::membership;
use crate::sessions::Origin;
use crate::snapshot::State;
use crate::storage;
use crate::types::{EntryKind, MemberId, Message, SnapshotMeta};

/// Indexes and terms beyond this are no honest member's, and adding to them could overflow.
const MAX_NUMBER: u64 = 1 << 60;

pub(crate) fn encode(raw: &Raw) -> Message {
    let bytes = raw.write_to_bytes().expect("a message without required fields");
    Message { to: raw.to, bytes: bytes.into(), snapshot: snapshot_of(raw) }
}

pub(crate) fn decode(bytes: &Bytes) -> Result<Raw, Error> {
    Raw::parse_from_carllerche_bytes(bytes).map_err(|e| Error::Malformed(format!("a message: {e}")))
}

pub(crate) fn snapshot_of(raw: &Raw) -> Option<SnapshotMeta> {
    (raw.get_msg_type() == MessageType::MsgSnapshot).then(|| storage::snapshot_meta(raw.get_snapshot()))
}

/// Whether a message may be handled. `Ok(false)`: it is well formed, but too late or for somebody else.
pub(crate) fn check(raw: &Raw, me: MemberId, node: &RawNode<Log>) -> Result<bool, Error> {
    let kind = raw.get_msg_type();
    let refuse = |why: &str| {
        let name = kind.descriptor().name();
        Err(Error::Malformed(format!("{name} from member {:x}: {why}", raw.from)))
    };
    if raw.to != me || raw.from == 0 || raw.from == me {
        return refuse("not from another member to this one");
    }
    let numbers = [raw.term, raw.index, raw.log_term, raw.commit, raw.commit_term, raw.reject_hint];
    if numbers.into_iter().any(|n| n > MAX_NUMBER) || raw.request_snapshot != 0 {
        return refuse("a number that cannot be");
    }
    let forwarded = matches!(kind, MessageType::MsgPropose | MessageType::MsgReadIndex);
    if forwarded != (raw.term == 0) {
        return refuse("a term that cannot be");
    }
    let raft = &node.raft;
    // The end of the log is not on disk yet. Nobody can have been asked for a vote, and none may be won.
    let unwritten = raft.raft_log.persisted < raft.raft_log.last_index();
    match kind {
        MessageType::MsgAppend => check_append(raw).map_or_else(refuse, |()| Ok(true)),
        MessageType::MsgHeartbeat => {
            let lost = raw.term >= raft.term && raw.commit > raft.raft_log.last_index();
            if lost { refuse("it speaks of entries that are not here") } else { Ok(true) }
        }
        MessageType::MsgAppendResponse => {
            let leads = raft.state == StateRole::Leader && raw.term == raft.term;
            if leads && !raw.reject && raw.index > raft.raft_log.last_index() {
                refuse("it has entries that the leader has not")
            } else {
                Ok(true)
            }
        }
        MessageType::MsgSnapshot => check_snapshot(raw).map_or_else(refuse, |()| Ok(true)),
        MessageType::MsgPropose => {
            let sound = !raw.entries.is_empty() && raw.entries.iter().all(is_proposal);
            if !sound { refuse("not a proposal") } else { Ok(raft.state == StateRole::Leader) }
        }
        MessageType::MsgReadIndex if raw.entries.len() != 1 => refuse("not one read"),
        // Whoever is not the leader would pass it on, perhaps in a circle. Its sender asks again anyway.
        MessageType::MsgReadIndex => Ok(raft.state == StateRole::Leader),
        MessageType::MsgTimeoutNow
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVoteResponse => Ok(!unwritten),
        MessageType::MsgRequestVote
        | MessageType::MsgRequestPreVote
        | MessageType::MsgHeartbeatResponse
        | MessageType::MsgReadIndexResp => Ok(true),
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum
        | MessageType::MsgTransferLeader => refuse("not for the network"),
    }
}

fn check_append(raw: &Raw) -> Result<(), &'static str> {
    if (raw.index == 0) != (raw.log_term == 0) {
        return Err("an entry without a term");
    }
    let mut last = (raw.index, raw.log_term);
    for entry in raw.entries.iter() {
        let next = entry.index == last.0 + 1 && (last.1.max(1)..=raw.term).contains(&entry.term);
        if !next || entry.get_entry_type() == EntryType::EntryConfChangeV2 {
            return Err("entries that do not follow one another");
        }
        last = (entry.index, entry.term);
    }
    Ok(())
}

fn check_snapshot(raw: &Raw) -> Result<(), &'static str> {
    let meta = storage::snapshot_meta(raw.get_snapshot());
    if meta.index == 0 || meta.term == 0 || meta.index > MAX_NUMBER || meta.term > raw.term {
        return Err("a snapshot of nothing");
    }
    let state = State::decode(&meta.state).map_err(|_| "a snapshot whose state cannot be read")?;
    if state.members.voters().next().is_none() {
        return Err("a snapshot without members");
    }
    Ok(())
}

fn is_proposal(entry: &Entry) -> bool {
    let sound = match entry.get_entry_type() {
        EntryType::EntryNormal => true,
        EntryType::EntryConfChange => membership::decode(EntryKind::Change, &entry.data).is_ok(),
        EntryType::EntryConfChangeV2 => false,
    };
    sound && Origin::decode(&entry.context).is_ok()
}
