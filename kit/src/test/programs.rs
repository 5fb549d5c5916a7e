//! Running test programs, some at once: half of their time is waiting for a cluster, or for a deadline.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::log::{self, Line};
use crate::bounded;

const AT_ONCE: usize = 2;
/// What hangs must not take the results of everything else with it. Several times what the longest needs.
const PATIENCE: Duration = Duration::from_secs(600);
/// Its last words, when it has ended and something that it left behind still holds its end of the pipe.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// More than this is kept of no program.
const MOST_LINES: usize = 20_000;

/// A test program, as `cargo test` would run it.
pub struct Program {
    /// The chapter, or other room, whose it is.
    pub room: String,
    pub target: String,
    pub executable: PathBuf,
    /// The folder of its package: where it runs.
    pub folder: PathBuf,
}

/// A test program that has ended.
pub struct Ended {
    pub room: String,
    pub target: String,
    pub result: log::Result,
    pub time: Duration,
    /// What could not be tried here, and why.
    pub skipped: Vec<String>,
    /// What failing tests printed, or all of it, if it did not live to give a result.
    pub complaints: Vec<String>,
}

/// Runs them all, each with the arguments and the environment that `prepare` adds. `tell` hears of each
/// as it ends.
pub fn run(
    programs: Vec<Program>,
    prepare: impl Fn(&mut Command) + Sync,
    tell: impl Fn(&Ended) + Sync,
) -> Result<Vec<Ended>> {
    let waiting = Mutex::new(programs.into_iter());
    let ended = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(program) = next else { return Ok(()) };
            let one = run_one(program, &prepare)?;
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            // Under the lock, so that what two programs printed does not mix.
            tell(&one);
            ended.push(one);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    Ok(ended.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn run_one(program: Program, prepare: &impl Fn(&mut Command)) -> Result<Ended> {
    let began = Instant::now();
    let mut command = Command::new(&program.executable);
    command.arg("--show-output").current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    prepare(&mut command);
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let spawned = command.spawn();
    let mut child = spawned.with_context(|| format!("cannot run {}", program.executable.display()))?;
    // The command holds the writing end, and as long as somebody does, the reading never ends.
    drop(command);
    let heard = Heard::listen(reader);
    let status = bounded::wait(&mut child, PATIENCE)?;
    let mut ended = digest(heard.lines());
    if status.is_none() {
        ended
            .complaints
            .push(format!("It did not end within {}, and was ended.", crate::say::time(PATIENCE)));
    }
    if ended.result.failed == 0 && !status.is_some_and(|status| status.success()) {
        ended.result.failed = 1;
    }
    let (room, target) = (program.room, program.target);
    Ok(Ended { room, target, time: began.elapsed(), ..ended })
}

/// What the lines of a program that has ended say.
fn digest(lines: VecDeque<String>) -> Ended {
    let mut ended = Ended {
        room: String::new(),
        target: String::new(),
        result: log::Result::default(),
        time: Duration::ZERO,
        skipped: Vec::new(),
        complaints: Vec::new(),
    };
    let mut result = None;
    let mut failures = None;
    for (number, line) in lines.iter().enumerate() {
        match log::read(line) {
            Line::Result(seen) => result = Some(seen),
            Line::Skipped(why) => ended.skipped.push(why.to_owned()),
            // They are named again at the end, under the same heading.
            Line::Failures => failures = failures.or(Some(number)),
            Line::Other => {}
        }
    }
    // In front of the failures stands what passing tests printed.
    let from = match result {
        Some(result) if result.failed == 0 => lines.len(),
        Some(_) => failures.unwrap_or(0),
        None => 0,
    };
    // Passing tests are counted, not shown.
    let passing = |line: &&String| line.starts_with("test ") && line.ends_with("... ok");
    ended.complaints = lines.range(from..).filter(|line| !passing(line)).cloned().collect();
    ended.result = result.unwrap_or_default();
    ended
}

/// What a program prints, the last of it.
struct Heard {
    lines: Arc<Mutex<VecDeque<String>>>,
    end: mpsc::Receiver<()>,
}

impl Heard {
    fn listen(reader: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (ended, end) = mpsc::channel();
        let kept = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(std::io::Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == MOST_LINES {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
            }
            // Nobody may wait any more.
            let _ = ended.send(());
        });
        Self { lines, end }
    }

    fn lines(self) -> VecDeque<String> {
        match self.end.recv_timeout(LAST_WORDS) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> Program {
        let folder = std::env::temp_dir().join(format!("kit-programs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Program { room: "r".into(), target: script.into(), executable: "/bin/sh".into(), folder }
    }

    /// What came of scripts that print as test programs do.
    fn ran(scripts: &[&str]) -> Vec<(log::Result, Vec<String>, Vec<String>)> {
        let run_one = |script: &&str| {
            let prepare = |command: &mut Command| {
                // In the place of what test programs are told.
                *command = Command::new("sh");
                command.args(["-c", script]);
            };
            let ended = super::run_one(program(script), &prepare).expect("it ran");
            (ended.result, ended.skipped, ended.complaints)
        };
        scripts.iter().map(run_one).collect()
    }

    #[test]
    fn results_skips_and_complaints_are_taken_out_of_what_is_printed() {
        let of = |passed, failed| log::Result { passed, failed, ignored: 0 };
        let well = "echo 'test a ... ok'; echo 'SKIPPED: no iptables'; echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        let badly = "echo noise; echo failures:; echo why >&2; echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101";
        let dead = "echo 'test a ... ok'; echo last words; kill -9 $$";
        let both = "failures:\nwhy\ntest result: FAILED. 1 passed; 2 failed; 0 ignored";
        let expected = [
            (of(3, 0), vec!["no iptables".to_owned()], vec![]),
            (of(1, 2), vec![], both.lines().map(str::to_owned).collect()),
            (of(0, 1), vec![], vec!["last words".to_owned()]),
        ];
        assert_eq!(ran(&[well, badly, dead]), expected);
    }
}
