//! One process, watched: its time, its words, and its end.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A process that closed the examiner's line has said all that counts; so long it may take to end.
const GRACE: Duration = Duration::from_millis(500);
/// More than this is no answer to an examiner.
const LONGEST_ANSWER: usize = 1024 * 1024;

pub struct Bounds {
    pub time: Duration,
    /// Bytes of both streams together.
    pub output: usize,
    /// So many of the last of them are kept.
    pub kept: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exited(ExitStatus),
    /// It closed the examiner's line and lived on, so it was stopped: nothing that comes later counts.
    HungUp,
    TimedOut,
    Flooded,
}

pub struct Ran {
    pub end: End,
    pub time: Duration,
    /// The last of what it printed, both streams as they came.
    pub printed: String,
    /// What it wrote on the examiner's line.
    pub answer: Vec<u8>,
}

/// Runs a command as the head of a process group of its own, and leaves nothing of the group behind.
/// With `line`, its standard input is the other end of that.
pub fn run(mut command: Command, bounds: &Bounds, line: Option<UnixStream>) -> Result<Ran> {
    let began = Instant::now();
    let (output, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let spawned = command.spawn();
    let mut child =
        spawned.with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    // It holds the other ends, and as long as somebody does, no reading ends.
    drop(command);
    let group = Pid::from_raw(child.id().cast_signed());
    let (ended, alive) = std::io::pipe()?;
    let mut watch = Watch {
        output: Some(output),
        ended,
        line,
        bounds,
        began,
        printed: Tail { kept: bounds.kept, ..Tail::default() },
        answer: Vec::new(),
    };
    let end = thread::scope(|scope| {
        // Left unreaped, so that the group's number stays taken until the group is killed.
        scope.spawn(move || {
            let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(group), how) == Err(nix::errno::Errno::EINTR) {}
            drop(alive);
        });
        let end = watch.until_it_ends();
        // Whoever is gone already needs no signal.
        let _ = killpg(group, Signal::SIGKILL);
        end
    });
    let status = child.wait()?;
    let end = end?.unwrap_or(End::Exited(status));
    watch.read_what_is_left()?;
    Ok(Ran { end, time: began.elapsed(), printed: watch.printed.text(), answer: watch.answer })
}

struct Watch<'a> {
    /// `None` once everybody closed it.
    output: Option<std::io::PipeReader>,
    /// Readable, as its end, when the process has ended.
    ended: std::io::PipeReader,
    line: Option<UnixStream>,
    bounds: &'a Bounds,
    began: Instant,
    printed: Tail,
    answer: Vec<u8>,
}

/// What can be read without waiting.
#[derive(Clone, Copy)]
struct Ready {
    output: bool,
    ended: bool,
    line: bool,
}

impl Watch<'_> {
    /// `None`: it ended by itself.
    fn until_it_ends(&mut self) -> Result<Option<End>> {
        let (mut over, mut end) = (self.began + self.bounds.time, End::TimedOut);
        loop {
            let left = over.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Some(end));
            }
            let ready = self.poll(left)?;
            if ready.output {
                self.read_output()?;
            }
            if self.printed.seen > self.bounds.output {
                return Ok(Some(End::Flooded));
            }
            if ready.line {
                self.read_answer();
                if self.line.is_none() {
                    (over, end) = (over.min(Instant::now() + GRACE), End::HungUp);
                }
            } else if ready.ended {
                return Ok(None);
            }
        }
    }

    fn poll(&self, timeout: Duration) -> Result<Ready> {
        let fds = [
            Some(self.ended.as_fd()),
            self.output.as_ref().map(AsFd::as_fd),
            self.line.as_ref().map(AsFd::as_fd),
        ];
        let mut asked: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        // Rounded up, lest the last millisecond be spent asking.
        let timeout = PollTimeout::try_from(timeout.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut asked, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut answers = asked.iter().map(|fd| fd.any() == Some(true));
        let [ended, output, line] = fds.map(|fd| fd.is_some() && answers.next() == Some(true));
        Ok(Ready { output, ended, line })
    }

    fn read_output(&mut self) -> Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut buffer = [0; 8192];
        let length = output.read(&mut buffer)?;
        self.printed.add(&buffer[..length]);
        if length == 0 {
            self.output = None;
        }
        Ok(())
    }

    fn read_answer(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut buffer = [0; 8192];
        // A reset is an end, too: it left without reading its token.
        let length = line.read(&mut buffer).unwrap_or(0);
        self.answer.extend(&buffer[..length]);
        if length == 0 || self.answer.len() > LONGEST_ANSWER {
            self.line = None;
        }
    }

    /// What the pipe still holds; all who wrote into it are gone.
    fn read_what_is_left(&mut self) -> Result<()> {
        while self.printed.seen <= self.bounds.output && self.poll(Duration::ZERO)?.output {
            self.read_output()?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Tail {
    kept: usize,
    bytes: Vec<u8>,
    seen: usize,
}

impl Tail {
    fn add(&mut self, more: &[u8]) {
        self.seen += more.len();
        self.bytes.extend(more);
        if self.bytes.len() > 2 * self.kept {
            self.bytes.drain(..self.bytes.len() - self.kept);
        }
    }

    fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(self.kept);
        String::from_utf8_lossy(&self.bytes[from..]).into_owned()
    }
}
