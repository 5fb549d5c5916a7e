//! `snapshot save` and `status`, ours and etcdctl's.

use std::fs;
use std::process::Command;

use clap::Parser;
use store::cli::{StoreCommand, run_verb};
use store::etcd::PutRequest;
use store::etcd::kv_client::KvClient;
use store::saved;

use crate::support::{Server, connect, have, runtime};

/// For restoring: chapter 02 has more.
#[derive(clap::Args, Debug)]
struct Into {
    #[arg(long)]
    data_dir: Option<String>,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    command: StoreCommand<store::Args, Into>,
}

/// What was handed to restore: the revision, the index, and the flag.
fn run(words: &[&str]) -> anyhow::Result<Option<(i64, u64, Option<String>)>> {
    let cli = Cli::try_parse_from([&["store"], words].concat())?;
    let mut restored = None;
    let verb = cli.command.verb.expect("a verb");
    runtime().block_on(run_verb(verb, |into, store, applied| {
        restored = Some((store.revision(), applied, into.data_dir.clone()));
        Ok(())
    }))?;
    Ok(restored)
}

#[test]
fn a_saved_store_is_whole_or_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    runtime().block_on(async {
        let mut kv = KvClient::new(connect(server.address).await);
        for n in 0..5u8 {
            let put = PutRequest { key: vec![b'a' + n % 2].into(), ..Default::default() };
            kv.put(put).await.expect("a put");
        }
    });
    let path = dir.path().join("saved.db");
    let file = path.to_str().expect("a path");
    run(&["snapshot", "save", file, "--endpoints", &server.endpoint()]).expect("saved");
    let saved = saved::read(&path, false).expect("it is whole");
    assert_eq!((saved.file.store.revision(), saved.file.applied), (6, 5));
    let restored = run(&["snapshot", "restore", file, "--data-dir", "x"]).expect("restored");
    assert_eq!(restored, Some((6, 5, Some("x".into()))));

    if have("etcdctl") {
        let theirs = dir.path().join("theirs.db");
        let status = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &server.endpoint(), "snapshot", "save"])
            .arg(&theirs)
            .output()
            .expect("etcdctl");
        assert!(status.status.success(), "{status:?}");
        let theirs = saved::read(&theirs, false).expect("it is whole");
        assert_eq!(theirs.hash, saved.hash);
    }

    let whole = fs::read(&path).expect("the file");
    let mut flipped = whole.clone();
    flipped[whole.len() - 10] ^= 1;
    fs::write(&path, &flipped).expect("written");
    let error = run(&["snapshot", "restore", file]).expect_err("the hash is wrong");
    assert!(format!("{error:#}").contains("SHA-256"), "{error:#}");
    fs::write(&path, &whole[..whole.len() - 32]).expect("written");
    let error = run(&["snapshot", "restore", file]).expect_err("there is no hash");
    assert!(format!("{error:#}").contains("--skip-hash-check"), "{error:#}");
    let restored = run(&["snapshot", "restore", "--skip-hash-check", file]).expect("restored");
    assert_eq!(restored, Some((6, 5, None)));
    flipped[100] ^= 1;
    fs::write(&path, &flipped).expect("written");
    let error = run(&["snapshot", "status", file]).expect_err("a frame is damaged");
    assert!(format!("{error:#}").contains("damaged at byte"), "{error:#}");
}
