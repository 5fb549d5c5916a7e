//! Starting a process in namespaces: the one place where the shim becomes two.
//!
//! `fork` copies one thread only, so the copy is sound only in a program that has one. The shim is
//! such a program: a current-thread tokio without blocking calls. Children then set themselves up
//! in ordinary Rust (files, vectors, errors) before they call `execve`.
//!
//! A child talks to the shim over a socket pair that closes on `execve`: silence and the end of
//! the stream mean that the new program runs.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use crate::heart::namespaces::{Ns, NsPlan};

/// What a child says before it becomes something else.
#[derive(Debug, Serialize, Deserialize)]
pub enum Says {
    /// For the log.
    Note(String),
    /// The other end of its terminal comes along.
    Terminal,
    /// It will not start.
    Failed(String),
}

/// Standard streams of a child.
pub struct Stdio {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// What the child works with.
pub struct Inside {
    pub stdio: Stdio,
    /// To the shim; a byte from there means "go on".
    pub shim: OwnedFd,
    /// Namespaces to join, in order; the PID namespace is joined already.
    pub join: Vec<(Ns, OwnedFd)>,
    pub create_cgroup_ns: bool,
}

/// The shim's end of a child that is setting itself up.
pub struct Starting {
    pub pid: i32,
    socket: AsyncFd<OwnedFd>,
}

/// Starts a child that runs `body` in the namespaces of `plan`. The body does not return.
pub fn spawn(plan: &NsPlan, stdio: Stdio, body: impl FnOnce(Inside)) -> anyhow::Result<Starting> {
    let kind = SockType::SeqPacket;
    let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
    let mut join = Vec::new();
    let mut pid_ns = None;
    for (ns, pid) in &plan.join {
        let path = format!("/proc/{pid}/ns/{}", ns.file());
        let file = OwnedFd::from(File::open(&path).with_context(|| format!("joining {path}"))?);
        if *ns == Ns::Pid { pid_ns = Some(file) } else { join.push((*ns, file)) }
    }
    let create_cgroup_ns = plan.create.contains(&Ns::Cgroup);
    let flags = plan.create.iter().filter(|ns| **ns != Ns::Cgroup).map(|ns| clone_flag(*ns));
    let flags = flags.fold(CloneFlags::empty(), |all, flag| all | flag);
    let inside = Inside { stdio, shim: theirs, join, create_cgroup_ns };

    let home = match &pid_ns {
        Some(file) => {
            let home = File::open("/proc/self/ns/pid")?;
            setns(file, CloneFlags::CLONE_NEWPID).context("joining the PID namespace")?;
            Some(home)
        }
        None => None,
    };
    let pid = clone_self(flags);
    if let Ok(0) = pid {
        // A panic must not run into the copy of the shim's loop.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(inside)));
        // SAFETY: ends this process at once, without the destructors of the shim's copy.
        unsafe { libc::_exit(128) };
    }
    if let Some(home) = home {
        setns(home, CloneFlags::CLONE_NEWPID).context("leaving the PID namespace")?;
    }
    let pid = pid.context("making namespaces")?;
    Ok(Starting { pid, socket: watch(ours)? })
}

/// `fork` with namespace flags: 0 in the child, its id in the parent.
fn clone_self(flags: CloneFlags) -> io::Result<i32> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert!(threads == 1, "a shim with {threads} threads must not fork");
    let flags = libc::c_long::from(flags.bits() | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack this is `fork`: the child goes on in a copy
    // of our memory. There is no other thread that could hold a lock in it.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid as i32) }
}

impl Starting {
    /// Lets the child go on: its control group is ready.
    pub fn go(&self) -> io::Result<()> {
        let go = [io::IoSlice::new(b"g")];
        sendmsg::<()>(self.socket.as_raw_fd(), &go, &[], MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    /// What the child says next; `None`: its program runs (or it died, as its exit will tell).
    pub async fn hear(&self) -> io::Result<Option<(Says, Option<OwnedFd>)>> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| receive(socket.as_raw_fd())) {
                Ok(heard) => return heard,
                Err(_would_block) => {}
            }
        }
    }
}

fn receive(socket: RawFd) -> io::Result<Option<(Says, Option<OwnedFd>)>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut control = nix::cmsg_space!(RawFd);
    let mut parts = [io::IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut parts, Some(&mut control), flags)?;
    let mut descriptor = None;
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = item {
            for fd in fds {
                // SAFETY: the kernel just made this descriptor for us alone.
                descriptor = Some(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) });
            }
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&buffer[..length])?, descriptor)))
}

/// The child's side of [`Starting::hear`].
pub fn say(shim: &OwnedFd, says: &Says, descriptor: Option<RawFd>) -> io::Result<()> {
    let bytes = serde_json::to_vec(says)?;
    let fds: Vec<RawFd> = descriptor.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    sendmsg::<()>(shim.as_raw_fd(), &[io::IoSlice::new(&bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// The child's side of [`Starting::go`]. False: the shim is gone.
pub fn wait_for_go(shim: &OwnedFd) -> bool {
    let mut byte = [0];
    loop {
        match nix::unistd::read(shim, &mut byte) {
            Err(Errno::EINTR) => {}
            read => return read == Ok(1),
        }
    }
}

pub fn clone_flag(ns: Ns) -> CloneFlags {
    match ns {
        Ns::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        Ns::Ipc => CloneFlags::CLONE_NEWIPC,
        Ns::Uts => CloneFlags::CLONE_NEWUTS,
        Ns::Net => CloneFlags::CLONE_NEWNET,
        Ns::Pid => CloneFlags::CLONE_NEWPID,
        Ns::Mount => CloneFlags::CLONE_NEWNS,
    }
}

/// Hands a descriptor to tokio's reactor.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    // SAFETY: an `OwnedFd` is open until it is dropped, and always the same.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
