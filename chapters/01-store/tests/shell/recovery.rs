//! Stopping, starting, and what is found on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use store::etcd::kv_client::KvClient;
use store::etcd::lease_client::LeaseClient;
use store::etcd::maintenance_client::MaintenanceClient;
use store::etcd::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest,
};

use crate::support::{Server, connect, runtime};

async fn fill(server: &Server, from: usize, to: usize) {
    let mut kv = KvClient::new(connect(server.address).await);
    for n in from..to {
        let (key, value) = (format!("key-{}", n % 50).into(), vec![n as u8; 1000].into());
        kv.put(PutRequest { key, value, ..Default::default() }).await.expect("a put");
    }
}

async fn state(server: &Server) -> (i64, u32, i64) {
    let mut maintenance = MaintenanceClient::new(connect(server.address).await);
    let hash = maintenance.hash_kv(HashKvRequest { revision: 0 }).await.expect("a hash").into_inner();
    (hash.header.expect("a header").revision, hash.hash, hash.compact_revision)
}

fn files(dir: &Path, sub: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join(sub)).expect("a directory").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let server = Server::start(dir.path());
    let before = runtime.block_on(async {
        fill(&server, 0, 200).await;
        let channel = connect(server.address).await;
        let mut leases = LeaseClient::new(channel.clone());
        leases.lease_grant(LeaseGrantRequest { id: 7, ttl: 500 }).await.expect("a lease");
        let mut kv = KvClient::new(channel);
        kv.put(PutRequest { key: "leased".into(), lease: 7, ..Default::default() }).await.expect("a put");
        kv.delete_range(DeleteRangeRequest { key: "key-3".into(), ..Default::default() })
            .await
            .expect("a delete");
        kv.compact(CompactionRequest { revision: 150, physical: true }).await.expect("compaction");
        state(&server).await
    });
    server.stop().expect("a clean end");
    let server = Server::start(dir.path());
    runtime.block_on(async {
        assert_eq!(state(&server).await, before);
        let mut leases = LeaseClient::new(connect(server.address).await);
        let lease = LeaseTimeToLiveRequest { id: 7, keys: true };
        let lease = leases.lease_time_to_live(lease).await.expect("a lease").into_inner();
        assert_eq!((lease.granted_ttl, lease.keys), (500, vec!["leased".into()]));
    });
}

#[test]
fn a_snapshot_replaces_the_log_and_holds_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let server = Server::start(dir.path());
    let before = runtime.block_on(async {
        fill(&server, 0, 200).await;
        let mut kv = KvClient::new(connect(server.address).await);
        kv.compact(CompactionRequest { revision: 190, physical: true }).await.expect("compaction");
        let size =
            |dir| files(dir, "wal").iter().map(|f| fs::metadata(f).expect("a file").len()).sum::<u64>();
        assert!(size(dir.path()) > 200_000);
        let mut maintenance = MaintenanceClient::new(connect(server.address).await);
        maintenance.defragment(DefragmentRequest {}).await.expect("a snapshot");
        assert!(size(dir.path()) < 1000, "the log is cut");
        let snapshot = fs::metadata(&files(dir.path(), "snap")[0]).expect("a file").len();
        assert!(snapshot < 80_000, "and history that was compacted is gone: {snapshot}");
        fill(&server, 200, 210).await;
        state(&server).await
    });
    server.stop().expect("a clean end");
    let server = Server::start(dir.path());
    runtime.block_on(async { assert_eq!(state(&server).await, before) });
}

#[test]
fn the_log_is_bounded_however_much_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let mut kv = KvClient::new(connect(server.address).await);
        for n in 0..40 {
            let value = vec![n; 1_000_000].into();
            let put = kv.put(PutRequest { key: "big".into(), value, ..Default::default() }).await;
            let revision = put.expect("a put").into_inner().header.expect("a header").revision;
            kv.compact(CompactionRequest { revision, physical: true }).await.expect("compaction");
        }
    });
    server.stop().expect("a clean end");
    let size: u64 = ["wal", "snap"]
        .iter()
        .flat_map(|sub| files(dir.path(), sub))
        .map(|f| fs::metadata(f).expect("a file").len())
        .sum();
    assert!(size < 20_000_000, "40 MB were written, 1 MB is left, {size} bytes are on disk");
}

/// Starts on a directory that is not right; what the store says. Nothing may have been changed.
fn refused(dir: &Path) -> String {
    let before: Vec<_> = files(dir, "wal").into_iter().map(|f| fs::read(f).expect("a file")).collect();
    let error = Server::start(dir).stop().expect_err("the store must not start");
    let after: Vec<_> = files(dir, "wal").into_iter().map(|f| fs::read(f).expect("a file")).collect();
    assert!(before == after, "the log was changed");
    format!("{error:#}")
}

#[test]
fn a_torn_tail_is_cut_and_damage_is_refused_with_file_and_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = runtime();
    let server = Server::start(dir.path());
    let before = runtime.block_on(async {
        fill(&server, 0, 20).await;
        state(&server).await
    });
    server.stop().expect("a clean end");
    let file = files(dir.path(), "wal")[0].clone();
    let whole = fs::read(&file).expect("the log");

    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[whole.len() - 1100..whole.len() - 100]);
    let mut half = whole.clone();
    half.truncate(whole.len() - 100);
    fs::write(&file, &half).expect("written");
    let server = Server::start(dir.path());
    let after = runtime.block_on(state(&server));
    assert_eq!(after.0, before.0 - 1, "the last put is not whole");
    server.stop().expect("a clean end");

    fs::write(&file, &torn).expect("written");
    let why = refused(dir.path());
    assert!(why.contains(&format!("damaged at byte {}", whole.len())), "{why}");
    assert!(why.contains("0000000000000001.wal") && why.contains("put back the file from a copy"), "{why}");

    let mut flipped = whole.clone();
    flipped[2000] ^= 1;
    fs::write(&file, &flipped).expect("written");
    assert!(refused(dir.path()).contains("damaged at byte"));

    fs::write(&file, &whole).expect("written");
    let server = Server::start(dir.path());
    assert_eq!(runtime.block_on(state(&server)), before);
}

#[test]
fn a_damaged_snapshot_or_a_missing_log_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        fill(&server, 0, 20).await;
        let mut maintenance = MaintenanceClient::new(connect(server.address).await);
        maintenance.defragment(DefragmentRequest {}).await.expect("a snapshot");
    });
    server.stop().expect("a clean end");
    let snapshot = files(dir.path(), "snap")[0].clone();
    let whole = fs::read(&snapshot).expect("the snapshot");
    let mut flipped = whole.clone();
    flipped[1000] ^= 1;
    fs::write(&snapshot, &flipped).expect("written");
    assert!(refused(dir.path()).contains(".snap"));
    fs::write(&snapshot, &whole[..whole.len() - 5]).expect("written");
    assert!(refused(dir.path()).contains("the frame is not all there"));
    fs::write(&snapshot, &whole).expect("written");
    let log = files(dir.path(), "wal")[0].clone();
    fs::remove_file(&log).expect("removed");
    assert!(refused(dir.path()).contains("there is a snapshot but no log"));
}

#[test]
fn two_stores_do_not_share_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let mut kv = KvClient::new(connect(server.address).await);
        kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.expect("it serves");
    });
    let error = Server::start(dir.path()).stop().expect_err("the second must not start");
    assert!(format!("{error:#}").contains("another store is using it"), "{error:#}");
}
