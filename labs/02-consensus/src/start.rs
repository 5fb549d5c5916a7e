//! What the disk held, made into a member's first state.

use raft::RawNode;
use slog::Logger;

use crate::error::Error;
use crate::log::Log;
use crate::member::{Config, Persist, Persisted};
use crate::membership;
use crate::types::{Change, EntryKind, LogEntry, Peer, Vote};

/// The log as it was written; and what is to be written first, if this is a cluster's first start.
pub(crate) fn log(config: &Config, persisted: Persisted) -> Result<(Log, Option<Persist>), Error> {
    let Persisted { mut vote, snapshot, entries, bootstrap } = persisted;
    let malformed = |why: String| Err(Error::Malformed(why));
    let no_members = snapshot.state.is_empty() && !entries.iter().any(|e| e.kind == EntryKind::Change);
    let mut log = Log::new(snapshot, vote);
    let behind = entries.into_iter().filter(|entry| entry.index > log.snapshot().index);
    for entry in behind.collect::<Vec<_>>() {
        let expected = log.last_index() + 1;
        if entry.index > expected {
            return malformed(format!("the log lacks entry {expected}"));
        }
        log.append(&[entry]);
    }
    let last = log.last_index();
    let last_term = log.term(last).unwrap_or_default();
    if vote == Vote::default() {
        // Chapter 01 has no votes: all that it wrote is agreed on.
        vote = Vote { term: last_term, vote: 0, commit: last };
    }
    vote.commit = vote.commit.max(log.snapshot().index);
    if vote.commit > last {
        return malformed(format!("the log ends at entry {last}, but {} are committed", vote.commit));
    }
    if vote.term < last_term {
        return malformed(format!("the log has entries of term {last_term}, after term {}", vote.term));
    }
    log.set_vote(vote);
    if !no_members || bootstrap.is_empty() {
        return Ok((log, None));
    }
    // A restored snapshot is the same for all of them, a log is one member's own.
    let has_entries = last > log.snapshot().index;
    if !bootstrap.iter().any(|peer| peer.id == config.id) || (has_entries && bootstrap.len() > 1) {
        return malformed("the members of the new cluster do not fit to what is on disk".to_owned());
    }
    let entries = founding(bootstrap, last, last_term.max(1));
    let commit = last + entries.len() as u64;
    let vote = Vote { term: last_term.max(1), vote: 0, commit };
    log.append(&entries);
    log.set_vote(vote);
    Ok((log, Some(Persist { number: 0, vote: Some(vote), snapshot: None, entries })))
}

/// The first members come by the log like all later ones, so a member that joins learns of them there.
/// Each founder writes the same entries, so they count as agreed on.
fn founding(mut peers: Vec<Peer>, last: u64, term: u64) -> Vec<LogEntry> {
    peers.sort_by_key(|peer| peer.id);
    let entry = |(index, peer)| {
        let (kind, _, data) = membership::encode(&Change::Add(peer));
        LogEntry { index, term, kind, context: Default::default(), data }
    };
    (last + 1..).zip(peers).map(entry).collect()
}

pub(crate) fn node(config: &Config, log: Log) -> Result<RawNode<Log>, Error> {
    let raft = raft::Config {
        id: config.id,
        election_tick: config.election_ticks,
        heartbeat_tick: config.heartbeat_ticks,
        applied: log.snapshot().index,
        max_size_per_msg: config.max_message_bytes,
        max_inflight_msgs: config.max_inflight,
        max_uncommitted_size: config.max_uncommitted_bytes,
        max_committed_size_per_ready: config.max_message_bytes,
        // Who cannot win does not disturb, and a leader without a majority notices.
        pre_vote: true,
        check_quorum: true,
        read_only_option: raft::ReadOnlyOption::Safe,
        ..raft::Config::default()
    };
    let logger = Logger::root(slog::Discard, slog::o!());
    RawNode::new(&raft, log, &logger).map_err(|e| Error::Malformed(format!("the configuration: {e}")))
}
