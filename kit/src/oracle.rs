//! A real etcd, to compare ours with.
//!
//! It is fetched and unpacked, never installed: Debian's package starts a daemon on etcd's port, and
//! whoever tries Coracle has not asked for one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::place::{Place, program, search_path};
use crate::say;

/// Debian's and Ubuntu's; older releases have everything in `etcd`.
const PACKAGES: [&str; 2] = ["etcd-server", "etcd"];

/// The program, found or fetched; if there is none, why.
pub fn etcd(place: &Place) -> Result<PathBuf> {
    if let Some(found) = program("etcd") {
        return Ok(found);
    }
    let folder = place.root.join("target/tools/etcd");
    let unpacked = folder.join("usr/bin/etcd");
    if !unpacked.is_file() {
        fetch(place, &folder).context("there is no etcd to compare with")?;
    }
    Ok(unpacked)
}

/// `PATH` for whoever looks for `etcd` there.
pub fn path_with(etcd: &Path) -> OsString {
    let mut path = search_path();
    if let Some(folder) = etcd.parent().filter(|_| program("etcd").is_none()) {
        path.push(":");
        path.push(folder);
    }
    path
}

fn fetch(place: &Place, folder: &Path) -> Result<()> {
    let (Some(apt), Some(dpkg)) = (program("apt-get"), program("dpkg-deb")) else {
        bail!("without apt-get and dpkg-deb it must be put on the PATH by hand");
    };
    let unfinished = folder.with_extension("tmp");
    // What an earlier attempt left.
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished)?;
    let fetched = PACKAGES.iter().find(|package| {
        let mut fetch = place.command(&apt);
        fetch.args(["-qq", "download", package]).current_dir(&unfinished).stdin(Stdio::null());
        say::run(&mut fetch).is_ok()
    });
    fetched.context("apt-get has no package of it")?;
    for entry in fs::read_dir(&unfinished)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            say::run(place.command(&dpkg).arg("-x").arg(&path).arg(&unfinished))?;
        }
    }
    if !unfinished.join("usr/bin/etcd").is_file() {
        bail!("the package has no usr/bin/etcd in it");
    }
    let _ = fs::remove_dir_all(folder);
    fs::rename(&unfinished, folder)?;
    Ok(())
}
