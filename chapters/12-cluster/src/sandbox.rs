//! The sandbox's PID 1: lays the machine room, keeps the control plane running, and switches nodes
//! on and off. When it ends, the kernel ends everything in the sandbox.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::control::{self, Answer, Asked, Request, Status, UnitStatus};
use crate::heart::commands::{self, ControlPlane, Setting};
use crate::heart::mounts::{self as plan, Cgroups, Host};
use crate::heart::supervision::Action;
use crate::heart::{AddressPlan, Node};
use crate::home::{Home, read_json};
use crate::init::{NodeSpec, until};
use crate::network::Network;
use crate::programs::{self, Programs, pid_of};
use crate::{cgroups, mine, mounts, sys};

/// Nodes stop before the control plane, and the store (tier 0) last of all.
const NODE_TIER: u8 = 3;
/// The group of PID 1 and the control plane, beside the nodes' groups.
const OWN_GROUP: &str = "control-plane";
/// Reports and requests that wait to be looked at; their senders wait when it is full.
const WAITING_EVENTS: usize = 64;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// The listening control socket
    #[arg(long)]
    pub control_fd: RawFd,
    /// The host's listening socket for the API server
    #[arg(long)]
    pub api_fd: RawFd,
    /// The host's listening socket for the store
    #[arg(long)]
    pub store_fd: RawFd,
}

/// What `up` decided, in `run/spec.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    pub nodes: Vec<Node>,
    pub addresses: AddressPlan,
    pub settings: Vec<Setting>,
    /// What the guard found; see `Groups`.
    #[serde(default)]
    pub cgroups: Cgroups,
    pub privileged: bool,
    /// How user ids are mapped, in words.
    #[serde(default)]
    pub ids: String,
}

impl Spec {
    pub fn path(home: &Home) -> PathBuf {
        home.run().join("spec.json")
    }
}

// ANCHOR: event
/// Everything that makes PID 1 do something.
enum Event {
    /// A component, a node's init, or an orphan has ended.
    ChildEnded,
    /// `down`, or somebody's `kill`.
    Terminate,
    /// A pause or somebody's patience is over.
    TimePassed,
    /// An operator's verb.
    Asked(Asked),
    /// A node's init tells of one of its programs.
    Reported { node: String, status: UnitStatus },
}
// ANCHOR_END: event

struct Sandbox {
    spec: Spec,
    home: Home,
    host: Host,
    network: Network,
    programs: Programs,
    /// Of each node that is up: its programs, as its init reports them.
    on_nodes: BTreeMap<String, BTreeMap<String, UnitStatus>>,
    followers: Vec<mpsc::Sender<Answer>>,
    /// Who waits for the end of which node.
    mourners: Vec<(String, mpsc::Sender<Answer>)>,
    reports: mpsc::Sender<Event>,
}

/// Not `async` at first: the mounts are made while there is one thread only.
pub fn run(home: Option<&Path>, args: Args) -> Result<()> {
    let home = Home::existing(home)?;
    let spec: Spec = read_json(&Spec::path(&home)).context("the spec that `up` wrote is missing")?;
    let [control, api, store] = [args.control_fd, args.api_fd, args.store_fd].map(sys::adopt);
    let (control, api, store) = (control?, api?, store?);
    let host = mounts::look_at_host(spec.cgroups.clone(), spec.privileged);

    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::sethostname("coracle")?;
    lay_out(&home, &host)?;
    settle(&spec.cgroups)?;
    if spec.privileged {
        sys::renounce_the_host()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(home, spec, host, UnixListener::from(control), api, store))
}

/// The sandbox's mounts. The home stays in sight, even where a mount would hide it.
fn lay_out(home: &Home, host: &Host) -> Result<()> {
    mounts::make_private()?;
    let folder = File::open(home.path())?;
    mounts::apply(&plan::sandbox(host))?;
    if !home.path().join("run").is_dir() {
        fs::create_dir_all(home.path())?;
        let none: Option<&str> = None;
        nix::mount::mount(
            Some(&sys::path_of(&folder)),
            home.path(),
            none,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            none,
        )
        .context("keeping the home in sight")?;
    }
    Ok(())
}

/// Moves PID 1 out of the sandbox's top group, so that version 2 lets it hand controllers to nodes.
fn settle(kind: &Cgroups) -> Result<()> {
    for hierarchy in hierarchies(kind) {
        let own = hierarchy.join(OWN_GROUP);
        fs::create_dir_all(&own)?;
        fs::write(own.join("cgroup.procs"), "0").with_context(|| format!("entering {}", own.display()))?;
        if *kind == Cgroups::V2 {
            cgroups::hand_down(&hierarchy)?;
        }
    }
    Ok(())
}

fn hierarchies(kind: &Cgroups) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    match kind {
        Cgroups::None => Vec::new(),
        Cgroups::V2 => vec![top.to_owned()],
        Cgroups::V1(names) => names.iter().map(|name| top.join(name)).collect(),
    }
}

async fn serve(
    home: Home,
    spec: Spec,
    host: Host,
    control: UnixListener,
    api: OwnedFd,
    store: OwnedFd,
) -> Result<()> {
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    control.set_nonblocking(true)?;
    let (asked, mut questions) = mpsc::channel(WAITING_EVENTS);
    tokio::spawn(control::serve(tokio::net::UnixListener::from_std(control)?, asked));
    let (reports, mut reported) = mpsc::channel(WAITING_EVENTS);

    let network = Network::open()?;
    network.set_up_machine_room(&spec.addresses).await?;
    // What the API server connects to, before the store has started and while it is away.
    let store_inside =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 2379)).context("opening the store's port inside")?;
    let mut programs = Programs::new(home.paths.binary(), home.logs());
    let control_plane = ControlPlane {
        addresses: spec.addresses.clone(),
        pki: home.pki(),
        kubeconfigs: home.kubeconfigs(),
        data: home.join("store"),
        api_socket: api.as_raw_fd(),
        store_sockets: vec![store.as_raw_fd(), store_inside.as_raw_fd()],
    };
    for mut component in commands::control_plane(&control_plane) {
        commands::apply(&spec.settings, &mut component);
        let sockets = match component.name.as_str() {
            "apiserver" => vec![control_plane.api_socket],
            "store" => control_plane.store_sockets.clone(),
            _ => Vec::new(),
        };
        programs.add(component, sockets);
    }
    for node in &spec.nodes {
        programs.supervisor.add(&node.name, NODE_TIER);
        programs.supervisor.handle_start(&node.name, programs.now());
    }
    let mut sandbox = Sandbox {
        spec,
        home,
        host,
        network,
        programs,
        on_nodes: BTreeMap::new(),
        followers: Vec::new(),
        mourners: Vec::new(),
        reports,
    };
    info!("the sandbox stands");

    loop {
        for action in sandbox.programs.supervisor.poll(sandbox.programs.now()) {
            sandbox.perform(action).await;
        }
        for change in sandbox.programs.changes() {
            sandbox.tell(&change);
        }
        if sandbox.programs.supervisor.ended() {
            info!("everything has ended");
            return Ok(());
        }
        let deadline = sandbox.programs.deadline();
        let event = tokio::select! {
            _ = children.recv() => Event::ChildEnded,
            _ = terminate.recv() => Event::Terminate,
            Some(asked) = questions.recv() => Event::Asked(asked),
            Some(report) = reported.recv() => report,
            () = until(deadline) => Event::TimePassed,
        };
        match event {
            Event::ChildEnded => programs::reap().into_iter().for_each(|(pid, exit)| {
                if let Some(name) = sandbox.programs.ended(pid, exit) {
                    sandbox.bury(&name);
                }
            }),
            Event::Terminate => sandbox.programs.supervisor.handle_end(),
            Event::TimePassed => {}
            Event::Asked(asked) => sandbox.answer(asked),
            Event::Reported { node, status } => sandbox.note(&node, status),
        }
    }
}

impl Sandbox {
    async fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { unit } => match self.spec.nodes.iter().find(|node| node.name == unit).cloned() {
                None => self.programs.start(&unit),
                Some(node) => match self.boot(&node).await {
                    Ok(pid) => self.programs.supervisor.handle_spawned(&node.name, pid, self.programs.now()),
                    Err(error) => {
                        warn!(node = node.name, "cannot be switched on: {error:#}");
                        self.programs.supervisor.handle_not_spawned(&node.name, self.programs.now());
                    }
                },
            },
            Action::Signal { pid, signal, .. } => self.programs.signal(pid, signal),
        }
    }

    /// Switches a node on: its init in namespaces of its own, which waits for a word; its control
    /// group; its cable; then the word.
    async fn boot(&mut self, node: &Node) -> Result<u32> {
        for folder in [
            self.home.paths.node_var(&node.name),
            self.home.paths.node_logs(&node.name),
            self.home.paths.images(),
        ] {
            fs::create_dir_all(folder)?;
        }
        let (ours, theirs) = UnixStream::pair()?;
        let pid = clone_init(&self.home.paths.binary(), theirs.as_raw_fd())?;
        drop(theirs);
        let number = pid.as_raw().unsigned_abs();
        match self.introduce(node, pid, &ours).await {
            Ok(()) => {
                self.on_nodes.insert(node.name.clone(), BTreeMap::new());
                ours.set_nonblocking(true)?;
                let stream = tokio::net::UnixStream::from_std(ours)?;
                tokio::spawn(listen_to(node.name.clone(), stream, self.reports.clone()));
                info!(node = node.name, pid = number, "switched on");
                Ok(number)
            }
            Err(error) => {
                // It is reaped as an orphan.
                let _ = kill(pid, Signal::SIGKILL);
                Err(error)
            }
        }
    }

    async fn introduce(&self, node: &Node, pid: Pid, mut socket: &UnixStream) -> Result<()> {
        for hierarchy in hierarchies(&self.spec.cgroups) {
            let group = hierarchy.join(&node.name);
            fs::create_dir_all(&group)?;
            fs::write(group.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("entering {}", group.display()))?;
        }
        self.network.plug_in(node, pid.as_raw().unsigned_abs()).await?;
        let spec = NodeSpec {
            node: node.clone(),
            addresses: self.spec.addresses.clone(),
            home: self.home.paths.clone(),
            host: self.host.clone(),
            settings: self.spec.settings.clone(),
        };
        let mut line = serde_json::to_vec(&spec)?;
        line.push(b'\n');
        socket.write_all(&line).context("telling init what its node is")
    }

    /// A unit's process is gone; when it was a node's init, everything on the node is.
    fn bury(&mut self, name: &str) {
        for (_, status) in self.on_nodes.remove(name).unwrap_or_default() {
            self.tell(&UnitStatus { state: control::Phase::Stopped, pid: None, since: None, ..status });
        }
        let mourners = std::mem::take(&mut self.mourners);
        for (node, answers) in mourners {
            if node == name {
                reply(&answers, Answer::Done);
            } else {
                self.mourners.push((node, answers));
            }
        }
    }

    /// An init's report.
    fn note(&mut self, node: &str, status: UnitStatus) {
        if let Some(on_node) = self.on_nodes.get_mut(node) {
            on_node.insert(status.name.clone(), status.clone());
            self.tell(&status);
        }
    }

    fn tell(&mut self, change: &UnitStatus) {
        self.followers.retain(|follower| follower.try_send(Answer::Change(change.clone())).is_ok());
    }

    fn answer(&mut self, Asked { request, answers }: Asked) {
        let answer = match request {
            Request::Status => Answer::Status(self.status()),
            Request::Follow => {
                reply(&answers, Answer::Status(self.status()));
                self.followers.push(answers);
                return;
            }
            Request::ShutDown => {
                self.programs.supervisor.handle_end();
                Answer::Done
            }
            Request::AddNode { node } => {
                if self.known(&node.name).is_err() {
                    self.programs.supervisor.add(&node.name, NODE_TIER);
                    self.spec.nodes.push(node.clone());
                }
                self.programs.supervisor.handle_start(&node.name, self.programs.now());
                Answer::Done
            }
            Request::StartNode { node } => match self.known(&node) {
                Ok(()) => {
                    self.programs.supervisor.handle_start(&node, self.programs.now());
                    Answer::Done
                }
                Err(refusal) => refusal,
            },
            Request::StopNode { node } => match self.known(&node) {
                Ok(()) => {
                    self.programs.supervisor.handle_stop(&node);
                    match self.programs.supervisor.units()[&node].state.pid() {
                        Some(pid) => {
                            // As when the power fails: nobody on the node gets to say good-bye.
                            let _ = kill(pid_of(pid), Signal::SIGKILL);
                            self.mourners.push((node, answers));
                            return;
                        }
                        None => Answer::Done,
                    }
                }
                Err(refusal) => refusal,
            },
        };
        reply(&answers, answer);
    }

    fn known(&self, node: &str) -> Result<(), Answer> {
        let names: Vec<&str> = self.spec.nodes.iter().map(|node| node.name.as_str()).collect();
        if names.contains(&node) {
            return Ok(());
        }
        Err(Answer::Refused {
            reason: format!("there is no node {node:?}; the nodes are {}", names.join(", ")),
        })
    }

    fn status(&self) -> Status {
        let mut components = self.programs.statuses();
        components.extend(self.on_nodes.values().flat_map(|on_node| on_node.values().cloned()));
        let limits = match &self.spec.cgroups {
            Cgroups::None => "not enforced: this user may make no control groups".to_owned(),
            Cgroups::V1(hierarchies) => format!("cgroup v1 ({})", hierarchies.join(", ")),
            Cgroups::V2 => "cgroup v2".to_owned(),
        };
        Status { limits, ids: self.spec.ids.clone(), mine: mine::chapters(), components }
    }
}

/// An asker who is gone, or does not read, misses his answer.
fn reply(answers: &mpsc::Sender<Answer>, answer: Answer) {
    if answers.try_send(answer).is_err() {
        info!("an answer found no reader");
    }
}

fn clone_init(binary: &Path, socket: RawFd) -> Result<Pid> {
    let string = |text: &str| CString::new(text);
    let program = [
        CString::new(binary.as_os_str().as_encoded_bytes())?,
        string("init")?,
        string(&format!("--socket={socket}"))?,
    ];
    let environment: Vec<CString> = std::env::vars()
        .map(|(name, value)| CString::new(format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    sys::spawn_into(namespaces, &program, &environment, || sys::set_inherited(socket, true))
}

/// Passes on what an init reports, until it ends.
async fn listen_to(node: String, stream: tokio::net::UnixStream, reports: mpsc::Sender<Event>) {
    let mut lines = tokio::io::BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(status) => {
                let report = Event::Reported { node: node.clone(), status };
                if reports.send(report).await.is_err() {
                    return;
                }
            }
            Err(error) => warn!(node, %error, "its init says what nobody understands"),
        }
    }
}
