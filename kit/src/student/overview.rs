//! `cargo kit`: progress at a glance, and what comes next. It runs nothing.

use std::process::ExitCode;

use anyhow::Result;

use crate::chapters::Chapter;
use crate::exam::describe;
use crate::place::Place;
use crate::student::page::{self, Page};
use crate::student::progress::Progress;
use crate::student::report;
use crate::student::standing::{self, Standing};

pub fn run(place: &Place) -> Result<ExitCode> {
    let chapters = Chapter::all(place)?;
    let progress = Progress::load(place)?;
    let all: Vec<(&Chapter, Vec<Standing<'_>>)> =
        chapters.iter().map(|chapter| (chapter, standing::of_chapter(place, chapter, &progress))).collect();
    let mut page = Page::of_the_terminal();
    page.line(&page.bold("Coracle: a Kubernetes that you build yourself"));
    page.blank();
    for (chapter, standings) in &all {
        row(&mut page, chapter, standings);
    }
    page.blank();
    let flat: Vec<&Standing<'_>> = all.iter().flat_map(|(_, standings)| standings).collect();
    page.line(&format!("  {}", standing::legend(&page, &flat)));
    page.line(&format!("  {}", total(&flat)));
    page.blank();
    what_next(&mut page, place, &progress, &chapters, &all);
    page.print();
    Ok(ExitCode::SUCCESS)
}

fn row(page: &mut Page, chapter: &Chapter, standings: &[Standing<'_>]) {
    let marks: String = standings.iter().map(|standing| standing.mark(page)).collect();
    let pad = " ".repeat(12_usize.saturating_sub(standings.len()));
    let done = standings.iter().filter(|standing| standing.is_done()).count();
    let points: u32 = standings.iter().map(Standing::points).sum();
    // Where not everything has room, the numbers give way first, and then the title.
    let counts = if page.width < 64 { 20 } else { 40 };
    let room = page.width.saturating_sub(counts).min(40);
    let title = describe::cut(&chapter.title, room - 1);
    let mut line = format!("  {}  {title:<room$} {marks}{pad}", chapter.number);
    if done > 0 && page.width >= 64 {
        line += &format!(" {done} of {:<2} {points:>4} points", standings.len());
    }
    page.line(&line);
}

fn total(all: &[&Standing<'_>]) -> String {
    let done = all.iter().filter(|standing| standing.is_done()).count();
    let points: u32 = all.iter().map(|standing| standing.points()).sum();
    let of: u32 = all.iter().map(|standing| standing.step.points).sum();
    let seen = all.iter().filter(|standing| standing.is_done() && standing.record.given_up.is_some());
    let seen: u32 = seen.map(|standing| standing.points()).sum();
    let honest = if seen > 0 { format!(", {seen} of them with the solution seen") } else { String::new() };
    format!("{done} of {} steps done, {points} of {of} points{honest}", all.len())
}

fn what_next(
    page: &mut Page,
    place: &Place,
    progress: &Progress,
    chapters: &[Chapter],
    all: &[(&Chapter, Vec<Standing<'_>>)],
) {
    if progress.latest_chapter(chapters).is_none() {
        page.words(
            0,
            "Nothing has been judged yet. Each chapter is a page of the book and a lab: read, then write.",
        );
        page.blank();
        page.exact(0, "read", "cargo kit book");
    }
    // Where the student was last; once that is complete, from the beginning.
    let here = progress.latest_chapter(chapters).map(|chapter| chapter.number.as_str());
    let here = all.iter().filter(|(chapter, _)| Some(chapter.number.as_str()) == here);
    let left = here.chain(all).find_map(|(chapter, standings)| Some((chapter, standing::next(standings)?)));
    let Some((chapter, next)) = left else {
        page.line(&page.bold("Every step is done."));
        let numbers: Vec<String> = chapters.iter().map(report::typed_chapter).collect();
        page.exact(0, "run", &format!("cargo kit up --mine {}", numbers.join(",")));
        return;
    };
    let step = next.step;
    let words = Some(next.words()).filter(|words| !words.is_empty()).map(|words| format!(", {words}"));
    let about = format!("({} minutes, {} points{})", step.minutes, step.points, words.unwrap_or_default());
    page.exact(0, "next", &format!("{} {about}", page.bold(&step.to_string())));
    match next.holes.first() {
        Some(hole) => page.exact(0, "", &format!("{}:{}", page::path(place, &hole.file), hole.line)),
        None => page.exact(0, "", &page::path(place, &chapter.lab(place).join(&step.file))),
    }
    let (typed, number) = (report::typed(step), report::typed_chapter(chapter));
    page.exact(0, "what", &format!("cargo kit lab {typed}"));
    page.exact(
        0,
        "judge",
        &format!(
            "{}, or {}",
            page.bold(&format!("cargo kit check {typed}")),
            page.bold(&format!("cargo kit watch {number}"))
        ),
    );
}
