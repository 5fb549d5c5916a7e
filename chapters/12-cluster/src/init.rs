//! A node's PID 1: builds the node around itself, then keeps its programs running until it is told
//! to end. It is not the kubelet's business who restarts the kubelet.

use std::io::{BufRead, BufReader};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::heart::commands::{self, Setting};
use crate::heart::mounts::{self as plan, Cgroups, HomePaths, Host};
use crate::heart::supervision::Action;
use crate::heart::{AddressPlan, Node};
use crate::network::Network;
use crate::programs::{self, Programs};
use crate::{cgroups, mounts, sys};

/// Where the node's root is put together, in the sandbox's memory.
const ROOT: &str = "/run/coracle/root";
/// The group of init and its programs, beside the pods' `kubepods`.
const OWN_GROUP: &str = "system";

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// A socket on which the sandbox says what this node is, and is told how its programs are
    #[arg(long)]
    pub socket: RawFd,
}

/// What the sandbox says, once the node's cable is plugged in and its control group entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeSpec {
    pub node: Node,
    pub addresses: AddressPlan,
    pub home: HomePaths,
    pub host: Host,
    pub settings: Vec<Setting>,
}

/// Everything that makes a node's PID 1 do something.
enum Event {
    ChildEnded,
    Terminate,
    TimePassed,
}

/// Not `async` at first: namespaces are joined and left while there is one thread only.
pub fn run(args: Args) -> Result<()> {
    let socket = UnixStream::from(sys::adopt(args.socket)?);
    let mut line = String::new();
    BufReader::new(socket.try_clone()?).read_line(&mut line)?;
    let spec: NodeSpec = serde_json::from_str(&line).context("what the sandbox says of this node")?;

    unshare(CloneFlags::CLONE_NEWCGROUP).context("a cgroup namespace")?;
    mounts::make_private()?;
    nix::unistd::sethostname(&spec.node.name)?;
    let root = Path::new(ROOT);
    mounts::apply(&plan::node(root, &spec.node, &spec.home, &spec.host))?;
    mounts::pivot(root)?;
    settle(&spec.host.cgroups)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(spec, socket))
}

/// Leaves the top of the node's control groups to the pods: in version 2 a group with members
/// cannot hand controllers down.
fn settle(kind: &Cgroups) -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = match kind {
        Cgroups::None => return Ok(()),
        Cgroups::V2 => vec![top.to_owned()],
        Cgroups::V1(names) => names.iter().map(|name| top.join(name)).collect(),
    };
    for hierarchy in hierarchies {
        let own = hierarchy.join(OWN_GROUP);
        std::fs::create_dir_all(&own)?;
        std::fs::write(own.join("cgroup.procs"), "0")
            .with_context(|| format!("entering {}", own.display()))?;
        if *kind == Cgroups::V2 {
            cgroups::hand_down(&hierarchy)?;
        }
    }
    Ok(())
}

async fn serve(spec: NodeSpec, socket: UnixStream) -> Result<()> {
    socket.set_nonblocking(true)?;
    let mut sandbox = tokio::net::UnixStream::from_std(socket)?;
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Network::open()?.set_up_node(&spec.addresses, &spec.node).await?;

    let mut programs = Programs::new(plan::NODE_BINARY.into(), plan::NODE_LOGS.into());
    for mut component in commands::on_node(&spec.addresses, &spec.node) {
        commands::apply(&spec.settings, &mut component);
        programs.add(component, Vec::new());
    }
    info!(node = spec.node.name, "up");

    loop {
        for action in programs.supervisor.poll(programs.now()) {
            match action {
                Action::Spawn { unit } => programs.start(&unit),
                Action::Signal { pid, signal, .. } => programs.signal(pid, signal),
            }
        }
        for mut status in programs.changes() {
            status.name = format!("{}/{}", spec.node.name, status.name);
            let mut line = serde_json::to_vec(&status)?;
            line.push(b'\n');
            sandbox.write_all(&line).await.context("the sandbox does not listen")?;
        }
        if programs.supervisor.ended() {
            info!(node = spec.node.name, "down");
            return Ok(());
        }
        let deadline = programs.deadline();
        let event = tokio::select! {
            _ = children.recv() => Event::ChildEnded,
            _ = terminate.recv() => Event::Terminate,
            () = until(deadline) => Event::TimePassed,
        };
        match event {
            Event::ChildEnded => {
                for (pid, exit) in programs::reap() {
                    programs.ended(pid, exit);
                }
            }
            Event::Terminate => programs.supervisor.handle_end(),
            Event::TimePassed => {}
        }
    }
}

/// Until a moment, or for ever.
pub async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
