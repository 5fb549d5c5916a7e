//! A whole cluster in one thread: members, their disks, and a network that does what a test says.
//!
//! Every action is done as its doc says, and its promises are checked as it comes: nothing behind a
//! `Persist`, no command twice, no index out of order, all stores the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::heart::types::{
    Asked, Change, Committed, EntryKind, LogEntry, MemberId, Message, Peer, Proposal, Role, SnapshotMeta,
    Standing, Vote,
};
use crate::heart::{Action, Config, Error, Member, Persist, Persisted};
use crate::model::entry;

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub vote: Vote,
    pub snapshot: SnapshotMeta,
    pub entries: Vec<LogEntry>,
    /// The store's own part of the snapshot: the commands in it.
    pub kept: Vec<Committed>,
    /// How often the member was started.
    pub life: u64,
}

impl Disk {
    pub fn write(&mut self, persist: &Persist) {
        if let Some(vote) = persist.vote {
            self.vote = vote;
        }
        if let Some(snapshot) = &persist.snapshot {
            self.snapshot = snapshot.clone();
            self.entries.clear();
        }
        if let Some(first) = persist.entries.first() {
            self.entries.retain(|entry| entry.index < first.index);
            self.entries.extend(persist.entries.iter().cloned());
        }
    }

    /// A disk on which a cluster has begun: with the entries of its first members, and some more that may
    /// not be committed. Those have no origin, as those of chapter 01.
    pub fn founded(members: &[Peer], commands: &[&str]) -> Disk {
        let bootstrap = members.to_vec();
        let persisted = Persisted { bootstrap, ..Persisted::default() };
        let first = Member::new(config(members[0].id, 1), persisted).expect("it starts").poll_actions();
        let Some(Action::Persist(first)) = first.first() else { panic!("the first action is to persist") };
        let mut disk = Disk::default();
        disk.write(first);
        for (index, command) in (members.len() as u64 + 1..).zip(commands) {
            disk.entries.push(entry(index, 1, command));
        }
        disk
    }

    pub fn persisted(&self, bootstrap: &[Peer]) -> Persisted {
        Persisted {
            vote: self.vote,
            snapshot: self.snapshot.clone(),
            entries: self.entries.clone(),
            bootstrap: bootstrap.to_vec(),
        }
    }
}

pub struct Node {
    pub member: Member,
    pub disk: Disk,
    bootstrap: Vec<Peer>,
    /// What the store has applied, in order.
    pub store: Vec<Committed>,
    /// Index up to which it has.
    applied: u64,
    /// Given by the member and not yet on disk.
    pub unwritten: Option<Persist>,
    /// Each proposal that was answered, with the index at which it was applied.
    pub answered: BTreeMap<u64, u64>,
    pub changed: BTreeSet<u64>,
    pub refused: Vec<(Asked, Error)>,
    /// Reads that may be answered, with the index that the store must have.
    pub readable: Vec<(u64, u64)>,
    pub snapshot_wanted: bool,
    /// A slow disk: what is given to write waits for [`Cluster::write`].
    pub slow: bool,
}

#[derive(Default)]
pub struct Cluster {
    pub nodes: BTreeMap<MemberId, Node>,
    /// On its way, the oldest first: from whom, and what.
    pub network: VecDeque<(MemberId, Message)>,
    /// Ways on which everything is lost.
    pub cut: BTreeSet<(MemberId, MemberId)>,
    /// All actions, for goldens.
    pub trace: Vec<String>,
    /// Every snapshot that was ever made: its members and sessions, and the commands in it.
    files: BTreeMap<u64, (SnapshotMeta, Vec<Committed>)>,
    /// What was applied at each index by whoever was first.
    pub truth: BTreeMap<u64, Bytes>,
    /// The greatest index at which a client was answered.
    acked: u64,
    /// What each read must see at least.
    floors: BTreeMap<(MemberId, u64), u64>,
    /// Who has led in each term.
    pub leaders: BTreeMap<u64, MemberId>,
    next: u64,
}

pub fn config(id: MemberId, life: u64) -> Config {
    Config {
        id,
        election_ticks: 10,
        heartbeat_ticks: 1,
        seed: id,
        life,
        max_message_bytes: 1 << 20,
        max_inflight: 64,
        max_uncommitted_bytes: 1 << 20,
        keep_entries: 0,
    }
}

pub fn peer(id: MemberId) -> Peer {
    Peer {
        id,
        name: format!("m{id}"),
        peer_urls: vec![format!("http://{id}:2380")],
        client_urls: Vec::new(),
        learner: false,
    }
}

impl Cluster {
    /// Members 1 to `size`, started for the first time; nobody leads yet.
    pub fn new(size: u64) -> Cluster {
        let peers: Vec<Peer> = (1..=size).map(peer).collect();
        let mut cluster = Cluster::default();
        for id in 1..=size {
            cluster.start(id, Disk::default(), &peers);
        }
        cluster
    }

    /// Members with these on their disks.
    pub fn of(disks: &[Disk]) -> Cluster {
        let mut cluster = Cluster::default();
        for (id, disk) in (1..).zip(disks) {
            cluster.start(id, disk.clone(), &[]);
        }
        cluster
    }

    /// Members 1 to `size`, and member 1 leads: its time came first.
    pub fn with_leader(size: u64) -> Cluster {
        let mut cluster = Cluster::new(size);
        cluster.elect(1);
        cluster
    }

    /// Starts a member with what is on its disk.
    pub fn start(&mut self, id: MemberId, mut disk: Disk, bootstrap: &[Peer]) {
        disk.life += 1;
        let member = Member::new(config(id, disk.life), disk.persisted(bootstrap));
        let member = member.unwrap_or_else(|e| panic!("member {id} does not start: {e}"));
        let node = Node {
            member,
            store: disk.kept.clone(),
            applied: disk.snapshot.index,
            disk,
            bootstrap: bootstrap.to_vec(),
            unwritten: None,
            answered: BTreeMap::new(),
            changed: BTreeSet::new(),
            refused: Vec::new(),
            readable: Vec::new(),
            snapshot_wanted: false,
            slow: false,
        };
        self.nodes.insert(id, node);
        self.act(id);
    }

    /// All that is not on disk is gone, also what is on its way to it.
    pub fn crash(&mut self, id: MemberId) {
        let node = self.nodes.remove(&id).unwrap_or_else(|| panic!("member {id} does not run"));
        self.lose(|_, to| to == id);
        self.floors.retain(|(reader, _), _| *reader != id);
        self.start(id, node.disk, &node.bootstrap);
    }

    pub fn node(&mut self, id: MemberId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("member {id} does not run"))
    }

    pub fn standing(&self, id: MemberId) -> Standing {
        self.nodes[&id].member.standing()
    }

    pub fn leader(&self) -> Option<MemberId> {
        let leads = |id: &&MemberId| self.standing(**id).role == Role::Leader;
        self.nodes.keys().filter(leads).max_by_key(|id| self.standing(**id).term).copied()
    }

    /// Does what a member says, until it says nothing any more or its disk is slow.
    pub fn act(&mut self, id: MemberId) {
        for round in 0.. {
            let actions = self.node(id).member.poll_actions();
            if actions.is_empty() {
                return;
            }
            assert!(round < 1000, "member {id} always has something to do: {actions:?}");
            let last = actions.len() - 1;
            for (at, action) in actions.into_iter().enumerate() {
                self.trace.push(format!("{id}: {}", show(&action)));
                let barrier = matches!(action, Action::Persist(_));
                assert!(!barrier || at == last, "an action comes behind Persist without waiting for it");
                self.do_action(id, action);
            }
            if self.node(id).unwritten.is_some() {
                return;
            }
        }
    }

    fn do_action(&mut self, id: MemberId, action: Action) {
        let node = self.nodes.get_mut(&id).expect("it runs");
        match action {
            Action::Send(messages) => {
                for message in messages {
                    if !self.cut.contains(&(id, message.to)) {
                        self.network.push_back((id, message));
                    } else if message.snapshot.is_some() {
                        node.member.handle_snapshot_sent(message.to, false);
                    }
                }
            }
            Action::Persist(persist) => {
                assert_eq!(node.unwritten, None, "a second Persist before the first is done");
                node.unwritten = Some(persist);
                if !node.slow {
                    self.write(id);
                }
            }
            Action::Apply(commands) => {
                for command in commands {
                    let last = std::mem::replace(&mut node.applied, command.index);
                    assert!(command.index > last, "entry {} is applied after {last}", command.index);
                    if let Some(number) = command.number {
                        let before = node.answered.insert(number, command.index);
                        assert_eq!(before, None, "proposal {number} is answered twice");
                        self.acked = self.acked.max(command.index);
                    }
                    let truth = self.truth.entry(command.index).or_insert(command.command.clone());
                    assert_eq!(*truth, command.command, "members apply different things at one index");
                    node.store.push(command);
                }
            }
            Action::Restore(meta) => {
                assert_eq!(meta, node.disk.snapshot, "a snapshot is restored that is not on disk");
                node.store = node.disk.kept.clone();
                node.applied = meta.index;
            }
            Action::Readable { number, index } => {
                let last = node.applied;
                assert!(index <= last, "a read must wait for {index}, but the store is given {last}");
                for (_, floor) in self.floors.range((id, 0)..=(id, number)) {
                    assert!(index >= *floor, "a read sees {index}, but {floor} was answered before it");
                }
                self.floors.retain(|read, _| *read <= (id, 0) || *read > (id, number));
                node.readable.push((number, index));
            }
            Action::Refuse { what, why } => node.refused.push((what, why)),
            Action::Changed { number } => {
                node.changed.insert(number);
            }
            Action::WantSnapshot => node.snapshot_wanted = true,
            Action::Standing(standing) if standing.role == Role::Leader => {
                let leader = *self.leaders.entry(standing.term).or_insert(id);
                assert_eq!(leader, id, "two members lead in term {}", standing.term);
            }
            Action::Standing(_) | Action::Members => {}
        }
    }

    /// The disk has what was given to it.
    pub fn write(&mut self, id: MemberId) {
        let node = self.nodes.get_mut(&id).expect("it runs");
        if let Some(persist) = node.unwritten.take() {
            node.disk.write(&persist);
            if let Some(snapshot) = &persist.snapshot {
                let (meta, kept) = &self.files[&snapshot.index];
                assert_eq!(meta, snapshot, "members disagree on what a snapshot holds");
                node.disk.kept = kept.clone();
            }
            node.member.handle_persisted(persist.number);
        }
    }

    /// Time goes by for one member.
    pub fn tick(&mut self, id: MemberId) {
        self.node(id).member.handle_tick();
        self.act(id);
    }

    /// Time goes by for all, and all messages arrive.
    pub fn tick_all(&mut self, ticks: u64) {
        for _ in 0..ticks {
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.tick(id);
            }
            self.settle();
        }
    }

    /// Delivers the oldest message. False: there is none.
    pub fn step(&mut self) -> bool {
        let Some((from, message)) = self.network.pop_front() else { return false };
        self.deliver(from, &message);
        true
    }

    pub fn deliver(&mut self, from: MemberId, message: &Message) {
        let known = self.nodes.contains_key(&message.to) && !self.cut.contains(&(from, message.to));
        if known {
            let node = self.node(message.to);
            node.member.handle_message(&message.bytes).expect("members say nothing that is refused");
            self.act(message.to);
        }
        if message.snapshot.is_some()
            && let Some(sender) = self.nodes.get_mut(&from)
        {
            sender.member.handle_snapshot_sent(message.to, known);
            self.act(from);
        }
    }

    /// All messages arrive, and those that they cause.
    pub fn settle(&mut self) {
        let mut left = 100_000;
        while self.step() {
            left -= 1;
            assert!(left > 0, "members talk without end");
        }
    }

    /// Lets time go by until this member leads: first for those too who must give up their leader before
    /// they vote for another, then for itself alone. If one of them is faster it lets this one lead.
    pub fn elect(&mut self, id: MemberId) {
        let reachable = |other: &MemberId, cut: &BTreeSet<_>| *other != id && !cut.contains(&(id, *other));
        let before = self.leaders.keys().last().copied().unwrap_or(0);
        for round in 0..100 {
            let others = self.nodes.keys().filter(|other| reachable(other, &self.cut));
            for other in others.copied().collect::<Vec<_>>() {
                if round < 10 && self.standing(other).leader != 0 {
                    self.tick(other);
                }
            }
            self.tick(id);
            self.settle();
            if self.leaders.range(before + 1..).any(|(_, leader)| *leader == id) {
                return;
            }
            if let Some(leader) = self.leader().filter(|leader| reachable(leader, &self.cut)) {
                self.node(leader).member.handle_transfer(id).expect("it leads");
                self.act(leader);
                self.settle();
            }
        }
        panic!("member {id} does not come to lead");
    }

    /// Puts a proposal to a member; returns its number. Nothing is delivered.
    pub fn propose(&mut self, id: MemberId, command: &str) -> u64 {
        self.next += 1;
        let command = Bytes::copy_from_slice(command.as_bytes());
        let number = self.next;
        self.node(id).member.handle_propose(vec![Proposal { number, command }]);
        self.act(id);
        number
    }

    /// Asks to read at a member; returns the number. Nothing is delivered.
    pub fn read(&mut self, id: MemberId) -> u64 {
        self.next += 1;
        let number = self.next;
        self.floors.insert((id, number), self.acked);
        self.node(id).member.handle_read(number);
        self.act(id);
        number
    }

    /// Asks a member for a change; returns the number. Nothing is delivered.
    pub fn change(&mut self, id: MemberId, change: Change) -> u64 {
        self.next += 1;
        let number = self.next;
        self.node(id).member.handle_change(number, change);
        self.act(id);
        number
    }

    /// The store of a member makes a snapshot of all that it has applied.
    pub fn snapshot(&mut self, id: MemberId) -> SnapshotMeta {
        let node = self.nodes.get_mut(&id).expect("it runs");
        // It has all that was handed out.
        let index = node.member.applied();
        let meta = node.member.snapshot_meta(index).expect("what is applied has a state");
        node.disk.snapshot = meta.clone();
        node.disk.kept = node.store.clone();
        node.disk.entries.retain(|entry| entry.index > index);
        node.snapshot_wanted = false;
        node.member.handle_snapshot_made(meta.clone());
        let file = (meta.clone(), node.store.clone());
        let before = self.files.insert(index, file);
        assert!(before.is_none_or(|(before, _)| before == meta), "members remember different things");
        self.act(id);
        meta
    }

    /// What has been done since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// Delivers what is on its way from one member to another, and nothing else.
    pub fn deliver_between(&mut self, from: MemberId, to: MemberId) {
        let (ours, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.network).into_iter().partition(|(f, m)| (*f, m.to) == (from, to));
        self.network = others;
        for (from, message) in ours {
            self.deliver(from, &message);
        }
    }

    /// The commands in a member's store.
    pub fn commands(&self, id: MemberId) -> Vec<String> {
        let store = &self.nodes[&id].store;
        store.iter().map(|c| String::from_utf8_lossy(&c.command).into_owned()).collect()
    }

    /// Cuts a member off from all others, in both directions.
    pub fn isolate(&mut self, id: MemberId) {
        for other in self.nodes.keys().filter(|other| **other != id) {
            self.cut.extend([(id, *other), (*other, id)]);
        }
        self.lose(|from, to| from == id || to == id);
    }

    /// Loses messages that are on their way. Who sent a snapshot notices.
    fn lose(&mut self, which: impl Fn(MemberId, MemberId) -> bool) {
        for (from, message) in std::mem::take(&mut self.network) {
            if !which(from, message.to) {
                self.network.push_back((from, message));
            } else if message.snapshot.is_some()
                && let Some(sender) = self.nodes.get_mut(&from)
            {
                sender.member.handle_snapshot_sent(message.to, false);
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }
}

/// An action in a line, for goldens.
pub fn show(action: &Action) -> String {
    match action {
        Action::Send(messages) => {
            let to: Vec<String> = messages.iter().map(|m| m.to.to_string()).collect();
            format!("send to {}", to.join(" "))
        }
        Action::Persist(persist) => {
            let mut parts = Vec::new();
            if let Some(vote) = persist.vote {
                parts.push(format!("term {} vote {} commit {}", vote.term, vote.vote, vote.commit));
            }
            if let Some(snapshot) = &persist.snapshot {
                parts.push(format!("snapshot {}", snapshot.index));
            }
            parts.extend(persist.entries.iter().map(|entry| {
                let kind = if entry.kind == EntryKind::Change { " change" } else { "" };
                format!("entry {}/{}{kind}", entry.index, entry.term)
            }));
            format!("persist {}", parts.join(", "))
        }
        Action::Apply(commands) => {
            let each = |c: &Committed| {
                let number = c.number.map(|number| format!(" (ours: {number})"));
                let command = String::from_utf8_lossy(&c.command).into_owned();
                format!("{} {command}{}", c.index, number.unwrap_or_default())
            };
            format!("apply {}", commands.iter().map(each).collect::<Vec<_>>().join(", "))
        }
        Action::Restore(meta) => format!("restore snapshot {}", meta.index),
        Action::Readable { number, index } => format!("reads up to {number} see {index}"),
        Action::Refuse { what, why } => format!("refuse {what:?}: {why}"),
        Action::Changed { number } => format!("change {number} is done"),
        Action::WantSnapshot => "want a snapshot".to_owned(),
        Action::Standing(s) => format!("{:?} in term {}, {} leads", s.role, s.term, s.leader),
        Action::Members => "the members have changed".to_owned(),
    }
}
