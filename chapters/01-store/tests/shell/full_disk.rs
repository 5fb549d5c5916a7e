//! A disk that is full, in a mount namespace of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use store::etcd::kv_client::KvClient;
use store::etcd::{PutRequest, RangeRequest};

use crate::crash::{SERVER, keep_open};
use crate::support::{connect, runtime};

/// The store twice on one small file system: with too little space, and, when told so, with more.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=12m none "$DIR" || exit 77
"$EXE" --exact crash::the_server_process --nocapture
echo "ended"
read -r line
mount -o remount,size=200m "$DIR"
exec "$EXE" --exact crash::the_server_process --nocapture
"#;

#[test]
fn a_full_disk_ends_the_store_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let fd = listener.as_raw_fd();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT]);
    command.env("DIR", dir.path()).env("EXE", std::env::current_exe().expect("this program"));
    command.env(SERVER, format!("--data-dir {} --listen-fd {fd}", dir.path().join("data").display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: between fork and exec it only clears a flag of a descriptor that is open.
    unsafe { command.pre_exec(move || keep_open(fd)) };
    let Ok(mut child) = command.spawn() else { return skipped("there is no unshare here") };
    let mut said = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let complaints = BufReader::new(child.stderr.take().expect("stderr"));
    let complaints = std::thread::spawn(move || complaints.lines().map_while(Result::ok).collect::<Vec<_>>());

    let key = |n: u32| bytes::Bytes::from(format!("key-{n}"));
    let acked = runtime().block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL");
        // The port outlives the server: who comes after its end is not answered.
        let channel = channel.timeout(Duration::from_secs(20));
        let channel = tokio::time::timeout(Duration::from_secs(60), channel.connect()).await;
        let Ok(Ok(channel)) = channel else { return 0 };
        let mut kv = KvClient::new(channel);
        for n in 0.. {
            let put = PutRequest { key: key(n), value: vec![b'x'; 100_000].into(), ..Default::default() };
            if kv.put(put).await.is_err() {
                return n;
            }
        }
        unreachable!("the disk has an end")
    });
    let ended = said.by_ref().map_while(Result::ok).any(|line| line == "ended");
    if !ended {
        let _ = child.kill();
        let status = child.wait().expect("ended");
        assert_eq!(status.code(), Some(77), "{:?}", complaints.join());
        return skipped("file systems cannot be mounted here");
    }
    assert!(acked > 20, "{acked} writes fit");

    child.stdin.take().expect("stdin").write_all(b"more\n").expect("told");
    runtime().block_on(async {
        let mut kv = KvClient::new(connect(address).await);
        for n in 0..acked {
            let range = RangeRequest { key: key(n), count_only: true, ..Default::default() };
            let found = kv.range(range).await.expect("a read").into_inner();
            assert_eq!(found.count, 1, "key-{n} of {acked} was acknowledged");
        }
        let put = PutRequest { key: "more".into(), ..Default::default() };
        kv.put(put).await.expect("there is space again");
    });
    child.kill().expect("killed");
    child.wait().expect("ended");
    let complaints = complaints.join().expect("complaints").join("\n");
    assert!(complaints.contains("cannot write") && complaints.contains("No space left"), "{complaints}");
}

fn skipped(why: &str) {
    let notice = format!("SKIPPED the test of a full disk: {why}\n");
    let _ = std::io::stderr().lock().write_all(notice.as_bytes());
}
