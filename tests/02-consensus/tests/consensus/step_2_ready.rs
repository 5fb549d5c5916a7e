use crate::cluster::Cluster;

#[graded::graded]
fn three_members_elect_commit_and_read() {
    let mut cluster = Cluster::with_leader(3);
    let put = cluster.propose(1, "a=1");
    cluster.settle();
    assert!(cluster.node(1).answered.contains_key(&put));
    let follower = cluster.propose(2, "b=1");
    let read = cluster.read(3);
    cluster.settle();
    cluster.tick_all(2);
    assert!(cluster.node(2).answered.contains_key(&follower));
    assert!(cluster.node(3).readable.iter().any(|(n, _)| *n >= read));
    for id in 1..=3 {
        assert_eq!(cluster.commands(id), ["a=1", "b=1"]);
    }
    for line in &cluster.trace {
        println!("{line}");
    }
}

#[test]
fn chaos() {
    use crate::chaos::{run, Mix};
    let from: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let count: u64 = std::env::var("COUNT").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    for seed in from..from + count {
        println!("seed {seed}");
        let n = seed % 4;
        let mix = Mix { lose: 50, double: 50, reorder: 300, crash: if n > 0 { 5 } else { 0 }, slow: n > 1, snapshot: if n > 0 { 10 } else { 0 }, partition: if n > 1 {4} else {0}, change: if n > 2 { 10 } else { 0 }, transfer: 5 };
        run(seed, 1500, mix);
    }
}
