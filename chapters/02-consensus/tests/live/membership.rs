//! A cluster that grows and shrinks, driven by real etcdctl.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use store::etcd::PutRequest;
use store::etcd::kv_client::KvClient;

use crate::clients::channel;
use crate::machines::{Machines, endpoint, inside, peer_url, skipped};

const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster {
    machines: Machines,
}

impl Cluster {
    /// Machines, and a cluster of one on the first of them.
    fn of_one(machines: usize) -> Cluster {
        let mut machines = Machines::new(machines);
        let first = machines.initial_cluster(&[1]);
        machines.get(1).start(&format!("--initial-cluster {first} --snapshot-count 500"));
        let mut cluster = Cluster { machines };
        cluster.eventually("the first member", |c| c.try_ctl(1, &["put", "a", "1"]).is_ok());
        cluster
    }

    fn try_ctl(&self, machine: usize, words: &[&str]) -> Result<String, String> {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint(machine)]).args(words);
        let Output { status, stdout, stderr } = etcdctl.output().expect("etcdctl");
        let said = String::from_utf8_lossy(&stdout).into_owned();
        if status.success() { Ok(said) } else { Err(said + &String::from_utf8_lossy(&stderr)) }
    }

    #[track_caller]
    fn ctl(&self, machine: usize, words: &[&str]) -> String {
        self.try_ctl(machine, words).unwrap_or_else(|why| panic!("{words:?}: {why}"))
    }

    #[track_caller]
    fn refused(&self, machine: usize, words: &[&str], why: &str) {
        match self.try_ctl(machine, words) {
            Ok(said) => panic!("{words:?} was done: {said}"),
            Err(said) => assert!(said.contains(why), "{words:?}: {said}"),
        }
    }

    #[track_caller]
    fn eventually(&mut self, what: &str, mut is_so: impl FnMut(&mut Cluster) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what} did not come about");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Adds a member, starts it on its machine and waits until it has published its name. Its id.
    fn grow(&mut self, number: usize, learner: bool) -> String {
        let (name, urls) = (format!("m{number}"), format!("--peer-urls={}", peer_url(number)));
        let mut words = vec!["member", "add", &name, &urls];
        if learner {
            words.push("--learner");
        }
        // As in etcd, not before every other member is heard of. Any member can be asked.
        let (mut said, asked) = (String::new(), number - 1);
        self.eventually("member add", |c| c.try_ctl(asked, &words).map(|answer| said = answer).is_ok());
        let id = said.split_whitespace().nth(1).expect("an id").to_owned();
        assert!(said.contains(&format!("m{number}={}", peer_url(number))), "all members are told: {said}");
        let all: Vec<usize> = (1..=number).collect();
        let known = self.machines.initial_cluster(&all);
        let start =
            format!("--initial-cluster {known} --initial-cluster-state existing --snapshot-count 500");
        self.machines.get(number).start(&start);
        self.eventually("the new member's name", |c| {
            let members = c.ctl(1, &["member", "list"]);
            members.lines().any(|line| line.contains("started") && line.contains(&format!(" {name},")))
        });
        id
    }

    /// Writes so many keys of a kilobyte.
    fn fill(&self, machine: usize, keys: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut kv = KvClient::new(channel(machine));
            for key in 0..keys {
                let (key, value) = (format!("filler-{key}").into(), vec![b'x'; 1000].into());
                kv.put(PutRequest { key, value, ..Default::default() }).await.expect("written");
            }
        });
    }
}

fn have_etcdctl() -> bool {
    let found = Command::new("etcdctl").arg("--help").output().is_ok();
    if !found {
        skipped("there is no etcdctl here (Debian: apt-get install etcd-client)");
    }
    found
}

#[test]
fn a_cluster_of_one_grows_to_three_and_shrinks_again() {
    if !have_etcdctl() || !inside("membership::a_cluster_of_one_grows_to_three_and_shrinks_again") {
        return;
    }
    let mut cluster = Cluster::of_one(4);
    let second = cluster.grow(2, false);
    // The same and another, for the same alone is another's number too within a second, as in etcd.
    let urls = format!("--peer-urls={},{}", peer_url(2), peer_url(9));
    cluster.refused(1, &["member", "add", "m9", &urls], "Peer URLs already exists");
    cluster.refused(1, &["member", "remove", "1234"], "member not found");

    // A learner gets everything and may say nothing, until it is a member like the others.
    let third = cluster.grow(3, true);
    cluster.refused(3, &["put", "a", "2"], "rpc not supported for learner");
    cluster.refused(3, &["get", "a"], "rpc not supported for learner");
    assert_eq!(cluster.ctl(3, &["get", "--consistency=s", "a"]), "a\n1\n");
    cluster.refused(1, &["member", "promote", &second], "can only promote a learner member");
    cluster.eventually("the promotion", |c| c.try_ctl(1, &["member", "promote", &third]).is_ok());
    cluster.eventually("the promoted member's service", |c| c.try_ctl(3, &["put", "a", "3"]).is_ok());
    assert_eq!(cluster.ctl(2, &["get", "a"]), "a\n3\n");
    cluster.ctl(2, &["member", "update", &second, &format!("--peer-urls={}", peer_url(2))]);

    // Leases are the leader's to keep, whichever member is asked.
    let granted = cluster.ctl(2, &["lease", "grant", "600"]);
    let lease = granted.split_whitespace().nth(1).expect("an id").to_owned();
    for machine in 1..=3 {
        assert!(
            cluster
                .ctl(machine, &["lease", "keep-alive", "--once", &lease])
                .contains("keepalived with TTL(600)")
        );
        assert!(cluster.ctl(machine, &["lease", "timetolive", &lease]).contains("granted with TTL(600s)"));
    }

    let all = [endpoint(1), endpoint(2), endpoint(3)].join(",");
    let status = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &all, "endpoint", "status", "-w", "table"])
        .output()
        .expect("etcdctl");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert_eq!(status.matches(" 3.5.").count(), 3, "{status}");
    assert_eq!(status.matches("|      true |").count(), 1, "one leads: {status}");

    // Whoever is not the leader cannot give the lead away; the leader can.
    let leader = (1..=3).find(|n| cluster.try_ctl(*n, &["move-leader", &second]).is_ok());
    assert!(leader.is_some(), "some member leads");
    cluster.eventually("another leader", |c| c.ctl(2, &["endpoint", "status"]).contains("true"));

    // A lease ends though another keeps its time now.
    let granted = cluster.ctl(1, &["lease", "grant", "2"]);
    let lease = granted.split_whitespace().nth(1).expect("an id").to_owned();
    cluster.ctl(3, &["put", "--lease", &lease, "short", "lived"]);
    let third_leads = (1..=3).any(|n| cluster.try_ctl(n, &["move-leader", &third]).is_ok());
    assert!(third_leads, "the lead is given away again");
    cluster.eventually("the end of the lease", |c| c.ctl(2, &["get", "short"]).is_empty());
    let second_leads = (1..=3).any(|n| cluster.try_ctl(n, &["move-leader", &second]).is_ok());
    assert!(second_leads, "and back");

    // The leader itself goes: its process ends, and what it might start again is told so.
    cluster.eventually("the removal", |c| c.try_ctl(1, &["member", "remove", &second]).is_ok());
    assert!(!cluster.machines.get(2).wait(), "a removed member ends with an error");
    assert!(cluster.machines.get(2).log().contains("permanently removed"));
    cluster.eventually("the cluster of two", |c| c.try_ctl(3, &["put", "a", "4"]).is_ok());
    assert_eq!(cluster.ctl(1, &["get", "a"]), "a\n4\n");
    cluster.machines.get(2).start("");
    assert!(!cluster.machines.get(2).wait(), "a removed member does not come back");
}

#[test]
fn a_member_that_was_away_for_long_is_sent_a_snapshot() {
    if !have_etcdctl() || !inside("membership::a_member_that_was_away_for_long_is_sent_a_snapshot") {
        return;
    }
    let mut cluster = Cluster::of_one(3);
    cluster.grow(2, false);
    cluster.grow(3, false);
    cluster.machines.get(3).kill();
    cluster.fill(1, 1700);
    let known = cluster.machines.initial_cluster(&[1, 2, 3]);
    let start = format!("--initial-cluster {known} --initial-cluster-state existing");
    cluster.machines.get(3).start(&start);
    cluster.eventually("the way back", |c| {
        c.try_ctl(3, &["get", "filler-1699", "--keys-only"]).is_ok_and(|said| said.contains("filler-1699"))
    });
    assert!(cluster.machines.get(3).log().contains("the leader's snapshot is taken over"), "by a snapshot");
    let hash = |machine| cluster.ctl(machine, &["endpoint", "hashkv"]).split(", ").last().map(str::to_owned);
    assert_eq!(hash(3), hash(1));
    // And it goes on from there.
    cluster.machines.get(3).kill();
    cluster.machines.get(3).start(&start);
    cluster.eventually("another way back", |c| c.try_ctl(3, &["put", "a", "5"]).is_ok());
    assert_eq!(cluster.ctl(2, &["get", "a"]), "a\n5\n");
}

#[test]
fn a_store_that_ran_alone_becomes_a_cluster() {
    if !have_etcdctl() || !inside("membership::a_store_that_ran_alone_becomes_a_cluster") {
        return;
    }
    let mut machines = Machines::new(2);
    // Chapter 01 writes its own log, with a snapshot in it.
    let dir = machines.get(1).dir.join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    alone(&runtime.expect("a runtime"), &dir);
    let first = machines.initial_cluster(&[1]);
    machines.get(1).start(&format!("--initial-cluster {first}"));
    let mut cluster = Cluster { machines };
    cluster.eventually("the store as a member", |c| {
        c.try_ctl(1, &["get", "a"]).is_ok_and(|said| said == "a\n1\n")
    });
    cluster.grow(2, false);
    cluster.eventually("its data on the other", |c| {
        c.try_ctl(2, &["get", "b"]).is_ok_and(|said| said == "b\n2\n")
    });
    // The directory is no other cluster's.
    cluster.machines.get(1).kill();
    cluster.machines.get(1).start(&format!("--initial-cluster {first} --initial-cluster-token another"));
    assert!(!cluster.machines.get(1).wait(), "data of one cluster starts as another");
    assert!(cluster.machines.get(1).log().contains("the data is of cluster"));
}

#[test]
fn a_saved_store_is_restored_into_a_cluster_of_three() {
    if !have_etcdctl() || !inside("membership::a_saved_store_is_restored_into_a_cluster_of_three") {
        return;
    }
    let mut cluster = Cluster::of_one(4);
    cluster.ctl(1, &["put", "b", "2"]);
    let file = cluster.machines.root().join("saved").display().to_string();
    cluster.ctl(1, &["snapshot", "save", &file]);
    let known = cluster.machines.initial_cluster(&[2, 3, 4]);
    for number in 2..=4 {
        let dir = cluster.machines.get(number).dir.join("data").display().to_string();
        let name = format!("m{number}");
        restore(&file, &["--name", &name, "--data-dir", &dir, "--initial-cluster", &known]);
        cluster.machines.get(number).start(&format!("--initial-cluster {known}"));
    }
    cluster.eventually("the new cluster", |c| c.try_ctl(3, &["get", "b"]).is_ok_and(|said| said == "b\n2\n"));
    let fields = cluster.ctl(4, &["get", "b", "-w", "fields"]);
    assert!(fields.contains("\"ModRevision\" : 3"), "revisions are what they were: {fields}");
    cluster.ctl(4, &["put", "b", "3"]);
    assert_eq!(cluster.ctl(1, &["get", "b"]), "b\n2\n", "the one that was saved is another cluster");
    assert_eq!(cluster.ctl(2, &["get", "b"]), "b\n3\n");
}

fn restore(file: &str, words: &[&str]) {
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: consensus::RestoreArgs,
    }
    let args = Cli::try_parse_from([&["restore"], words].concat()).expect("arguments").args;
    let saved = store::saved::read(file.as_ref(), false).expect("a saved store");
    consensus::restore(&args, &saved.file.store, saved.file.applied).expect("restored");
}

/// Runs chapter 01 for a few writes.
fn alone(runtime: &tokio::runtime::Runtime, dir: &std::path::Path) {
    use clap::Parser;
    use store::etcd::DefragmentRequest;
    use store::etcd::maintenance_client::MaintenanceClient;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: store::Args,
    }
    let words = [
        "store",
        "--data-dir",
        dir.to_str().expect("a path"),
        "--listen-client-urls",
        "http://127.0.0.1:2379",
    ];
    let args = Cli::try_parse_from(words).expect("arguments").args;
    runtime.block_on(async {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(store::serve(args, async { drop(stopped.await) }));
        let endpoint = tonic::transport::Endpoint::from_static("http://127.0.0.1:2379");
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let mut kv = KvClient::new(channel.clone());
        let put = |key: &'static str, value: &'static str| PutRequest {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        };
        kv.put(put("a", "1")).await.expect("written");
        MaintenanceClient::new(channel).defragment(DefragmentRequest {}).await.expect("a snapshot");
        kv.put(put("b", "2")).await.expect("written");
        drop(stop);
        serving.await.expect("no panic").expect("served");
    });
}
