//! Messages to other members: one stream to each, kept up for as long as it is a member.
//!
//! ```text
//!   raft thread ──try_send──► [queue] ──► line's task ──batches──► stream ──► member
//!                  full, or no stream: dropped, and the core is told that the member is unreachable
//! ```
//!
//! Consensus sends anew what matters, so nothing is kept for a member that is away.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::dial::Dialer;
use crate::heart::types::{MemberId, Peer};
use crate::raft_loop::Event;
use crate::view::Shared;
use crate::wire::proto::peer_client::PeerClient;
use crate::wire::proto::{Batch, Head, Piece, piece};
use crate::wire::{self, BATCH_BYTES};

/// Messages that wait for a stream. When there are more, new ones are dropped.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 32 << 20;
/// Batches between the queue and the network.
const BATCHES: usize = 2;
const PIECES: usize = 4;
const PIECE_BYTES: usize = 256 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The raft thread's end of all streams.
pub struct Outgoing {
    runtime: Handle,
    shared: Shared,
    dialer: Dialer,
    lines: BTreeMap<MemberId, Line>,
}

struct Line {
    urls: Vec<String>,
    queue: mpsc::Sender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    /// There is a stream.
    is_up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outgoing {
    pub fn new(runtime: Handle, shared: Shared, dialer: Dialer) -> Outgoing {
        Outgoing { runtime, shared, dialer, lines: BTreeMap::new() }
    }

    /// These are the members from now on.
    pub fn handle_members(&mut self, members: &[Peer]) {
        let others = || members.iter().filter(|peer| peer.id != self.shared.id());
        self.lines.retain(|id, line| others().any(|peer| peer.id == *id && peer.peer_urls == line.urls));
        for peer in others() {
            if self.lines.contains_key(&peer.id) {
                continue;
            }
            let (queue, messages) = mpsc::channel(QUEUE);
            let waiting_bytes = Arc::new(AtomicUsize::new(0));
            let is_up = Arc::new(AtomicBool::new(false));
            let stream = Stream {
                to: peer.id,
                urls: peer.peer_urls.clone(),
                shared: self.shared.clone(),
                dialer: self.dialer.clone(),
                waiting_bytes: waiting_bytes.clone(),
                is_up: is_up.clone(),
            };
            let task = self.runtime.spawn(stream.run(messages));
            let line = Line { urls: peer.peer_urls.clone(), queue, waiting_bytes, is_up, task };
            self.lines.insert(peer.id, line);
        }
    }

    /// Whether there is a stream to it.
    pub fn reaches(&self, to: MemberId) -> bool {
        self.lines.get(&to).is_some_and(|line| line.is_up.load(Ordering::Relaxed))
    }

    /// Whether there was room for it.
    pub fn send(&self, to: MemberId, message: Bytes) -> bool {
        let Some(line) = self.lines.get(&to) else { return false };
        let bytes = message.len();
        if line.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES
            && line.queue.try_send(message).is_ok()
        {
            return true;
        }
        line.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Sends a snapshot's file together with its message. How it went comes as an event. The core sends
    /// a member one at a time.
    pub fn send_snapshot(&self, to: MemberId, message: Bytes, file: File) {
        let urls = self.lines.get(&to).map(|line| line.urls.clone()).unwrap_or_default();
        let (shared, dialer) = (self.shared.clone(), self.dialer.clone());
        self.runtime.spawn(async move {
            let sent = send_snapshot(&shared, &dialer, to, &urls, message, file).await;
            match &sent {
                Ok(bytes) => info!(to = format!("{to:x}"), bytes, "a snapshot has arrived"),
                Err(e) => warn!(to = format!("{to:x}"), "a snapshot has not arrived: {e:#}"),
            }
            shared.door.tell(Event::SnapshotSent { to, arrived: sent.is_ok() });
        });
    }
}

/// What keeps a stream to one member.
struct Stream {
    to: MemberId,
    urls: Vec<String>,
    shared: Shared,
    dialer: Dialer,
    waiting_bytes: Arc<AtomicUsize>,
    is_up: Arc<AtomicBool>,
}

impl Stream {
    /// Ends with its queue, or when it is aborted.
    async fn run(self, mut queue: mpsc::Receiver<Bytes>) {
        let (mut pause, mut told) = (FIRST_PAUSE, false);
        loop {
            let began = Instant::now();
            let why = match self.speak(&mut queue, &mut told).await {
                Ok(()) => return,
                Err(why) => why,
            };
            self.is_up.store(false, Ordering::Relaxed);
            let to = format!("{:x}", self.to);
            if why.downcast_ref::<Status>().is_some_and(wire::is_removed) {
                self.shared.door.tell(Event::Removed);
            }
            if told {
                debug!(to, "no stream: {why:#}");
            } else {
                warn!(to, "no stream to a member: {why:#}");
                told = true;
            }
            self.shared.door.tell(Event::Unreachable(self.to));
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // What has waited is old.
            while let Ok(message) = queue.try_recv() {
                self.waiting_bytes.fetch_sub(message.len(), Ordering::Relaxed);
            }
        }
    }

    /// `Ok`: there is nothing more to say.
    async fn speak(&self, queue: &mut mpsc::Receiver<Bytes>, told: &mut bool) -> anyhow::Result<()> {
        let channel = self.dialer.connect_any(&self.urls).await?;
        let (batches, stream) = mpsc::channel(BATCHES);
        let mut client = PeerClient::new(channel);
        let call = client.messages(self.shared.call(self.to).request(ReceiverStream::new(stream)));
        tokio::pin!(call);
        loop {
            let batch = tokio::select! {
                ended = &mut call => return Err(ended_early(ended)),
                batch = self.next_batch(queue) => batch,
            };
            let Some(batch) = batch else { return Ok(()) };
            tokio::select! {
                ended = &mut call => return Err(ended_early(ended)),
                sent = batches.send(batch) => sent.context("the stream has ended")?,
            }
            self.is_up.store(true, Ordering::Relaxed);
            if std::mem::take(told) {
                info!(to = format!("{:x}", self.to), "there is a stream to the member again");
            }
        }
    }

    /// All that waits, up to a size.
    async fn next_batch(&self, queue: &mut mpsc::Receiver<Bytes>) -> Option<Batch> {
        let mut messages = vec![queue.recv().await?];
        let mut bytes = messages[0].len();
        while bytes < BATCH_BYTES
            && let Ok(message) = queue.try_recv()
        {
            bytes += message.len();
            messages.push(message);
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(Batch { messages })
    }
}

fn ended_early<T>(ended: Result<T, Status>) -> anyhow::Error {
    match ended {
        Ok(_) => anyhow::anyhow!("the member has ended the stream"),
        Err(status) => status.into(),
    }
}

async fn send_snapshot(
    shared: &Shared,
    dialer: &Dialer,
    to: MemberId,
    urls: &[String],
    message: Bytes,
    file: File,
) -> anyhow::Result<u64> {
    let size = file.metadata()?.len();
    // A connection of its own: messages do not wait behind it.
    let mut client = PeerClient::new(dialer.connect_any(urls).await?);
    let (pieces, stream) = mpsc::channel(PIECES);
    let reading = async move {
        let head = piece::Piece::Head(Head { message, size });
        if pieces.send(Piece { piece: Some(head) }).await.is_err() {
            return Ok(());
        }
        let mut file = tokio::fs::File::from_std(file);
        loop {
            let mut data = BytesMut::with_capacity(PIECE_BYTES);
            if file.read_buf(&mut data).await? == 0 {
                return anyhow::Ok(());
            }
            let data = piece::Piece::Data(data.freeze());
            // Nobody takes it: the call says why.
            if pieces.send(Piece { piece: Some(data) }).await.is_err() {
                return Ok(());
            }
        }
    };
    let call = client.snapshot(shared.call(to).request(ReceiverStream::new(stream)));
    let (read, answered) = tokio::join!(reading, call);
    answered?;
    read?;
    Ok(size)
}
