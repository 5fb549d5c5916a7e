//! The real kernel behind [`heart::ops::Sys`](crate::heart::ops::Sys): one arm for each operation.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{fchdir, pivot_root, sethostname};

use crate::heart::layers::overlay_options;
use crate::heart::ops::{Flags, Op, Propagation, Sys};

/// Carries operations out in the calling process, which must be single-threaded and in a mount
/// namespace of its own.
#[derive(Default)]
pub struct Linux {
    /// What did not go as planned but went on: for the log.
    pub notes: Vec<String>,
}

impl Sys for Linux {
    fn apply(&mut self, op: &Op) -> io::Result<()> {
        match op {
            Op::Propagate { path, how } => Ok(change(path, MsFlags::MS_REC | propagation(*how))?),
            Op::PrivateParent { path } => Ok(change(&holder(path)?, MsFlags::MS_PRIVATE)?),
            Op::Overlay { layers_dir, lower, upper, work, target, userxattr } => {
                std::env::set_current_dir(layers_dir)?;
                let options = overlay_options(lower, &text(upper), &text(work), *userxattr);
                let flags = ms(Flags::NODEV);
                match mount(Some("overlay"), target, Some("overlay"), flags, Some(options.as_str())) {
                    Ok(()) => Ok(()),
                    Err(errno @ (Errno::EINVAL | Errno::EPERM | Errno::ENODEV | Errno::EOPNOTSUPP)) => {
                        self.notes.push(format!("overlay refused ({errno}): the image is copied instead"));
                        for layer in lower.iter().rev() {
                            crate::images::copy_layer(&layers_dir.join(layer), target)?;
                        }
                        bind_here(target, target)?;
                        Ok(remount(target, Flags::NODEV)?)
                    }
                    Err(errno) => Err(errno.into()),
                }
            }
            Op::PivotRoot { new_root } => {
                let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                let old_root = open("/", directory, Mode::empty())?;
                std::env::set_current_dir(new_root)?;
                // Old and new root on the same mount point: no directory for the old one is needed.
                pivot_root(".", ".")?;
                Ok(fchdir(&old_root)?)
            }
            Op::Mount { fstype, target, flags, data, or_bind } => {
                fs::create_dir_all(target)?;
                let data = Some(data.as_str()).filter(|data| !data.is_empty());
                match mount(Some(fstype.as_str()), target, Some(fstype.as_str()), ms(*flags), data) {
                    Err(Errno::EPERM | Errno::EBUSY) if or_bind.is_some() => {
                        let source = on_node(or_bind.as_deref().unwrap_or(target));
                        let all = MsFlags::MS_BIND | MsFlags::MS_REC;
                        mount(Some(&source), target, None::<&str>, all, None::<&str>)?;
                        self.notes.push(format!("{fstype} refused: {} is the node's", target.display()));
                        Ok(remount(target, *flags)?)
                    }
                    done => Ok(done?),
                }
            }
            Op::Bind { source, target, recursive, flags, how, optional } => {
                let source = on_node(source);
                let kind = match fs::metadata(&source) {
                    Ok(found) => found,
                    Err(error) if error.kind() == ErrorKind::NotFound && *optional => return Ok(()),
                    Err(error) => return Err(error),
                };
                make_mount_point(target, kind.is_dir())?;
                let all = if *recursive { MsFlags::MS_REC } else { MsFlags::empty() };
                mount(Some(&source), target, None::<&str>, MsFlags::MS_BIND | all, None::<&str>)?;
                if *flags != Flags::NONE {
                    remount(target, *flags)?;
                }
                Ok(change(target, MsFlags::MS_REC | propagation(*how))?)
            }
            Op::Symlink { link, to } => match symlink(to, link) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                done => done,
            },
            Op::Mask { path } => match fs::metadata(path) {
                Ok(found) if found.is_dir() => {
                    let flags = ms(Flags::NONE.read_only());
                    Ok(mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("size=0k"))?)
                }
                Ok(_) => Ok(bind_here(Path::new("/dev/null"), path)?),
                Err(error) => if_there(error),
            },
            Op::ReadOnly { path } => match fs::metadata(path) {
                Ok(_) if path == Path::new("/") => Ok(remount(path, Flags::NODEV.read_only())?),
                Ok(_) => {
                    bind_here(path, path)?;
                    Ok(remount(path, Flags::NONE.read_only())?)
                }
                Err(error) => if_there(error),
            },
            Op::MakeDir { path } => fs::create_dir_all(path),
            Op::DetachOldRoot => {
                // What we take down here must not be taken down on the node.
                change(Path::new("."), MsFlags::MS_REC | MsFlags::MS_SLAVE)?;
                umount2(".", MntFlags::MNT_DETACH)?;
                std::env::set_current_dir("/")
            }
            Op::SetHostname { name } => Ok(sethostname(name)?),
            Op::LoopbackUp => loopback_up(),
            Op::WriteFile { path, value } => fs::write(path, value),
            Op::Chdir { path } => std::env::set_current_dir(path),
        }
    }
}

/// A path of the node, seen from the working directory that `PivotRoot` left us in.
fn on_node(path: &Path) -> PathBuf {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { ".".into() } else { relative.into() }
}

/// A directory for a directory, a file for anything else.
fn make_mount_point(target: &Path, directory: bool) -> io::Result<()> {
    if directory {
        return fs::create_dir_all(target);
    }
    if fs::metadata(target).is_ok() {
        return Ok(());
    }
    let make = |path: &Path| {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
    };
    make(target).or_else(|error| {
        // A link of the image that leads nowhere (/etc/resolv.conf): make what it points to.
        let to = fs::read_link(target).map_err(|_| error)?;
        make(&target.parent().unwrap_or(Path::new("/")).join(to))
    })
}

fn if_there(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Ok(()),
        _ => Err(error),
    }
}

fn bind_here(source: &Path, target: &Path) -> nix::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

fn change(path: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
}

/// Changes the flags of a mount point. Flags that are set stay: inside a user namespace they are
/// locked, and leaving one out is refused.
fn remount(path: &Path, flags: Flags) -> nix::Result<()> {
    let now = statvfs(path)?.flags();
    let mut all = ms(flags) | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
    for (set, flag) in [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if now.contains(set) {
            all |= flag;
        }
    }
    change(path, all)
}

fn ms(flags: Flags) -> MsFlags {
    let mut bits = MsFlags::empty();
    bits.set(MsFlags::MS_RDONLY, flags.ro);
    bits.set(MsFlags::MS_NOSUID, flags.nosuid);
    bits.set(MsFlags::MS_NODEV, flags.nodev);
    bits.set(MsFlags::MS_NOEXEC, flags.noexec);
    bits
}

fn propagation(how: Propagation) -> MsFlags {
    match how {
        Propagation::Private => MsFlags::MS_PRIVATE,
        Propagation::Slave => MsFlags::MS_SLAVE,
        Propagation::Shared => MsFlags::MS_SHARED,
    }
}

/// The mount point that holds a path: the longest one in mountinfo that is a prefix of it.
fn holder(path: &Path) -> io::Result<PathBuf> {
    let info = fs::read_to_string("/proc/self/mountinfo")?;
    let points = info.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let holding = points.filter(|point| path.starts_with(point));
    Ok(holding.max_by_key(|point| point.components().count()).unwrap_or_else(|| "/".into()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Sets `lo` up in the network namespace of the caller.
fn loopback_up() -> io::Result<()> {
    // SAFETY: plain system call; the descriptor is checked and owned below.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `raw` was just opened, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: `ifreq` is plain data, for which all zeros are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`, which lives until the call returns.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this process lives in a user namespace other than the first.
pub fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Whether an id means somebody in this user namespace; `kind` is `uid` or `gid`.
pub fn is_mapped(kind: &str, id: u32) -> bool {
    let map = fs::read_to_string(format!("/proc/self/{kind}_map")).unwrap_or_default();
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if (first..first + count).contains(&u64::from(id)))
    })
}

/// Nanoseconds since 1970.
pub fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Replaces a file in one step: a reader sees the old text or the new one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

/// 32 random bytes in hexadecimal: ids of pods and containers, tokens.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0; 32];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
