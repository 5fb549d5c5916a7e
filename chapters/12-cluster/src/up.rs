//! `coracle up`: makes what a cluster needs, starts the sandbox in the background, and comes back
//! when the nodes are Ready.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::control::{self, Client, Request};
use crate::guard;
use crate::heart::commands::Setting;
use crate::heart::mounts::Cgroups;
use crate::heart::{AddressPlan, Node};
use crate::home::{Home, Memory, write_atomically};
use crate::sandbox::Spec;
use crate::{images, pki, programs, ready, sys};

/// How many nodes there are when nobody says.
const NODES: u32 = 2;
const API_PORT: u16 = 6443;
const STORE_PORT: u16 = 2379;
/// How many ports are tried after one that is taken.
const PORTS_TO_TRY: u16 = 100;
/// How long the guard of an earlier sandbox may take to clean up.
const GUARD_PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How many nodes; remembered for the next time [default: 2]
    #[arg(long)]
    pub nodes: Option<u32>,
    /// How long to wait until the nodes are Ready
    #[arg(long, default_value = "60s", value_parser = objects::duration::parse_go)]
    pub timeout: Duration,
    /// Another flag for a component, as COMPONENT.flag=value (repeatable)
    #[arg(long = "set", value_name = "COMPONENT.flag=value")]
    pub settings: Vec<Setting>,
    /// The API server's port on 127.0.0.1, 0 for any; remembered [default: 6443, or the next free one]
    #[arg(long)]
    pub api_port: Option<u16>,
    /// The store's port on 127.0.0.1, 0 for any; remembered [default: 2379, or the next free one]
    #[arg(long)]
    pub store_port: Option<u16>,
}

/// Lines that a person can follow.
pub struct Progress {
    start: Instant,
}

impl Progress {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub fn say(&self, text: impl std::fmt::Display) {
        println!("{:>7.2}s  {text}", self.start.elapsed().as_secs_f64());
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// The host's ends of the sandbox.
struct Sockets {
    control: OwnedFd,
    api: TcpListener,
    store: TcpListener,
}

pub fn run(home: Option<&Path>, args: Args) -> Result<()> {
    let home = Home::open(home)?;
    let lock = home.lock()?;
    if home.running().is_some() {
        println!("The cluster is up already.\n{}", hint(&home));
        return Ok(());
    }
    let progress = Progress::new();
    progress.say(format_args!("home {}", home.path().display()));
    clear_up(&home)?;

    let mut memory = home.memory();
    let count = args.nodes.or(memory.nodes).unwrap_or(NODES);
    let addresses = AddressPlan::default();
    let nodes = addresses.nodes(count)?;
    let sockets = open_sockets(&home, &args, &mut memory)?;
    memory.nodes = Some(count);
    home.remember(&memory)?;
    install(&home)?;
    prepare(&home, &addresses, &nodes, &memory, &progress)?;

    let spec = Spec {
        nodes: nodes.clone(),
        addresses,
        settings: args.settings.clone(),
        cgroups: Cgroups::None,
        privileged: sys::is_privileged(),
        ids: String::new(),
    };
    write_atomically(&Spec::path(&home), &serde_json::to_vec_pretty(&spec)?, 0o644)?;
    start_guard(&home, sockets)?;
    let mut sandbox = Client::connect(&home)?;
    let status = sandbox.status().with_context(|| last_lines(&home.log("sandbox")))?;
    progress.say(format_args!("sandbox started; user ids: {}; limits: {}", status.ids, status.limits));
    // The rest is watching: `down` need not wait for it.
    drop(lock);
    ready::wait(&home, sandbox, &nodes, args.timeout, &progress)?;
    println!("{}", hint(&home));
    Ok(())
}

/// What to do with a cluster that is up.
fn hint(home: &Home) -> String {
    format!("export KUBECONFIG={}", home.kubeconfig().display())
}

/// Waits until an earlier sandbox is wholly gone, and removes what its guard did not.
pub fn clear_up(home: &Home) -> Result<()> {
    if let Some(running) = home.last_running()
        && !running.guard.wait(GUARD_PATIENCE)?
    {
        bail!("the guard of the last sandbox (process {}) does not end", running.guard.pid);
    }
    guard::sweep(home);
    Ok(())
}

/// Certificates, kubeconfigs, images.
fn prepare(
    home: &Home,
    addresses: &AddressPlan,
    nodes: &[Node],
    memory: &Memory,
    progress: &Progress,
) -> Result<()> {
    let made = pki::ensure(home, addresses, nodes)?;
    pki::write_kubeconfigs(home, addresses, nodes, memory.api_port.unwrap_or(API_PORT))?;
    if made > 0 {
        progress.say(format_args!("{made} certificates made"));
    }
    let images = images::ensure_built_in(home)?;
    if !images.is_empty() {
        progress.say(format_args!("images made: {}", images.join(", ")));
    }
    Ok(())
}

fn open_sockets(home: &Home, args: &Args, memory: &mut Memory) -> Result<Sockets> {
    let (api, api_port) = open_port("API server", args.api_port, memory.api_port, API_PORT)?;
    let (store, store_port) = open_port("store", args.store_port, memory.store_port, STORE_PORT)?;
    memory.api_port = Some(api_port);
    memory.store_port = Some(store_port);
    Ok(Sockets { control: control::listen(home)?.into(), api, store })
}

/// The port that is asked for; else the one that was had before; else the usual one, or one after it.
fn open_port(whose: &str, wish: Option<u16>, before: Option<u16>, usual: u16) -> Result<(TcpListener, u16)> {
    let open = |port: u16| -> io::Result<(TcpListener, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    if let Some(port) = wish {
        // "Any" is the one that was had before, when it is still free.
        let again = before.filter(|_| port == 0).and_then(|before| open(before).ok());
        return again
            .map_or_else(|| open(port), Ok)
            .with_context(|| format!("opening 127.0.0.1:{port} for the {whose}"));
    }
    let candidates = before.into_iter().chain(usual..usual.saturating_add(PORTS_TO_TRY));
    let mut last = None;
    for port in candidates {
        match open(port) {
            Ok(opened) => return Ok(opened),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::Error::other("no port to try"));
    Err(error).with_context(|| format!("no free port from {usual} on for the {whose}"))
}

/// Copies this program into the home: a later build must not change a running cluster.
fn install(home: &Home) -> Result<()> {
    let source = std::env::current_exe().context("finding this program")?;
    let target = home.paths.binary();
    let (from, to) = (source.metadata()?, target.metadata());
    let same = to.is_ok_and(|to| to.len() == from.len() && to.modified().ok() == from.modified().ok());
    if same || fs::canonicalize(&target).is_ok_and(|it| it == source) {
        return Ok(());
    }
    let copy = || -> io::Result<()> {
        let beside = target.with_extension("new");
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&source, &beside)?;
        File::options().append(true).open(&beside)?.set_modified(from.modified()?)?;
        fs::rename(&beside, &target)
    };
    copy().with_context(|| format!("copying this program to {}", target.display()))
}

/// Starts the guard, which starts the sandbox, in a session of their own.
fn start_guard(home: &Home, sockets: Sockets) -> Result<()> {
    let log = programs::open_log(&home.log("sandbox"))?;
    let fds = [
        ("control", sockets.control.as_raw_fd()),
        ("api", sockets.api.as_raw_fd()),
        ("store", sockets.store.as_raw_fd()),
    ];
    let mut command = Command::new(home.paths.binary());
    command.arg("guard").arg("--home").arg(home.path());
    command.args(fds.map(|(name, fd)| format!("--{name}-fd={fd}")));
    command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: three kinds of system calls, each safe between fork and exec.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            sys::inherit_nothing()?;
            fds.iter().try_for_each(|&(_, fd)| sys::set_inherited(fd, true))
        })
    };
    command.spawn().context("starting the guard")?;
    Ok(())
}

/// Adds one node to a cluster that is up; its name.
pub fn add_node(home: &Home, sandbox: &mut Client, name: Option<&str>) -> Result<String> {
    let _lock = home.lock()?;
    let mut memory = home.memory();
    let count = memory.nodes.unwrap_or(NODES) + 1;
    let addresses = AddressPlan::default();
    let nodes = addresses.nodes(count)?;
    let node = nodes.last().context("a cluster has nodes")?.clone();
    if name.is_some_and(|name| name != node.name) {
        bail!("the next node is called {}", node.name);
    }
    memory.nodes = Some(count);
    pki::ensure(home, &addresses, &nodes)?;
    pki::write_kubeconfigs(home, &addresses, &nodes, memory.api_port.unwrap_or(API_PORT))?;
    sandbox.ask(&Request::AddNode { node: node.clone() })?;
    home.remember(&memory)?;
    Ok(node.name)
}

/// The end of a log, for a message.
pub fn last_lines(path: &Path) -> String {
    const LINES: usize = 8;
    const BYTES: u64 = 16 << 10;
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
    format!("the last lines of {}:\n    {last}", path.display())
}
