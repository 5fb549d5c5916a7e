//! `kill -9` under load, again and again.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use store::etcd::kv_client::KvClient;
use store::etcd::{CompactionRequest, PutRequest, RangeRequest};
use tokio::sync::Notify;

use crate::support::{Random, args, connect, runtime};

pub const SERVER: &str = "STORE_TEST_SERVER";
const ROUNDS: u64 = 25;
const WRITERS: usize = 8;
/// Enough bytes in all for snapshots and new log files on the way.
const VALUE_BYTES: usize = 6000;
/// For one life of the server, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test of its own: with the variable set, this program is the server to be killed.
#[test]
fn the_server_process() {
    let Ok(words) = std::env::var(SERVER) else { return };
    let words: Vec<&str> = words.split(' ').collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.expect("a runtime").block_on(store::run(args(&words)));
    eprintln!("the server has ended: {result:?}");
    std::process::exit(1);
}

/// The descriptor outlives exec.
pub fn keep_open(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: the caller has it open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
    Ok(())
}

struct Process(Child);

impl Process {
    fn start(dir: &Path, listener: &TcpListener) -> Process {
        let fd = listener.as_raw_fd();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "crash::the_server_process", "--nocapture"]);
        command.env(SERVER, format!("--data-dir {} --listen-fd {fd}", dir.display()));
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        // SAFETY: between fork and exec it only clears a flag of a descriptor that is open.
        unsafe { command.pre_exec(move || keep_open(fd)) };
        Process(command.spawn().expect("a server"))
    }

    fn kill_9(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last number that a writer knows to be written, and at which revision.
#[derive(Clone, Copy, Default)]
struct Acked {
    number: u64,
    revision: i64,
}

fn value(number: u64) -> Vec<u8> {
    let mut value = format!("{number:020}").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

fn number(value: &[u8]) -> u64 {
    assert_eq!(value.len(), VALUE_BYTES, "a whole value");
    std::str::from_utf8(&value[..20]).expect("digits").parse().expect("a number")
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let seed =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut acked = [Acked::default(); WRITERS];
    let mut newest = 0;
    let started = Instant::now();
    for round in 0..ROUNDS {
        let mut server = Process::start(dir.path(), &listener);
        let life = async {
            // First: is everything there?
            let mut kv = KvClient::new(connect(address).await);
            for (writer, acked) in acked.iter_mut().enumerate() {
                let key = format!("writer-{writer}");
                let range = RangeRequest { key: key.clone().into(), ..Default::default() };
                let found = kv.range(range).await.expect("a read").into_inner();
                let revision = found.header.expect("a header").revision;
                assert!(revision >= newest, "round {round}: revision {revision} after {newest}");
                newest = revision;
                let Some(kv) = found.kvs.first() else {
                    assert_eq!(acked.number, 0, "round {round}: {key} is lost");
                    continue;
                };
                // What was under way when the server died may be there or not.
                let found = Acked { number: number(&kv.value), revision: kv.mod_revision };
                let lost = found.number < acked.number || found.revision < acked.revision;
                assert!(
                    !lost,
                    "round {round}: {key} is at {}, {} was acknowledged",
                    found.number, acked.number
                );
                assert!(
                    found.number <= acked.number + 1,
                    "round {round}: {key} was never asked to be so far"
                );
                assert_eq!(kv.version as u64, found.number, "each number was written once");
                *acked = found;
            }
            // Then write, until enough was acknowledged, and die in the middle of it.
            let enough = 20 + random.below(250);
            let count = Arc::new(AtomicU64::new(0));
            let done = Arc::new(Notify::new());
            // The port outlives the server: a write that begins after its end would wait for the next.
            let dead = Arc::new(AtomicBool::new(false));
            let mut writers = Vec::new();
            for (writer, mut last) in acked.iter().copied().enumerate() {
                let (mut kv, count) = (kv.clone(), count.clone());
                let (done, dead) = (done.clone(), dead.clone());
                writers.push(tokio::spawn(async move {
                    while !dead.load(Ordering::Relaxed) {
                        let key = format!("writer-{writer}").into();
                        let put =
                            PutRequest { key, value: value(last.number + 1).into(), ..Default::default() };
                        let Ok(answer) = kv.put(put).await else { return last };
                        let revision = answer.into_inner().header.expect("a header").revision;
                        assert!(revision > last.revision, "revisions rise");
                        last = Acked { number: last.number + 1, revision };
                        if count.fetch_add(1, Ordering::Relaxed) + 1 == enough {
                            done.notify_one();
                        }
                    }
                    last
                }));
            }
            if round % 3 == 1 {
                // Let old history go, so that snapshots stay small.
                let compacted = kv.compact(CompactionRequest { revision: newest, physical: false }).await;
                assert!(compacted.is_ok() || round == 0, "{compacted:?}");
            }
            done.notified().await;
            server.kill_9();
            dead.store(true, Ordering::Relaxed);
            for (writer, handle) in writers.into_iter().enumerate() {
                acked[writer] = handle.await.expect("no panic");
                newest = newest.max(acked[writer].revision);
            }
        };
        runtime().block_on(async { tokio::time::timeout(PATIENCE, life).await }).expect("a life in time");
    }
    let total: u64 = acked.iter().map(|a| a.number).sum();
    println!("{total} writes acknowledged over {ROUNDS} kills in {:?}", started.elapsed());
}
