use graded::graded;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::heart::ops::{Op, Propagation, Sys, apply, listing};
use crate::heart::rootfs::{MASKED_PATHS, READONLY_PATHS, devices, enter_root, plan, volumes};
use crate::heart::spec::{MountSpec, RootSpec};

fn root() -> RootSpec {
    RootSpec {
        layers_dir: "/images/layers".into(),
        layers: vec!["top".into(), "base".into()],
        bundle: "/run/c1".into(),
        tty_group: true,
        masked_paths: MASKED_PATHS.iter().map(PathBuf::from).collect(),
        readonly_paths: READONLY_PATHS.iter().map(PathBuf::from).collect(),
        shm: Some("/run/pod.shm".into()),
        ..RootSpec::default()
    }
}

fn volume(source: &str, target: &str) -> MountSpec {
    MountSpec { source: source.into(), target: target.into(), ..MountSpec::default() }
}

/// A kernel that knows of mount points only, and refuses what must not happen.
#[derive(Default)]
struct Toy {
    pivoted: bool,
    detached: bool,
    /// Mount points in order; what is mounted later over a parent hides what lies below.
    mounts: Vec<(PathBuf, String)>,
}

impl Toy {
    /// What is seen at a path: the last mount that is at or above it.
    fn seen(&self, path: &Path) -> Option<&str> {
        let above = self.mounts.iter().rev().find(|(point, _)| path.starts_with(point));
        above.map(|(_, what)| what.as_str())
    }
}

impl Sys for Toy {
    fn apply(&mut self, op: &Op) -> std::io::Result<()> {
        let inside = self.pivoted;
        match op {
            Op::Overlay { target, .. } => self.mounts.push((target.clone(), "overlay".into())),
            Op::PivotRoot { new_root } => {
                assert_eq!(self.seen(new_root), Some("overlay"), "pivot_root needs a mount point");
                assert!(!std::mem::replace(&mut self.pivoted, true), "pivot_root twice");
                self.mounts.clear();
            }
            Op::Mount { fstype, target, .. } => {
                assert!(inside, "{op}: before pivot_root, a link of the image could lead out");
                assert!(target.is_absolute(), "{op}");
                self.mounts.push((target.clone(), fstype.clone()));
            }
            Op::Bind { source, target, .. } => {
                assert!(inside, "{op}: before pivot_root, a link of the image could lead out");
                assert!(!self.detached, "{op}: the node's files are gone by now");
                let proc_is_there = self.mounts.iter().any(|(_, what)| what == "proc");
                assert!(!proc_is_there, "{op}: through /proc/self/cwd the image could name the node's files");
                self.mounts.push((target.clone(), source.display().to_string()));
            }
            Op::Mask { path } | Op::ReadOnly { path } => {
                assert!(inside && self.seen(path).is_some() || path == Path::new("/"))
            }
            Op::DetachOldRoot => assert!(!std::mem::replace(&mut self.detached, true), "detached twice"),
            Op::MakeDir { .. } => {
                assert!(self.detached, "{op}: through /proc/self/cwd that could be the node's")
            }
            Op::Propagate { .. } | Op::PrivateParent { .. } => assert!(!inside, "{op}: too late"),
            _ => {}
        }
        Ok(())
    }
}

/// Every line of the plan is there for a reason, and so is its place; the page goes through them.
#[graded]
fn an_ordinary_container() {
    let mounts = [
        volume("/kubelet/hosts", "/etc/hosts"),
        MountSpec { readonly: true, ..volume("/kubelet/secret", "/secret") },
    ];
    assert_snapshot!(listing(&plan(&root(), &mounts, Path::new("/work"))));
}

/// Privileged means that no wall is wanted: storage drivers and debuggers need the node's devices.
#[graded]
fn a_privileged_container_sees_the_nodes_devices_and_hides_nothing() {
    let root = RootSpec { privileged: true, ..root() };
    assert_snapshot!(listing(&plan(&root, &[volume("/", "/host")], Path::new("/"))));
}

/// Mount points and the working directory are made in the root; once it is read-only nothing can be.
#[graded]
fn a_read_only_root_is_made_so_after_everything_else_was_put_in_it() {
    let root = RootSpec { readonly: true, ..root() };
    let plan = plan(&root, &[volume("/v", "/data")], Path::new("/work"));
    let at = |wanted: &str| {
        plan.iter().position(|op| op.to_string() == wanted).unwrap_or_else(|| panic!("no {wanted:?}"))
    };
    assert!(at("read-only /") > at("mkdir /work"));
    assert!(at("read-only /") > at("rbind /v /data nodev"));
}

/// A storage driver mounts for others, so its mounts must reach the node; the container's own root
/// must not.
#[graded]
fn a_volume_that_spreads_both_ways_keeps_the_tree_shared_but_hides_the_bundle() {
    let both = MountSpec { propagation: Propagation::Shared, ..volume("/csi", "/csi") };
    let listing = listing(&enter_root(&root(), &[both]));
    assert!(listing.starts_with("private-parent /run/c1/rootfs\noverlay "), "{listing}");
    assert!(!listing.contains("propagate / "), "{listing}");
}

/// A disk that the node mounts later shows up in its volume; what a container mounts is its own
/// affair.
#[graded]
fn mounts_of_the_node_arrive_and_ours_stay_here() {
    assert!(listing(&enter_root(&root(), &[])).starts_with("propagate / rslave\n"));
}

/// Where group 5 is not mapped, the kernel refuses a devpts that wants to give terminals to it.
#[graded]
fn a_user_namespace_without_the_tty_group_gets_terminals_without_it() {
    let root = RootSpec { tty_group: false, ..root() };
    assert!(!listing(&devices(&root)).contains("gid="));
}

/// The pod's shared memory is a mount of the pod; without one there is nothing to bind.
#[graded]
fn a_pod_of_the_nodes_ipc_or_none_needs_no_shared_memory() {
    let root = RootSpec { shm: None, ..root() };
    assert!(!listing(&devices(&root)).contains("/dev/shm"));
}

fn targets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("(/[ab]{1,2}){1,4}", 0..8)
        .prop_map(|targets| targets.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    /// A volume that is mounted before its parent disappears behind it, and nobody notices but the
    /// program.
    #[graded]
    fn every_volume_is_seen_where_it_was_asked_for(targets in targets(), privileged: bool, readonly: bool) {
        let mounts: Vec<MountSpec> = targets.iter().map(|target| volume(&format!("/src{target}"), target)).collect();
        let root = RootSpec { privileged, readonly, ..root() };
        let mut toy = Toy::default();
        apply(&mut toy, &plan(&root, &mounts, Path::new("/"))).unwrap();
        prop_assert!(toy.pivoted && toy.detached);
        for mount in &mounts {
            let source = mount.source.display().to_string();
            prop_assert_eq!(toy.seen(&mount.target), Some(source.as_str()));
        }
        prop_assert_eq!(toy.seen(Path::new("/proc")), Some("proc"));
        prop_assert_eq!(toy.seen(Path::new("/dev/shm")), Some("/run/pod.shm"));
    }

    /// Two mounts at one place are a mistake, but the one who made it decides which is on top.
    #[graded]
    fn volumes_of_one_depth_keep_the_order_of_the_request(targets in targets()) {
        let mounts: Vec<MountSpec> = targets.iter().map(|target| volume("/src", target)).collect();
        let mut by_depth: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
        for target in &targets {
            by_depth.entry(target.matches('/').count()).or_default().push(target);
        }
        let naive: Vec<String> = by_depth.into_values().flatten().cloned().collect();
        let planned: Vec<String> = volumes(&mounts, false)
            .iter()
            .filter_map(|op| match op {
                Op::Bind { target, .. } => Some(target.display().to_string()),
                _ => None,
            })
            .collect();
        prop_assert_eq!(planned, naive);
    }
}
