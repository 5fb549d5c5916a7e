//! # The examiner
//!
//! Runs tests of a grading suite, each in a process of its own, and believes nothing but the token that
//! comes back from the end of a test's body (the protocol is told in `tests/graded/src/lib.rs`).
//!
//! ```text
//!   sit ──┬─ a candidate: one test ── [`process`]: time, words, end ── [`jail`]: what it may touch
//!         └─ …as many at once as the limits say
//! ```
//!
//! ## Threat model
//! The student's code runs inside the test's process, and may be wrong in every way: it loops, forks,
//! floods, exits, eats memory, prints what a test prints, looks for the answers. None of that changes any
//! verdict but that of the test in which it happens, and none of it outlives the test. Not stopped is
//! code that finds the token in its own memory; without unsafe code and without `/proc` (which a jail does
//! not have) that takes more than a student's evening.
//!
//! ## Invariants
//! 1. A test has passed only if its body returned: exit codes and words are never asked.
//! 2. Nothing is written: snapshots are compared only, and a property's counterexample is shown, not kept.
//! 3. What a test started ends with it: its process group always, and in a jail whatever left the group.
//! 4. A test inherits no environment but what is named here, so an instructor's secrets stay theirs.

pub mod describe;
pub mod jail;
pub mod process;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::process::{Bounds, End, Ran};

/// A chapter's tests, as one program.
#[derive(Clone, Debug)]
pub struct Suite {
    pub program: PathBuf,
    /// The workspace in which it was compiled: the names of its snapshots begin there.
    pub root: PathBuf,
    /// Its own folder, where its tests run: `tests/05-scheduler`.
    pub folder: PathBuf,
}

impl Suite {
    /// What stands in front of every path that it says, if it was compiled in a stage: `grade/`.
    fn stage(&self) -> String {
        let inside = self.folder.strip_prefix(&self.root).ok().and_then(|path| path.parent()?.parent());
        match inside.map(|path| path.to_string_lossy()) {
            Some(path) if !path.is_empty() => format!("{path}/"),
            // Said by nobody.
            _ => "\0".to_owned(),
        }
    }
}

/// What one test may use, and what all of them together may.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall time of one test.
    pub test: Duration,
    /// Wall time of the whole sitting; what has not run by then counts as [`Outcome::NotRun`].
    pub sitting: Duration,
    /// Bytes of address space; `None` leaves it open.
    pub memory: Option<u64>,
    /// Bytes of standard output and error that are read before the test is stopped.
    pub output: usize,
    /// How many tests sit at the same time.
    pub at_once: usize,
    /// Shut in: no sources, no network, few processes, nothing to write to but its own `/tmp`.
    pub jail: bool,
}

/// One test, judged.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `step_1_quantities::every_suffix_has_its_factor`
    pub test: String,
    pub outcome: Outcome,
    pub time: Duration,
    /// The end of what it printed, both streams.
    pub printed: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The body reached its end.
    Passed,
    /// The body panicked.
    Failed { message: String, at: String },
    /// Killed after [`Limits::test`].
    TimedOut,
    /// Killed after too much [`Limits::output`].
    Flooded,
    /// The process ended without a word from the end of the body: how it ended, as `exit status 0`.
    Vanished(String),
    /// The sitting was over.
    NotRun,
}

/// Bytes of the end of what a test printed that a verdict keeps.
const KEPT: usize = 16 * 1024;

/// The names of a suite's tests, as its program lists them.
pub fn list(suite: &Suite) -> Result<Vec<String>> {
    let mut command = Command::new(&suite.program);
    command.args(["--list", "--format", "terse"]).stdin(Stdio::null()).env_clear();
    let output = command.output().with_context(|| format!("cannot run {}", suite.program.display()))?;
    if !output.status.success() {
        bail!("{} lists no tests: {}", suite.program.display(), output.status);
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Lets `tests` of a suite sit, and calls `judged` for each as it ends; the verdicts come in the order
/// of `tests`. `environment` is set for each of them.
pub fn sit(
    suite: &Suite,
    tests: &[String],
    environment: &[(&str, &str)],
    limits: &Limits,
    judged: &mut dyn FnMut(&Verdict),
) -> Result<Vec<Verdict>> {
    // This program itself, even if a newer one has taken its place in the meantime.
    let keeper = Some(Path::new("/proc/self/exe"));
    sit_with(&Exam { suite, environment, limits, keeper }, tests, judged)
}

struct Exam<'a> {
    suite: &'a Suite,
    environment: &'a [(&'a str, &'a str)],
    limits: &'a Limits,
    /// The program whose hidden verb `jail` sets limits and builds walls.
    keeper: Option<&'a Path>,
}

fn sit_with(exam: &Exam<'_>, tests: &[String], judged: &mut dyn FnMut(&Verdict)) -> Result<Vec<Verdict>> {
    let over = Instant::now() + exam.limits.sitting;
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..exam.limits.at_once.clamp(1, tests.len().max(1)) {
            let (tell, next) = (tell.clone(), &next);
            scope.spawn(move || {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < tests.len())
                {
                    // Nobody listens any more after an error.
                    if tell.send((at, exam.judge(&tests[at], over))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(tell);
        let mut verdicts: Vec<Option<Verdict>> = vec![None; tests.len()];
        for (at, verdict) in told {
            let verdict = verdict?;
            judged(&verdict);
            verdicts[at] = Some(verdict);
        }
        Ok(verdicts.into_iter().flatten().collect())
    })
}

impl Exam<'_> {
    fn judge(&self, test: &str, over: Instant) -> Result<Verdict> {
        let left = over.saturating_duration_since(Instant::now());
        let stage = self.suite.stage();
        let verdict = |outcome, time, printed: String| {
            let printed = printed.replace(&stage, "");
            Verdict { test: test.to_owned(), outcome, time, printed }
        };
        if left.is_zero() {
            return Ok(verdict(Outcome::NotRun, Duration::ZERO, String::new()));
        }
        let token = token()?;
        let (mut ours, theirs) = UnixStream::pair()?;
        ours.write_all(format!("{token}\n").as_bytes())?;
        let mut command = self.command(test)?;
        command.stdin(OwnedFd::from(theirs));
        let bounds = Bounds { time: self.limits.test.min(left), output: self.limits.output, kept: KEPT };
        let ran = process::run(command, &bounds, Some(ours))?;
        let answer = self.without_the_keeper(&ran)?;
        let outcome = match ran.end {
            End::TimedOut if left < self.limits.test => Outcome::NotRun,
            _ => outcome(ran.end, &answer, &token),
        };
        let outcome = match outcome {
            Outcome::Failed { message, at } => {
                Outcome::Failed { message: message.replace(&stage, ""), at: at.replace(&stage, "") }
            }
            other => other,
        };
        Ok(verdict(outcome, ran.time, ran.printed))
    }

    fn command(&self, test: &str) -> Result<Command> {
        let words = ["--exact", test, "--nocapture", "--test-threads", "1"];
        let mut command = match self.keeper {
            None => Command::new(&self.suite.program),
            Some(keeper) => {
                let mut command = Command::new(keeper);
                command.arg("jail").arg(self.rules()?.to_json()?).arg(&self.suite.program);
                command
            }
        };
        command.args(words).current_dir(&self.suite.folder).env_clear().envs([
            ("CORACLE_EXAMINER", "1"),
            ("INSTA_UPDATE", "no"),
            ("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1"),
            ("NO_COLOR", "1"),
            ("HOME", "/tmp"),
        ]);
        command.env("INSTA_WORKSPACE_ROOT", &self.suite.root);
        for name in ["PATH", "PROPTEST_CASES", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name).filter(|_| !self.limits.jail) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().copied());
        Ok(command)
    }

    fn rules(&self) -> Result<jail::Rules> {
        let mut rules = jail::Rules::limits(self.limits.memory, self.limits.test);
        if self.limits.jail {
            let mut reads = vec![self.suite.program.clone()];
            reads.extend(snapshots(&self.suite.folder)?);
            rules.walls = Some(jail::Walls::for_a_test(reads));
        }
        Ok(rules)
    }

    /// The keeper says that it is done before it steps aside; whatever went wrong before is no fault of
    /// the student's.
    fn without_the_keeper(&self, ran: &Ran) -> Result<Vec<u8>> {
        match (self.keeper, ran.answer.strip_prefix(jail::DONE.as_bytes())) {
            (None, _) => Ok(ran.answer.clone()),
            (Some(_), Some(rest)) => Ok(rest.to_vec()),
            (Some(_), None) => bail!("a test could not be started: {}", ran.printed.trim()),
        }
    }
}

/// The folders of snapshots under a suite's.
fn snapshots(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let list = if entry.file_name() == "snapshots" { &mut found } else { &mut folders };
                list.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Nobody guesses it.
fn token() -> Result<String> {
    let mut random = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn outcome(end: End, answer: &[u8], token: &str) -> Outcome {
    let answer = String::from_utf8_lossy(answer);
    if answer == format!("passed {token}") {
        return Outcome::Passed;
    }
    if let Some(reason) = answer.strip_prefix(&format!("failed {token}")) {
        let (at, message) = reason.split_once('\n').unwrap_or((reason, ""));
        return Outcome::Failed { message: message.to_owned(), at: at.trim().to_owned() };
    }
    match end {
        End::TimedOut => Outcome::TimedOut,
        End::Flooded => Outcome::Flooded,
        End::HungUp => Outcome::Vanished("it hung up on its examiner".to_owned()),
        End::Exited(status) => Outcome::Vanished(how(status)),
    }
}

/// `exit status 0`, `signal 6 (SIGABRT)`.
fn how(status: ExitStatus) -> String {
    // The keeper passes a signal on as shells do.
    let signal = status.signal().or_else(|| status.code().filter(|code| *code > 128).map(|code| code - 128));
    match signal.and_then(|number| nix::sys::signal::Signal::try_from(number).ok()) {
        Some(signal) => format!("signal {} ({})", signal as i32, signal.as_str()),
        None => format!("exit status {}", status.code().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
