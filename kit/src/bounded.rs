//! Programs that may hang: each gets its time, and is ended after that.

use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// What a program that is asked to end gets to tidy up.
const TO_TIDY: Duration = Duration::from_secs(30);

/// Waits until it ends; `None`: it did not within `time`, and was asked to, and then made to.
pub fn wait(child: &mut Child, time: Duration) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // Left unreaped, so that the number stays taken until the signals below are sent.
        let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), how) == Err(Errno::EINTR) {}
        // Nobody may wait any more.
        let _ = ended.send(());
    });
    if end.recv_timeout(time) != Err(RecvTimeoutError::Timeout) {
        return Ok(Some(child.wait()?));
    }
    kill(pid, Signal::SIGTERM)?;
    if end.recv_timeout(TO_TIDY) == Err(RecvTimeoutError::Timeout) {
        kill(pid, Signal::SIGKILL)?;
    }
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    fn sh(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().expect("a shell")
    }

    #[test]
    fn who_ends_in_time_is_left_alone() {
        let status = wait(&mut sh("exit 3"), Duration::from_secs(60)).expect("waited");
        assert_eq!(status.and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn who_hangs_is_ended() {
        let began = Instant::now();
        assert_eq!(wait(&mut sh("exec sleep 100"), Duration::from_millis(50)).expect("waited"), None);
        assert!(began.elapsed() < TO_TIDY, "it went when it was asked to");
    }
}
