//! Which namespaces a process gets: new ones, its pod's, or the node's.
//!
//! A pod is a set of namespaces that several containers share. Somebody has to keep them while
//! containers come and go: the pause process. It makes them; containers join them. What a
//! container never shares is its mount namespace, since each has a root of its own.

use serde::{Deserialize, Serialize};

/// Kinds of namespaces (namespaces(7)), in the order in which they are joined: the mount
/// namespace last, because after it the paths under `/proc` mean something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ns {
    Cgroup,
    Ipc,
    Uts,
    Net,
    Pid,
    Mount,
}

impl Ns {
    /// Its file name under `/proc/PID/ns`.
    pub fn file(self) -> &'static str {
        match self {
            Ns::Cgroup => "cgroup",
            Ns::Ipc => "ipc",
            Ns::Uts => "uts",
            Ns::Net => "net",
            Ns::Pid => "pid",
            Ns::Mount => "mnt",
        }
    }
}

// ANCHOR: modes
/// CRI's `NamespaceMode` after target ids became process ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Shared by the pod.
    #[default]
    Pod,
    /// Of the container alone.
    Container,
    /// The node's.
    Node,
    /// Of the process with this id (as the shim sees it).
    Target(i32),
}

/// What CRI lets a pod choose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub network: Mode,
    pub ipc: Mode,
    pub pid: Mode,
    /// A cgroup namespace of its own: where cgroup v2 is in use.
    pub cgroup: bool,
}
// ANCHOR_END: modes

/// What to do, in this order: `join`, then make `create` while starting the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NsPlan {
    /// Namespace and the process whose one is joined.
    pub join: Vec<(Ns, i32)>,
    pub create: Vec<Ns>,
}

/// Namespaces of the pause process: it makes whatever the pod does not take from the node.
///
/// The UTS namespace goes with the network: a pod in the node's network has the node's name.
/// The pause process has a PID namespace of its own even when the containers do not share it.
pub fn plan_pause(wanted: &Wanted) -> NsPlan {
    // lab:begin 07.1 the pod's namespaces: make all that are not the node's
    let mut create = Vec::new();
    if wanted.ipc != Mode::Node {
        create.push(Ns::Ipc);
    }
    if wanted.network != Mode::Node {
        create.extend([Ns::Uts, Ns::Net]);
    }
    if wanted.pid != Mode::Node {
        create.push(Ns::Pid);
    }
    create.push(Ns::Mount);
    NsPlan { join: Vec::new(), create }
    // lab:end
}

/// Namespaces of a container in the pod that `pause` (a process id) holds.
///
/// Whatever is the node's is neither joined nor made: the shim lives there already.
pub fn plan_container(wanted: &Wanted, pause: i32) -> NsPlan {
    // lab:begin 07.1 a container's namespaces: join the pod's, make its own
    let mut plan = NsPlan::default();
    let mut place = |ns: Ns, mode: Mode| match mode {
        Mode::Pod => plan.join.push((ns, pause)),
        Mode::Target(pid) => plan.join.push((ns, pid)),
        Mode::Container => plan.create.push(ns),
        Mode::Node => {}
    };
    place(Ns::Ipc, wanted.ipc);
    place(Ns::Uts, wanted.network);
    place(Ns::Net, wanted.network);
    place(Ns::Pid, wanted.pid);
    if wanted.cgroup {
        plan.create.insert(0, Ns::Cgroup);
    }
    plan.create.push(Ns::Mount);
    plan
    // lab:end
}

/// Namespaces of a command run inside a container whose first process is `init`: all of them
/// are joined, none is made.
pub fn plan_exec(wanted: &Wanted, init: i32) -> NsPlan {
    // lab:begin 07.1 exec joins everything that its container does not take from the node
    let own = [
        (Ns::Cgroup, wanted.cgroup),
        (Ns::Ipc, wanted.ipc != Mode::Node),
        (Ns::Uts, wanted.network != Mode::Node),
        (Ns::Net, wanted.network != Mode::Node),
        (Ns::Pid, wanted.pid != Mode::Node),
        (Ns::Mount, true),
    ];
    let join = own.into_iter().filter(|(_, own)| *own).map(|(ns, _)| (ns, init)).collect();
    NsPlan { join, create: Vec::new() }
    // lab:end
}
