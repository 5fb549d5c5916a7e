//! No page, hint or skeleton tells an answer.
//!
//! Single short lines of code are common property. A text gives an answer away if it holds a long line of
//! it, or two lines of some length that stand together there, too. The given part of a core may well say
//! one long thing twice, so of a skeleton only the latter is asked.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::book::page::{Page, anchored};
use crate::chapters::Chapter;
use crate::labs;
use crate::place::Place;

/// From here on a line is nobody's by accident.
const LONG: usize = 48;
/// From here on two of them together are not.
const TELLING: usize = 20;

pub fn find(place: &Place, chapter: &Chapter) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let page = shown(place, &Page::read(&chapter.page(place))?);
    let skeletons = labs::sync::generate(place, chapter)?;
    for (name, code) in labs::secrets(place, chapter)? {
        let leak = |text: &str| long_line(&code, text).or_else(|| pair(&code, text));
        let mut tell =
            |who: String, line: &str| told.push(format!("{who} tells the answer to {name}: {line}"));
        if let Some(line) = leak(&page) {
            tell("the page".into(), line);
        }
        for step in &chapter.steps {
            for hint in [&step.hints.nudge, &step.hints.approach, &step.hints.sketch] {
                if let Some(line) = leak(hint) {
                    tell(format!("a hint of step {}", step.id), line);
                }
            }
        }
        for (file, text) in &skeletons {
            if let Some(line) = pair(&code, text) {
                tell(format!("labs/{}/{file}", chapter.name), line);
            }
        }
    }
    Ok(told)
}

/// A page with what it includes.
fn shown(place: &Place, page: &Page) -> String {
    let mut text: BTreeMap<usize, String> =
        page.lines.iter().enumerate().map(|(at, line)| (at + 1, format!("{line}\n"))).collect();
    for include in page.includes() {
        let Ok(source) = std::fs::read_to_string(place.root.join("book/src").join(&include.path)) else {
            continue;
        };
        let lines = match &include.anchor {
            Some(anchor) => anchored(&source, anchor).unwrap_or_default(),
            None => source.lines().collect(),
        };
        text.insert(include.line, lines.iter().map(|line| format!("{line}\n")).collect());
    }
    text.into_values().collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn is_code(line: &str) -> bool {
    !line.starts_with("//")
}

fn long_line<'a>(answer: &'a str, text: &str) -> Option<&'a str> {
    lines(answer).filter(|line| is_code(line)).find(|line| line.len() >= LONG && text.contains(*line))
}

/// The first of two lines of the answer that follow each other in the text as well.
fn pair<'a>(answer: &'a str, text: &str) -> Option<&'a str> {
    let own: Vec<&str> = lines(answer).filter(|line| is_code(line)).collect();
    let other: Vec<&str> = lines(text).filter(|line| is_code(line)).collect();
    let telling = own.windows(2).filter(|pair| pair.iter().all(|line| line.len() >= TELLING));
    telling.into_iter().find(|pair| other.windows(2).any(|theirs| theirs == *pair)).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_or_two_together_tell_an_answer() {
        let one = "let requested = containers.iter().map(request).sum::<u64>();";
        let (two, three) = ("let free = allocatable - used;", "requested <= free && count < limit");
        let answer = format!("{one}\n    {two}\n    // why\n    {three}\n");
        assert_eq!(long_line(&answer, &format!("Write `{one}` there.")), Some(one));
        assert_eq!(long_line(&answer, two), None);
        assert_eq!(pair(&answer, &format!("x\n  {two}\n\n  {three}\n")), Some(two));
        assert_eq!(pair(&answer, &format!("{two}\nx\n{three}\n")), None);
    }
}
