//! `coracle enter`: runs a command in the sandbox, or in a node, as root of it.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::Pid;

use crate::control::{Client, Phase};
use crate::home::Home;
use crate::processes::Processes;
use crate::sys;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// The node; the machine room of the control plane when it is left out
    pub node: Option<String>,
    /// The command; a shell when it is left out
    #[arg(last = true)]
    pub command: Vec<String>,
}

pub fn run(home: &Home, args: Args) -> Result<ExitCode> {
    let pid = first_process(home, args.node.as_deref())?;
    let process = sys::pidfd(Pid::from_raw(pid)).context("the process to join has ended")?;
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    let user = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user"));
    // Joining the user namespace in which one already is, is refused.
    let other_user = user("self")? != user(&pid.to_string())?;
    if other_user {
        namespaces |= CloneFlags::CLONE_NEWUSER;
    }
    sys::join(process.as_fd(), namespaces)?;
    nix::unistd::chdir("/")?;
    if other_user {
        nix::unistd::setgid(0.into())?;
        nix::unistd::setuid(0.into())?;
    }

    let mut command = match args.command.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        None => Command::new("/bin/sh"),
    };
    // So that this cluster's own `coracle` is found: in a node, or in the sandbox.
    let own = if args.node.is_some() { "/opt/coracle/bin".into() } else { home.join("bin") };
    let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    command.env("PATH", format!("{}:{system}", own.display()));
    command.env("HOME", "/root").env_remove("KUBECONFIG");
    // So that crictl finds the node's runtime.
    let socket = "unix:///run/coracle/runtime.sock";
    command.env("CONTAINER_RUNTIME_ENDPOINT", socket).env("IMAGE_SERVICE_ENDPOINT", socket);
    // An interrupt from the terminal is for the command; it ends us by ending.
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the handler does nothing at all.
        unsafe { nix::sys::signal::signal(signal, SigHandler::Handler(nothing)) }?;
    }
    let status = command.status().with_context(|| format!("starting {:?} inside", command.get_program()))?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// (An ignored signal would stay ignored in the command; a handled one does not.)
extern "C" fn nothing(_: nix::libc::c_int) {}

/// The host's number of the first process of the sandbox, or of a node.
fn first_process(home: &Home, node: Option<&str>) -> Result<i32> {
    let sandbox = home.running().context("the cluster is not up")?.sandbox.pid;
    let Some(node) = node else { return Ok(sandbox) };
    let status = Client::connect(home)?.status()?;
    let unit = status
        .components
        .iter()
        .find(|unit| unit.name == node)
        .with_context(|| format!("there is no node {node:?}"))?;
    let pid = unit
        .pid
        .filter(|_| unit.state == Phase::Running)
        .with_context(|| format!("{node} is not running"))?;
    let found = Processes::look()
        .translate(sandbox.unsigned_abs(), pid)
        .with_context(|| format!("{node} is gone"))?;
    i32::try_from(found).context("a process id")
}
