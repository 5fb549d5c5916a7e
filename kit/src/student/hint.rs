//! `cargo kit hint N.S`: three levels of help, one more each time.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::chapters::{Chapter, Step, Target};
use crate::place::Place;
use crate::student::page::{self, Page};
use crate::student::progress::Progress;
use crate::student::report;

#[derive(clap::Args)]
pub struct Args {
    /// A step: 5.2
    target: Target,
    /// This level: 1 nudges, 2 tells how to go about it, 3 sketches the answer in words
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: Option<u8>,
    /// All three
    #[arg(long, conflicts_with = "level")]
    all: bool,
}

const LEVELS: u8 = 3;

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    let number = report::typed_chapter(&chapter);
    let Some(ordinal) = args.target.step else {
        bail!(
            "a hint is for a step: cargo kit hint {number}.1, for the first; cargo kit lab {number} lists them"
        );
    };
    let step = chapter.step(ordinal)?;
    let read = Progress::load(place)?.of(step).hints.min(LEVELS);
    let levels = match (args.all, args.level) {
        (true, _) => 1..=LEVELS,
        (_, Some(level)) => level..=level,
        _ => next(read)..=next(read),
    };
    let mut page = Page::of_the_terminal();
    page.line(&page.bold(&step.to_string()));
    for level in levels.clone() {
        page.blank();
        tell(&mut page, step, level);
    }
    page.blank();
    further(&mut page, place, &chapter, step, *levels.end());
    page.print();
    remember(place, step, *levels.end())?;
    Ok(ExitCode::SUCCESS)
}

/// The level for whoever has read so many.
pub fn next(read: u8) -> u8 {
    (read + 1).min(LEVELS)
}

pub fn tell(page: &mut Page, step: &Step, level: u8) {
    let (name, text) = match level {
        1 => ("A nudge", &step.hints.nudge),
        2 => ("How to go about it", &step.hints.approach),
        _ => ("A sketch of the answer", &step.hints.sketch),
    };
    page.line(&page.dim(&format!("{name} ({level} of {LEVELS})")));
    page.words(2, text);
}

pub fn remember(place: &Place, step: &Step, level: u8) -> Result<()> {
    Progress::update(place, |progress| {
        let record = progress.of_mut(step);
        record.hints = record.hints.max(level);
    })?;
    Ok(())
}

fn further(page: &mut Page, place: &Place, chapter: &Chapter, step: &Step, level: u8) {
    let typed = report::typed(step);
    if level < LEVELS {
        page.exact(0, "more", &format!("cargo kit hint {typed}, once more"));
        return;
    }
    page.words(
        0,
        "There are no more hints. The book tells the idea behind this step, and where upstream does it:",
    );
    page.exact(0, "read", &format!("{}#{}", page::path(place, &chapter.page(place)), step.anchor));
    page.exact(0, "", &format!("cargo kit book {typed}"));
}
