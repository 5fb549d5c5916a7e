use graded::graded;
use std::collections::{BTreeMap, BTreeSet};

use insta::assert_debug_snapshot;
use proptest::prelude::*;

use crate::heart::volumes::{File, FsStep, OnDisk, Payload, atomic_update};

fn payload(files: &[(&str, &str)]) -> Payload {
    let file = |data: &str| File { data: data.into(), mode: 0o644 };
    files.iter().map(|(path, data)| ((*path).to_owned(), file(data))).collect()
}

/// A file system in memory, in which every step can be looked at by a reader.
#[derive(Clone, Debug, Default, PartialEq)]
struct Disk {
    files: BTreeMap<String, String>,
    dirs: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

impl Disk {
    fn carry_out(&mut self, step: &FsStep) {
        match step {
            FsStep::MakeDir(path) => {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    assert!(self.dirs.contains(parent), "{path} is made before {parent}");
                }
                self.dirs.insert(path.clone());
            }
            FsStep::Write { path, data, .. } => {
                let (parent, _) = path.rsplit_once('/').expect("files lie in a version's directory");
                assert!(self.dirs.contains(parent), "{path} is written before {parent} is made");
                self.files.insert(path.clone(), String::from_utf8_lossy(data).into_owned());
            }
            FsStep::Symlink { at, to } => {
                self.links.insert(at.clone(), to.clone());
            }
            FsStep::Rename { from, to } => {
                let target = self.links.remove(from).expect("the link that is renamed");
                self.links.insert(to.clone(), target);
            }
            FsStep::Remove(path) => {
                self.links.remove(path);
                let below = format!("{path}/");
                self.dirs.retain(|d| d != path && !d.starts_with(&below));
                self.files.retain(|f, _| !f.starts_with(&below));
            }
        }
    }

    /// What a container sees when it reads this path: both links followed.
    fn read(&self, path: &str) -> Option<&str> {
        let (top, rest) = path.split_once('/').map_or((path, ""), |(t, r)| (t, r));
        let inner = self.links.get(top)?.strip_prefix("..data/")?;
        let data = self.links.get("..data")?;
        let full = if rest.is_empty() { format!("{data}/{inner}") } else { format!("{data}/{inner}/{rest}") };
        self.files.get(&full).map(String::as_str)
    }

    fn on_disk(&self, payload: &Payload) -> OnDisk {
        OnDisk {
            data_dir: self.links.get("..data").cloned(),
            payload: Some(payload.clone()),
            links: self.links.keys().filter(|l| !l.starts_with("..")).cloned().collect(),
        }
    }
}

/// Complete first, visible afterwards.
#[graded]
fn the_first_version_of_a_volume() {
    let steps = atomic_update(&OnDisk::default(), &payload(&[("app.conf", "x=1"), ("keys/a", "s")]), "..v1");
    assert_debug_snapshot!(steps);
}

/// One rename switches every file at the same instant.
#[graded]
fn the_second_version_replaces_the_first() {
    let first = payload(&[("app.conf", "x=1"), ("old", "")]);
    let mut disk = Disk::default();
    for step in atomic_update(&OnDisk::default(), &first, "..v1") {
        disk.carry_out(&step);
    }
    let steps = atomic_update(&disk.on_disk(&first), &payload(&[("app.conf", "x=2"), ("new", "")]), "..v2");
    assert_debug_snapshot!(steps);
}

/// The kubelet looks again every minute; programs that watch their files must not be woken by it.
#[graded]
fn nothing_is_written_when_nothing_changed() {
    let same = payload(&[("app.conf", "x=1")]);
    let current = OnDisk {
        data_dir: Some("..v1".into()),
        payload: Some(same.clone()),
        links: BTreeSet::from(["app.conf".to_owned()]),
    };
    assert_eq!(atomic_update(&current, &same, "..v2"), []);
}

/// A container may watch for `..data`, and files may come later.
#[graded]
fn an_empty_volume_still_gets_its_first_version() {
    let steps = atomic_update(&OnDisk::default(), &Payload::new(), "..v1");
    assert!(steps.contains(&FsStep::Rename { from: "..data_tmp".into(), to: "..data".into() }));
}

fn any_payload() -> impl Strategy<Value = Payload> {
    let path = prop_oneof![Just("a"), Just("b"), Just("d/x"), Just("d/y"), Just("e/f/z")];
    prop::collection::btree_map(path.prop_map(str::to_owned), "[a-c]{0,3}", 0..5).prop_map(|files| {
        files.into_iter().map(|(p, d)| (p, File { data: d.into_bytes(), mode: 0o644 })).collect()
    })
}

proptest! {
    /// A reader that looks after every single step sees the old version whole or the new one whole,
    /// never a mixture; and in the end exactly the new one is left.
    #[graded]
    fn a_reader_never_sees_a_mixture(versions in prop::collection::vec(any_payload(), 1..6)) {
        let mut disk = Disk::default();
        let mut current = OnDisk::default();
        let mut before = Payload::new();
        for (n, next) in versions.iter().enumerate() {
            let common: Vec<&String> = before.keys().filter(|k| next.contains_key(*k)).collect();
            for step in atomic_update(&current, next, &format!("..v{n}")) {
                disk.carry_out(&step);
                let text = |p: &Payload, k: &str| String::from_utf8_lossy(&p[k].data).into_owned();
                let seen: Vec<_> = common.iter().map(|k| disk.read(k).map(str::to_owned)).collect();
                let old: Vec<_> = common.iter().map(|k| Some(text(&before, k))).collect();
                let new: Vec<_> = common.iter().map(|k| Some(text(next, k))).collect();
                prop_assert!(seen == old || seen == new, "after {step:?} a reader saw {seen:?}");
            }
            for (path, file) in next {
                prop_assert_eq!(disk.read(path), Some(&*String::from_utf8_lossy(&file.data)));
            }
            let tops: BTreeSet<&str> = next.keys().map(|p| p.split('/').next().unwrap_or(p)).collect();
            let links: BTreeSet<&str> =
                disk.links.keys().map(String::as_str).filter(|l| !l.starts_with("..")).collect();
            prop_assert_eq!(links, tops, "exactly the names of the new version are left");
            let versions: BTreeSet<&str> = disk.dirs.iter().filter_map(|d| d.split('/').next()).collect();
            prop_assert_eq!(versions.len(), 1, "one version is left: {:?}", versions);
            current = disk.on_disk(next);
            before = next.clone();
        }
    }
}
