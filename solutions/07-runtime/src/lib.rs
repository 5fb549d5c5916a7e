//! # Containers from scratch: the heart of a runtime
//!
//! There is no such thing as a container in the Linux kernel. There are namespaces (what a process
//! can name), mounts (what its `/` is), control groups (what it may use), capabilities (what part
//! of root it is) and virtual cables (whom it can reach). A runtime is a program that asks for
//! these in the right order and then calls `execve`. This crate decides *what to ask, in which
//! order*; the shell (chapters/07-runtime) asks.
//!
//! ```text
//!   image (OCI)            pod sandbox (CRI)             container (CRI)
//!   reference ─┐          namespaces ──┐               spec: who runs what
//!   manifest   ├─ layers  hosts, DNS   ├─ pause         │
//!   config  ───┘    │     IPAM, veth ──┘  holds them    ▼
//!                   │                        │       namespaces ► root ► cgroup ► caps ► exec
//!                   └── overlay, whiteouts ──┴──────────►│
//!                                                        ▼
//!                                              log lines, exit code, reason
//! ```
//!
//! Everything here is a value: a specification goes in, a **plan** comes out, a list of [`ops::Op`]
//! that prints one line for each. [`ops::Sys`] is the one door to the kernel. The shell puts the
//! real kernel behind it; the tests put a recorder and a toy kernel there.
//!
//! One module stands apart: [`spdy`], what kubectl's exec, attach and port-forward speak to a runtime's
//! streaming server. It too takes values and returns values.
//!
//! ## Invariants
//! 1. A path inside a container is only ever resolved after `pivot_root`: the kernel then keeps
//!    every symbolic link of the image inside the image. Nothing joins path strings instead.
//! 2. `/proc` is mounted after every volume: through `/proc/self/cwd` an image could otherwise
//!    name the node's files while a volume is put in place.
//! 3. The node's root goes as soon as `/proc` has come; whatever follows finds no path out, not
//!    even a working directory that the image chose with care (CVE-2024-21626).
//! 4. A layer is unpacked without ever following a link that the layer brought.
//! 5. Whiteouts of a layer hide what lower layers have, never what the same layer brings.
//! 6. An address is given to one pod at a time; the gateway, network and broadcast addresses to none.
//! 7. A capability that the bounding set lacks cannot be regained: it is cut before the user changes.
//! 8. What cannot be enforced is a value in the plan (`not_enforced`), never a silent gap.
//! 9. Log lines lose nothing: the text parts of the lines of one stream, put together, are the
//!    bytes that the process wrote.
//!
//! ## Left out, and where to read it
//! Seccomp and AppArmor (runc `libcontainer/seccomp`), device cgroups (`/dev` is made of bind
//! mounts on a `nodev` file system instead), user namespaces per pod (KEP-127), checkpoints, host
//! ports, IPv6, CPU pinning, huge pages. The order of set-up follows runc's
//! `libcontainer/rootfs_linux.go` and `init_linux.go`; the plugin follows containernetworking's
//! `plugins/main/ptp` and `plugins/ipam/host-local`.

pub mod capabilities;
pub mod cgroups;
pub mod cni;
pub mod image;
pub mod layers;
pub mod logs;
pub mod namespaces;
pub mod network;
pub mod ops;
pub mod process;
pub mod reference;
pub mod rootfs;
pub mod sandbox;
pub mod spdy;
pub mod spec;
