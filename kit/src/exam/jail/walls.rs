//! A root of its own: an empty one, into which what may be seen is mounted where it is outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::pivot_root;

use super::Walls;

/// The new root is put together on top of a folder that every Linux has and nobody needs here.
const ROOT: &str = "/sys";

/// Where programs find their libraries, on the usual systems and on the unusual ones.
const LIBRARIES: [&str; 7] =
    ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store"];

/// What a compiler needs beside them. Of `/etc` nothing but where programs and libraries are.
const TOOLS: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/opt",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
];

const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// Makes the walls, and goes inside. In new mount and process namespaces only.
pub fn build(walls: &Walls) -> Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    // Nothing of what follows is to be seen outside.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("making the mounts our own")?;
    empty(Path::new(ROOT), "mode=755,size=1m")?;
    let inside = |path: &str| Path::new(ROOT).join(path.trim_start_matches('/'));
    fs::create_dir(inside("/tmp"))?;
    empty(&inside("/tmp"), "mode=1777,size=64m")?;
    if walls.tools {
        // Compilers keep more there. Whoever may not mount it does without.
        fs::create_dir(inside("/proc"))?;
        let _ = mount(Some("proc"), &inside("/proc"), Some("proc"), MsFlags::empty(), None::<&str>);
    }
    let tools = TOOLS.iter().filter(|_| walls.tools);
    for path in LIBRARIES.iter().chain(tools).filter(|path| Path::new(path).exists()) {
        show(Path::new(path), false)?;
    }
    for device in DEVICES {
        show(Path::new(device), true)?;
    }
    for path in outermost_first(&walls.reads) {
        show(path, false)?;
    }
    for path in outermost_first(&walls.writes) {
        show(path, true)?;
    }
    nix::unistd::chdir(ROOT)?;
    pivot_root(".", ".").context("a root of its own")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root")?;
    nix::unistd::chdir("/")?;
    protect(Path::new("/"))?;
    // A folder that cannot be seen from inside is no place to stay.
    let _ = nix::unistd::chdir(&here);
    Ok(())
}

fn empty(at: &Path, options: &str) -> Result<()> {
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), safe, Some(options))
        .with_context(|| format!("an empty {}", at.display()))
}

fn outermost_first(paths: &[PathBuf]) -> Vec<&PathBuf> {
    let mut paths: Vec<_> = paths.iter().collect();
    paths.sort();
    paths
}

/// Mounts a file or folder at the same place inside; a link stays a link.
fn show(path: &Path, writable: bool) -> Result<()> {
    let at = Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path));
    let parent = at.parent().unwrap_or(Path::new(ROOT));
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let kind = fs::symlink_metadata(path).with_context(|| path.display().to_string())?.file_type();
    if kind.is_symlink() {
        return Ok(symlink(fs::read_link(path)?, at)?);
    }
    match kind.is_dir() {
        _ if at.exists() => {}
        true => fs::create_dir(&at)?,
        false => drop(fs::File::create(&at)?),
    }
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(path), &at, None::<&str>, bind, None::<&str>)
        .with_context(|| format!("showing {}", path.display()))?;
    if writable { Ok(()) } else { protect(&at) }
}

/// Makes a mount read-only. What else it forbids must be said again: the kernel lets nobody drop it.
fn protect(at: &Path) -> Result<()> {
    let has = statvfs(at)?.flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    let kept = [
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    for (flag, again) in kept {
        flags.set(again, flags.contains(again) || has.contains(flag));
    }
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("protecting {}", at.display()))
}
