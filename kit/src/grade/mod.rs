//! # `cargo kit grade`: an instructor's loop
//!
//! ```text
//!   submission ── labs/NN/src only ──> stage: our manifests, our tests ── compiled and run within walls
//!                                        │
//!   report <── points a step, a reason for each lost point <── verdicts of the examiner
//! ```
//!
//! ## Threat model
//! Students who are late, curious or clever, not a burglar: what is stopped is told in [`crate::exam`],
//! [`crate::stage`] and [`submission`]. A submission is text. It brings no manifest, no build script, no
//! test and no dependency; it is compiled without unsafe code, and it runs where there are no sources and
//! no network. What it prints is never believed.
//!
//! ## Invariants
//! 1. A step's points are given when all of its tests have passed, and it has at least one.
//! 2. A chapter that does not compile costs that chapter's points only; a step that loops, that step's.
//! 3. The same submission gets the same points again: random tests begin at a fixed seed.
//! 4. Whoever loses a point is told why. What goes wrong with *us* is called so in the report, and the
//!    command fails in the end: it is never a student's lost point.

mod chapter;
mod classroom50;
mod csv;
mod given;
mod gradescope;
mod junit;
mod report;
mod submission;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use self::report::{Graded, Report, State};
use self::submission::Submission;
use crate::chapters::{Chapter, Target};
use crate::exam::jail;
use crate::place::Place;
use crate::say;

#[derive(clap::Args)]
pub struct Args {
    /// A folder with somebody's labs/; without one, this workspace's own
    #[arg(long, value_name = "DIR")]
    submission: Option<PathBuf>,
    /// A folder with one submission in each of its folders
    #[arg(long, value_name = "FOLDER", conflicts_with = "submission")]
    all_in: Option<PathBuf>,
    /// Only these chapters: 0,5
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    chapters: Vec<Target>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to write; for gradescope and classroom50 with --all-in a folder, which gets a file for each
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// Everything that is known
    Json,
    /// JUnit's XML, as most test services read it
    Junit,
    /// Gradescope's results.json
    Gradescope,
    /// Classroom 50's result.json
    Classroom50,
    /// A line for each submission and step
    Csv,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    // Root's tests run as somebody else, who must be able to read what is compiled and compared with.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let chapters = chosen(place, &args.chapters)?;
    let submissions = match (&args.submission, &args.all_in) {
        (_, Some(folder)) => Submission::all_in(folder)?,
        (Some(folder), None) => vec![Submission::at(folder)?],
        (None, None) => vec![Submission::at(&place.root)?],
    };
    let by_file = args.all_in.is_some() && args.format.tells_of_one();
    if by_file && args.out.is_none() {
        bail!("this format tells of one submission: say with --out into which folder the files go");
    }
    let no_walls = jail::forbidden();
    if let Some(why) = no_walls {
        eprintln!("{} this machine gives no walls ({why}).", say::yellow("warning:"));
        eprintln!("         Submissions run as you, limited in time and memory, and can read your files.");
    }
    let mut report = Report { walls: no_walls.is_none(), submissions: Vec::new() };
    for submission in &submissions {
        let mut graded = Graded::new(&submission.name);
        for chapter in &chapters {
            let grade = chapter::grade(place, chapter, submission, no_walls.is_none());
            eprintln!("{}", text::progress(&submission.name, &grade));
            graded.chapters.push(grade);
        }
        report.submissions.push(graded);
    }
    write(&report, args, by_file)?;
    let grades = report.submissions.iter().flat_map(|graded| &graded.chapters);
    let ungraded = grades.filter(|grade| grade.state == State::Ungraded).count();
    if ungraded > 0 {
        bail!("{ungraded} chapters could not be graded: the report says why");
    }
    Ok(ExitCode::SUCCESS)
}

fn write(report: &Report, args: &Args, by_file: bool) -> Result<()> {
    let to = |file: &Path, report: &Report| {
        std::fs::write(file, args.format.of(report)?).with_context(|| file.display().to_string())
    };
    match &args.out {
        Some(folder) if by_file => {
            std::fs::create_dir_all(folder)?;
            for graded in &report.submissions {
                let alone = Report { walls: report.walls, submissions: vec![graded.clone()] };
                to(&folder.join(format!("{}.json", graded.name)), &alone)?;
            }
            Ok(())
        }
        Some(file) => to(file, report),
        None => Ok(std::io::stdout().write_all(args.format.of(report)?.as_bytes())?),
    }
}

fn chosen(place: &Place, targets: &[Target]) -> Result<Vec<Chapter>> {
    if targets.is_empty() {
        return Chapter::all(place);
    }
    targets.iter().map(|target| Chapter::find(place, target)).collect()
}

impl Format {
    fn tells_of_one(self) -> bool {
        matches!(self, Format::Gradescope | Format::Classroom50)
    }

    fn of(self, report: &Report) -> Result<String> {
        match self {
            Format::Text => Ok(text::write(report)),
            Format::Json => report.to_json(),
            Format::Junit => Ok(junit::write(report)),
            Format::Gradescope => gradescope::write(report),
            Format::Classroom50 => classroom50::write(report),
            Format::Csv => Ok(csv::write(report)),
        }
    }
}
