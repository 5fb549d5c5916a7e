//! Two stores, measured in turns.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::disk;
use crate::figures::Figures;
use crate::load;
use crate::measures::{self, Measure};
use crate::members::{Members, Program};
use crate::system::{Memory, System};
use crate::table::{self, Row};

const MEMORY_KEYS: u64 = 100_000;
const MEMORY_VALUE_BYTES: usize = 1024;
/// Until collectors have run and pages are back.
const SETTLE: Duration = Duration::from_secs(5);
const START_KEYS: u64 = 1_000_000;
const START_VALUE_BYTES: usize = 64;

#[derive(clap::Args)]
pub struct Args {
    /// The program `coracle`
    #[arg(long)]
    coracle: PathBuf,
    /// The other: etcd's program
    #[arg(long, default_value = "etcd", conflicts_with = "peer")]
    etcd: PathBuf,
    /// The other: a store that runs already, by its client URLs. Its processor time and memory stay
    /// unknown, and its keys under /bench/ and /watched/ are overwritten
    #[arg(long, value_delimiter = ',')]
    peer: Vec<String>,
    /// Where both keep their data: the disk is part of the measurement
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, default_value_t = 1)]
    members: usize,
    /// One short run of each measure, and no start on 1,000,000 keys
    #[arg(long)]
    quick: bool,
    /// Only measures whose name has this in it: puts, watchers, memory, start, …
    #[arg(long, default_value = "")]
    only: String,
}

pub fn run(args: &Args) -> Result<()> {
    if args.folder.exists() {
        fs::remove_dir_all(&args.folder).context("cannot clear what the last run left")?;
    }
    let result = compare(args);
    if result.is_ok() {
        fs::remove_dir_all(&args.folder)?;
    }
    result
}

fn compare(args: &Args) -> Result<()> {
    let began = Instant::now();
    let disk = disk::fdatasync(&args.folder)?;
    println!(
        "One write of 512 bytes is safe after {:.3} ms (fdatasync of a file that grows), {:.3} ms (in place).",
        disk.growing, disk.in_place
    );
    let programs = [coracle(args), etcd(args)];
    let (rounds, time) = if args.quick { (1, 1.5) } else { (3, 3.0) };
    let members = if args.members == 1 { "one member" } else { "members" };
    println!(
        "Load on the machine before: {}. {} {members} each; medians of {rounds}.",
        load_average(),
        args.members
    );
    let wanted = measures::ALL.into_iter().filter(|measure| measure.to_string().contains(&args.only));
    let wanted: Vec<_> = wanted.collect();
    if !wanted.is_empty() {
        calls(args, &programs, &wanted, rounds, Duration::from_secs_f64(time))?;
    }
    if "memory".contains(&args.only) && args.peer.is_empty() {
        memory(args, &programs)?;
    }
    if "start".contains(&args.only) && args.peer.is_empty() && !args.quick {
        start(args, &programs)?;
    }
    println!(
        "\nLoad on the machine after: {}. It took {:.0} s.",
        load_average(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn coracle(args: &Args) -> Program {
    Program { path: args.coracle.clone(), verb: Some("store"), quiet: &[] }
}

fn etcd(args: &Args) -> Program {
    Program { path: args.etcd.clone(), verb: None, quiet: &["--log-level", "error"] }
}

/// All loads, each on both in turns.
fn calls(
    args: &Args,
    [ours, theirs]: &[Program; 2],
    measures: &[Measure],
    rounds: usize,
    time: Duration,
) -> Result<()> {
    let ours = Members::start(ours, &args.folder.join("coracle"), args.members)?;
    let etcd;
    let peer;
    let theirs = if args.peer.is_empty() {
        etcd = Members::start(theirs, &args.folder.join("etcd"), args.members)?;
        &etcd.system
    } else {
        peer = System::at(&args.peer, &[])?;
        &peer
    };
    let systems = [&ours.system, theirs];
    for system in systems {
        load::fill(system, load::KEYS, load::VALUE_BYTES)?;
    }
    table::head();
    for measure in measures {
        let mut runs = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            // Who goes second finds the disk busier, perhaps.
            for which in [round % 2, 1 - round % 2] {
                let run = measure.run(systems[which], time);
                let who = ["coracle", "etcd"][which];
                runs[which].push(run.with_context(|| format!("{measure}, {who}"))?);
            }
        }
        let [ours, theirs] = runs.map(|runs| Figures::median(&runs));
        table::row(&Row { measure: measure.to_string(), ours, theirs });
    }
    Ok(())
}

fn memory(args: &Args, programs: &[Program; 2]) -> Result<()> {
    let mut found: Vec<Memory> = Vec::new();
    for (program, folder) in programs.iter().zip(["coracle-memory", "etcd-memory"]) {
        let members = Members::start(program, &args.folder.join(folder), args.members)?;
        load::put_each(&members.system, MEMORY_KEYS, MEMORY_VALUE_BYTES)?;
        thread::sleep(SETTLE);
        found.extend(members.system.memory()?);
    }
    if let [ours, theirs] = found[..] {
        println!("\nMemory of a member with 100,000 keys of 1 KiB, 98 MiB of values:");
        table::pair("all (PSS), MiB", ours.pss, theirs.pss);
        table::pair("not a file's, MiB", ours.anonymous, theirs.anonymous);
    }
    Ok(())
}

fn start(args: &Args, programs: &[Program; 2]) -> Result<()> {
    let mut found = Vec::new();
    for (program, folder) in programs.iter().zip(["coracle-start", "etcd-start"]) {
        let mut members = Members::start(program, &args.folder.join(folder), args.members)?;
        load::fill(&members.system, START_KEYS, START_VALUE_BYTES)?;
        found.push(members.restart()?.as_secs_f64());
    }
    println!("\nFrom the start of the process to the first answer, with 1,000,000 keys of 64 bytes:");
    table::pair("seconds", found[0], found[1]);
    Ok(())
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
