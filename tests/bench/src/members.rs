//! Members that are started here, on loopback, with fresh data on the given disk.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::system::System;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// A program that takes etcd's flags.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    /// What stands before the flags.
    pub verb: Option<&'static str>,
    /// Flags of its own.
    pub quiet: &'static [&'static str],
}

/// One member, or several, that end with this value.
pub struct Members {
    program: Program,
    folder: PathBuf,
    ports: Vec<(u16, u16)>,
    children: Vec<Child>,
    pub system: System,
}

impl Members {
    /// Returns when they answer.
    pub fn start(program: &Program, folder: &Path, count: usize) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let ports = free_ports(count * 2)?.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let system = System { members: Vec::new(), pids: Vec::new() };
        let mut members =
            Members { program: program.clone(), folder: folder.into(), ports, children: Vec::new(), system };
        members.run()?;
        Ok(members)
    }

    fn run(&mut self) -> Result<()> {
        for at in 0..self.ports.len() {
            let child = self.command(at)?.spawn();
            let child = child.with_context(|| format!("cannot run {}", self.program.path.display()))?;
            self.children.push(child);
        }
        self.system = System {
            members: self
                .ports
                .iter()
                .map(|(client, _)| SocketAddr::from(([127, 0, 0, 1], *client)))
                .collect(),
            pids: self.children.iter().map(Child::id).collect(),
        };
        self.system
            .wait_until_ready(START)
            .with_context(|| format!("what it said is in {}", self.folder.display()))
    }

    fn command(&self, at: usize) -> Result<Command> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (client, peer) = self.ports[at];
        let all: Vec<_> =
            self.ports.iter().enumerate().map(|(at, (_, peer))| format!("m{at}={}", url(*peer))).collect();
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("m{at}.log")))?;
        let mut command = Command::new(&self.program.path);
        command.args(self.program.verb).args(self.program.quiet);
        command.arg("--name").arg(format!("m{at}"));
        command.arg("--data-dir").arg(self.folder.join(format!("m{at}")));
        command.args(["--listen-client-urls", &url(client), "--advertise-client-urls", &url(client)]);
        command.args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)]);
        command.args(["--initial-cluster", &all.join(",")]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Stops all members, starts them again, and says how long it took until they answered.
    pub fn restart(&mut self) -> Result<Duration> {
        self.stop()?;
        let began = Instant::now();
        self.run()?;
        Ok(began.elapsed())
    }

    fn stop(&mut self) -> Result<()> {
        for child in &self.children {
            // One that is dead already is noticed below.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP;
        for mut child in self.children.drain(..) {
            while child.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    child.kill()?;
                    child.wait()?;
                    bail!("a server did not stop");
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that nobody listens on just now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
