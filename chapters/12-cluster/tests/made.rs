//! What `up` makes before anything runs: certificates, kubeconfigs, and the program for the images.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cluster::heart::AddressPlan;
use cluster::home::Home;
use cluster::{elf, pki};

fn made(home: &Home, nodes: u32) -> usize {
    let addresses = AddressPlan::default();
    pki::ensure(home, &addresses, &addresses.nodes(nodes).expect("so many nodes fit"))
        .expect("certificates are made")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn certificates_are_made_once_and_for_new_nodes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Home::open(Some(folder.path())).expect("a home");
    assert_eq!(made(&home, 2), 14);
    assert_eq!(made(&home, 2), 0);
    assert_eq!(made(&home, 3), 2);
    assert_eq!(made(&home, 1), 0);
    assert_eq!(made(&home, 3), 0, "a node that comes back finds its certificates");

    // An authority that is lost takes everything that it signed with it.
    fs::remove_file(home.pki().join("ca.key")).expect("the key was there");
    assert_eq!(made(&home, 3), 16);
}

#[test]
fn nobody_else_reads_the_keys() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Home::open(Some(folder.path())).expect("a home");
    made(&home, 1);
    let addresses = AddressPlan::default();
    let nodes = addresses.nodes(1).expect("one fits");
    pki::write_kubeconfigs(&home, &addresses, &nodes, 6443).expect("kubeconfigs are written");
    let secret = |path: &Path| {
        let name = path.to_string_lossy();
        name.ends_with(".key") || name.ends_with(".conf") || name.ends_with("kubeconfig")
    };
    let secrets: Vec<_> = files(home.path()).into_iter().filter(|path| secret(path)).collect();
    assert!(secrets.len() > 15, "{secrets:?}");
    for path in secrets {
        let mode = path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    informer::Client::from_kubeconfig(&home.kubeconfig())
        .expect("a client can read the administrator's kubeconfig");
}

#[test]
fn a_node_is_given_its_own_keys_and_no_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Home::open(Some(folder.path())).expect("a home");
    made(&home, 2);
    let addresses = AddressPlan::default();
    let nodes = addresses.nodes(2).expect("two fit");
    pki::write_kubeconfigs(&home, &addresses, &nodes, 6443).expect("kubeconfigs are written");
    let own = home.paths.node_kubernetes("node-2");
    let mut names: Vec<String> = files(&own)
        .iter()
        .map(|path| path.strip_prefix(&own).expect("below it").display().to_string())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["kube-proxy.conf", "kubelet.conf", "pki/ca.crt", "pki/kubelet.crt", "pki/kubelet.key"]
    );
    let served = fs::read(own.join("pki/kubelet.key")).expect("a key");
    assert_eq!(served, fs::read(home.pki().join("nodes/node-2/kubelet.key")).expect("a key"));
}

#[test]
fn a_program_without_its_debug_information_still_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = fs::read("/proc/self/exe").expect("this program");
    let cut = elf::without_debug_information(&whole).expect("it can be cut");
    assert!(cut.len() < whole.len());
    let path = folder.path().join("cut");
    fs::write(&path, &cut).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    let output = Command::new(&path).arg("--list").output().expect("it starts");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("still_runs"));
    // What a test binary is linked with has a loader, and the loader is there.
    let loader = elf::interpreter(&whole).expect("an ELF program");
    assert!(loader.is_none_or(|loader| loader.is_file()));
}

#[test]
fn what_is_no_program_is_refused() {
    for wrong in [
        &b""[..],
        b"#!/bin/sh\n",
        &[0x7f; 100],
        b"\x7fELF\x02\x01",
        &[b"\x7fELF\x02\x01".as_slice(), &[0xff; 80]].concat(),
    ] {
        assert!(elf::without_debug_information(wrong).is_err());
    }
}
