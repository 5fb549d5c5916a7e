//! `cargo kit lab N[.S]`: what a chapter's lab asks, and where to begin.

use std::process::ExitCode;

use anyhow::Result;

use crate::chapters::{Chapter, Target};
use crate::exam::describe;
use crate::place::Place;
use crate::student::page::{self, Page};
use crate::student::progress::Progress;
use crate::student::standing::{self, Standing};
use crate::student::{judge, report};

#[derive(clap::Args)]
pub struct Args {
    /// A chapter or a step: 5, 05-scheduler, 5.2
    target: Target,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    judge::must_exist(place, &chapter)?;
    let standings = standing::of_chapter(place, &chapter, &Progress::load(place)?);
    let mut page = Page::of_the_terminal();
    match args.target.step {
        None => whole(&mut page, place, &chapter, &standings),
        Some(ordinal) => {
            let step = chapter.step(ordinal)?;
            if let Some(standing) = standings.iter().find(|standing| standing.step.id == step.id) {
                one(&mut page, place, &chapter, standing);
            }
        }
    }
    page.print();
    Ok(ExitCode::SUCCESS)
}

fn whole(page: &mut Page, place: &Place, chapter: &Chapter, standings: &[Standing<'_>]) {
    page.line(&page.bold(&format!("{} {}", chapter.number, chapter.title)));
    let text = std::fs::read_to_string(chapter.page(place)).unwrap_or_default();
    if let Some(built) = what_one_builds(&text) {
        page.words(2, &built);
    }
    page.blank();
    steps(page, place, standings, true);
    page.blank();
    page.line(&format!("  {}", standing::legend(page, &standings.iter().collect::<Vec<_>>())));
    let points: u32 = standings.iter().map(Standing::points).sum();
    let of: u32 = standings.iter().map(|standing| standing.step.points).sum();
    let minutes: u32 = standings.iter().filter(|it| !it.is_done()).map(|it| it.step.minutes).sum();
    let left = if minutes > 0 { format!(", about {} left", hours(minutes)) } else { String::new() };
    page.line(&format!("  {points} of {of} points{left}"));
    page.blank();
    let number = report::typed_chapter(chapter);
    page.exact(0, "read", &format!("{} (cargo kit book {number})", page::path(place, &chapter.page(place))));
    match standing::next(standings) {
        Some(next) => {
            let typed = report::typed(next.step);
            page.exact(0, "judge", &format!("cargo kit check {typed}"));
            page.exact(0, "or", &format!("cargo kit watch {number}, which judges whenever you save"));
            page.exact(0, "help", &format!("cargo kit hint {typed}"));
        }
        None => page.exact(0, "run", &format!("cargo kit up --mine {number}")),
    }
}

/// A line for each step; with `places`, the functions that are still to be written.
pub fn steps(page: &mut Page, place: &Place, standings: &[Standing<'_>], places: bool) {
    let room = page.width.saturating_sub(49).clamp(12, 30);
    let widest = standings.iter().map(|standing| standing.step.id.len()).max().unwrap_or_default();
    for standing in standings {
        let step = standing.step;
        let title = describe::cut(&step.title, room - 1);
        let line = format!(
            "  {} {:<widest$} {title:<room$} {:>3} min {:>3} points  {}",
            standing.mark(page),
            step.id,
            step.minutes,
            step.points,
            standing.words()
        );
        page.line(&line);
        if places {
            report::open_holes(page, place, &standing.holes.iter().collect::<Vec<_>>(), false);
        }
    }
}

fn one(page: &mut Page, place: &Place, chapter: &Chapter, standing: &Standing<'_>) {
    let step = standing.step;
    let words = Some(standing.words()).filter(|words| !words.is_empty());
    let words = words.map(|words| format!(", {words}")).unwrap_or_default();
    page.line(&format!(
        "{} ({} minutes, {} points{words})",
        page.bold(&step.to_string()),
        step.minutes,
        step.points
    ));
    page.words(2, &step.why);
    page.blank();
    if standing.holes.is_empty() {
        page.exact(2, "written", &page::path(place, &chapter.lab(place).join(&step.file)));
    } else {
        page.line("  To be written:");
        report::open_holes(page, place, &standing.holes.iter().collect::<Vec<_>>(), true);
    }
    page.blank();
    let typed = report::typed(step);
    let read = page::path(place, &chapter.page(place));
    page.exact(0, "read", &format!("{read}#{} (cargo kit book {typed})", step.anchor));
    page.exact(0, "judge", &page.bold(&format!("cargo kit check {typed}")));
    page.exact(0, "help", &format!("cargo kit hint {typed}"));
}

/// The first paragraph of the page's section of that name, without its marks.
fn what_one_builds(page: &str) -> Option<String> {
    let (_, section) = page.split_once("## What you will have at the end")?;
    let first = section.split("\n\n").map(str::trim).find(|text| !text.is_empty())?;
    Some(without_links(&first.replace(['*', '`'], ""))).filter(|text| !text.starts_with(['#', '!', '<']))
}

/// `[words](where)` as `words`.
fn without_links(text: &str) -> String {
    let Some((before, after)) = text.split_once("](") else { return text.to_owned() };
    match (before.rsplit_once('['), after.split_once(')')) {
        (Some((before, words)), Some((_, rest))) => format!("{before}{words}{}", without_links(rest)),
        _ => text.to_owned(),
    }
}

/// `90 min`, `6½ hours`.
fn hours(minutes: u32) -> String {
    match (minutes + 15) / 30 {
        0..=3 => format!("{minutes} minutes"),
        halves if halves % 2 == 0 => format!("{} hours", halves / 2),
        halves => format!("{}½ hours", halves / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_one_builds() {
        let page = "# 05\n\n## What you will have at the end\n\nA **process** that [writes](a.md) one `field`.\n\n```text\n```\n";
        assert_eq!(what_one_builds(page).as_deref(), Some("A process that writes one field."));
        assert_eq!(what_one_builds("# 05\n"), None);
        assert_eq!(without_links("[a] and [b](c) and [d"), "[a] and b and [d");
    }

    #[test]
    fn hours_are_rounded_to_halves() {
        assert_eq!([45, 120, 375, 400].map(hours), ["45 minutes", "2 hours", "6½ hours", "6½ hours"]);
    }
}
