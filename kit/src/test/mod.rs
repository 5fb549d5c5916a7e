//! `cargo kit test`: every test, with a summary that fits one screen. `--all` is what CI runs.

mod log;
mod programs;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::programs::{Ended, Program};
use crate::cargo::{self, Artifact};
use crate::place::Place;
use crate::{bounded, oracle, python, say, setup};

/// What hangs must not take the results of everything else with it.
const CHECK: Duration = Duration::from_secs(1200);

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
    result: log::Result,
    time: Duration,
}

#[derive(Default)]
struct Report {
    rooms: BTreeMap<String, Room>,
    skipped: Vec<String>,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    setup::ensure(place)?;
    let mut failed = Vec::new();
    if args.all {
        failed.extend(checks(place)?);
    }
    let mut report = Report::default();
    for selected in selections(args) {
        println!("{}", say::bold("Building the tests"));
        let mut build = vec!["test", "--no-run"];
        build.extend(selected.cargo.iter().map(String::as_str));
        let mut artifacts = cargo::build(place, &build)?;
        artifacts.retain(|artifact| artifact.is_test);
        println!("{} ({})", say::bold("Running the tests"), say::time(start.elapsed()));
        run_tests(place, args.all, &selected, &artifacts, &mut report)?;
    }
    if args.all {
        failed.extend(proofs(place)?);
    }
    print_summary(&report);
    let total: usize = report.rooms.values().map(|room| room.result.passed).sum();
    let wrong: usize = report.rooms.values().map(|room| room.result.failed).sum();
    if wrong > 0 {
        failed.push(format!("{wrong} tests"));
    }
    if !failed.is_empty() {
        bail!("failed: {} ({})", failed.join(", "), say::time(start.elapsed()));
    }
    println!("{} {total} tests in {}", say::green("All passed:"), say::time(start.elapsed()));
    // The same for programs that read it.
    println!("{total} passed, {wrong} failed");
    Ok(ExitCode::SUCCESS)
}

/// Which tests, in the words of `cargo test`.
struct Selected {
    /// What cargo is to build.
    cargo: Vec<String>,
    /// What the programs are told: a part of a test's name, mostly.
    programs: Vec<String>,
}

const CLIENTS: &str = "clients";

/// What is built and run, one after the other.
fn selections(args: &Args) -> Vec<Selected> {
    let Selected { cargo, programs } = select(&args.only);
    if cargo.iter().any(|word| word == "-p" || word.starts_with("--package")) {
        return vec![Selected { cargo, programs }];
    }
    // A student's core, half written, must not keep the tests of everything else from running. Foreign
    // clients take long to compile and to fetch; built together with the rest, they would have it built
    // anew with the features that they want.
    let everything: &[&str] = &["--workspace", "--exclude", "*-lab", "--exclude", CLIENTS];
    let clients: Option<&[&str]> = args.all.then_some(&["--package", CLIENTS]);
    let rooms = [everything].into_iter().chain(clients);
    rooms
        .map(|rooms| Selected {
            cargo: rooms.iter().map(|word| (*word).to_owned()).chain(cargo.iter().cloned()).collect(),
            programs: programs.clone(),
        })
        .collect()
}

/// `cargo test` takes words for itself and for the programs that it runs.
fn select(words: &[String]) -> Selected {
    const WITH_VALUE: [&str; 8] =
        ["-p", "--package", "--exclude", "--test", "--bin", "--example", "-F", "--features"];
    let mut selected = Selected { cargo: Vec::new(), programs: Vec::new() };
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            selected.programs.extend(words);
            break;
        }
        let has_value = WITH_VALUE.contains(&word.as_str());
        let room = if word.starts_with('-') { &mut selected.cargo } else { &mut selected.programs };
        room.push(word);
        if has_value {
            selected.cargo.extend(words.next());
        }
    }
    selected
}

/// Formatting, lints, documentation: those that fail, by name.
fn checks(place: &Place) -> Result<Vec<String>> {
    // Labs are linted by `verify-labs`, with the suites and the shells that stand on them.
    const NO_LABS: [&str; 3] = ["--workspace", "--exclude", "*-lab"];
    let all: [(&str, &[&[&str]]); 3] = [
        ("formatting", &[&["fmt", "--all", "--check"]]),
        ("lints", &[&["clippy"], &NO_LABS, &["--all-targets", "--", "--deny", "warnings"]]),
        ("documentation", &[&["doc"], &NO_LABS, &["--no-deps"]]),
    ];
    let mut failed = Vec::new();
    for (name, args) in all {
        let mut cargo = cargo::command(place);
        cargo.args(args.concat()).env("RUSTDOCFLAGS", "-D warnings");
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
    let mut child = command.spawn().with_context(|| format!("cannot run what checks that {name}"))?;
    let status = bounded::wait(&mut child, CHECK)?;
    let succeeded = status.is_some_and(|status| status.success());
    let word = if succeeded { say::green("ok") } else { say::red("FAILED") };
    let why = if status.is_none() { "it did not end and was ended, " } else { "" };
    println!("{word:<8} {name} ({why}{})", say::time(start.elapsed()));
    Ok((!succeeded).then(|| name.to_owned()))
}

/// Runs what was built, and adds what came of it to the report.
fn run_tests(
    place: &Place,
    long: bool,
    selected: &Selected,
    artifacts: &[Artifact],
    report: &mut Report,
) -> Result<()> {
    let mut environment = Vec::new();
    if long {
        environment.push(("CORACLE_LONG", "1".into()));
        // Four times proptest's own number, unless somebody wishes another.
        if std::env::var_os("PROPTEST_CASES").is_none() {
            environment.push(("PROPTEST_CASES", "1024".into()));
        }
    }
    match oracle::etcd(place) {
        Ok(etcd) => environment.push(("PATH", oracle::path_with(&etcd))),
        Err(why) => println!("{} {why:#}", say::yellow("note:")),
    }
    if long {
        match python::clients(place) {
            Ok(folder) => environment.push(("CORACLE_PYTHON_CLIENTS", folder.into())),
            Err(why) => println!("{} {why:#}", say::yellow("note:")),
        }
    }
    let programs = artifacts.iter().map(|it| Program {
        room: log::room(&place.root, &it.folder),
        target: it.target.clone(),
        executable: it.executable.clone(),
        folder: it.folder.clone(),
    });
    let prepare = |command: &mut Command| {
        command.args(&selected.programs).envs(environment.iter().map(|(name, value)| (name, value)));
    };
    for ended in programs::run(programs.collect(), prepare, tell)? {
        report.skipped.extend(ended.skipped.iter().map(|why| format!("{}: {why}", ended.room)));
        let room = report.rooms.entry(ended.room).or_default();
        room.result.passed += ended.result.passed;
        room.result.failed += ended.result.failed;
        room.result.ignored += ended.result.ignored;
        room.time += ended.time;
    }
    Ok(())
}

fn tell(ended: &Ended) {
    if ended.result.failed > 0 {
        ended.complaints.iter().for_each(|line| println!("{line}"));
    }
    if ended.result != log::Result::default() {
        say_result(&ended.room, &ended.target, ended.result, ended.time);
    }
}

fn say_result(room: &str, target: &str, result: log::Result, time: Duration) {
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
    for (name, room) in report.rooms.iter().filter(|(_, room)| room.result != log::Result::default()) {
        let log::Result { passed, failed, ignored } = room.result;
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
