//! How a member comes to life.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use store::Parts;
use store::disk::Dir;
use store::journal::{Ask, Journal, Opened, Standing};
use store::listen::{self, TlsFiles};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::info;

use crate::Args;
use crate::args::{DEFAULT_PEER_URL, Setup, Start};
use crate::dial::Dialer;
use crate::heart::types::Peer;
use crate::heart::{Config, Member, Persisted};
use crate::identity::{self, Identity};
use crate::incoming::Incoming;
use crate::members::{Leading, Members};
use crate::outgoing::Outgoing;
use crate::raft_loop::{Event, RaftLoop, State};
use crate::storage::{Found, Storage};
use crate::view::{Door, Shared, View};
use crate::wire::proto::Nothing;
use crate::wire::proto::peer_client::PeerClient;
use crate::wire::proto::peer_server::PeerServer;
use crate::wire::{BATCH_BYTES, MAX_MESSAGE_BYTES};

/// Events that the store's loop has not taken yet. When it is full the raft thread waits.
const EVENTS: usize = 64;
/// Bytes of entries in one message, if one alone is not larger.
const MESSAGE_BYTES: u64 = 512 << 10;
/// Messages with entries on their way to one member.
const INFLIGHT: usize = 64;
/// Bytes of proposals that are not committed; more are refused.
const UNCOMMITTED_BYTES: u64 = 64 << 20;
/// Entries kept in memory behind a snapshot, for members who are a little behind.
const KEEP_ENTRIES: u64 = 1000;
/// How often a member that joins asks around.
const JOIN_ATTEMPTS: usize = 10;
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> anyhow::Result<()> {
    serve(args, store::listen::told_to_stop()?).await
}

/// Serves until `stop` is ready. An error means that the member could not start, that its disk failed,
/// or that it was removed; what was answered is safe in any case.
pub async fn serve(args: Args, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let (setup, settings) = (args.setup()?, args.store.settings()?);
    let dialer = Dialer::new(&args)?;
    // Clients may connect at once, and wait while the data is read.
    let doors = args.store.listen().await?;
    let path = setup.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let dir = Dir::open(&path)?;
        let known = identity::read(&path)?;
        anyhow::Ok((known, Storage::open(dir)?))
    });
    let (known, (storage, found)) = opened.await??;
    let (mut identity, address_book) = identify(&setup, known, &found, &dialer).await?;
    let listen = listen_urls(&setup, &identity);
    let peer_doors = listen_for_peers(&args, &listen).await?;
    identity.life += 1;
    identity::write(&setup.data_dir, &identity)?;
    info!(
        member = format!("{:x}", identity.id),
        cluster = format!("{:x}", identity.cluster),
        life = identity.life,
        "this member"
    );

    let (local, queue) = store::local();
    let (cluster_id, member_id) = (identity.cluster, identity.id);
    let (opened, shared) = start_raft(&setup, identity, storage, found, address_book, dialer.clone())?;
    let election = setup.tick * 2 * setup.election_ticks as u32;
    let leading = Leading { shared: shared.clone(), local: local.clone(), election };
    let listens = !listen.is_empty();
    let stopping = leading.clone();
    let stop = async move {
        stop.await;
        stopping.hand_over().await;
    };
    let members = Members::new(leading.clone(), dialer, args.initial_cluster_token.clone(), listens);
    let publishing = tokio::spawn(members.clone().publish(setup.name.clone(), args.store.advertised()));

    let (stop_peers, stopped) = oneshot::channel::<()>();
    let incoming = Incoming::new(shared, leading, &setup.data_dir);
    let serving_peers = tokio::spawn(serve_peers(peer_doors, incoming, stopped));
    let parts = Parts { settings, doors, opened, local, queue, peers: members, cluster_id, member_id };
    let served = store::serve_with(parts, stop).await;
    drop(stop_peers);
    publishing.abort();
    serving_peers.abort();
    served
}

/// Where to listen for other members: where the flags say, or where etcd does if there are any.
fn listen_urls(setup: &Setup, identity: &Identity) -> Vec<String> {
    let is_alone = identity.first_members.len() == 1;
    if setup.listen.is_empty() && !is_alone {
        return vec![DEFAULT_PEER_URL.into()];
    }
    setup.listen.clone()
}

async fn listen_for_peers(args: &Args, urls: &[String]) -> anyhow::Result<Vec<listen::Door>> {
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    let files = TlsFiles {
        cert: args.peer_cert_file.clone(),
        key: args.peer_key_file.clone(),
        trusted_ca: args.peer_trusted_ca_file.clone(),
        client_cert_auth: args.peer_client_cert_auth,
    };
    let tls = listen::tls(&files, &[b"h2"])
        .context("--peer-cert-file, --peer-key-file, --peer-client-cert-auth and --peer-trusted-ca-file")?;
    listen::open(urls, &[], tls).await.context("--listen-peer-urls")
}

async fn serve_peers(
    doors: Vec<listen::Door>,
    incoming: Incoming,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    if doors.is_empty() {
        return Ok(());
    }
    let service = PeerServer::new(incoming).max_decoding_message_size(BATCH_BYTES + MAX_MESSAGE_BYTES);
    let connections = ReceiverStream::new(listen::accept(doors));
    let router = tonic::transport::Server::builder().add_service(service);
    let stopped = async { drop(stopped.await) };
    Ok(router.serve_with_incoming_shutdown(connections, stopped).await?)
}

/// Who this member is: as the data directory says, or else as the flags do. Also the members that it
/// should know of before the log tells.
async fn identify(
    setup: &Setup,
    known: Option<Identity>,
    found: &Found,
    dialer: &Dialer,
) -> anyhow::Result<(Identity, Vec<Peer>)> {
    if let Some(identity) = known {
        if let Some(named) = setup.named.filter(|named| *named != identity.cluster) {
            bail!(
                "{}: the data is of cluster {:x}, --initial-cluster and --initial-cluster-token are of cluster \
                 {named:x}: leave them out to go on with the data, or move the directory away to start anew",
                setup.data_dir.display(),
                identity.cluster
            );
        }
        // The cluster may have changed since this member was started last: ask, if the flags say whom.
        let book = match &setup.start {
            Start::Join { other_urls, .. } => clusters(dialer, other_urls).await,
            Start::New { .. } => Vec::new(),
        };
        let same = book.into_iter().filter(|described| described.cluster == identity.cluster);
        let members = same.flat_map(|described| described.members).collect();
        return Ok((identity, members));
    }
    let has_data = found.snapshot.index > 0 || !found.entries.is_empty();
    match &setup.start {
        Start::New { id, cluster, peers } => {
            if has_data && peers.len() > 1 {
                bail!(
                    "{}: there is a store that ran alone: start it alone and add members one by one, or \
                     restore a snapshot of it for each member",
                    setup.data_dir.display()
                );
            }
            let identity = Identity { cluster: *cluster, id: *id, life: 0, first_members: peers.clone() };
            Ok((identity, Vec::new()))
        }
        Start::Join { .. } if has_data => bail!(
            "{}: there is a store that ran alone: a member that joins begins with an empty directory",
            setup.data_dir.display()
        ),
        Start::Join { own_urls, other_urls } => join(dialer, own_urls, other_urls).await,
    }
}

/// A cluster as one of its members describes it.
struct Described {
    cluster: u64,
    members: Vec<Peer>,
}

async fn join(
    dialer: &Dialer,
    own_urls: &[String],
    other_urls: &[String],
) -> anyhow::Result<(Identity, Vec<Peer>)> {
    let mut own = own_urls.to_vec();
    own.sort();
    let mut answered = false;
    for _ in 0..JOIN_ATTEMPTS {
        for Described { cluster, members } in clusters(dialer, other_urls).await {
            answered = true;
            if let Some(myself) = members.iter().find(|peer| peer.peer_urls == own) {
                let identity = Identity { cluster, id: myself.id, life: 0, first_members: Vec::new() };
                return Ok((identity, members));
            }
        }
        tokio::time::sleep(JOIN_PAUSE).await;
    }
    if answered {
        bail!("the cluster knows of no member at {}: `member add` comes first", own.join(","));
    }
    bail!("no member of the cluster answers at {}", other_urls.join(","));
}

async fn clusters(dialer: &Dialer, urls: &[String]) -> Vec<Described> {
    let mut found = Vec::new();
    for url in urls {
        let Ok(channel) = dialer.connect(url).await else { continue };
        let Ok(info) = PeerClient::new(channel).cluster(Nothing {}).await else { continue };
        let info = info.into_inner();
        let members = info.members.into_iter().map(Peer::from).collect();
        found.push(Described { cluster: info.cluster, members });
    }
    found
}

/// Sends the last word when the store's loop goes, however it goes.
struct LoopEnd(std::sync::mpsc::Sender<Event>);

impl LoopEnd {
    fn ask(&self, ask: Ask) {
        // A thread that has ended has said why.
        let _ = self.0.send(Event::Asked(ask));
    }
}

impl Drop for LoopEnd {
    fn drop(&mut self) {
        self.ask(Ask::Stop);
    }
}

fn start_raft(
    setup: &Setup,
    identity: Identity,
    storage: Storage,
    found: Found,
    address_book: Vec<Peer>,
    dialer: Dialer,
) -> anyhow::Result<(Opened, Shared)> {
    let Found { store, vote, snapshot, is_bare, entries } = found;
    let applied = snapshot.index;
    let end_at_start = entries.last().map_or(applied, |entry| entry.index);
    let config = Config {
        id: identity.id,
        election_ticks: setup.election_ticks,
        heartbeat_ticks: 1,
        seed: identity.id ^ identity.life.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        life: identity.life,
        max_message_bytes: MESSAGE_BYTES,
        max_inflight: INFLIGHT,
        max_uncommitted_bytes: UNCOMMITTED_BYTES,
        keep_entries: KEEP_ENTRIES,
    };
    let bootstrap = identity.first_members.clone();
    let member = Member::new(config, Persisted { vote, snapshot, entries, bootstrap })?;

    let (events, received) = std::sync::mpsc::channel();
    let (to_store, from_raft) = mpsc::channel(EVENTS);
    let (view, viewed) = watch::channel(View::default());
    let door = Door::new(events.clone());
    let id = identity.id;
    let shared = Shared { identity: Arc::new(identity), view: viewed, door: door.clone() };
    let standing = Arc::new(Standing::default());
    let (log_bytes, snapshot_bytes) = (storage.log_bytes(), storage.snapshot_bytes());
    if is_bare {
        // Other members could not go on from what has nothing of consensus in it.
        to_store.try_send(store::journal::JournalEvent::SnapshotWanted)?;
    }
    let raft = RaftLoop {
        id,
        member,
        storage,
        outgoing: Outgoing::new(Handle::current(), shared.clone(), dialer),
        events: received,
        myself: events.clone(),
        door,
        to_store,
        standing: standing.clone(),
        view,
        address_book,
        tick: setup.tick,
        snapshot_count: setup.snapshot_count,
        end_at_start,
        state: State::new(applied),
    };
    std::thread::Builder::new().name("raft".into()).spawn(move || raft.run())?;
    let loop_end = LoopEnd(events);
    let journal = Journal { asks: Box::new(move |ask| loop_end.ask(ask)), events: from_raft, standing };
    Ok((Opened { store, applied, log_bytes, snapshot_bytes, journal }, shared))
}
