//! One shell, in which the commands of a page are run one after the other, as a reader would.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::say;

/// Says that a command has ended; followed by its exit code.
const END: &str = "--- the command has ended:";
/// A command that prints more is broken.
const MOST_LINES: usize = 5_000;

pub struct Session {
    shell: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
    script: PathBuf,
}

/// How a command ended.
pub enum Ended {
    Well(Vec<String>),
    /// With what it had printed, and why there is no more.
    Badly(Vec<String>, String),
}

impl Session {
    /// `command` is a `sh` with its environment. Scripts are written to `folder`.
    pub fn start(mut command: std::process::Command, folder: &Path) -> Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let mut shell = command.spawn().context("cannot run sh")?;
        // It holds the writing end of the pipe.
        drop(command);
        let orders = shell.stdin.take().context("piped a moment ago")?;
        let (sender, lines) = sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { shell, orders, lines, script: folder.join("command.sh") })
    }

    pub fn run(&mut self, command: &str, patience: Duration) -> Result<Ended> {
        std::fs::write(&self.script, format!("{command}\n"))?;
        // Read from a file, so that no command can read the next one as its input.
        let order = format!(". '{}' </dev/null\nprintf '\\n{END} %d\\n' $?\n", self.script.display());
        if self.orders.write_all(order.as_bytes()).is_err() {
            return Ok(Ended::Badly(Vec::new(), "the shell has ended".to_owned()));
        }
        let deadline = Instant::now() + patience;
        let mut printed = Vec::new();
        loop {
            let why = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(END) => {
                    // The newline in front of the mark.
                    if printed.last().is_some_and(String::is_empty) {
                        printed.pop();
                    }
                    return Ok(Ended::Well(printed));
                }
                Ok(line) if printed.len() < MOST_LINES => {
                    printed.push(line);
                    continue;
                }
                Ok(_) => format!("it printed more than {MOST_LINES} lines"),
                Err(RecvTimeoutError::Timeout) => format!("it did not end within {}", say::time(patience)),
                Err(RecvTimeoutError::Disconnected) => "the shell has ended".to_owned(),
            };
            return Ok(Ended::Badly(printed, why));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What it left in the background goes with it. All of it may have ended.
        let _ = killpg(Pid::from_raw(self.shell.id() as i32), Signal::SIGKILL);
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> (Session, PathBuf) {
        let folder = std::env::temp_dir().join(format!("kit-session-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let session = Session::start(std::process::Command::new("sh"), &folder).expect("a shell");
        (session, folder)
    }

    fn printed(session: &mut Session, command: &str) -> Vec<String> {
        match session.run(command, Duration::from_secs(20)).expect("a run") {
            Ended::Well(lines) => lines,
            Ended::Badly(_, why) => panic!("{command}: {why}"),
        }
    }

    #[test]
    fn commands_share_a_shell_and_none_reads_the_next() {
        let (mut session, folder) = session("share");
        assert_eq!(printed(&mut session, "A='x\ny'; cat"), [""; 0]);
        assert_eq!(printed(&mut session, "echo \"$A\"; echo z >&2"), ["x", "y", "z"]);
        assert_eq!(printed(&mut session, "printf 'no newline'"), ["no newline"]);
        assert_eq!(printed(&mut session, "echo; false"), [""]);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_command_without_an_end_is_ended() {
        let (mut session, folder) = session("end");
        let ended = session.run("echo before; sleep 1000", Duration::from_millis(300)).expect("a run");
        assert!(matches!(ended, Ended::Badly(lines, why) if lines == ["before"] && why.contains("within")));
        drop(session);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
