//! What everyone in this process may know of consensus, and how to reach its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::heart::types::{MemberId, Peer, Role, Standing};
use crate::heart::{Error, types::Change};
use crate::identity::Identity;
use crate::raft_loop::Event;
use crate::wire::Caller;

/// Bytes of messages from other members that wait for the thread. More are dropped: they come again.
const WAITING_BYTES: usize = 64 << 20;
/// What a message takes beside its own bytes.
const ENVELOPE_BYTES: usize = 128;

/// Written by the raft thread alone.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// By rising id.
    pub members: Vec<Peer>,
    /// Who was a member and is not any more.
    pub removed: Vec<MemberId>,
    pub standing: Standing,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    pub identity: Arc<Identity>,
    pub view: watch::Receiver<View>,
    pub door: Door,
}

impl Shared {
    pub fn id(&self) -> MemberId {
        self.identity.id
    }

    pub fn member(&self, id: MemberId) -> Option<Peer> {
        self.view.borrow().members.iter().find(|peer| peer.id == id).cloned()
    }

    pub fn leads(&self) -> bool {
        self.view.borrow().standing.role == Role::Leader
    }

    pub fn call(&self, to: MemberId) -> Caller {
        Caller { cluster: self.identity.cluster, from: self.id(), to }
    }
}

/// The way to the raft thread. Never blocks.
#[derive(Clone)]
pub struct Door {
    events: Sender<Event>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Door {
    pub fn new(events: Sender<Event>) -> Door {
        Door { events, waiting_bytes: Arc::default() }
    }

    /// A message of another member; it is dropped when there are too many.
    pub fn message(&self, message: Bytes) {
        let bytes = message.len() + ENVELOPE_BYTES;
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES {
            self.taken(&message);
            return;
        }
        self.tell(Event::Message(message));
    }

    /// A message has been handled.
    pub fn taken(&self, message: &Bytes) {
        self.waiting_bytes.fetch_sub(message.len() + ENVELOPE_BYTES, Ordering::Relaxed);
    }

    /// What has a bound where it comes from: one for each call of a client, for each connection or for
    /// each thing that the thread itself asked for.
    pub fn tell(&self, event: Event) {
        // The thread has ended: so does the process, which is told elsewhere.
        let _ = self.events.send(event);
    }

    /// Tells it, and waits for what comes of it.
    pub async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Event,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(event(reply));
        answer.await.unwrap_or(Err(Error::TimedOut))
    }

    pub async fn change(&self, change: Change) -> Result<(), Error> {
        self.ask(|reply| Event::Change(change, reply)).await
    }
}
