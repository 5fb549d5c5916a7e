//! The kernel, by way of the iptables programs. Boring on purpose: it is told what to restore.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::heart::names::CANARY;
use crate::heart::{Installed, JUMPS, Rules, StaleFlow, Table, restore};

/// One sync.
#[derive(Debug)]
pub struct Job {
    /// What the kernel holds; `None` to look, and to check the jumps as well.
    pub installed: Option<Installed>,
    pub rules: Rules,
    pub stale: BTreeSet<StaleFlow>,
    /// Whether an earlier job of this process succeeded, and so made the canaries.
    pub canaries_made: bool,
}

#[derive(Clone)]
pub struct Kernel {
    iptables: Arc<iptables::IPTables>,
}

/// What `iptables -S` says of our two tables.
struct Listing {
    tables: Vec<(Table, Vec<String>)>,
}

impl Kernel {
    pub fn open() -> Result<Self> {
        let iptables = iptables::new(false).map_err(|why| {
            anyhow!(
                "kube-proxy needs iptables and cannot run it ({why}); \
                 on Debian and Ubuntu: apt-get install iptables"
            )
        })?;
        Ok(Self { iptables: Arc::new(iptables) })
    }

    /// Blocks while the programs run: some ten milliseconds.
    pub fn apply(&self, job: &Job) -> Result<()> {
        let start = Instant::now();
        let listing = if job.installed.is_none() { Some(self.list()?) } else { None };
        let found = listing.as_ref().map(Listing::installed);
        let installed = job.installed.as_ref().or(found.as_ref());
        let text = restore(installed.unwrap_or(&Installed::default()), &job.rules);
        if !text.is_empty() {
            run_restore(&text)?;
        }
        // After the chains they lead to: a jump into an empty chain would be a gap.
        if let Some(listing) = &listing {
            self.ensure_jumps(listing)?;
            self.ensure_canaries(listing, job.canaries_made)?;
        }
        let deleted = job.stale.iter().filter(|flow| delete_flow(flow)).count();
        let chains = text.lines().filter(|line| line.starts_with(':')).count();
        tracing::debug!(chains, deleted, full = listing.is_some(), elapsed = ?start.elapsed(), "synced");
        Ok(())
    }

    fn list(&self) -> Result<Listing> {
        let mut tables = Vec::new();
        for table in [Table::Filter, Table::Nat] {
            let lines = self.iptables.list_table(table.as_str()).map_err(failed)?;
            // Even an empty table has its built-in chains.
            if !lines.iter().any(|line| line.starts_with("-P ")) {
                bail!("iptables cannot read the table {table}: is this kernel built with it, are we root?");
            }
            tables.push((table, lines));
        }
        Ok(Listing { tables })
    }

    fn ensure_jumps(&self, listing: &Listing) -> Result<()> {
        for jump in JUMPS {
            let (table, rule) = (jump.table, jump.rule());
            if listing.has(table, &format!("-A {} {rule}", jump.from)) {
                continue;
            }
            // Listed in other words, maybe: ask before adding it twice.
            let (table, from) = (table.as_str(), jump.from);
            if !self.iptables.exists(table, from, &rule).map_err(failed)? {
                self.iptables.insert(table, from, &rule, 1).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn ensure_canaries(&self, listing: &Listing, made: bool) -> Result<()> {
        for &(table, _) in &listing.tables {
            if listing.has(table, &format!("-N {CANARY}")) {
                continue;
            }
            if made {
                tracing::warn!(%table, "{CANARY} was gone: somebody flushed our rules; they are back now");
            }
            self.iptables.new_chain(table.as_str(), CANARY).map_err(failed)?;
        }
        Ok(())
    }
}

impl Listing {
    fn has(&self, table: Table, line: &str) -> bool {
        self.tables.iter().any(|(of, lines)| *of == table && lines.iter().any(|l| l == line))
    }

    fn installed(&self) -> Installed {
        let chains = self.tables.iter().flat_map(|(table, lines)| {
            let names = lines.iter().filter_map(|line| line.strip_prefix("-N "));
            names.map(|name| (*table, name.to_owned()))
        });
        Installed::found(chains)
    }
}

fn failed(why: Box<dyn std::error::Error>) -> anyhow::Error {
    anyhow!("iptables: {why}")
}

fn run_restore(text: &str) -> Result<()> {
    let mut child = Command::new("iptables-restore")
        .args(["--noflush", "--wait"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run iptables-restore")?;
    // It reads everything before it writes anything but an error, which fits a pipe.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().context("cannot wait for iptables-restore")?;
    if !output.status.success() {
        bail!("iptables-restore: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    written.context("iptables-restore did not read its input")
}

/// Whether something was deleted. `conntrack` fails if there was nothing, which is as good; where it
/// is not installed, old UDP flows end by their timeout.
fn delete_flow(flow: &StaleFlow) -> bool {
    let status = Command::new("conntrack")
        .args(flow.args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A node routes its pods' packets. Where the setting cannot be written, somebody else decides.
pub fn forward_packets() {
    const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
    let on = std::fs::read_to_string(IP_FORWARD).is_ok_and(|value| value.trim() == "1");
    if !on && let Err(why) = std::fs::write(IP_FORWARD, "1") {
        tracing::warn!("cannot turn on net.ipv4.ip_forward, so services may not be reached: {why}");
    }
}
