//! `cargo kit solution N.S`: the reference answer, for those who have one.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::chapters::{Chapter, Step, Target};
use crate::labs::{self, Answer};
use crate::place::Place;
use crate::student::judge::{self, Built};
use crate::student::page::{self, Page};
use crate::student::progress::{self, Progress};
use crate::student::report;

#[derive(clap::Args)]
pub struct Args {
    /// A step: 5.2
    target: Target,
    /// Show it although the tests do not pass yet; your progress will say so
    #[arg(long)]
    give_up: bool,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    let number = report::typed_chapter(&chapter);
    let Some(ordinal) = args.target.step else {
        bail!("a solution is of a step: cargo kit solution {number}.1, for the first");
    };
    let step = chapter.step(ordinal)?;
    let mut page = Page::of_the_terminal();
    let record = Progress::load(place)?.of(step);
    if record.done.is_none() && record.given_up.is_none() {
        if args.give_up {
            let today = progress::day(SystemTime::now());
            Progress::update(place, |progress| progress.of_mut(step).given_up = Some(today))?;
        } else if let Some(why) = not_yet(place, &chapter, step)? {
            let typed = report::typed(step);
            page.line(&format!("{}: {why}, so its solution stays shut.", page.bold(&step.to_string())));
            page.blank();
            page.exact(0, "help", &format!("cargo kit hint {typed}"));
            page.exact(
                0,
                "or",
                &format!("cargo kit solution {typed} --give-up shows it, and your progress will say so"),
            );
            page.print();
            return Ok(ExitCode::FAILURE);
        }
    }
    show(&mut page, place, &chapter, step, &labs::solution_of(place, &chapter, step)?)?;
    page.print();
    Ok(ExitCode::SUCCESS)
}

/// Why the step is not done, by its tests, now.
fn not_yet(place: &Place, chapter: &Chapter, step: &Step) -> Result<Option<String>> {
    let sources = judge::sources(place, chapter);
    let Built::Suite { suite, .. } = judge::build(place, chapter)? else {
        return Ok(Some("your answer does not compile yet".to_owned()));
    };
    let judged = judge::sit(&suite, &[step])?;
    judge::remember(place, &judged, &sources)?;
    let one = judged.first().context("a step was judged")?;
    let said = format!("{} of {} tests pass", one.passed(), one.verdicts.len());
    Ok((!one.is_done()).then_some(said))
}

fn show(page: &mut Page, place: &Place, chapter: &Chapter, step: &Step, answers: &[Answer]) -> Result<()> {
    page.line(&format!("{}, as the reference has it", page.bold(&step.to_string())));
    for answer in answers {
        page.blank();
        let file = chapter.solution(place).join(&answer.hole.file);
        let line = line_of(&file, &answer.hole.text);
        page.line(&format!("{}  {}{line}", page.bold(&answer.hole.function), page::path(place, &file)));
        page.words(2, &answer.hole.text);
        page.blank();
        answer.code.lines().for_each(|line| page.line(&format!("    {line}")));
    }
    page.blank();
    page.words(0, "What else it uses stands in the same files. Yours need not be the same: the tests judge what it does. \
         What differs, and why, is the last lesson of the step.");
    Ok(())
}

/// `:120` of the mark with these words.
fn line_of(file: &std::path::Path, words: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mark =
        |line: &str| line.trim_start().starts_with("// lab:begin ") && line.trim_end().ends_with(words);
    text.lines().position(mark).map(|at| format!(":{}", at + 1)).unwrap_or_default()
}
