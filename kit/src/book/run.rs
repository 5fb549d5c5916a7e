//! `cargo kit book --run`: the terminals of the pages, run and compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

use super::mask::Comparison;
use super::page::{Fence, Page};
use super::session::{Ended, Session};
use super::{shell, src};
use crate::chapters::Target;
use crate::kubectl::client_version;
use crate::place::{Place, program, search_path};
use crate::{cargo, say, setup};

/// For one command, on a slow machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pages that play at once, each on a cluster of its own: most of a page is waiting.
const AT_ONCE: usize = 3;

pub fn run(place: &Place, target: Option<&Target>, bless: bool) -> Result<ExitCode> {
    setup::ensure(place)?;
    // What older ones print is different, and they cannot exec.
    if !client_version(place).is_some_and(|version| version.speaks_websocket()) {
        println!("SKIPPED: the pages show what kubectl 1.31 or later prints, and there is none here.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut pages = Page::all(&src(place))?;
    pages.retain(|page| page.fences().iter().any(Fence::is_run));
    if let Some(target) = target {
        pages.retain(|page| page.name.starts_with(&format!("{}-", target.chapter)));
    }
    if pages.is_empty() {
        bail!("no such page has a terminal that is run");
    }
    let coracle = cargo::build_coracle(place, false, &[])?;
    tidy_when_interrupted()?;
    let start = Instant::now();
    let wrong = run_pages(place, &coracle, &mut pages, bless)?;
    if !wrong.is_empty() && !bless {
        println!("\nIf what came is right, `cargo kit book --run N --bless` writes it into the page.");
        bail!("not as the page says: {} ({})", wrong.join(", "), say::time(start.elapsed()));
    }
    let time = say::time(start.elapsed());
    match wrong.len() {
        0 => println!("{} {} pages in {time}", say::green("All as it says:"), pages.len()),
        changed => {
            println!("{changed} pages are written anew ({time}): read the difference before you commit it.")
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages that do not print what they say, in their order.
fn run_pages(place: &Place, coracle: &Path, pages: &mut [Page], bless: bool) -> Result<Vec<String>> {
    let waiting = Mutex::new(pages.iter_mut());
    let play = || -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        loop {
            let next = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
            let Some(page) = next else { return Ok(wrong) };
            let mut report = String::new();
            let right = run_page(place, coracle, page, bless, &mut report);
            print!("{report}");
            if !right? {
                wrong.push(page.name.clone());
            }
        }
    };
    let played = std::thread::scope(|scope| {
        let players: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play)).collect();
        players.into_iter().map(|player| player.join().expect("a player does not panic")).collect::<Vec<_>>()
    });
    let mut wrong = played.into_iter().collect::<Result<Vec<_>>>()?.concat();
    wrong.sort();
    Ok(wrong)
}

/// Whether every command printed what the page says. With `bless` the page is written anew where not.
/// What there is to say is added to `report`.
fn run_page(
    place: &Place,
    coracle: &Path,
    page: &mut Page,
    bless: bool,
    report: &mut String,
) -> Result<bool> {
    let start = Instant::now();
    let playing = Playing::begin(place, coracle, &page.name).with_context(|| page.name.clone())?;
    let mut session = Session::start(playing.command("sh"), &playing.folder.join("bin"))?;
    let mut count = 0;
    let mut right = true;
    let mut changes = Vec::new();
    for fence in page.fences().into_iter().filter(Fence::is_run) {
        let body = page.body(&fence).to_vec();
        let commands = match shell::commands(&body) {
            Ok(commands) => commands,
            Err(why) => bail!("book/src/{}:{}: {why}", page.name, fence.line + 1),
        };
        for command in commands {
            count += 1;
            let at = fence.body.start + command.printed.start;
            let (came, stuck) = match session.run(&command.text, PATIENCE)? {
                Ended::Well(came) => (came, None),
                Ended::Badly(came, why) => (came, Some(why)),
            };
            let expected = &body[command.printed.clone()];
            let comparison = Comparison::new(expected, &came);
            if comparison.agrees() && stuck.is_none() {
                continue;
            }
            right = false;
            let what = say::red("this does not print what the page says");
            writeln!(report, "\nbook/src/{}:{at}: {what}", page.name)?;
            writeln!(report, "  $ {}", command.text.replace('\n', "\n    "))?;
            show(&comparison.diff(), report)?;
            if let Some(why) = stuck {
                bail!("book/src/{}:{at}: {why}", page.name);
            }
            let lines = fence.body.start + command.printed.start..fence.body.start + command.printed.end;
            changes.push((lines, comparison.blessed()));
        }
    }
    drop(session);
    drop(playing);
    let blessed = bless && !right;
    if blessed {
        for (lines, blessed) in changes.into_iter().rev() {
            page.lines.splice(lines, blessed);
        }
        std::fs::write(src(place).join(&page.name), page.lines.join("\n") + "\n")?;
    }
    let word = if right {
        say::green("ok")
    } else if blessed {
        say::yellow("blessed")
    } else {
        say::red("WRONG")
    };
    writeln!(report, "{word:<8} {:<22} {count:>3} commands ({})", page.name, say::time(start.elapsed()))?;
    Ok(right)
}

/// The difference, as much of it as a person reads.
fn show(diff: &[String], report: &mut String) -> std::fmt::Result {
    const MOST_LINES: usize = 60;
    const LONGEST: usize = 300;
    for line in diff.iter().take(MOST_LINES) {
        let cut: String = line.chars().take(LONGEST).collect();
        let more = if cut.len() < line.len() { "…" } else { "" };
        writeln!(report, "  {}{more}", painted(&cut))?;
    }
    if let Some(more) = diff.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        writeln!(report, "  and {more} lines more")?;
    }
    Ok(())
}

fn painted(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'-') => say::red(line),
        Some(b'+') => say::green(line),
        _ => line.to_owned(),
    }
}

/// The stages that stand, here so that an interrupt can strike them: each a folder with a cluster of
/// its own, and the program that can end it.
static STANDING: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());

/// A stage; struck when it is dropped.
struct Playing {
    folder: PathBuf,
}

impl Drop for Playing {
    fn drop(&mut self) {
        let standing = STANDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&self.folder);
        if let Some(coracle) = standing {
            strike(&self.folder, &coracle);
        }
    }
}

fn strike_all() {
    // Held to the end: a stage that is left meanwhile finds that it was struck.
    let mut standing = STANDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while let Some((folder, coracle)) = standing.pop_first() {
        strike(&folder, &coracle);
    }
}

fn strike(folder: &Path, coracle: &Path) {
    let mut down = std::process::Command::new(coracle);
    down.arg("down").env("CORACLE_HOME", folder.join(HOME)).stdin(Stdio::null());
    if let Err(why) = say::run(&mut down) {
        eprintln!("{} {why:#}", say::yellow("the page's cluster:"));
    }
    if let Err(why) = std::fs::remove_dir_all(folder) {
        eprintln!("{} {}: {why}", say::yellow("left behind:"), folder.display());
    }
}

/// As in the workspace, so that a page may name files in it.
const HOME: &str = ".coracle";

impl Playing {
    /// Boots a cluster of two nodes, on ports that nobody uses.
    fn begin(place: &Place, coracle: &Path, page: &str) -> Result<Self> {
        let page = page.trim_end_matches(".md");
        let folder = std::env::temp_dir().join(format!("coracle-book-{}-{page}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).with_context(|| folder.display().to_string())?;
        let mut standing = STANDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        standing.insert(folder.clone(), coracle.to_owned());
        drop(standing);
        let playing = Playing { folder };
        let folder = &playing.folder;
        symlink(place.root.join("examples"), folder.join("examples"))?;
        let cargo = folder.join("bin/cargo");
        std::fs::write(&cargo, cargo_script()?)?;
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))?;
        let mut up = playing.command(coracle);
        up.args(["up", "--nodes", "2", "--api-port", "0", "--store-port", "0"]).stdin(Stdio::null());
        say::run(&mut up).context("the page's cluster does not come up")?;
        Ok(playing)
    }

    /// `program` as a reader in this folder would run it.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        let home = self.folder.join(HOME);
        let mut path = std::ffi::OsString::from(self.folder.join("bin"));
        path.push(":");
        path.push(search_path());
        command.current_dir(&self.folder).env("PATH", path);
        command.env("KUBECONFIG", home.join("kubeconfig")).env("CORACLE_HOME", home);
        // kubectl keeps there what it learned of a server, by its port.
        command
            .env_remove("CARGO")
            .env("HOME", &self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("NO_COLOR", "1");
        command
    }
}

/// `cargo kit …` in a page is this very kit; what the kit asks of cargo itself is done by cargo.
fn cargo_script() -> Result<String> {
    let kit = std::env::current_exe().context("the kit does not find itself")?;
    let cargo = std::env::var_os("CARGO").map(PathBuf::from).or_else(|| program("cargo"));
    let cargo = cargo.context("cargo is not on the path")?;
    let home = std::env::var("HOME").unwrap_or_default();
    Ok(format!(
        "#!/bin/sh\nif [ \"$1\" = kit ]; then shift; exec '{}' \"$@\"; fi\nHOME='{home}' exec '{}' \"$@\"\n",
        kit.display(),
        cargo.display()
    ))
}

/// An interrupt must not leave a cluster behind that nobody knows of.
fn tidy_when_interrupted() -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block()?;
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            strike_all();
            std::process::exit(130);
        }
    });
    Ok(())
}
