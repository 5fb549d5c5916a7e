//! `coracle logs`: prints a component's log, and goes on printing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::home::Home;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// apiserver, store, scheduler, controller-manager, NODE/kubelet, NODE/runtime, NODE/kube-proxy,
    /// NODE/node-routes, or sandbox
    pub component: String,
    /// Go on printing what is added
    #[arg(long, short)]
    pub follow: bool,
    /// Only this many of the last lines
    #[arg(long)]
    pub tail: Option<usize>,
}

pub fn run(home: &Home, args: &Args) -> Result<()> {
    let path = home.log(&args.component);
    if !path.starts_with(home.logs()) || args.component.contains("..") || !path.is_file() {
        let mut known = Vec::new();
        collect(&home.logs(), "", &mut known);
        known.sort();
        bail!("there is no log of {:?}; there are {}", args.component, known.join(", "));
    }
    print(&path, args)
}

fn print(path: &Path, args: &Args) -> Result<()> {
    let mut out = io::stdout().lock();
    // Watched before it is read, so that nothing falls between.
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let what = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVE_SELF;
    inotify.add_watch(path, what).with_context(|| format!("watching {}", path.display()))?;
    let mut file = File::open(path)?;
    if let Some(lines) = args.tail {
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let skipped: usize = {
            let all: Vec<&str> = text.split_inclusive('\n').collect();
            all[..all.len().saturating_sub(lines)].iter().map(|line| line.len()).sum()
        };
        file.seek(SeekFrom::Start(u64::try_from(skipped)?))?;
    }
    loop {
        io::copy(&mut file, &mut out)?;
        out.flush()?;
        if !args.follow {
            return Ok(());
        }
        let events = inotify.read_events()?;
        if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_MOVE_SELF)) {
            // It grew too long, and its component begins a new one.
            return print(path, &Args { tail: None, ..args.clone() });
        }
    }
}

/// The names of all logs below a folder.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), names);
        } else if let Some(name) = name.strip_suffix(".log") {
            names.push(format!("{prefix}{name}"));
        }
    }
}
