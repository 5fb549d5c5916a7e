//! The sandbox's law: it changes nothing on the host while it is up, and leaves nothing when it is
//! gone, however it goes; as root and as an ordinary user.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Cluster, PATIENCE, User, retry, run};
use serde_json::Value;

/// What must stay as it was.
#[derive(Debug, PartialEq, Eq)]
struct HostState {
    iptables: String,
    nft: String,
    links: String,
    routes: String,
    mounts: String,
}

impl HostState {
    fn look() -> Self {
        // Packet counters and the time of the listing are not rules.
        let rules = |text: String| -> String {
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n")
                .collect()
        };
        Self {
            iptables: rules(said("iptables-save", &[]) + &said("ip6tables-save", &[])),
            nft: said("nft", &["list", "ruleset"]),
            links: said("ip", &["-o", "link"]),
            routes: said("ip", &["route", "show", "table", "all"]),
            mounts: fs::read_to_string("/proc/self/mountinfo").expect("mounts can be read"),
        }
    }

    #[track_caller]
    fn assert_same(&self, when: &str) {
        assert_eq!(*self, Self::look(), "the host changed: {when}");
    }
}

/// What a program says; nothing when the host has it not.
fn said(program: &str, args: &[&str]) -> String {
    Command::new(program)
        .args(args)
        .output()
        .map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A process that cannot be taken for a later one of the same number.
type Process = (u32, String);

fn field<'t>(status: &'t str, name: &str) -> &'t str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

/// Processes that run (a zombie does not), with what /proc says of each.
fn processes() -> Vec<(Process, String)> {
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let start = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.to_owned();
            (!field(&status, "State:").starts_with('Z')).then_some(((pid, start), status))
        })
        .collect()
}

/// A process and all below it.
fn tree(root: u32) -> BTreeSet<Process> {
    let all = processes();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter_map(|((pid, _), status)| {
                    let parent: u32 = field(status, "PPid:").parse().ok()?;
                    found.contains(&parent).then_some(*pid)
                })
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return all
                .into_iter()
                .map(|(process, _)| process)
                .filter(|(pid, _)| found.contains(pid))
                .collect();
        }
    }
}

/// A cluster as the host sees it.
struct Seen {
    sandbox: u32,
    guard: u32,
    processes: BTreeSet<Process>,
    /// Its folders in the control group hierarchies.
    groups: BTreeSet<String>,
}

impl Seen {
    fn look(home: &Path) -> Self {
        let text = fs::read_to_string(home.join("run/sandbox.json")).expect("the guard wrote who runs");
        let running: Value = serde_json::from_str(&text).expect("JSON");
        let pid = |who: &str| u32::try_from(running[who]["pid"].as_u64().expect("a pid")).expect("a pid");
        let (sandbox, guard) = (pid("sandbox"), pid("guard"));
        let mut processes = tree(sandbox);
        processes.extend(tree(guard));
        // `4:memory:/coracle-1234abcd/control-plane`: the name of its groups is the first part.
        let own = fs::read_to_string(format!("/proc/{sandbox}/cgroup")).expect("it lives");
        let name = own.lines().find_map(|line| {
            line.rsplit(':').next()?.split('/').find(|part| part.starts_with("coracle-")).map(str::to_owned)
        });
        let groups = name.map(|name| folders_named(Path::new("/sys/fs/cgroup"), &name)).unwrap_or_default();
        Self { sandbox, guard, processes, groups }
    }

    #[track_caller]
    fn assert_gone(&self, home: &Path, when: &str) {
        let living: BTreeSet<Process> = processes().into_iter().map(|(process, _)| process).collect();
        let left: Vec<&Process> = self.processes.intersection(&living).collect();
        assert!(left.is_empty(), "{when}, these processes live: {left:?}");
        let groups: Vec<&String> = self.groups.iter().filter(|folder| Path::new(folder).exists()).collect();
        assert!(groups.is_empty(), "{when}, these control groups are left: {groups:?}");
        let files: Vec<_> = fs::read_dir(home.join("run"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect())
            .unwrap_or_default();
        let stale: Vec<_> = files.iter().filter(|name| *name != "lock").collect();
        assert!(stale.is_empty(), "{when}, these run files are left: {stale:?}");
    }
}

/// Folders of this name below the mounted hierarchies.
fn folders_named(folder: &Path, name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(|entry| {
            let path = entry.path();
            let own = path.join(name);
            [path, own].into_iter().filter(|path| path.ends_with(name)).map(|path| path.display().to_string())
        })
        .filter(|path| Path::new(path).is_dir())
        .collect()
}

fn kill(pid: u32) {
    run(Command::new("kill").args(["-9", &pid.to_string()])).ok();
}

/// The law, for one user.
fn nothing_changes_and_nothing_stays(user: User) {
    let before = HostState::look();
    let cluster = Cluster::up_as(user, &[]);
    let home = cluster.home();
    before.assert_same("by `up`");

    let first = Seen::look(home);
    assert!(first.processes.len() > 10, "a cluster has more processes than {:?}", first.processes);
    cluster.coracle(&["down"]).ok();
    first.assert_gone(home, "after `down`");
    before.assert_same("by `down`");

    // The power fails.
    cluster.coracle(&["up"]).ok();
    let second = Seen::look(home);
    kill(second.sandbox);
    retry("the guard sweeps and ends", PATIENCE, || {
        let living = processes();
        living.iter().all(|((pid, _), _)| *pid != second.guard).then_some(())
    });
    second.assert_gone(home, "after kill -9 of PID 1");
    before.assert_same("by kill -9 of PID 1");

    // Without its guard a sandbox goes on, and whoever comes next sweeps.
    cluster.coracle(&["up"]).ok();
    let third = Seen::look(home);
    kill(third.guard);
    cluster.coracle(&["status"]).ok();
    kill(third.sandbox);
    retry("PID 1 has ended", PATIENCE, || {
        processes().iter().all(|((pid, _), _)| *pid != third.sandbox).then_some(())
    });
    cluster.coracle(&["down"]).ok();
    third.assert_gone(home, "after guard and PID 1 were killed, and `down`");
    before.assert_same("by a sandbox that lost its guard");

    cluster.coracle(&["up"]).ok();
    let fourth = Seen::look(home);
    cluster.coracle(&["reset"]).ok();
    fourth.assert_gone(home, "after `reset`");
    before.assert_same("by `reset`");
    let left: Vec<_> = fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "`reset` left {left:?}");
}

#[test]
fn a_cluster_changes_nothing_on_the_host_and_leaves_nothing() {
    nothing_changes_and_nothing_stays(User::Me);
}

#[test]
fn nor_does_one_of_an_ordinary_user() {
    if run(Command::new("id").arg("-u")).ok().trim() != "0" {
        println!("skipped: the other test has shown it for this ordinary user");
        return;
    }
    nothing_changes_and_nothing_stays(User::Nobody);
}

#[test]
fn a_node_cannot_change_the_hosts_files() {
    let cluster = Cluster::up(&["--nodes", "1"]);
    for path in ["/usr/bin/coracle-was-here", "/bin/coracle-was-here", "/etc/kubernetes/coracle-was-here"] {
        let refused = cluster.enter("node-1", &["touch", path]).refused();
        assert!(refused.contains("Read-only file system"), "{path}: {refused}");
    }
    // What a node writes elsewhere is its own.
    for path in
        ["/etc/coracle-was-here", "/tmp/coracle-was-here", "/var/coracle-was-here", "/coracle-was-here"]
    {
        cluster.enter("node-1", &["touch", path]).ok();
        assert!(!Path::new(path).exists(), "{path} appeared on the host");
    }
    // And it sees nothing of the host that it does not need.
    let root = cluster.enter("node-1", &["ls", "/root", "/home", "/etc/shadow", "/run/systemd"]);
    assert!(!root.succeeded() && !root.stdout.contains("shadow"), "{}", root.stdout);
}

#[test]
fn up_is_content_with_a_cluster_that_is_up_and_down_with_one_that_is_not() {
    let cluster = Cluster::up(&["--nodes", "1"]);
    // Who applies something now finds nodes that take it.
    let taints = cluster.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].spec.taints}"]).ok();
    assert_eq!(taints, "");
    let kubeconfig = cluster.coracle(&["kubeconfig"]).ok();
    assert!(cluster.coracle(&["up"]).ok().contains("is up already"));
    cluster.coracle(&["etcdctl", "put", "/mine/kept", "yes"]).ok();
    cluster.coracle(&["down"]).ok();
    assert!(cluster.coracle(&["down"]).ok().contains("was not up"));
    assert_eq!(cluster.coracle(&["status"]).code, Some(3));

    // The next one has the same ports, nodes and data.
    cluster.coracle(&["up"]).ok();
    assert_eq!(cluster.coracle(&["kubeconfig"]).ok(), kubeconfig);
    assert_eq!(cluster.coracle(&["etcdctl", "get", "/mine/kept", "--print-value-only"]).ok(), "yes\n");
    assert_eq!(cluster.list("", &["nodes"]).len(), 1);
}

#[test]
fn enter_passes_on_exit_codes_and_input() {
    let cluster = Cluster::up(&["--nodes", "1"]);
    assert_eq!(cluster.enter("node-1", &["sh", "-c", "exit 7"]).code, Some(7));
    assert_eq!(cluster.enter("node-1", &["hostname"]).ok(), "node-1\n");
    assert_eq!(cluster.enter("", &["hostname"]).ok(), "coracle\n");
    assert!(cluster.enter("node-9", &["true"]).refused().contains("there is no node \"node-9\""));
}
