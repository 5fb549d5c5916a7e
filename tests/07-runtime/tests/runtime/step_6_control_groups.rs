use graded::graded;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::cgroups::{CgroupPlan, Hierarchies, Limits, choose, mounts, plan};

const V1: &str = "\
25 30 0:22 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs cgroup rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw shared:11 master:2 - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
const V2: &str = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

fn v2() -> Hierarchies {
    let controllers = ["cpu", "memory", "pids"].map(str::to_owned).into();
    Hierarchies::V2 { mount: "/cg".into(), controllers }
}

fn v1() -> Hierarchies {
    let mounts = ["cpu", "memory", "pids"].map(|name| (name.to_owned(), Path::new("/cg").join(name)));
    Hierarchies::V1 { mounts: mounts.into() }
}

fn limits() -> Limits {
    Limits {
        cpu_shares: 512,
        cpu_quota: 50_000,
        cpu_period: 0,
        memory_bytes: 64 << 20,
        memory_swap_bytes: 64 << 20,
        pids: 100,
        unified: BTreeMap::new(),
    }
}

fn text(plan: &CgroupPlan) -> String {
    let mut text = String::new();
    for (dir, names) in &plan.enable {
        // `/cg/` and `/cg` are one path.
        let dir: PathBuf = dir.components().collect();
        text += &format!("enable {} {names}\n", dir.display());
    }
    for dir in &plan.dirs {
        text += &format!("mkdir {}\n", dir.display());
    }
    for (file, value) in &plan.writes {
        text += &format!("write {} = {value}\n", file.display());
    }
    for (file, value) in &plan.optional_writes {
        text += &format!("try {} = {value}\n", file.display());
    }
    for file in &plan.procs {
        text += &format!("join {}\n", file.display());
    }
    text += &format!("oom {:?}\nnot enforced {:?}\n", plan.oom, plan.not_enforced);
    text
}

/// Files, values and their order, as runc writes them under the unified hierarchy.
#[graded]
fn limits_in_version_2() {
    assert_snapshot!(text(&plan(&v2(), Path::new("/coracle/kubepods/pod1/c1"), &limits())));
}

/// The same limits in a tree for each controller, as on older machines.
#[graded]
fn limits_in_version_1() {
    assert_snapshot!(text(&plan(&v1(), Path::new("/coracle/kubepods/pod1/c1"), &limits())));
}

/// The two scales end at the same places, so that no request is heavier than it was.
#[graded]
fn shares_are_converted_to_weights_from_end_to_end() {
    let weight = |cpu_shares: i64| {
        let plan = plan(&v2(), Path::new("/c1"), &Limits { cpu_shares, ..Limits::default() });
        plan.writes.iter().map(|(file, value)| format!("{} {value}", file.display())).collect::<Vec<_>>()
    };
    for (shares, expected) in
        [(1, 1), (2, 1), (102, 4), (1024, 39), (2048, 79), (262_144, 10_000), (999_999, 10_000)]
    {
        assert_eq!(weight(shares), [format!("/cg/c1/cpu.weight {expected}")], "{shares} shares");
    }
}

/// Whoever asked hears it; whoever did not ask is not troubled.
#[graded]
fn only_limits_that_were_asked_for_are_named_as_not_enforced() {
    let only = |name: &str| Hierarchies::V1 { mounts: [(name.to_owned(), PathBuf::from("/cg"))].into() };
    let named = |trees: &Hierarchies, limits: Limits| plan(trees, Path::new("/c1"), &limits).not_enforced;
    let quota = Limits { cpu_quota: 1, ..Limits::default() };
    let shares = Limits { cpu_shares: 2, ..Limits::default() };
    let memory = Limits { memory_bytes: 1, ..Limits::default() };
    for (tree, limits, expected) in [
        ("memory", quota.clone(), vec!["cpu"]),
        ("memory", shares, vec!["cpu"]),
        ("pids", memory, vec!["memory"]),
        ("cpu", quota, vec![]),
        ("cpu", Limits { pids: 1, ..Limits::default() }, vec!["pids"]),
        ("pids", Limits::default(), vec![]),
    ] {
        assert_eq!(named(&only(tree), limits), expected, "only {tree} is there");
    }
}

/// Zero is "not asked for": written as a limit it would stop the container at once.
#[graded]
fn what_nobody_asked_for_is_not_written() {
    for trees in [v1(), v2()] {
        let plan = plan(&trees, Path::new("/c1"), &Limits::default());
        assert_eq!((plan.writes, plan.optional_writes), (vec![], vec![]), "{trees:?}");
        assert!(!plan.procs.is_empty() && plan.not_enforced.is_empty());
    }
}

/// Two controllers may share one tree, and a tree may be there that is none of ours (systemd's).
#[graded]
fn version_1_trees_are_found_by_their_controllers() {
    let found = choose(&mounts(V1), |_| String::new(), |_| true);
    let trees = [
        ("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
        ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
        ("memory", "/sys/fs/cgroup/memory"),
    ];
    let trees = trees.map(|(name, mount)| (name.to_owned(), PathBuf::from(mount)));
    assert_eq!(found, Hierarchies::V1 { mounts: trees.into() });
    assert_eq!(found.not_enforced(), ["pids"]);
}

/// Mixed machines mount version 2 without controllers, beside version 1 with all of them.
#[graded]
fn version_2_counts_when_it_has_the_memory_controller() {
    let all = |_: &Path| "cpuset cpu io memory pids".to_owned();
    let controllers: BTreeSet<String> = ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).into();
    let expected = Hierarchies::V2 { mount: "/sys/fs/cgroup".into(), controllers };
    assert_eq!(choose(&mounts(V2), all, |_| true), expected);
    assert_eq!(choose(&mounts(V2), |_| String::new(), |_| true), Hierarchies::None);
}

/// An ordinary user may see all trees and write to none; limits that are not written must be named.
#[graded]
fn a_tree_that_cannot_be_written_does_not_count() {
    let only_memory = |mount: &Path| mount.ends_with("memory");
    let found = choose(&mounts(V1), |_| String::new(), only_memory);
    assert_eq!(found.not_enforced(), ["cpu", "pids"]);
    assert_eq!(choose(&mounts(V1), |_| String::new(), |_| false), Hierarchies::None);
}

fn any_trees() -> impl Strategy<Value = Hierarchies> {
    let some = prop::collection::btree_set(prop::sample::select(vec!["cpu", "memory", "pids"]), 0..4);
    (some, 0..3).prop_map(|(names, version)| match version {
        0 => Hierarchies::None,
        1 => {
            let mounts = names.iter().map(|name| ((*name).to_owned(), Path::new("/cg").join(name)));
            Hierarchies::V1 { mounts: mounts.collect() }
        }
        _ => Hierarchies::V2 {
            mount: "/cg".into(),
            controllers: names.iter().map(|name| (*name).to_owned()).collect(),
        },
    })
}

proptest! {
    /// Never a silent gap: whoever asked for a limit hears that it does not hold here.
    #[graded]
    fn every_limit_asked_for_is_set_or_named_as_not_enforced(
        trees in any_trees(), memory in 0..3_i64, quota in 0..3_i64, shares in 0..5000_i64, pids in 0..3_i64,
    ) {
        let limits = Limits { cpu_shares: shares, cpu_quota: quota, memory_bytes: memory, pids, ..Limits::default() };
        let plan = plan(&trees, Path::new("/a/b"), &limits);
        let files: Vec<String> =
            plan.writes.iter().map(|(file, _)| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
        let set = |names: &[&str]| names.iter().any(|name| files.iter().any(|file| file == name));
        for (name, asked, written) in [
            ("memory", memory > 0, set(&["memory.max", "memory.limit_in_bytes"])),
            ("pids", pids > 0, set(&["pids.max"])),
            ("cpu", quota > 0, set(&["cpu.max", "cpu.cfs_quota_us"])),
            ("cpu", shares > 0, set(&["cpu.weight", "cpu.shares"])),
        ] {
            let named = plan.not_enforced.iter().any(|missing| missing == name);
            prop_assert!(!asked || written != named, "{}: written {}, named {}", name, written, named);
            prop_assert!(asked || !written, "{} was not asked for", name);
        }
        prop_assert!(plan.writes.iter().all(|(file, _)| plan.dirs.iter().any(|dir| file.parent() == Some(dir))));
    }
}
