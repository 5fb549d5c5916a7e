//! The guard: a small process outside the sandbox, its PID 1's parent. It makes the namespaces,
//! maps the user ids, waits for the end of PID 1, and then removes what the kernel does not remove
//! by itself: the control groups and the run files. Killing the guard harms nobody; the next `up`,
//! `down` or `reset` sweeps instead of it.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, pipe2};
use tracing::{info, warn};

use crate::cgroups::{self, Groups};
use crate::home::{Home, Process, Running, read_json, write_atomically};
use crate::ids::Mapping;
use crate::sandbox::Spec;
use crate::{control, sys};

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    #[arg(long)]
    pub control_fd: RawFd,
    #[arg(long)]
    pub api_fd: RawFd,
    #[arg(long)]
    pub store_fd: RawFd,
}

pub fn run(home: Option<&Path>, args: Args) -> Result<()> {
    let home = Home::existing(home)?;
    let id = home.id();
    let sockets = [args.control_fd, args.api_fd, args.store_fd]
        .map(sys::adopt)
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let result = start(&home, &id, &args).map(|pid| {
        // From here on only the sandbox holds the sockets: when it ends, its callers notice.
        drop(sockets);
        info!(pid = pid.as_raw(), "the sandbox is started");
        match waitpid(pid, None) {
            Ok(status) => info!(?status, "the sandbox has ended"),
            Err(error) => warn!(%error, "waiting for the sandbox"),
        }
    });
    sweep(&home);
    result
}

/// Removes what a sandbox of this home left, when it is gone.
pub fn sweep(home: &Home) {
    cgroups::sweep(&home.id());
    control::forget(&home.run());
    for name in ["sandbox.json", "spec.json"] {
        // Whoever came before may have removed them.
        let _ = fs::remove_file(home.run().join(name));
    }
}

fn start(home: &Home, id: &str, args: &Args) -> Result<Pid> {
    let path = Spec::path(home);
    let mut spec: Spec = read_json(&path).context("the spec that `up` wrote is missing")?;
    let groups = Groups::make(id);
    spec.cgroups = groups.kind().clone();
    let mapping = if spec.privileged { None } else { Some(Mapping::best()) };
    spec.ids = mapping.as_ref().map_or_else(|| "those of the host".to_owned(), Mapping::words);
    write_atomically(&path, &serde_json::to_vec_pretty(&spec)?, 0o644)?;

    let (waiting, word) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = clone_sandbox(home, args, mapping.is_some(), waiting, word.as_raw_fd())?;
    if let Some(mapping) = mapping {
        mapping.write(pid)?;
    }
    if let Err(error) = groups.enter(pid) {
        bail!("moving the sandbox into its control groups: {error}");
    }
    home.set_running(&Running { sandbox: Process::of(pid)?, guard: Process::of(getpid())? })?;
    fs::File::from(word).write_all(b"!").context("the sandbox ended before it began")?;
    Ok(pid)
}

fn clone_sandbox(home: &Home, args: &Args, own_user: bool, waiting: OwnedFd, word: RawFd) -> Result<Pid> {
    let binary = home.paths.binary();
    let mut program = vec![CString::new(binary.as_os_str().as_encoded_bytes())?, CString::new("sandbox")?];
    program.push(CString::new("--home")?);
    program.push(CString::new(home.path().as_os_str().as_encoded_bytes())?);
    let sockets = [("control", args.control_fd), ("api", args.api_fd), ("store", args.store_fd)];
    for (name, fd) in sockets {
        program.push(CString::new(format!("--{name}-fd={fd}"))?);
    }
    let environment = environment()?;
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    if own_user {
        namespaces |= CloneFlags::CLONE_NEWUSER;
    }
    let mut waiting = fs::File::from(waiting);
    let pid = sys::spawn_into(namespaces, &program, &environment, || {
        // Our copy of the other end must not keep us waiting when the guard dies.
        nix::unistd::close(word).map_err(io::Error::from)?;
        let mut go = [0];
        waiting.read_exact(&mut go)?;
        // Now that this process is in its groups, they are the tops of what it sees.
        unshare(CloneFlags::CLONE_NEWCGROUP)?;
        sockets.iter().try_for_each(|&(_, fd)| sys::set_inherited(fd, true))
    });
    pid.context("making the namespaces (are user namespaces allowed here? see `cargo kit doctor`)")
}

/// What of the caller's environment means something inside.
fn environment() -> Result<Vec<CString>> {
    let mut all = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "HOME=/root".to_owned(),
    ];
    for name in ["CORACLE_LOG", "LANG", "RUST_BACKTRACE", "TZ"] {
        if let Ok(value) = std::env::var(name) {
            all.push(format!("{name}={value}"));
        }
    }
    all.into_iter().map(|text| Ok(CString::new(text)?)).collect()
}
