//! `coracle pause`: the first process of a pod. It holds the pod's namespaces open by living, and
//! waits for those whose parents have gone.

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal};

use crate::programs;

pub fn run() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM] {
        signals.add(signal);
    }
    // Blocked, they wait for us; and as the first process of a PID namespace we are sent no others.
    signals.thread_block()?;
    loop {
        programs::reap();
        match signals.wait()? {
            Signal::SIGCHLD => {}
            _ => return Ok(()),
        }
    }
}
