//! What a person types, with the real etcdctl.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Server, have};

/// After this long without a line a test fails, and does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

struct Ctl {
    server: Server,
    _dir: tempfile::TempDir,
}

impl Ctl {
    /// `None` when there is no etcdctl.
    fn new() -> Option<Ctl> {
        if !have("etcdctl") {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        Some(Ctl { server: Server::start(&dir.path().join("data")), _dir: dir })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.server.endpoint()]);
        command.args(line.split_whitespace().map(|w| if w == "''" { "" } else { w }));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What it prints; it must succeed.
    fn run(&self, line: &str) -> String {
        self.run_with(line, "")
    }

    fn run_with(&self, line: &str, input: &str) -> String {
        let mut child = self.command(line).spawn().expect("etcdctl");
        child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("input");
        let output = child.wait_with_output().expect("output");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {line}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The last line of its complaint; it must fail.
    fn fails(&self, line: &str) -> String {
        let output = self.command(line).output().expect("etcdctl");
        assert!(!output.status.success(), "etcdctl {line} should fail");
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
    }

    /// Something that goes on until it is dropped.
    fn follow(&self, line: &str) -> Follow {
        let mut child = self.command(line).spawn().expect("etcdctl");
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Follow { child, lines }
    }
}

struct Follow {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follow {
    /// The next lines, joined by a space.
    fn next(&mut self, count: usize) -> String {
        let mut lines = Vec::new();
        for _ in 0..count {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(_) => panic!("nothing came after {lines:?}"),
            }
        }
        lines.join(" ")
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn puts_gets_and_deletes() {
    let Some(ctl) = Ctl::new() else { return };
    assert_eq!(ctl.run("put /registry/pods/default/a one"), "OK\n");
    assert_eq!(ctl.run("put /registry/pods/default/b two"), "OK\n");
    assert_eq!(ctl.run("put /other three"), "OK\n");
    assert_eq!(ctl.run("get /registry/pods/default/a"), "/registry/pods/default/a\none\n");
    assert_eq!(
        ctl.run("get --prefix --keys-only /registry"),
        "/registry/pods/default/a\n\n/registry/pods/default/b\n\n"
    );
    assert_eq!(ctl.run("get --prefix /registry --limit 1 --print-value-only"), "one\n");
    assert_eq!(
        ctl.run("get --prefix '' --order DESCEND --sort-by MODIFY --print-value-only"),
        "three\ntwo\none\n"
    );
    assert_eq!(ctl.run("get --from-key /registry/pods/default/b --print-value-only"), "two\n");
    assert_eq!(ctl.run("put /other four --prev-kv"), "OK\n/other\nthree\n");
    assert_eq!(ctl.run("get /other --rev 4 --print-value-only"), "three\n");
    assert_eq!(ctl.run("del --prefix /registry"), "2\n");
    assert_eq!(ctl.run("get --prefix /registry"), "");
    assert_eq!(ctl.run("get --prefix /registry --rev 4 --print-value-only"), "one\ntwo\n");
    assert_eq!(
        ctl.fails("get /other --rev 99"),
        "Error: etcdserver: mvcc: required revision is a future revision"
    );
}

#[test]
fn compares_and_swaps() {
    let Some(ctl) = Ctl::new() else { return };
    ctl.run("put a 1");
    let swap = "value(\"a\") = \"1\"\nmod(\"a\") = \"2\"\n\nput a 2\nget a\n\nget a\n\n";
    assert_eq!(ctl.run_with("txn", swap), "SUCCESS\n\nOK\n\na\n2\n");
    assert_eq!(ctl.run_with("txn", swap), "FAILURE\n\na\n2\n");
    let create = "version(\"b\") = \"0\"\n\nput b 1\n\ndel b\n\n";
    assert_eq!(ctl.run_with("txn", create), "SUCCESS\n\nOK\n");
    assert_eq!(ctl.run_with("txn", create), "FAILURE\n\n1\n");
}

#[test]
fn watches_the_present_and_the_past() {
    let Some(ctl) = Ctl::new() else { return };
    ctl.run("put a/1 old");
    let mut past = ctl.follow("watch --prefix a/ --rev 2 --prev-kv");
    assert_eq!(past.next(3), "PUT a/1 old");
    ctl.run("put a/1 new");
    assert_eq!(past.next(5), "PUT a/1 old a/1 new");
    ctl.run("put b/1 other");
    ctl.run("del a/1");
    assert_eq!(past.next(4), "DELETE a/1 new a/1");
    assert_eq!(past.next(1), "");
    ctl.run("compact 5");
    assert_eq!(ctl.fails("watch a --rev 2"), "Error: watch is canceled by the server");
    assert_eq!(ctl.fails("get a --rev 4"), "Error: etcdserver: mvcc: required revision has been compacted");
}

#[test]
fn leases_are_granted_kept_and_revoked() {
    let Some(ctl) = Ctl::new() else { return };
    let granted = ctl.run("lease grant 100");
    let id = granted.split(' ').nth(1).expect("a number").to_owned();
    assert_eq!(granted, format!("lease {id} granted with TTL(100s)\n"));
    ctl.run(&format!("put leased 1 --lease {id}"));
    let left = ctl.run(&format!("lease timetolive {id} --keys"));
    assert!(left.ends_with("attached keys([leased])\n"), "{left}");
    assert_eq!(ctl.run("lease list"), format!("found 1 leases\n{id}\n"));
    let kept = ctl.run(&format!("lease keep-alive {id} --once"));
    assert_eq!(kept, format!("lease {id} keepalived with TTL(100)\n"));
    assert_eq!(ctl.run(&format!("lease revoke {id}")), format!("lease {id} revoked\n"));
    assert_eq!(ctl.run("get leased"), "");
    assert_eq!(ctl.fails(&format!("put x 1 --lease {id}")), "Error: etcdserver: requested lease not found");
    assert_eq!(ctl.run(&format!("lease timetolive {id}")), format!("lease {id} already expired\n"));
}

#[test]
fn an_expired_lease_takes_its_keys_along() {
    let Some(ctl) = Ctl::new() else { return };
    let mut watch = ctl.follow("watch mortal --rev 1");
    let id = ctl.run("lease grant 2").split(' ').nth(1).expect("a number").to_owned();
    ctl.run(&format!("put mortal 1 --lease {id}"));
    assert_eq!(watch.next(3), "PUT mortal 1");
    assert_eq!(watch.next(2), "DELETE mortal", "within the lease's two seconds");
}

#[test]
fn locks_and_elections_work() {
    let Some(ctl) = Ctl::new() else { return };
    assert_eq!(ctl.run("lock mutex echo held"), "held\n");
    let mut holder = ctl.follow("lock mutex");
    assert!(holder.next(1).starts_with("mutex/"), "the first takes the lock");
    let mut waiter = ctl.follow("lock mutex");
    drop(holder);
    // Its lease of 60 s still holds the lock: revoke it, as etcdctl would have on Ctrl-C.
    for lease in ctl.run("lease list").lines().skip(1).take(1) {
        ctl.run(&format!("lease revoke {lease}"));
    }
    assert!(waiter.next(1).starts_with("mutex/"), "the next one follows");
    let mut leader = ctl.follow("elect vote me");
    assert!(leader.next(1).starts_with("vote/"));
    assert_eq!(leader.next(1), "me");
}

#[test]
fn the_member_tells_about_itself() {
    let Some(ctl) = Ctl::new() else { return };
    ctl.run("put a 1");
    let status = ctl.run("endpoint status -w fields");
    assert!(status.contains("\"Version\" : \"3."), "{status}");
    assert!(status.contains("\"Revision\" : 2"), "{status}");
    let output = ctl.command("endpoint health").output().expect("etcdctl");
    assert!(output.status.success());
    assert!(ctl.run("member list").contains(", started, default, "));
    assert_eq!(ctl.run("alarm list"), "");
    let one = ctl.run("endpoint hashkv -w fields");
    ctl.run("put b 1");
    assert_ne!(ctl.run("endpoint hashkv -w fields"), one);
    assert!(ctl.run("defrag").contains("Finished defragmenting"));
    let file = ctl.server.dir.join("../saved.db");
    ctl.run(&format!("snapshot save {}", file.display()));
    assert_eq!(std::fs::metadata(&file).expect("the snapshot").len() % 512, 32, "blocks and a SHA-256");
}
