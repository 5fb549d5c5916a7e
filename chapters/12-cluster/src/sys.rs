//! The system calls that no library of ours wraps: each in one small function that says what it
//! needs. (Chapter 07 teaches them; here they are tools.)

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::unistd::Pid;

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Forks a child into new namespaces, which then becomes `program`. Until it does, it runs
/// `before`, which must not allocate: the caller's other threads, if any, may have held locks.
///
/// (`fork` and `unshare` would not do: a new PID namespace begins with a child, and one clone call
/// makes the user namespace first, so that the others belong to it.)
pub fn spawn_into(
    namespaces: CloneFlags,
    program: &[CString],
    environment: &[CString],
    before: impl FnOnce() -> io::Result<()>,
) -> Result<Pid> {
    let arguments: Vec<*const libc::c_char> = pointers(program);
    let variables: Vec<*const libc::c_char> = pointers(environment);
    let flags = libc::c_long::from(namespaces.bits() | libc::SIGCHLD);
    // SAFETY: without CLONE_VM this is fork(2): the child has a copy of everything. A null stack
    // keeps the parent's, and the pointers for thread ids are not asked for by the flags.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) }).context("clone")?;
    if pid != 0 {
        return Ok(Pid::from_raw(i32::try_from(pid).context("a process id")?));
    }
    if before().is_ok() {
        // SAFETY: both arrays end with a null pointer, and their strings are borrowed from the arguments.
        unsafe { libc::execve(arguments[0], arguments.as_ptr(), variables.as_ptr()) };
    }
    // SAFETY: ends this child without running the parent's destructors.
    unsafe { libc::_exit(126) }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Whether a descriptor closes when this process becomes another program. Safe between fork and exec.
pub fn set_inherited(fd: RawFd, inherited: bool) -> io::Result<()> {
    let flag = if inherited { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    // SAFETY: the descriptor is only borrowed for this call; a closed one gives EBADF.
    fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(flag))?;
    Ok(())
}

/// Lets nothing above standard error survive the next exec, apart from what is marked afterwards.
/// Safe between fork and exec.
pub fn inherit_nothing() -> io::Result<()> {
    // SAFETY: takes three numbers.
    checked(unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })?;
    Ok(())
}

/// Takes over a descriptor whose number the parent told us.
pub fn adopt(fd: RawFd) -> Result<OwnedFd> {
    set_inherited(fd, false).with_context(|| format!("file descriptor {fd} was not inherited"))?;
    // SAFETY: it is open, and the parent left it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a mount and everything below it read-only, keeping its other flags.
pub fn make_read_only(path: &Path) -> Result<()> {
    /// `struct mount_attr` of linux/mount.h.
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    let attr = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the name ends with a null byte, and the structure's size is passed.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .with_context(|| format!("making {} read-only (needs Linux 5.12)", path.display()))?;
    Ok(())
}

/// Joins the namespaces of a process.
pub fn join(process: BorrowedFd<'_>, namespaces: CloneFlags) -> Result<()> {
    nix::sched::setns(process, namespaces).context("joining the namespaces (needs Linux 5.8)")
}

/// A descriptor for a process, which cannot come to mean another one.
pub fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers, and gives a new descriptor that is ours.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

/// Waits until a process has ended; `false` when it has not within `patience`.
pub fn wait_for_end(pidfd: &OwnedFd, patience: Duration) -> Result<bool> {
    let deadline = std::time::Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error).context("waiting for a process to end"),
        }
    }
}

/// Capabilities that change the host rather than the sandbox, whatever the namespaces: kernel
/// modules, raw input and output, rebooting, the clock, the kernel's log, accounting, audit and
/// security modules.
const OF_THE_HOST: [libc::c_ulong; 10] = [16, 17, 20, 22, 25, 30, 32, 33, 34, 35];

/// Gives up, for this process and all its children, what would reach beyond the sandbox.
pub fn renounce_the_host() -> Result<()> {
    for capability in OF_THE_HOST {
        // SAFETY: takes numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        checked(result.into()).context("dropping a capability")?;
    }
    Ok(())
}

/// Whether this process may do what root of the machine may (some root users may not, in containers).
pub fn is_privileged() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    effective_capabilities().is_some_and(|capabilities| capabilities & CAP_SYS_ADMIN != 0)
}

fn effective_capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The folder that a descriptor stands for, by a short path: `sockaddr_un` has room for 108 bytes only.
pub fn path_of(folder: &impl AsRawFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}
