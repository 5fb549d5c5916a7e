//! Capabilities: root cut into pieces (capabilities(7)).
//!
//! A container's root is not the node's: it keeps the fourteen pieces that ordinary images need,
//! and a pod may add and drop. The set is one number with a bit for each.

/// Names without `CAP_`, by number: the kernel's `include/uapi/linux/capability.h`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless told otherwise: the set of Docker and containerd.
pub const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// All there are.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

/// Bits of one name: `NET_ADMIN`, `CAP_NET_ADMIN`, in any case, or `ALL`.
pub fn bits(name: &str) -> Result<u64, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return Ok(ALL);
    }
    let number = NAMES.iter().position(|known| *known == short);
    number.map(|number| 1 << number).ok_or_else(|| UnknownCapability(name.to_owned()))
}

/// The set of a container: the default, with CRI's lists applied.
///
/// `ALL` comes first in either list: "drop ALL, add NET_ADMIN" leaves one, "add ALL, drop
/// NET_ADMIN" leaves all but one. A name both added and dropped alone is dropped (containerd's
/// `WithAddedCapabilities` before `WithDroppedCapabilities`). Privileged means all of them.
pub fn effective(add: &[String], drop: &[String], privileged: bool) -> Result<u64, UnknownCapability> {
    // lab:begin 07.5 start from the default set, apply ALL of either list, then add, then drop
    if privileged {
        return Ok(ALL);
    }
    let fold = |names: &[String]| names.iter().try_fold(0, |set, name| Ok(set | bits(name)?));
    let (add, drop) = (fold(add)?, fold(drop)?);
    let mut set: u64 = DEFAULT.iter().filter_map(|name| bits(name).ok()).fold(0, |set, bit| set | bit);
    if drop == ALL {
        set = 0;
    }
    if add == ALL {
        set = ALL;
    }
    set |= add;
    if drop != ALL {
        set &= !drop;
    }
    Ok(set)
    // lab:end
}

/// Names of a set, in the order of their numbers.
pub fn names(set: u64) -> Vec<&'static str> {
    NAMES.iter().enumerate().filter(|(number, _)| set & (1 << number) != 0).map(|(_, name)| *name).collect()
}
