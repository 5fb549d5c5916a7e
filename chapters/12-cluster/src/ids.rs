//! User ids in a user namespace: as many as this user may map.

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getgid, getuid, pipe2};

use crate::sys;

/// Which ids a user namespace has.
pub enum Mapping {
    /// The caller is root inside, and there is nobody else.
    One,
    /// The caller is root inside, and the ids that the administrator lent him follow.
    Range { uids: Lent, gids: Lent },
}

#[derive(Clone, Copy)]
pub struct Lent {
    first: u32,
    count: u32,
}

impl Mapping {
    /// The most that this user may have.
    pub fn best() -> Self {
        let user =
            nix::unistd::User::from_uid(getuid()).ok().flatten().map(|user| user.name).unwrap_or_default();
        let uid = getuid().to_string();
        let lent = |file: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let owner = fields.next()?;
                let lent = Lent { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
                (owner == user || owner == uid).then_some(lent)
            })
        };
        match (lent("/etc/subuid"), lent("/etc/subgid")) {
            (Some(uids), Some(gids)) if is_installed("newuidmap") && is_installed("newgidmap") => {
                Self::Range { uids, gids }
            }
            _ => Self::One,
        }
    }

    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::One => "one: a process that changes its user id fails".to_owned(),
            Self::Range { uids, .. } => format!("{} (subordinate ids)", u64::from(uids.count) + 1),
        }
    }

    /// Gives a process that has just begun its user namespace the ids in it.
    pub fn write(&self, pid: Pid) -> Result<()> {
        match self {
            Self::One => {
                let write = |file: &str, text: String| {
                    let path = format!("/proc/{pid}/{file}");
                    fs::write(&path, text).with_context(|| format!("writing {path}"))
                };
                write("setgroups", "deny".to_owned())?;
                write("uid_map", format!("0 {} 1\n", getuid()))?;
                write("gid_map", format!("0 {} 1\n", getgid()))
            }
            Self::Range { uids, gids } => {
                run_mapper("newuidmap", pid, getuid().as_raw(), *uids)?;
                run_mapper("newgidmap", pid, getgid().as_raw(), *gids)
            }
        }
    }
}

fn run_mapper(program: &str, pid: Pid, own: u32, lent: Lent) -> Result<()> {
    let numbers = [pid.as_raw().unsigned_abs(), 0, own, 1, 1, lent.first, lent.count];
    let output = Command::new(program)
        .args(numbers.map(|number| number.to_string()))
        .output()
        .with_context(|| format!("starting {program} (package uidmap)"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Runs a program as root of the user namespace that `Mapping::best` gives, and waits for it: for
/// files that belong to ids which only exist in there.
pub fn run_as_root_inside(program: &[CString]) -> Result<()> {
    let (waiting, word) = pipe2(OFlag::O_CLOEXEC)?;
    let (mut waiting, word) = (fs::File::from(waiting), fs::File::from(word));
    let mut keep = Some(word);
    let pid = sys::spawn_into(CloneFlags::CLONE_NEWUSER, program, &[], || {
        drop(keep.take());
        waiting.read_exact(&mut [0])
    })?;
    let mut word = keep.context("the pipe's end is the parent's")?;
    Mapping::best().write(pid)?;
    word.write_all(b"!")?;
    match waitpid(pid, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        status => bail!("{:?}: {status:?}", program.first()),
    }
}
