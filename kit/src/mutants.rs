//! `cargo kit mutants NN`: how many deliberate faults a suite notices.
//!
//! cargo-mutants changes one thing at a time in the files of the solution that have holes: an operator,
//! a condition, a whole body. Each change is a mistake that a student could make, and the tests
//! should notice it. What no test can notice, because it changes nothing that can be seen, stands in
//! `tests/NN/mutants.toml` with a reason, and is shown apart.
//!
//! ```toml
//! [[equivalent]]
//! change = "replace < with <= in Quantity::parse"   # as cargo-mutants says it
//! line = "if nanos > 0 && nanos < NANOS"            # a part of the line that it changes
//! reason = "…"
//! ```
//!
//! The work is done in a staged copy of the chapter ([`Stage`]), in place, one mutant at a time, so that
//! only the solution and its suite are built again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::chapters::{Chapter, Target};
use crate::labs;
use crate::place::{Place, program};
use crate::say;
use crate::stage::{Core, Stage};

const VERSION: &str = "27.1.0";
/// Bytes of address space of one test program: a mutant may ask for memory without end.
const MEMORY: u64 = 4 << 30;
/// Of the viable mutants, not counting those that change nothing.
const WANTED_PER_CENT: usize = 95;

#[derive(clap::Args)]
pub struct Args {
    /// A chapter: 5, 05-scheduler
    target: Target,
    /// A part of the mutants, for a sample: 0/8 is the first of eight
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Those whose place or change matches, such as `selection.rs.*of_name`
    #[arg(long, value_name = "REGEX")]
    only: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    equivalent: Vec<Equivalent>,
}

/// A change that nobody can see from outside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equivalent {
    change: String,
    line: String,
    reason: String,
}

impl Equivalent {
    fn is(&self, mutant: &Mutant) -> bool {
        mutant.change.ends_with(&self.change) && mutant.line.contains(&self.line)
    }
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    let files: BTreeSet<String> = labs::holes(place, &chapter)?.into_iter().map(|hole| hole.file).collect();
    let known = known(&chapter.suite(place).join("mutants.toml"))?;
    let tool = installed(place)?;
    let stage = Stage::lay(place, &chapter, "mutants", &Core::Patched(&[]))?;
    let output = stage.root.join("results");
    fs::create_dir_all(&output)?;
    println!(
        "Changing {} one thing at a time: {}",
        chapter.name,
        files.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    let time = unchanged(place, &chapter, &stage)?;
    let mut command = crate::cargo::command(place);
    limit(&mut command, &stage);
    command.arg("mutants").env("PATH", with_folder_of(&tool)?).current_dir(&stage.root);
    command.args(["--in-place", "--no-config", "--colors=never", "--baseline=skip"]);
    command.args(["--timeout", &time.to_string(), "--build-timeout=300"]);
    command.args(["--package", &format!("{}-solution", chapter.package)]);
    command.args(["--test-package", &chapter.tests_package()]);
    command.arg("--output").arg(&output);
    for file in &files {
        command.args(["--file", &format!("**/solutions/{}/{file}", chapter.name)]);
    }
    if let Some(shard) = &args.shard {
        command.args(["--shard", shard, "--sharding=round-robin"]);
    }
    for regex in &args.only {
        command.args(["--re", regex]);
    }
    command.arg("--").args(judges(&chapter));
    let status = command.status().context("cannot run cargo mutants")?;
    let outcomes = output.join("mutants.out/outcomes.json");
    // 2: some were missed; 3: some ran out of time. Anything else did not get as far.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo mutants gave up ({status}); its logs are in {}", output.join("mutants.out").display());
    }
    let text = fs::read_to_string(&outcomes).with_context(|| outcomes.display().to_string())?;
    let solution = stage.root.join("mutants/solutions").join(&chapter.name);
    let mutants = read(&text, &solution)?;
    report(&chapter, &mutants, &known, args.shard.is_some() || !args.only.is_empty())
}

/// Of a suite, what judges: the program of the graded tests, which has those of what students are given
/// too. Others of a suite may need what a machine lacks.
fn judges(chapter: &Chapter) -> [String; 2] {
    ["--test".to_owned(), chapter.package.replace('-', "_")]
}

/// Runs the suite on the solution as it is; the seconds that a mutant's tests may take.
fn unchanged(place: &Place, chapter: &Chapter, stage: &Stage) -> Result<u64> {
    let package = chapter.tests_package();
    let suite = |more: &[&str]| {
        let mut command = crate::cargo::command(place);
        limit(&mut command, stage);
        command.current_dir(&stage.root).args(["test", "--quiet", "--package", &package]).args(more);
        say::run(command.args(judges(chapter))).context("the suite does not pass on the solution as it is")
    };
    suite(&["--no-run"])?;
    let start = Instant::now();
    suite(&[])?;
    Ok(30 + 5 * start.elapsed().as_secs())
}

#[derive(Debug, PartialEq, Eq)]
struct Mutant {
    /// `src/quantity.rs:66:12`
    place: String,
    /// `replace < with <= in Quantity::parse`
    change: String,
    /// The line as it stands in the solution.
    line: String,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Caught,
    Missed,
    /// It ran for ever, or into a limit: a student would see that too.
    TimedOut,
    /// It does not compile.
    Unviable,
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: serde_json::Value,
    summary: String,
}

/// What cargo-mutants wrote down.
fn read(text: &str, solution: &Path) -> Result<Vec<Mutant>> {
    let all: Outcomes = serde_json::from_str(text).context("outcomes.json")?;
    let mut mutants = Vec::new();
    for outcome in all.outcomes {
        let Some(name) = outcome.scenario["Mutant"]["name"].as_str() else { continue };
        let end = match outcome.summary.as_str() {
            "CaughtMutant" => End::Caught,
            "MissedMutant" => End::Missed,
            "Timeout" => End::TimedOut,
            "Unviable" => End::Unviable,
            other => bail!("cargo mutants says {other:?} of {name}"),
        };
        let (place, change) = name.split_once(": ").with_context(|| format!("{name:?} names no place"))?;
        let mut parts = place.rsplitn(3, ':');
        let (column, line) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("1"));
        let file = parts.next().unwrap_or_default();
        let file = file.find("src/").map_or(file, |at| &file[at..]);
        let source = fs::read_to_string(solution.join(file)).unwrap_or_default();
        let number: usize = line.parse().unwrap_or(1);
        mutants.push(Mutant {
            place: format!("{file}:{line}:{column}"),
            change: change.to_owned(),
            line: source.lines().nth(number - 1).unwrap_or_default().trim().to_owned(),
            end,
        });
    }
    Ok(mutants)
}

fn report(chapter: &Chapter, mutants: &[Mutant], known: &Known, sample: bool) -> Result<ExitCode> {
    let count = |end: End| mutants.iter().filter(|mutant| mutant.end == end).count();
    let (caught, slow, unviable) = (count(End::Caught), count(End::TimedOut), count(End::Unviable));
    let missed = mutants.iter().filter(|mutant| mutant.end == End::Missed);
    let reason = |mutant: &Mutant| known.equivalent.iter().find(|known| known.is(mutant));
    let (explained, survivors): (Vec<&Mutant>, Vec<&Mutant>) =
        missed.partition(|mutant| reason(mutant).is_some());
    if !survivors.is_empty() {
        println!("\n{}", say::bold("Not noticed:"));
    }
    for mutant in &survivors {
        println!("  {}  {}\n      {}", mutant.place, mutant.change, say::dim(&mutant.line));
    }
    if !explained.is_empty() {
        println!("\n{}", say::bold("Change nothing that can be seen:"));
    }
    for mutant in &explained {
        let why = reason(mutant).map_or("", |known| &known.reason);
        println!("  {}  {}\n      {}", mutant.place, mutant.change, say::dim(why));
    }
    for known in &known.equivalent {
        if !sample && !mutants.iter().any(|mutant| mutant.end == End::Missed && known.is(mutant)) {
            println!(
                "\n{} mutants.toml explains what is noticed, or is no more: {}",
                say::yellow("note:"),
                known.change
            );
        }
    }
    let noticed = caught + slow;
    let viable = noticed + survivors.len() + explained.len();
    println!(
        "\nChapter {}{}: {noticed} of {viable} viable mutants noticed, {}; {} without the {} that change nothing. \
         {slow} of them by a time limit; {unviable} more did not compile.",
        chapter.number,
        if sample { ", a sample" } else { "" },
        per_cent(noticed, viable),
        per_cent(noticed, viable - explained.len()),
        explained.len(),
    );
    let enough = noticed * 100 >= WANTED_PER_CENT * (viable - explained.len());
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `98.4 %`, rounded down: a score is never better than it is.
fn per_cent(part: usize, whole: usize) -> String {
    let thousandths = (part * 1000).checked_div(whole).unwrap_or(1000);
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn known(path: &Path) -> Result<Known> {
    if !path.exists() {
        return Ok(Known::default());
    }
    let text = fs::read_to_string(path)?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// Time, memory and luck of the tests, as they are for every mutant.
fn limit(command: &mut Command, stage: &Stage) {
    command.env("CARGO_TARGET_DIR", &stage.target).env("CARGO_NET_OFFLINE", "true");
    // The same cases for every mutant, few of them; and no golden writes itself anew.
    command.env("PROPTEST_CASES", "64").env("PROPTEST_RNG_SEED", "1").env("INSTA_UPDATE", "no");
    command.env_remove("RUST_BACKTRACE");
    if let (Some(prlimit), Some(host)) = (program("prlimit"), host()) {
        let runner = format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_"));
        command.env(runner, format!("{} --as={MEMORY} --core=0", prlimit.display()));
    }
}

/// `x86_64-unknown-linux-gnu`
fn host() -> Option<String> {
    let said = say::run(Command::new("rustc").arg("-vV")).ok()?;
    said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

fn with_folder_of(tool: &Path) -> Result<std::ffi::OsString> {
    let folder = tool.parent().context("a program lies in a folder")?.to_owned();
    let path = crate::place::search_path();
    Ok(std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path)))?)
}

/// The cargo-mutants in `target/tools`, installed if it is not there.
fn installed(place: &Place) -> Result<PathBuf> {
    let tools = place.root.join("target/tools");
    let tool = tools.join("bin/cargo-mutants");
    if tool.exists() {
        return Ok(tool);
    }
    println!(
        "This needs cargo-mutants {VERSION}. Installing it from crates.io into target/tools, for this \
         workspace only; it takes a few minutes, once."
    );
    let mut command = crate::cargo::command(place);
    command.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]).arg(&tools);
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo install cargo-mutants failed; is there a network?");
    }
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_with_the_lines_that_they_change() {
        let folder = std::env::temp_dir().join(format!("kit-mutants-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/a.rs"), "fn f() {\n    a < b\n}\n").unwrap();
        let text = r#"{"outcomes": [
            {"scenario": "Baseline", "summary": "Success"},
            {"scenario": {"Mutant": {"name": "mutants/solutions/00-x/src/a.rs:2:7: replace < with <= in f"}},
             "summary": "MissedMutant"}
        ]}"#;
        let mutants = read(text, &folder);
        fs::remove_dir_all(&folder).unwrap();
        let expected = Mutant {
            place: "src/a.rs:2:7".into(),
            change: "replace < with <= in f".into(),
            line: "a < b".into(),
            end: End::Missed,
        };
        let known =
            Equivalent { change: "< with <= in f".into(), line: "a < b".into(), reason: String::new() };
        assert!(known.is(&expected));
        assert_eq!(mutants.unwrap(), [expected]);
    }

    #[test]
    fn a_score_is_never_better_than_it_is() {
        assert_eq!(per_cent(999, 1000), "99.9 %");
        assert_eq!(per_cent(1999, 2000), "99.9 %");
        assert_eq!(per_cent(0, 0), "100.0 %");
    }
}
