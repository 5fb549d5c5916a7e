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
