//! Watchers: each keeps a connection to some member, and goes on elsewhere from where it was.

use simulator::history::{Key, Violation};
use simulator::judge::revisions::Written;
use simulator::judge::watch::{self, Told, Watched};
use simulator::random::Random;
use simulator::world::World;
use store::heart::watch::{Delivery, What};

use crate::ledger::change;
use crate::node::Node;
use crate::requests::keys;
use crate::state::{Ask, Reply};

pub struct Watcher {
    number: usize,
    pub watched: Watched,
    /// The first revision that it was not told of.
    pub next: i64,
    /// Its connection: the machine, and the stream's number, which is used once.
    at: Option<(usize, u64)>,
    connections: u64,
    slow_us: u64,
}

/// Streams have numbers that no request has.
const STREAMS: u64 = 1 << 32;

/// Whose stream it is.
pub fn watcher_of(client: u64) -> Option<usize> {
    (client >= STREAMS).then(|| (client / STREAMS) as usize - 1)
}

impl Watcher {
    pub fn new(number: usize, random: &mut Random, slow_us: u64) -> Self {
        let first = random.below(4) as Key;
        let last = if random.chance(300) { Key::MAX - 1 } else { first + random.below(3) as Key };
        let from = random.between(1, 10) as i64;
        let watched = Watched { first, last, from, told: Vec::new() };
        Watcher { number, watched, next: from, at: None, connections: 0, slow_us }
    }

    pub fn is_at(&self, machine: usize) -> bool {
        self.at.is_some_and(|(at, _)| at == machine)
    }

    pub fn is_connected(&self) -> bool {
        self.at.is_some()
    }

    pub fn connect(&mut self, machine: usize, world: &mut World<Node>) {
        if let Some((machine, stream)) = self.at.take() {
            world.ask(machine, stream, Ask::Close);
        }
        self.connections += 1;
        let stream = (self.number as u64 + 1) * STREAMS + self.connections;
        self.at = Some((machine, stream));
        let Watched { first, last, .. } = self.watched;
        let (number, next) = (self.number, self.next);
        world.trace.note(None, || format!("watcher {number} asks m{machine} for all from revision {next}"));
        world.ask(machine, stream, Ask::Watch { keys: keys(first, last), start: next });
    }

    pub fn disconnect(&mut self) {
        self.at = None;
    }

    pub fn ask_progress(&self, world: &mut World<Node>) {
        if let Some((machine, stream)) = self.at {
            world.ask(machine, stream, Ask::Progress);
        }
    }

    /// What came on one of its connections, of which only the last one counts. Returns when it will have
    /// taken it, and how many events that were.
    pub fn handle(&mut self, client: u64, reply: Reply, world: &mut World<Node>) -> Option<(u64, usize)> {
        self.at.filter(|(_, stream)| *stream == client)?;
        match reply {
            Reply::Delivery(delivery) => self.told(delivery, world),
            _ => {
                self.at = None;
                None
            }
        }
    }

    pub fn take(&self, events: usize, world: &mut World<Node>) {
        if let Some((machine, stream)) = self.at {
            world.ask(machine, stream, Ask::Taken(events));
        }
    }

    fn told(&mut self, delivery: Delivery, world: &mut World<Node>) -> Option<(u64, usize)> {
        let revision = delivery.revision;
        let number = self.number;
        match delivery.what {
            What::Events { events, .. } => {
                let changes: Vec<_> = events.iter().map(|e| (e.record.revision.main, change(e))).collect();
                self.next = changes.last().map_or(self.next, |(revision, _)| revision + 1);
                world.trace.note(None, || format!("watcher {number} is told {changes:?}"));
                self.watched.told.push(Told::Changes { revision, changes });
                return Some((world.now_us() + self.slow_us, events.len()));
            }
            // A store that is behind what this watcher has seen can say that only of itself.
            What::Progress => {
                self.next = self.next.max(revision + 1);
                self.watched.told.push(Told::Progress(revision));
            }
            What::Compacted(at) => {
                world.trace.note(None, || format!("watcher {number} is told that {at} is the oldest"));
                self.next = self.next.max(at);
                self.watched.told.push(Told::Compacted(at));
                self.at = None;
            }
            What::Created => {}
            What::Canceled | What::Refused(_) => self.at = None,
        }
        None
    }

    pub fn judge(&self, written: &Written, until: Option<i64>) -> Result<(), Violation> {
        watch::judge(&self.watched, written, until)
    }
}
