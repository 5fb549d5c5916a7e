//! `cargo kit test`: every test, with a summary that fits one screen. `--all` is what CI runs.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Artifact};
use crate::chapters::Chapter;
use crate::place::Place;
use crate::test_log::{self, Line};
use crate::{oracle, say, setup};

#[derive(clap::Args)]
pub struct Args {
    /// The long checks too, and formatting, lints and documentation: what CI runs
    #[arg(long)]
    all: bool,
    /// Only these tests, as `cargo test` selects them, such as `-p kube-proxy-tests` or a name
    #[arg(last = true)]
    only: Vec<String>,
}

/// What happened in one chapter, or other room.
#[derive(Default)]
struct Room {
    result: test_log::Result,
    time: Duration,
}

#[derive(Default)]
struct Report {
    rooms: BTreeMap<String, Room>,
    skipped: Vec<String>,
    /// `cargo test` ended as it should.
    succeeded: bool,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    setup::ensure(place)?;
    let mut failed = Vec::new();
    if args.all {
        failed.extend(checks(place)?);
    }
    println!("{}", say::bold("Building the tests"));
    let selected = selection(&args.only);
    let mut build = vec!["test", "--no-run"];
    build.extend(selected.iter().map(String::as_str));
    let artifacts = cargo::build(place, &build)?;
    println!("{} ({})", say::bold("Running the tests"), say::time(start.elapsed()));
    let report = run_tests(place, args.all, &selected, &artifacts)?;
    if args.all {
        failed.extend(proofs(place)?);
    }
    print_summary(&report);
    let total: usize = report.rooms.values().map(|room| room.result.passed).sum();
    let wrong: usize = report.rooms.values().map(|room| room.result.failed).sum();
    if !report.succeeded {
        failed.push(if wrong > 0 { format!("{wrong} tests") } else { "cargo test".to_owned() });
    }
    if !failed.is_empty() {
        bail!("failed: {} ({})", failed.join(", "), say::time(start.elapsed()));
    }
    println!("{} {total} tests in {}", say::green("All passed:"), say::time(start.elapsed()));
    // The same for programs that read it.
    println!("{total} passed, {wrong} failed");
    Ok(ExitCode::SUCCESS)
}

fn selection(only: &[String]) -> Vec<String> {
    let by_package = only.iter().any(|word| word == "-p" || word.starts_with("--package"));
    // A student's core, half written, must not keep the tests of everything else from running.
    let everything = ["--workspace", "--exclude", "*-lab"].map(str::to_owned);
    let everything = everything.into_iter().filter(|_| !by_package);
    everything.chain(only.iter().cloned()).collect()
}

/// Formatting, lints, documentation: those that fail, by name.
fn checks(place: &Place) -> Result<Vec<String>> {
    let labs =
        Chapter::all(place)?.iter().map(|chapter| format!("lab-{}", chapter.number)).collect::<Vec<_>>();
    let labs = labs.join(",");
    let all = [
        ("formatting", vec!["fmt", "--all", "--check"]),
        ("lints", vec!["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        ("documentation", vec!["doc", "--workspace", "--exclude", "*-lab", "--no-deps"]),
        ("a cluster of labs compiles", vec!["check", "--package", "cluster", "--features", &labs]),
    ];
    let mut failed = Vec::new();
    for (name, args) in all {
        let mut cargo = cargo::command(place);
        cargo.args(&args).env("RUSTDOCFLAGS", "-D warnings");
        failed.extend(failure(name, &mut cargo)?);
    }
    Ok(failed)
}

/// What the kit proves by commands of its own: the labs and the book.
fn proofs(place: &Place) -> Result<Vec<String>> {
    let all = [
        ("labs are in step with solutions", vec!["sync-labs", "--check"]),
        ("labs can be solved, and their tests judge", vec!["verify-labs"]),
        ("the book is whole", vec!["book", "--check"]),
        ("the book's commands print what it says", vec!["book", "--run"]),
    ];
    let mut failed = Vec::new();
    for (name, args) in all {
        println!("\n{}", say::bold(&format!("cargo kit {}", args.join(" "))));
        // Through cargo: the tests may have built the kit anew, and then this program's file is gone.
        failed.extend(failure(name, cargo::command(place).arg("kit").args(&args))?);
    }
    Ok(failed)
}

/// Runs a check; its name if it failed.
fn failure(name: &str, command: &mut Command) -> Result<Option<String>> {
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot run what checks that {name}"))?;
    let word = if status.success() { say::green("ok") } else { say::red("FAILED") };
    println!("{word:<8} {name} ({})", say::time(start.elapsed()));
    Ok((!status.success()).then(|| name.to_owned()))
}

fn run_tests(place: &Place, long: bool, selected: &[String], artifacts: &[Artifact]) -> Result<Report> {
    let mut command = cargo::command(place);
    command.args(["test", "--no-fail-fast"]).args(selected).args(["--", "--show-output"]);
    if long {
        command.env("CORACLE_LONG", "1");
        // Four times proptest's own number, unless somebody wishes another.
        if std::env::var_os("PROPTEST_CASES").is_none() {
            command.env("PROPTEST_CASES", "1024");
        }
    }
    match oracle::etcd(place) {
        Ok(etcd) => drop(command.env("PATH", oracle::path_with(&etcd))),
        Err(why) => println!("{} {why:#}", say::yellow("note:")),
    }
    // Cargo names a program on one stream, the program reports on the other: their order matters.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot run cargo")?;
    // The command holds the writing end, and as long as somebody does, the reading never ends.
    drop(command);
    let mut report = follow(place, artifacts, reader)?;
    report.succeeded = child.wait()?.success();
    Ok(report)
}

/// Reads along, tells of each program as it ends, and shows what a failing one printed.
fn follow(place: &Place, artifacts: &[Artifact], log: impl Read) -> Result<Report> {
    let rooms: HashMap<PathBuf, (String, &str)> = artifacts
        .iter()
        .map(|it| (it.executable.clone(), (test_log::room(&place.root, &it.folder), it.target.as_str())))
        .collect();
    let mut report = Report::default();
    let mut program = Program::default();
    for line in BufReader::new(log).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        match test_log::read(&line) {
            Line::Running(path) => {
                program.end(&mut report);
                let unknown = || ("?".to_owned(), line.as_str());
                let (room, target) = rooms.get(&place.root.join(path)).cloned().unwrap_or_else(unknown);
                program = Program::begin(&room, target);
            }
            Line::Documentation(name) => {
                program.end(&mut report);
                program = Program::begin("documentation", name);
            }
            Line::Result(result) => program.handle_result(result, &mut report),
            Line::Skipped(why) => report.skipped.push(format!("{}: {why}", program.room)),
            // Passing tests are counted, not shown.
            Line::Other if line.starts_with("test ") && line.ends_with("... ok") => {}
            Line::Other => program.printed.push(line),
        }
    }
    program.end(&mut report);
    Ok(report)
}

/// A test program that runs.
#[derive(Default)]
struct Program {
    room: String,
    target: String,
    since: Option<Instant>,
    printed: Vec<String>,
}

impl Program {
    fn begin(room: &str, target: &str) -> Self {
        let since = Some(Instant::now());
        Self { room: room.to_owned(), target: target.to_owned(), since, printed: Vec::new() }
    }

    fn handle_result(&mut self, result: test_log::Result, report: &mut Report) {
        let time = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let seen = report.rooms.entry(self.room.clone()).or_default();
        seen.result.passed += result.passed;
        seen.result.failed += result.failed;
        seen.result.ignored += result.ignored;
        seen.time += time;
        if result.failed > 0 {
            // In front of it stands what passing tests printed.
            let failures = self.printed.iter().position(|line| line == "failures:").unwrap_or(0);
            self.printed[failures..].iter().for_each(|line| println!("{line}"));
        }
        if result != test_log::Result::default() {
            say_result(&self.room, &self.target, result, time);
        }
        self.printed.clear();
    }

    /// Nothing more comes of it. Without a result it did not live to give one.
    fn end(&mut self, report: &mut Report) {
        if self.since.is_some() {
            self.printed.iter().for_each(|line| println!("{line}"));
            self.printed.clear();
            self.handle_result(test_log::Result { failed: 1, ..Default::default() }, report);
        }
    }
}

fn say_result(room: &str, target: &str, result: test_log::Result, time: Duration) {
    let word = if result.failed > 0 { say::red("FAILED") } else { say::green("ok    ") };
    let mut counts = format!("{} passed", result.passed);
    for (number, what) in [(result.failed, "failed"), (result.ignored, "ignored")] {
        if number > 0 {
            counts += &format!(", {number} {what}");
        }
    }
    println!("{word}  {room:<16} {target:<26} {counts} ({})", say::time(time));
}

fn print_summary(report: &Report) {
    println!("\n{}", say::bold("By chapter"));
    for (name, room) in report.rooms.iter().filter(|(_, room)| room.result != test_log::Result::default()) {
        let test_log::Result { passed, failed, ignored } = room.result;
        println!(
            "{name:<18} {passed:>4} passed {failed:>3} failed {ignored:>3} ignored {:>12}",
            say::time(room.time)
        );
    }
    if !report.skipped.is_empty() {
        println!("\n{}", say::yellow("Not tried here:"));
        report.skipped.iter().for_each(|why| println!("    {why}"));
    }
    println!();
}
