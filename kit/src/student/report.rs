//! How verdicts are told to whoever wrote the answer: what to do next, and not a wall of red.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::chapters::{Chapter, Step};
use crate::exam::describe::{self, Came, What};
use crate::exam::{Outcome, Verdict};
use crate::place::Place;
use crate::student::holes::OpenHole;
use crate::student::judge::{Guilty, Judged, Refusal};
use crate::student::page::{self, ENTRY, Page};
use crate::student::rules::Rule;

/// So many failing tests are told in full; nobody mends more at once.
const IN_FULL: usize = 3;
/// So many lines of a diff are shown.
const LINES: usize = 16;
/// How far they are set in.
const DIFF: usize = 6;
/// So many characters of an input for which a law fails.
const LONGEST_INPUT: usize = 600;
/// The same for what the compiler says.
const ERRORS: usize = 5;

/// All that a report looks up.
pub struct About<'a> {
    pub place: &'a Place,
    pub chapter: &'a Chapter,
    pub rules: BTreeMap<String, Rule>,
    pub holes: Vec<OpenHole>,
}

/// `5.2`, as a person types it.
pub fn typed(step: &Step) -> String {
    short(&step.id)
}

/// `5`
pub fn typed_chapter(chapter: &Chapter) -> String {
    short(&chapter.number)
}

/// Without the zero that keeps folders in order.
fn short(number: &str) -> String {
    match number.strip_prefix('0') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest.to_owned(),
        _ => number.to_owned(),
    }
}

fn tests(number: usize) -> String {
    if number == 1 { "1 test".to_owned() } else { format!("{number} tests") }
}

/// A chapter, a line a step.
pub fn chapter(page: &mut Page, about: &About<'_>, judged: &[Judged]) {
    let title = format!("{} {}", about.chapter.number, about.chapter.title);
    page.line(&page.bold(&title));
    let widest = judged.iter().map(|one| one.step.id.len()).max().unwrap_or_default();
    for one in judged {
        let (mark, said) = standing(page, about, one);
        let room = page.width.saturating_sub(32).clamp(12, 34);
        let step = format!("{:<widest$} {:<room$}", one.step.id, describe::cut(&one.step.title, room - 1));
        page.line(&format!("  {mark} {step} {said}"));
    }
}

fn standing(page: &Page, about: &About<'_>, judged: &Judged) -> (String, String) {
    let of = judged.verdicts.len();
    let open = about.holes.iter().any(|hole| hole.step == judged.step.id);
    match judged.passed() {
        passed if passed == of => (page.green("✓"), format!("done, {}", tests(of))),
        _ if judged.was_left_out() => (page.dim("·"), "not run".to_owned()),
        0 if open => (page.dim("·"), "still to be written".to_owned()),
        passed => (page.red("✗"), format!("{passed} of {} pass", tests(of))),
    }
}

/// A step whose tests do not all pass: what is missing, and what to do.
pub fn details(page: &mut Page, about: &About<'_>, judged: &Judged) {
    let step = &judged.step;
    let counted = format!("{} of {} pass", judged.passed(), tests(judged.verdicts.len()));
    page.line(&format!("{}: {counted}", page.bold(&step.to_string())));
    page.words(2, &step.why);
    let open: Vec<&OpenHole> = about.holes.iter().filter(|hole| hole.step == step.id).collect();
    if !open.is_empty() {
        page.blank();
        page.line("  Still to be written:");
        open_holes(page, about.place, &open, true);
    }
    let mut failing: Vec<(&Verdict, Came)> = judged
        .verdicts
        .iter()
        .filter(|verdict| verdict.outcome != Outcome::Passed)
        .map(|verdict| (verdict, Came::of(verdict)))
        .collect();
    // What came out wrong says more than what is missing: that stands in the list above, once.
    let is_news = |came: &Came| match &came.what {
        What::Unwritten { step: owner, .. } => *owner != step.id,
        What::NotRun => false,
        _ => true,
    };
    failing.sort_by_key(|(_, came)| !is_news(came));
    let news = failing.iter().filter(|(_, came)| is_news(came)).count();
    let (in_full, by_name) = failing.split_at(news.min(IN_FULL));
    for (verdict, came) in in_full {
        page.blank();
        failure(page, about, verdict, came);
    }
    if !by_name.is_empty() {
        page.blank();
        let more = format!("  and {} more:", by_name.len());
        page.line(if in_full.is_empty() { "  The rules that it does not keep yet:" } else { &more });
        for (verdict, _) in by_name {
            page.item(4, &page.red("✗"), &describe::rule(&verdict.test));
        }
    }
    if judged.verdicts.iter().any(|verdict| verdict.outcome == Outcome::NotRun) {
        page.blank();
        page.words(2, "Those that were not run would most likely have met the same loop.");
    }
    page.blank();
    footer(page, about, step);
}

/// Functions, each with its place and, if wanted, what it is to do.
pub fn open_holes(page: &mut Page, place: &Place, holes: &[&OpenHole], with_words: bool) {
    let longest = holes.iter().map(|hole| hole.function.chars().count()).max().unwrap_or_default();
    for hole in holes {
        let path = format!("{}:{}", page::path(place, &hole.file), hole.line);
        let function = page.bold(&format!("{:<longest$}", hole.function));
        if 4 + longest + 2 + path.chars().count() <= page.width {
            page.line(&format!("    {function}  {path}"));
        } else {
            page.line(&format!("    {function}"));
            page.line(&format!("      {path}"));
        }
        if with_words {
            page.words(6, &hole.words);
        }
    }
}

fn footer(page: &mut Page, about: &About<'_>, step: &Step) {
    let read = page::path(about.place, &about.chapter.page(about.place));
    let typed = typed(step);
    page.exact(2, "read", &format!("{read}#{} (cargo kit book {typed})", step.anchor));
    page.exact(2, "help", &format!("cargo kit hint {typed}"));
    page.exact(2, "again", &page.bold(&format!("cargo kit check {typed}")));
}

fn failure(page: &mut Page, about: &About<'_>, verdict: &Verdict, came: &Came) {
    page.item(2, &page.red("✗"), &page.bold(&describe::rule(&verdict.test)));
    let rule = about.rules.get(&verdict.test);
    if let Some(doc) = rule.and_then(|rule| rule.doc.as_ref()) {
        page.entry(4, "why", doc);
    }
    what_came(page, about, came);
    match &came.input {
        Some(input) if !matches!(came.what, What::Unwritten { .. }) => {
            let input = describe::cut(&in_a_line(input), LONGEST_INPUT);
            page.entry(4, "for", &input);
        }
        _ => {}
    }
    if let Some(rule) = rule {
        let line = line_within(about, rule, came).unwrap_or(rule.line);
        page.exact(4, "test", &format!("{}:{line}", page::path(about.place, &rule.file)));
    }
}

/// The line that failed, if it is one of the test's own and not of a helper.
fn line_within(about: &About<'_>, rule: &Rule, came: &Came) -> Option<usize> {
    let (file, line) = came.at.as_deref()?.rsplit_once(':')?;
    let line: usize = line.parse().ok()?;
    let same_file = about.place.root.join(file) == about.place.root.join(&rule.file);
    let functions = about.rules.values().filter(|other| other.file == rule.file);
    let next = functions.map(|other| other.line).filter(|other| *other > rule.line).min();
    (same_file && line >= rule.line && next.is_none_or(|next| line < next)).then_some(line)
}

fn what_came(page: &mut Page, about: &About<'_>, came: &Came) {
    let at = came.at.as_ref().map(|at| shown_place(about.place, at));
    match &came.what {
        What::Passed => {}
        What::Unwritten { step: owner, words } => {
            let hole = about.holes.iter().find(|hole| hole.step == *owner && hole.words == *words);
            let function = hole.map_or(words.as_str(), |hole| hole.function.as_str());
            page.entry(4, "came", &format!("`{function}` of step {owner} is still to be written"));
            let place = hole.map(|hole| format!("{}:{}", page::path(about.place, &hole.file), hole.line));
            if let Some(place) = place.or(at) {
                page.exact(4, "", &place);
            }
        }
        What::Differs { expected, got, about: words } => {
            if let Some(words) = words {
                page.entry(4, "case", words);
            }
            differing(page, expected, got);
        }
        What::Golden(diff) => {
            show_diff(page, diff);
        }
        What::Panicked(message) => {
            // A place in the suite is the test's own, which is told anyhow.
            let at = at.filter(|_| came.at.as_ref().is_some_and(|at| !at.starts_with("tests/")));
            match message.strip_prefix("assertion failed: ") {
                Some(condition) => page.entry(4, "came", &format!("this does not hold: {condition}")),
                None => page.entry(4, "came", message),
            }
            if let Some(at) = at {
                page.exact(4, "", &at);
            }
        }
        What::TimedOut(seconds) => {
            page.entry(
                4,
                "came",
                &format!("it did not end within {seconds} s: does a loop never make progress?"),
            );
        }
        What::Overflowed => {
            page.entry(4, "came", "its stack overflowed: does a function call itself for ever?");
        }
        What::Flooded => page.entry(4, "came", "it printed without an end, and was stopped"),
        What::Vanished(how) => {
            page.entry(4, "came", &format!("the process ended before the test did ({how})"));
        }
        What::NotRun => page.entry(4, "came", "not run"),
    }
}

/// A pretty debug form, `(\n    1,\n)`, as `(1)`.
fn in_a_line(pretty: &str) -> String {
    let mut line = String::new();
    for part in pretty.lines().map(str::trim) {
        let closes = part.starts_with([')', ']', '}']);
        if closes && line.ends_with(',') {
            line.pop();
        }
        let tight = line.is_empty() || line.ends_with(['(', '[']) || closes && !part.starts_with('}');
        if !tight {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

/// `labs/05-scheduler/src/a.rs:7`, seen from where the person is.
fn shown_place(place: &Place, at: &str) -> String {
    match at.rsplit_once(':') {
        Some((file, line)) => format!("{}:{line}", page::path(place, &PathBuf::from(file))),
        None => at.to_owned(),
    }
}

/// A diff, painted: lines that differ are shown to their end, the others are cut.
fn show_diff(page: &mut Page, diff: &[String]) {
    page.exact(4, "came", "another text: - is expected, + is what came");
    let room = page.width.saturating_sub(DIFF + 1);
    let mut lines = Vec::new();
    for line in diff {
        let colour: fn(&Page, &str) -> String = match line.chars().next() {
            Some('-') => Page::green,
            Some('+') => Page::red,
            _ => {
                lines.push(describe::cut(line, room));
                continue;
            }
        };
        let characters: Vec<char> = line.chars().collect();
        for (n, part) in characters.chunks(room.max(1)).enumerate() {
            let part: String = part.iter().collect();
            lines.push(format!("{}{}", if n > 0 { " " } else { "" }, colour(page, &part)));
        }
    }
    for line in lines.iter().take(LINES) {
        page.line(&format!("{:DIFF$}{line}", ""));
    }
    if lines.len() > LINES {
        page.line(&format!("{:DIFF$}… and {} more lines", "", lines.len() - LINES));
    }
}

/// Two values: one above the other, or as a diff where they are texts of several lines.
fn differing(page: &mut Page, expected: &str, got: &str) {
    if let (Some(expected), Some(got)) = (unquoted(expected), unquoted(got)) {
        show_diff(page, &diff(&expected, &got));
        return;
    }
    let room = page.width.saturating_sub(4 + ENTRY + 2);
    let (expected, got) = describe::around_the_difference(expected, got, room);
    page.exact(4, "expected", &page.green(&expected));
    page.exact(4, "got", &page.red(&got));
    let same = expected.chars().zip(got.chars()).take_while(|(a, b)| a == b).count();
    if same > 0 && same <= room && !expected.contains('\n') && !got.contains('\n') {
        page.exact(4, "", &format!("{:same$}^", ""));
    }
}

/// The text of a string's debug form, if it has several lines.
fn unquoted(debug: &str) -> Option<String> {
    let inner = debug.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains("\\n") {
        return None;
    }
    syn::parse_str::<syn::LitStr>(debug).ok().map(|text| text.value())
}

/// What differs between two texts, once the lines that they share in front and behind are left out (but
/// for one on each side).
fn diff(expected: &str, got: &str) -> Vec<String> {
    let (expected, got): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let front = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let (more, other) = (&expected[front..], &got[front..]);
    let back = more.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let around = |line: Option<&&str>| line.map(|line| format!(" {line}"));
    let mut lines: Vec<String> = Vec::new();
    lines.extend(around(front.checked_sub(1).and_then(|last| expected.get(last))));
    lines.extend(more[..more.len() - back].iter().map(|line| format!("-{line}")));
    lines.extend(other[..other.len() - back].iter().map(|line| format!("+{line}")));
    lines.extend(around(more.get(more.len() - back)));
    lines
}

/// Steps that passed once, and fail after this edit. A hole that is open again is no surprise, wherever it
/// is met.
pub fn broken(page: &mut Page, others: &[Judged]) {
    let is_news = |verdict: &&Verdict| {
        !matches!(Came::of(verdict).what, What::Passed | What::NotRun | What::Unwritten { .. })
    };
    let lost = |one: &Judged| one.verdicts.iter().filter(is_news).count();
    for (n, one) in others.iter().filter(|one| lost(one) > 0).enumerate() {
        if n == 0 {
            page.blank();
        }
        let fail = if lost(one) == 1 { "fails" } else { "fail" };
        let (step, tests, typed) = (&one.step, tests(lost(one)), typed(&one.step));
        page.item(
            0,
            &page.yellow("!"),
            &format!("{step} was done, and {tests} {fail} now: cargo kit check {typed}"),
        );
    }
}

/// What the compiler says, behind a sentence of ours.
pub fn refusal(page: &mut Page, about: &About<'_>, refusal: &Refusal, again: &str) {
    let lab = page::path(about.place, &about.chapter.lab(about.place));
    match refusal.guilty {
        Guilty::Lab => page.line(&page.bold("Your answer does not compile yet. The compiler says:")),
        Guilty::Suite => {
            page.line(&page.bold("Your answer compiles, but its tests cannot use it."));
            page.words(
                0,
                &format!(
                    "A name, a type or a signature that was given is not as it was; `git diff {lab}` shows \
                     what you changed. The compiler says:"
                ),
            );
        }
        Guilty::Other => page.line(&page.bold("The tests could not be built. Cargo says:")),
    }
    page.blank();
    if refusal.errors.is_empty() {
        refusal.said.lines().for_each(|line| page.line(line));
    }
    for error in refusal.errors.iter().take(ERRORS) {
        error.trim_end().lines().for_each(|line| page.line(line));
        page.blank();
    }
    if refusal.errors.len() > ERRORS {
        page.line(&format!(
            "… and {} more errors, which often go with the first.",
            refusal.errors.len() - ERRORS
        ));
    }
    page.blank();
    page.exact(0, "again", &page.bold(again));
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
