//! What every request shares.

use crate::admission::{Hooks, Plugin};
use crate::aggregation::Front;
use crate::caches::Caches;
use crate::etcd::{Store, StoreError};
use crate::heart::aggregation::Aggregated;
use crate::heart::alloc::ServiceNet;
use crate::heart::catalog::Catalog;
use crate::heart::documents::Documents;
use crate::heart::kind::Kind;
use crate::identity::Tokens;
use crate::proxy::Kubelets;
use crate::webhooks::Webhooks;
use jiff::Timestamp;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::{Semaphore, watch};

/// How long an event is kept.
const EVENT_TTL_SECONDS: i64 = 3600;
/// Events of one minute share a lease.
const LEASE_SHARED_SECONDS: i64 = 60;

/// Requests under way at once; the next one gets 429 (upstream: `--max-requests-inflight`,
/// `--max-mutating-requests-inflight`).
const MAX_READS: usize = 400;
const MAX_WRITES: usize = 200;
/// Watches, logs, execs.
const MAX_LONG_RUNNING: usize = 10_000;

pub struct App {
    pub store: Store,
    /// What is served at the moment.
    catalog: RwLock<Arc<Catalog>>,
    /// What was last said of a catalog.
    documents: Mutex<Option<Arc<Documents>>>,
    pub caches: Caches,
    pub net: ServiceNet,
    /// Only one write at a time may hand out addresses and ports.
    pub services: tokio::sync::Mutex<()>,
    /// Who takes something off a quota takes it alone: they would only be in each other's way.
    pub quotas: tokio::sync::Mutex<()>,
    pub kubelets: Kubelets,
    pub webhooks: Webhooks,
    /// Webhooks and policies that writes are shown to.
    pub hooks: Hooks,
    /// What this server does not do to new objects by itself.
    pub disabled_plugins: Vec<Plugin>,
    pub front: Front,
    pub tokens: Tokens,
    pub ready: AtomicBool,
    /// Becomes true once: open streams then end.
    pub stopping: watch::Sender<bool>,
    pub reads: Arc<Semaphore>,
    pub writes: Arc<Semaphore>,
    pub long_running: Arc<Semaphore>,
    /// What clients are told of this server's own address.
    pub address: String,
    /// Whether a client certificate can make a difference here.
    knows_clients: bool,
    event_lease: Mutex<Option<(i64, Timestamp)>>,
}

impl App {
    pub fn new(
        store: Store,
        net: ServiceNet,
        kubelets: Kubelets,
        tokens: Tokens,
        address: String,
        knows_clients: bool,
        front: Front,
    ) -> App {
        App {
            store,
            catalog: RwLock::default(),
            documents: Mutex::default(),
            caches: Caches::default(),
            net,
            services: tokio::sync::Mutex::new(()),
            quotas: tokio::sync::Mutex::new(()),
            kubelets,
            webhooks: Webhooks::default(),
            hooks: Hooks::default(),
            disabled_plugins: Vec::new(),
            front,
            tokens,
            ready: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            writes: Arc::new(Semaphore::new(MAX_WRITES)),
            long_running: Arc::new(Semaphore::new(MAX_LONG_RUNNING)),
            address,
            knows_clients,
            event_lease: Mutex::new(None),
        }
    }

    /// What is served at the moment. A request keeps the one it began with.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(|p| p.into_inner()).clone()
    }

    /// Serve these custom kinds from now on.
    pub fn serve_custom(&self, mut kinds: Vec<Kind>) {
        // The versions of a group stay in the order of their priority.
        kinds.sort_by_key(|kind| kind.resource.group);
        let mut catalog = self.catalog.write().unwrap_or_else(|p| p.into_inner());
        *catalog = Arc::new(Catalog { custom: kinds, ..Catalog::clone(&catalog) });
    }

    /// The documents about what is served at the moment.
    pub fn documents(&self) -> Arc<Documents> {
        let catalog = self.catalog();
        let mut kept = self.documents.lock().unwrap_or_else(|p| p.into_inner());
        match &*kept {
            Some(documents) if documents.describe(&catalog) => documents.clone(),
            _ => kept.insert(Arc::new(Documents::new(catalog))).clone(),
        }
    }

    /// Tell clients of these versions, which other servers answer.
    pub fn serve_aggregated(&self, aggregated: Vec<Aggregated>) {
        let mut catalog = self.catalog.write().unwrap_or_else(|p| p.into_inner());
        if catalog.aggregated != aggregated {
            *catalog = Arc::new(Catalog { aggregated, ..Catalog::clone(&catalog) });
        }
    }

    pub fn knows_clients(&self) -> bool {
        self.knows_clients
    }

    /// The lease on which an event written now ends by itself.
    pub async fn event_lease(&self) -> Result<i64, StoreError> {
        let now = Timestamp::now();
        let shared = *self.event_lease.lock().unwrap_or_else(|p| p.into_inner());
        if let Some((lease, granted)) = shared
            && now.as_second() - granted.as_second() < LEASE_SHARED_SECONDS
        {
            return Ok(lease);
        }
        let lease = self.store.grant(EVENT_TTL_SECONDS + LEASE_SHARED_SECONDS).await?;
        *self.event_lease.lock().unwrap_or_else(|p| p.into_inner()) = Some((lease, now));
        Ok(lease)
    }

    /// The lease was lost (the store was emptied, say): take a new one next time.
    pub fn forget_event_lease(&self) {
        *self.event_lease.lock().unwrap_or_else(|p| p.into_inner()) = None;
    }
}

/// Random bytes from the TLS library's generator.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let random = rustls::crypto::ring::default_provider().secure_random;
    // It fails only where the operating system has no randomness at all, and then TLS is off too.
    if random.fill(&mut bytes).is_err() {
        tracing::error!("no randomness");
    }
    bytes
}

pub fn random_u64() -> u64 {
    u64::from_le_bytes(random())
}

/// A uid: a random (version 4) UUID.
pub fn new_uid() -> String {
    let mut b: [u8; 16] = random();
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Five letters that spell no words: no vowels, nothing that looks like something else.
pub fn name_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    random::<5>().iter().map(|b| LETTERS[*b as usize % LETTERS.len()] as char).collect()
}
