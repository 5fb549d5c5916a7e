//! `cargo kit check N[.S]`: judges the student's answers.

use std::process::ExitCode;

use anyhow::Result;

use crate::chapters::{Chapter, Step, Target};
use crate::place::Place;
use crate::student::judge::{self, Built, Judged};
use crate::student::page::Page;
use crate::student::progress::Progress;
use crate::student::report::{self, About};
use crate::student::{holes, rules};

#[derive(clap::Args)]
pub struct Args {
    /// A chapter or a step: 5, 05-scheduler, 5.2
    target: Target,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    let asked = chapter.chosen(&args.target)?;
    let mut page = Page::of_the_terminal();
    // Before the build: what is saved while it runs has not been judged.
    let sources = judge::sources(place, &chapter);
    let mut about =
        About { place, chapter: &chapter, rules: Default::default(), holes: holes::open(place, &chapter) };
    let (suite, warnings) = match judge::build(place, &chapter)? {
        Built::Suite { suite, warnings } => (suite, warnings),
        Built::Refused(refusal) => {
            report::refusal(
                &mut page,
                &about,
                &refusal,
                &again(&chapter, args.target.step.map(|_| asked[0])),
            );
            page.print();
            return Ok(ExitCode::FAILURE);
        }
    };
    let judged = judge::sit(&suite, &asked)?;
    about.rules = rules::of_suite(&chapter.suite(place));
    if args.target.step.is_none() {
        report::chapter(&mut page, &about, &judged);
        page.blank();
    }
    let first = judged.iter().find(|one| !one.is_done());
    if let Some(first) = first {
        report::details(&mut page, &about, first);
    }
    // What fails in a loop would fail so again.
    let before = if judged.iter().any(Judged::loops) {
        Vec::new()
    } else {
        judge::done_before(&chapter, &asked, &Progress::load(place)?)
    };
    let others = judge::sit(&suite, &before)?;
    if first.is_none() {
        passed(&mut page, &chapter, &judged, &others);
    }
    report::broken(&mut page, &others);
    if warnings > 0 {
        page.blank();
        let package = format!("{}-lab", chapter.package);
        let warnings = if warnings == 1 { "a warning".to_owned() } else { format!("{warnings} warnings") };
        let said = format!("The compiler has {warnings} for your code: cargo clippy -p {package}");
        page.line(&page.dim(&said));
    }
    page.print();
    judge::remember(place, &judged, &sources)?;
    judge::remember(place, &others, &sources)?;
    Ok(if first.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn again(chapter: &Chapter, step: Option<&Step>) -> String {
    format!("cargo kit check {}", step.map_or_else(|| report::typed_chapter(chapter), report::typed))
}

/// Everything that was asked for passes: what comes next.
fn passed(page: &mut Page, chapter: &Chapter, judged: &[Judged], others: &[Judged]) {
    let done = |step: &Step| judged.iter().chain(others).any(|one| one.step.id == step.id && one.is_done());
    if let [only] = judged {
        let said = format!("{} is done: all {} tests pass.", only.step, only.verdicts.len());
        page.item(0, &page.green("✓"), &page.bold(&said));
    }
    let points: u32 = chapter.steps.iter().filter(|step| done(step)).map(|step| step.points).sum();
    let of: u32 = chapter.steps.iter().map(|step| step.points).sum();
    let number = report::typed_chapter(chapter);
    page.line(&format!("{points} of {of} points of chapter {}.", chapter.number));
    page.blank();
    match chapter.steps.iter().find(|step| !done(step)) {
        Some(next) => {
            let typed = report::typed(next);
            page.exact(0, "next", &format!("{next} ({} minutes)", next.minutes));
            page.exact(0, "", &page.bold(&format!("cargo kit lab {typed}")));
        }
        None => {
            page.exact(0, "next", "the chapter is complete: run a cluster with your part in it");
            page.exact(0, "", &page.bold(&format!("cargo kit up --mine {number}")));
        }
    }
}
