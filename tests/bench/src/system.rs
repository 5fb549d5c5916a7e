//! What is measured: members that answer, and, where they run here, their processes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use nix::unistd::{SysconfVar, sysconf};

use crate::clients::Clients;
use crate::figures::Lap;
use crate::wire;

/// A store that can be measured.
#[derive(Debug)]
pub struct System {
    pub members: Vec<SocketAddr>,
    /// Whose processor time counts; empty when they run elsewhere.
    pub pids: Vec<u32>,
}

/// A measurement that has begun.
pub struct Running<'a> {
    system: &'a System,
    began: Instant,
    cpu: Option<Duration>,
}

impl System {
    /// One that somebody else has started.
    pub fn at(endpoints: &[String], pids: &[u32]) -> Result<Self> {
        let members = endpoints.iter().map(|url| address(url)).collect::<Result<Vec<_>>>()?;
        Ok(System { members, pids: pids.to_vec() })
    }

    pub fn lap(&self) -> Result<Running<'_>> {
        Ok(Running { system: self, began: Instant::now(), cpu: self.cpu()? })
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        let used = self.pids.iter().map(|pid| cpu_of(*pid)).sum::<Result<Duration>>()?;
        Ok((!self.pids.is_empty()).then_some(used))
    }

    /// Memory of a member, on average, in MiB: all of it, and what is not a file's.
    pub fn memory(&self) -> Result<Option<Memory>> {
        let members = self.pids.len() as f64;
        let all = self.pids.iter().map(|pid| memory_of(*pid)).collect::<Result<Vec<_>>>()?;
        let sum = |of: fn(&Memory) -> f64| all.iter().map(of).sum::<f64>() / members;
        Ok((!all.is_empty()).then(|| Memory { pss: sum(|m| m.pss), anonymous: sum(|m| m.anonymous) }))
    }

    /// Waits until each member answers a read that sees all writes.
    pub fn wait_until_ready(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        for member in &self.members {
            while let Err(error) = read_once(*member) {
                if Instant::now() > deadline {
                    return Err(error.context(format!("{member} is not ready")));
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }
}

impl Running<'_> {
    pub fn end(self) -> Result<Lap> {
        let cpu = self.system.cpu()?.zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
        Ok(Lap { seconds: self.began.elapsed().as_secs_f64(), cpu })
    }
}

fn read_once(member: SocketAddr) -> Result<()> {
    let mut client = Clients::connect(&[member], 1)?;
    client.call(0, wire::RANGE, &wire::range(b"/bench", b"").finish(), true);
    let mut answered = false;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !answered {
        if Instant::now() > deadline {
            bail!("no answer");
        }
        client.wait(Some(deadline), |_| answered = true)?;
    }
    Ok(())
}

/// `http://host:port`, or without `http://`.
fn address(url: &str) -> Result<SocketAddr> {
    if url.starts_with("https://") {
        bail!("{url}: the generator speaks no TLS");
    }
    let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let addresses = host.to_socket_addrs().with_context(|| format!("{url}: not an address"))?;
    addresses.into_iter().next().with_context(|| format!("{url}: no such host"))
}

/// Time in user space and in the kernel, of all threads.
fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server has ended")?;
    // The second field is the program's name, and may hold anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let used = ticks(11).zip(ticks(12)).context("/proc/PID/stat reads otherwise than expected")?;
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("the clock has no ticks")? as u64;
    Ok(Duration::from_millis((used.0 + used.1) * 1000 / a_second))
}

#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// With its share of mapped files: etcd's database is one.
    pub pss: f64,
    /// What no file holds.
    pub anonymous: f64,
}

fn memory_of(pid: u32) -> Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the server has ended")?;
    let mib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).with_context(|| format!("/proc/PID/smaps_rollup has no {name}"))
    };
    Ok(Memory { pss: mib("Pss:")?, anonymous: mib("Anonymous:")? })
}
