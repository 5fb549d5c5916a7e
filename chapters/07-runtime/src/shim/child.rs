//! From a copy of the shim to a container's program: what happens between `fork` and `execve`.
//!
//! The order is runc's: namespaces, root, terminal, then less and less privilege, and the program
//! last. Whatever fails is told to the shim in the words that runc would use.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, anyhow};
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Gid, Uid, access, execve, setgroups, setresgid, setresuid, setsid};

use super::spawn::{Inside, Says, clone_flag, say, wait_for_go};
use crate::heart::ops::{self, Op, Sys};
use crate::heart::process::{Found, User, find_executable, resolve_user};
use crate::heart::rootfs;
use crate::heart::spec::{ContainerSpec, ProcessSpec};
use crate::sys::Linux;

/// Becomes a container (or the pause process of a pod). Returns only if that failed.
pub fn become_container(spec: &ContainerSpec, inside: Inside) {
    let shim = match duplicate(&inside.shim) {
        Ok(shim) => shim,
        Err(_) => return,
    };
    let Err(error) = container(spec, inside);
    let _ = say(&shim, &Says::Failed(format!("{error:#}")), None);
}

/// Becomes a command inside a running container. Returns only if that failed.
pub fn become_command(process: &ProcessSpec, inside: Inside) {
    let shim = match duplicate(&inside.shim) {
        Ok(shim) => shim,
        Err(_) => return,
    };
    let Err(error) = command(process, inside);
    let _ = say(&shim, &Says::Failed(format!("{error:#}")), None);
}

fn container(spec: &ContainerSpec, inside: Inside) -> anyhow::Result<Infallible> {
    begin(&inside)?;
    let mut linux = Linux::default();
    if let Some(setup) = &spec.sandbox {
        ops::apply(&mut linux, &rootfs::plan_sandbox(setup))?;
    }
    ops::apply(&mut linux, &rootfs::plan(&spec.root, &spec.mounts, &spec.process.cwd))?;
    for note in linux.notes {
        say(&inside.shim, &Says::Note(note), None)?;
    }
    execute(&spec.process, inside, spec.process.terminal)
}

fn command(process: &ProcessSpec, inside: Inside) -> anyhow::Result<Infallible> {
    begin(&inside)?;
    Linux::default()
        .apply(&Op::Chdir { path: process.cwd.clone() })
        .context("entering the working directory")?;
    execute(process, inside, false)
}

/// Leaves the shim behind: its signals, its session, its namespaces.
fn begin(inside: &Inside) -> anyhow::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // SAFETY: back to the default; no handler of ours is involved. (Rust ignores SIGPIPE, and what
    // is ignored stays so across `execve`.)
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    setsid()?;
    if !wait_for_go(&inside.shim) {
        return Err(anyhow!("the shim is gone"));
    }
    for (ns, file) in &inside.join {
        setns(file, clone_flag(*ns)).with_context(|| format!("joining the {} namespace", ns.file()))?;
    }
    if inside.create_cgroup_ns {
        unshare(CloneFlags::CLONE_NEWCGROUP).context("making a cgroup namespace")?;
    }
    Ok(())
}

/// Terminal, user, privileges, program.
fn execute(process: &ProcessSpec, inside: Inside, console: bool) -> anyhow::Result<Infallible> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let user = resolve_user(&process.user, &passwd, &group)?;
    let mut env = process.env.clone();
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={}", user.home));
    }
    if process.terminal {
        let terminal = open_terminal(&inside.shim, &user, console).context("opening a terminal")?;
        take_streams(&terminal, &terminal, &terminal)?;
        if !env.iter().any(|pair| pair.starts_with("TERM=")) {
            env.push("TERM=xterm".into());
        }
    } else {
        take_streams(&inside.stdio.stdin, &inside.stdio.stdout, &inside.stdio.stderr)?;
    }
    drop_privileges(process, &user)?;
    // A directory outside of our root has no path: an image may have found one all the same.
    std::env::current_dir().context("the working directory is not inside the container")?;
    let program = find_executable(&process.args[0], &env, &process.cwd, look)?;
    let program = c_string(&program.to_string_lossy())?;
    let args = process.args.iter().map(|arg| c_string(arg)).collect::<anyhow::Result<Vec<_>>>()?;
    let env = env.iter().map(|pair| c_string(pair)).collect::<anyhow::Result<Vec<_>>>()?;
    // SAFETY: marks descriptors to be closed by `execve`; closes nothing that is in use now.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    // The container ends with its shim. Changing the user cleared this, so it comes last.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let error = execve(&program, &args, &env).unwrap_err();
    let name = &process.args[0];
    Err(match error {
        nix::Error::ENOEXEC => anyhow!("exec {name}: exec format error"),
        nix::Error::ENOENT => anyhow!("exec {name}: no such file or directory"),
        other => anyhow!("exec {name}: {}", other.desc()),
    })
}

fn look(path: &Path) -> Found {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Found::Directory,
        Ok(_) => Found::File { executable: access(path, AccessFlags::X_OK).is_ok() },
        Err(_) => Found::Nothing,
    }
}

/// Makes a terminal of the container's own devpts, sends its master to the shim, and makes it the
/// controlling terminal (and the container's console).
fn open_terminal(shim: &OwnedFd, user: &User, console: bool) -> anyhow::Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = open("/dev/ptmx", flags, Mode::empty())?;
    let mut number: libc::c_int = 0;
    let unlock: libc::c_int = 0;
    // SAFETY: both calls read or write one int that lives on our stack.
    let done = unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock) == 0
            && libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &mut number) == 0
    };
    if !done {
        return Err(io::Error::last_os_error().into());
    }
    let path = format!("/dev/pts/{number}");
    let terminal = open(path.as_str(), flags, Mode::empty())?;
    let _ = nix::unistd::chown(path.as_str(), Some(Uid::from_raw(user.uid)), None);
    // SAFETY: takes no pointer.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
        return Err(io::Error::last_os_error().into());
    }
    if console {
        fs::OpenOptions::new().create(true).append(true).open("/dev/console")?;
        let bind = nix::mount::MsFlags::MS_BIND;
        nix::mount::mount(Some(path.as_str()), "/dev/console", None::<&str>, bind, None::<&str>)?;
    }
    say(shim, &Says::Terminal, Some(master.as_raw_fd()))?;
    Ok(terminal)
}

fn take_streams(stdin: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd) -> anyhow::Result<()> {
    nix::unistd::dup2_stdin(stdin)?;
    nix::unistd::dup2_stdout(stdout)?;
    nix::unistd::dup2_stderr(stderr)?;
    Ok(())
}

/// Bounding set, groups, user, capabilities, in the only order that works: each step takes away
/// what the one before it needed.
fn drop_privileges(process: &ProcessSpec, user: &User) -> anyhow::Result<()> {
    let held = capabilities::permitted()?;
    let keep = process.capabilities & held;
    capabilities::bound(process.capabilities)?;
    nix::sys::prctl::set_keepcaps(true)?;
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match setgroups(&groups) {
        // A user namespace of one id lets nobody choose groups; with none asked for, none is lost.
        Err(nix::Error::EPERM) if groups.is_empty() => {}
        done => {
            done.map_err(|errno| not_mapped("supplemental groups", &format!("{:?}", user.groups), errno))?
        }
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setresgid(gid, gid, gid).map_err(|errno| not_mapped("group", &user.gid.to_string(), errno))?;
    setresuid(uid, uid, uid).map_err(|errno| not_mapped("user", &user.uid.to_string(), errno))?;
    capabilities::set(keep, process.ambient & keep)?;
    if process.no_new_privs {
        nix::sys::prctl::set_no_new_privs()?;
    }
    Ok(())
}

fn not_mapped(what: &str, id: &str, errno: nix::Error) -> anyhow::Error {
    if errno == nix::Error::EINVAL || (errno == nix::Error::EPERM && crate::sys::in_user_namespace()) {
        return anyhow!(
            "cannot run as {what} {id}: this node lives in a user namespace that does not have that id \
             (rootless without a range in /etc/subuid)"
        );
    }
    anyhow!("cannot run as {what} {id}: {}", errno.desc())
}

fn c_string(text: &str) -> anyhow::Result<CString> {
    CString::new(text).map_err(|_| anyhow!("{text:?} has a zero byte"))
}

fn duplicate(fd: &OwnedFd) -> io::Result<OwnedFd> {
    fd.try_clone()
}

/// The capability system calls, which no library wraps for us.
mod capabilities {
    use std::io;

    /// The kernel's `_LINUX_CAPABILITY_VERSION_3`: two words of each set.
    const VERSION: u32 = 0x2008_0522;

    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Word {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }

    pub fn permitted() -> io::Result<u64> {
        let header = Header { version: VERSION, pid: 0 };
        let mut words = [Word::default(); 2];
        // SAFETY: version 3 fills exactly two words; both structures outlive the call.
        let done = unsafe { libc::syscall(libc::SYS_capget, &header, words.as_mut_ptr()) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(u64::from(words[0].permitted) | u64::from(words[1].permitted) << 32)
    }

    /// Cuts the bounding set down to `keep`.
    pub fn bound(keep: u64) -> io::Result<()> {
        for number in 0..64 {
            if keep & (1 << number) != 0 {
                continue;
            }
            // SAFETY: takes numbers only.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } < 0 {
                let error = io::Error::last_os_error();
                // Past the last capability that this kernel knows.
                if error.raw_os_error() == Some(libc::EINVAL) {
                    break;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Permitted and effective become `set`, inheritable and ambient `ambient`.
    pub fn set(set: u64, ambient: u64) -> io::Result<()> {
        let header = Header { version: VERSION, pid: 0 };
        let word = |shift: u32| Word {
            effective: (set >> shift) as u32,
            permitted: (set >> shift) as u32,
            inheritable: (ambient >> shift) as u32,
        };
        let words = [word(0), word(32)];
        // SAFETY: version 3 reads exactly two words; both structures outlive the call.
        if unsafe { libc::syscall(libc::SYS_capset, &header, words.as_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        for number in (0..64).filter(|number| ambient & (1 << number) != 0) {
            // SAFETY: takes numbers only.
            if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}
