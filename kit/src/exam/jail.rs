//! # The keeper: limits, and walls
//!
//! The kit starts itself once more, under the hidden verb `jail`, in front of every program that runs a
//! student's code or compiles it. That second kit sets the limits and steps aside by executing the program
//! in its own place. With [`Walls`] there are two of them:
//!
//! ```text
//!   examiner ── keeper: new namespaces ── warden, PID 1 in them: a root of its own, limits,
//!                  │ waits                  another user ── executes the program
//!                  ▼
//!               tells how it ended
//! ```
//!
//! ## What stands inside the walls
//! The libraries that a program needs to start, read-only; what [`Walls`] names; `/dev/null` and its like;
//! an empty `/tmp`. No sources, no shell, no `/proc` (with it a program could read its own memory, token
//! included), no network, nobody else's processes. When PID 1 ends, the kernel ends all others with it.
//!
//! ## Where the kernel forbids namespaces
//! [`forbidden`] says why, and whoever uses the walls says so aloud and goes on without: limits and
//! process groups remain.
//!
//! Both keepers die with whoever started them, so that Ctrl-C leaves no loop behind.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

mod walls;

/// What the keeper writes on the examiner's line before it steps aside.
pub const DONE: &str = "ready\n";

/// The exit code of a keeper that could not do its work.
const BROKEN: u8 = 125;

/// Users that nobody has; each jail takes one, so that the limit of processes is its own.
const FIRST_USER: u32 = 60_000;
const USERS: u32 = 5_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// Bytes of address space.
    pub memory: Option<u64>,
    /// A second net under the examiner's clock, should the examiner be gone.
    pub cpu_seconds: u64,
    /// Bytes of one file.
    pub file: u64,
    pub walls: Option<Walls>,
    /// Say [`DONE`] on standard input, which is an examiner's line.
    pub tell: bool,
}

/// What is to be seen from inside. All paths are where they are outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Walls {
    pub reads: Vec<PathBuf>,
    pub writes: Vec<PathBuf>,
    /// The programs of the system, its `/proc` (of the own processes only), and this user: for compilers.
    pub tools: bool,
    /// Processes and threads.
    pub processes: u64,
    /// Who runs it; `None` for whoever asks.
    pub user: Option<u32>,
}

impl Rules {
    pub fn limits(memory: Option<u64>, time: Duration) -> Self {
        Self { memory, cpu_seconds: 2 * time.as_secs() + 2, file: 64 << 20, walls: None, tell: true }
    }

    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

impl Walls {
    pub fn for_a_test(reads: Vec<PathBuf>) -> Self {
        Self { reads, writes: Vec::new(), tools: false, processes: 32, user: None }
    }

    pub fn for_a_compiler(reads: Vec<PathBuf>, writes: Vec<PathBuf>) -> Self {
        Self { reads, writes, tools: true, processes: 1024, user: None }
    }
}

/// Why this machine has no walls, if it has none: they are built once, around nothing.
pub fn forbidden() -> Option<&'static str> {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    let try_it = || {
        let mut rules = Rules::limits(None, Duration::from_secs(10));
        (rules.walls, rules.tell) = (Some(Walls::for_a_test(Vec::new())), false);
        let output = Command::new("/proc/self/exe").arg("jail").arg(rules.to_json()?).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    };
    WHY.get_or_init(|| try_it().err().map(|error: anyhow::Error| error.to_string())).as_deref()
}

/// `kit jail [--inside] RULES [PROGRAM ARGS…]`; without a program it only tries.
pub fn keep(words: &[OsString]) -> ExitCode {
    match run(words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("keeper: {error:#}");
            ExitCode::from(BROKEN)
        }
    }
}

fn run(words: &[OsString]) -> Result<ExitCode> {
    let (inside, words) = match words {
        [first, rest @ ..] if first == "--inside" => (true, rest),
        _ => (false, words),
    };
    let [rules, program_and_arguments @ ..] = words else { bail!("rules are wanted") };
    let rules: Rules = serde_json::from_str(&rules.to_string_lossy()).context("rules")?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    match &rules.walls {
        Some(walls) if inside => {
            walls::build(walls)?;
            become_nobody(walls)?;
        }
        Some(_) => return guard(rules, program_and_arguments),
        None => {}
    }
    limit(&rules)?;
    // A change of user forgets it.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if rules.tell {
        nix::unistd::write(std::io::stdin(), DONE.as_bytes())?;
    }
    let [program, arguments @ ..] = program_and_arguments else { return Ok(ExitCode::SUCCESS) };
    Err(Command::new(program).args(arguments).exec())
        .with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

/// Enters new namespaces, starts the warden as their first process, and passes on how it ended.
fn guard(mut rules: Rules, program: &[OsString]) -> Result<ExitCode> {
    let (user, group) = (Uid::effective(), Gid::effective());
    let mut new = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    new |= CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !user.is_root() {
        new |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(new).context("new namespaces")?;
    if !user.is_root() {
        let write = |file: &str, text: String| {
            std::fs::write(Path::new("/proc/self").join(file), text).with_context(|| file.to_owned())
        };
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {user} 1"))?;
        write("gid_map", format!("0 {group} 1"))?;
    }
    if let Some(walls) = rules.walls.as_mut().filter(|walls| user.is_root() && !walls.tools) {
        walls.user = Some(FIRST_USER + std::process::id() % USERS);
    }
    let mut warden = Command::new("/proc/self/exe");
    let ended = warden.args(["jail", "--inside"]).arg(rules.to_json()?).args(program).status()?;
    let signal = ended.signal().map(|number| 128 + number);
    Ok(ExitCode::from(u8::try_from(ended.code().or(signal).unwrap_or_default()).unwrap_or(BROKEN)))
}

/// Root has no limit of processes, so a test of root's runs as somebody else. An ordinary user stays who
/// they are: what they have inside is power over these namespaces alone.
fn become_nobody(walls: &Walls) -> Result<()> {
    if let Some(user) = walls.user {
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
        nix::unistd::setgroups(&[]).context("groups")?;
        nix::unistd::setresgid(gid, gid, gid).context("group")?;
        nix::unistd::setresuid(uid, uid, uid).context("user")?;
    }
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

fn limit(rules: &Rules) -> Result<()> {
    let processes = rules.walls.as_ref().map(|walls| walls.processes);
    let wanted = [
        (Resource::RLIMIT_AS, rules.memory),
        (Resource::RLIMIT_CPU, Some(rules.cpu_seconds)),
        (Resource::RLIMIT_FSIZE, Some(rules.file)),
        (Resource::RLIMIT_CORE, Some(0)),
        // Outside of walls it would count all that the user runs.
        (Resource::RLIMIT_NPROC, processes),
    ];
    for (resource, most) in wanted {
        let Some(most) = most else { continue };
        let (_, allowed) = getrlimit(resource)?;
        let most = most.min(allowed);
        setrlimit(resource, most, most).with_context(|| format!("{resource:?}"))?;
    }
    Ok(())
}
