//! What a plan is made of: one operation for each thing asked of the kernel.
//!
//! An [`Op`] prints as one line, so that a plan can be read, kept as a golden and compared. The
//! shell's executor is a `match` with one or two system calls in each arm.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Per-mount flags (mount(2)); all off unless asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    pub ro: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
}

impl Flags {
    pub const NONE: Flags = Flags { ro: false, nosuid: false, nodev: false, noexec: false };
    pub const NODEV: Flags = Flags { nodev: true, ..Flags::NONE };
    /// What file systems made of kernel data are mounted with.
    pub const DATA: Flags = Flags { ro: false, nosuid: true, nodev: true, noexec: true };

    #[must_use]
    pub const fn read_only(self) -> Flags {
        Flags { ro: true, ..self }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(self.ro, "ro"), (self.nosuid, "nosuid"), (self.nodev, "nodev"), (self.noexec, "noexec")];
        let set: Vec<&str> = names.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        f.write_str(if set.is_empty() { "rw" } else { "" })?;
        f.write_str(&set.join(","))
    }
}

/// Whether mounts made on one side of a mount point appear on the other (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Neither way. CRI: `PROPAGATION_PRIVATE`.
    #[default]
    Private,
    /// From the node to the container. CRI: `PROPAGATION_HOST_TO_CONTAINER`.
    Slave,
    /// Both ways. CRI: `PROPAGATION_BIDIRECTIONAL`.
    Shared,
}

/// One operation. Paths named `source` are paths of the **node**, all others are paths as the
/// caller sees them at that point of the plan: the node's before [`Op::PivotRoot`], the
/// container's after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Sets how mounts spread from and to `path` and all mounts below it.
    Propagate { path: PathBuf, how: Propagation },
    /// The mount that holds `path` stops spreading; its neighbours go on.
    PrivateParent { path: PathBuf },
    /// Stacks `lower` (uppermost first, names inside `layers_dir`) and `upper` at `target`.
    /// Where the kernel refuses overlay, the executor copies the layers to `target` and says so.
    Overlay {
        layers_dir: PathBuf,
        lower: Vec<String>,
        upper: PathBuf,
        work: PathBuf,
        target: PathBuf,
        /// Overlay keeps its marks in `user.overlay.*`: needed inside a user namespace.
        userxattr: bool,
    },
    /// `new_root` becomes `/`; the node's root stays reachable only as the working directory.
    PivotRoot { new_root: PathBuf },
    /// Mounts a file system of its own; the mount point is made when missing. `or_bind`: where
    /// the kernel refuses a new one (EPERM), that path of the node is bound instead.
    Mount { fstype: String, target: PathBuf, flags: Flags, data: String, or_bind: Option<PathBuf> },
    /// Binds a path of the node; a missing target is made, a file for a file and a directory for
    /// a directory. `optional`: nothing happens when the node has no such path.
    Bind { source: PathBuf, target: PathBuf, recursive: bool, flags: Flags, how: Propagation, optional: bool },
    /// A symbolic link in the container; one that is there stays.
    Symlink { link: PathBuf, to: PathBuf },
    /// Hides a path: a file behind `/dev/null`, a directory behind an empty read-only tmpfs.
    /// A path that does not exist needs no hiding.
    Mask { path: PathBuf },
    /// Makes a path that exists read-only where it stands.
    ReadOnly { path: PathBuf },
    /// Makes directories, parents included.
    MakeDir { path: PathBuf },
    /// The node's root goes away: from here on there is no path out.
    DetachOldRoot,
    /// The name in the UTS namespace.
    SetHostname { name: String },
    /// `lo` of the network namespace goes up.
    LoopbackUp,
    /// Writes a kernel file (`/proc/sys/…`, a control group).
    WriteFile { path: PathBuf, value: String },
    /// Enters the working directory of the process.
    Chdir { path: PathBuf },
}

impl Op {
    /// A file system of the container's own.
    pub fn mount(fstype: &str, target: &str, flags: Flags, data: &str) -> Op {
        Op::Mount { fstype: fstype.into(), target: target.into(), flags, data: data.into(), or_bind: None }
    }

    /// A view of the kernel: where a new one is refused (a user namespace that does not own the
    /// network), the node's is bound.
    pub fn kernel_view(fstype: &str, target: &str, writable: bool) -> Op {
        Op::Mount {
            fstype: fstype.into(),
            target: target.into(),
            flags: if writable { Flags::DATA } else { Flags::DATA.read_only() },
            data: String::new(),
            or_bind: Some(target.into()),
        }
    }

    /// The node's device (or directory of devices) at the same path, where the node has it.
    pub fn device(path: &str) -> Op {
        Op::Bind {
            source: path.into(),
            target: path.into(),
            recursive: true,
            flags: Flags::NONE,
            how: Propagation::Private,
            optional: true,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Propagate { path, how } => write!(f, "propagate {} {}", path.display(), how.word()),
            Op::PrivateParent { path } => write!(f, "private-parent {}", path.display()),
            Op::Overlay { lower, upper, target, userxattr, .. } => write!(
                f,
                "overlay {} + {} on {}{}",
                lower.join(":"),
                upper.display(),
                target.display(),
                if *userxattr { " userxattr" } else { "" }
            ),
            Op::PivotRoot { new_root } => write!(f, "pivot_root {}", new_root.display()),
            Op::Mount { fstype, target, flags, data, or_bind } => {
                write!(f, "mount {fstype} {} {flags}", target.display())?;
                if !data.is_empty() {
                    write!(f, " {data}")?;
                }
                or_bind.as_ref().map_or(Ok(()), |path| write!(f, " or bind {}", path.display()))
            }
            Op::Bind { source, target, recursive, flags, how, optional } => {
                let verb = if *recursive { "rbind" } else { "bind" };
                write!(f, "{verb} {} {} {flags}", source.display(), target.display())?;
                if *how != Propagation::Private {
                    write!(f, " {}", how.word())?;
                }
                f.write_str(if *optional { " if there" } else { "" })
            }
            Op::Symlink { link, to } => write!(f, "symlink {} -> {}", link.display(), to.display()),
            Op::Mask { path } => write!(f, "mask {}", path.display()),
            Op::ReadOnly { path } => write!(f, "read-only {}", path.display()),
            Op::MakeDir { path } => write!(f, "mkdir {}", path.display()),
            Op::DetachOldRoot => f.write_str("detach old root"),
            Op::SetHostname { name } => write!(f, "sethostname {name}"),
            Op::LoopbackUp => f.write_str("loopback up"),
            Op::WriteFile { path, value } => write!(f, "write {} = {value}", path.display()),
            Op::Chdir { path } => write!(f, "chdir {}", path.display()),
        }
    }
}

impl Propagation {
    fn word(self) -> &'static str {
        match self {
            Propagation::Private => "rprivate",
            Propagation::Slave => "rslave",
            Propagation::Shared => "rshared",
        }
    }
}

/// The door to the kernel.
pub trait Sys {
    /// Does one operation, or says why not.
    fn apply(&mut self, op: &Op) -> std::io::Result<()>;
}

/// An operation that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {source}")]
pub struct Refused {
    pub op: String,
    pub source: std::io::Error,
}

/// Runs a plan; the first refusal ends it.
pub fn apply(sys: &mut impl Sys, plan: &[Op]) -> Result<(), Refused> {
    plan.iter().try_for_each(|op| sys.apply(op).map_err(|source| Refused { op: op.to_string(), source }))
}

/// A plan as text, one operation a line.
pub fn listing(plan: &[Op]) -> String {
    plan.iter().map(|op| format!("{op}\n")).collect()
}
