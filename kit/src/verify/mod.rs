//! # `cargo kit verify-labs`: proves that the labs can be solved, and that their tests judge
//!
//! A lab can be wrong in ways that no compiler sees: a hole that nobody notices, a test that passes on
//! nothing, a step that cannot be done before the one behind it, a hint that is the answer. For each
//! chapter this is proved:
//!
//! | | what | how |
//! |---|---|---|
//! | 1 | `labs/` is what the generator writes, compiles without a warning, and serves its suite and its shell | [`sync`], [`compile`] |
//! | 2 | every test passes on the solution and fails on the skeleton | no switch on, all switches on |
//! | 3 | a student who works in order is never held up by a later step | a step's tests pass with all later holes open |
//! | 4 | every hole is judged by its own step | one hole open: one of the step's tests fails |
//! | 5 | plausible mistakes are noticed by the step that they belong to, other right answers pass | patches, see [`crate::labs::patches`] |
//! | 6 | the step's papers are in order, and no page, hint or skeleton tells an answer | [`paper`], [`leaks`] |
//!
//! Proofs 2 to 5 share one build a chapter: the solution with every hole, and every other answer that fits,
//! behind a switch. That the skeleton run may come from the same program follows from 1: what the skeleton
//! lacks besides its holes is reached by answers alone, or it would not compile.
//!
//! Two proofs are needless. With fewer holes open no test fails that passes with more, so by 3 a hole alone
//! fails no test of an earlier step. And no hole fails a test of another chapter: a suite is built with one
//! student's core, its own, and every other chapter's reference.

mod compile;
pub mod leaks;
mod paper;
mod sittings;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::chapters::{Chapter, Step, Target};
use crate::labs::patches::{Kind, Patch};
use crate::labs::{self, Hole, sync};
use crate::place::Place;
use crate::say;
use crate::stage::{Built, Core, Stage};

use self::sittings::Sittings;

#[derive(clap::Args)]
pub struct Args {
    /// Only these chapters
    chapters: Vec<Target>,
}

/// How many complaints of a chapter are worth reading before the first is seen to.
const SHOWN: usize = 12;

/// What came out for a chapter.
#[derive(Default)]
struct Report {
    /// A sentence for everything that is not proved.
    complaints: Vec<String>,
    rows: Vec<Row>,
    /// What took how long.
    times: Vec<(&'static str, Duration)>,
}

/// A step's line in the table.
#[derive(Default)]
struct Row {
    tests: usize,
    /// What all of them take on the solution, one after the other.
    time: Duration,
    holes: usize,
    /// Holes that one of the step's tests notices.
    caught: usize,
    wrong: usize,
    /// Wrong answers that one of the step's tests notices.
    rejected: usize,
}

impl Report {
    fn timed<T>(&mut self, what: &'static str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let done = work(self);
        self.times.push((what, start.elapsed()));
        done
    }
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let chapters = match &args.chapters[..] {
        [] => Chapter::all(place)?,
        some => some.iter().map(|target| Chapter::find(place, target)).collect::<Result<_>>()?,
    };
    let unable = compile::check(place, &chapters)?;
    let mut unproved: Vec<String> = unable.into_iter().map(|claim| format!("that {claim}")).collect();
    let mut totals = Row::default();
    for chapter in &chapters {
        let mut report = Report::default();
        if let Err(error) = prove(place, chapter, &mut report) {
            report.complaints.push(format!("{error:#}"));
        }
        print(chapter, &report);
        for row in &report.rows {
            totals.tests += row.tests;
            totals.holes += row.holes;
            totals.wrong += row.wrong;
        }
        if !report.complaints.is_empty() {
            unproved.push(chapter.name.clone());
        }
    }
    let Row { tests, holes, wrong, .. } = totals;
    println!();
    if !unproved.is_empty() {
        bail!("not proved: {} ({})", unproved.join(", "), say::time(start.elapsed()));
    }
    let all = format!("{} chapters, {holes} holes, {tests} tests, {wrong} wrong answers", chapters.len());
    println!("{} {all} in {}", say::green("All proved:"), say::time(start.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// All that is to be proved of a chapter; an error is what makes the rest impossible.
fn prove(place: &Place, chapter: &Chapter, report: &mut Report) -> Result<()> {
    if let Err(error) = sync::check(place, chapter) {
        report.complaints.push(format!("labs/{} is not what the generator writes: {error:#}", chapter.name));
    }
    let holes = labs::holes(place, chapter)?;
    let complaints = paper::check(place, chapter, &holes)?;
    report.complaints.extend(complaints);
    report.complaints.extend(leaks::find(place, chapter)?);
    let switched = labs::switched(place, chapter)?;
    let suite = report.timed("build", |_| {
        let stage = Stage::lay(place, chapter, "verify", &Core::Holes)?;
        match stage.build(chapter)? {
            Built::Suite(suite) => Ok(Some(suite)),
            Built::Refused(said) if switched.patches.is_empty() => {
                bail!("the solution with its holes behind switches does not compile:\n{said}")
            }
            Built::Refused(_) => Ok(None),
        }
    })?;
    let Some(suite) = suite else {
        return Err(name_the_patch_that_does_not_compile(place, chapter, &switched.patches));
    };
    let sittings = Sittings::of(chapter, suite)?;
    report.complaints.extend(paper::modules(chapter, &sittings.tests));
    report.rows = chapter.steps.iter().map(|step| row(step, &sittings, &holes)).collect();

    report.timed("skeleton", |report| sittings.skeleton_fails(&holes, report))?;
    let failing = report.timed("solution", |report| sittings.solution_passes(report))?;
    report.timed("in order", |report| sittings.steps_come_in_order(&holes, &failing, report))?;
    report.timed("holes", |report| sittings.every_hole_is_noticed(&holes, report))?;
    report.timed("other answers", |report| sittings.judge(&switched.patches, report))?;
    if !switched.apart.is_empty() {
        report.timed("those that need a build", |report| {
            switched.apart.iter().try_for_each(|patch| judge_apart(place, chapter, patch, report))
        })?;
    }
    Ok(())
}

/// An answer that changes more than functions, in a build of its own.
fn judge_apart(place: &Place, chapter: &Chapter, patch: &Patch, report: &mut Report) -> Result<()> {
    match build_apart(place, chapter, patch)? {
        Built::Suite(suite) => Sittings::of(chapter, suite)?.judge(std::slice::from_ref(patch), report),
        Built::Refused(said) => {
            let file = format!("tests/{}/{}.patch", chapter.name, patch.name);
            report.complaints.push(format!("{file} does not compile:\n{said}"));
            Ok(())
        }
    }
}

fn build_apart(place: &Place, chapter: &Chapter, patch: &Patch) -> Result<Built> {
    let patches = [patch.path.clone()];
    Stage::lay(place, chapter, "verify-patch", &Core::Patched(&patches))?.build(chapter)
}

fn row(step: &Step, sittings: &Sittings<'_>, holes: &[Hole]) -> Row {
    let holes = holes.iter().filter(|hole| hole.step == step.id).count();
    Row { tests: sittings.of_step(step).len(), holes, ..Row::default() }
}

/// All of them together did not compile.
fn name_the_patch_that_does_not_compile(
    place: &Place,
    chapter: &Chapter,
    patches: &[Patch],
) -> anyhow::Error {
    for patch in patches {
        match build_apart(place, chapter, patch) {
            Ok(Built::Suite(_)) => {}
            Ok(Built::Refused(said)) => {
                return anyhow!("tests/{}/{}.patch does not compile:\n{said}", chapter.name, patch.name);
            }
            Err(error) => return error,
        }
    }
    anyhow!("the solution with its holes and other answers behind switches does not compile")
}

fn print(chapter: &Chapter, report: &Report) {
    println!();
    let title = format!("{} {}", chapter.name, chapter.title);
    let head = format!("{title:<50} points  tests   time  holes caught  wrong rejected");
    println!("{}", say::bold(&head));
    for (step, row) in chapter.steps.iter().zip(&report.rows) {
        let Row { tests, time, holes, caught, wrong, rejected } = row;
        println!(
            "  {:<48} {:>6}  {tests:>5}  {:>5}  {holes:>5} {caught:>6}  {wrong:>5} {rejected:>8}",
            format!("{} {}", step.id, step.title),
            step.points,
            say::time(*time)
        );
    }
    let times = report.times.iter().map(|(what, time)| format!("{what} {}", say::time(*time)));
    println!("  {}", say::dim(&times.collect::<Vec<_>>().join(", ")));
    for complaint in report.complaints.iter().take(SHOWN) {
        let mut lines = complaint.lines();
        println!("  {} {}", say::red("FAILED"), lines.next().unwrap_or_default());
        lines.for_each(|line| println!("         {line}"));
    }
    if let Some(more @ 1..) = report.complaints.len().checked_sub(SHOWN) {
        println!("         and {more} more");
    }
}
