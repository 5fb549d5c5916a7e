//! What can be proved of a lab by reading: lab.toml, the page, the marks.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::book::page::Page;
use crate::chapters::{Chapter, Step};
use crate::labs::{self, Hole};
use crate::place::Place;

/// A sentence for each thing that is not in order.
pub fn check(place: &Place, chapter: &Chapter, holes: &[Hole]) -> Result<Vec<String>> {
    let mut wrong = labs::odd_sizes(place, chapter)?;
    let page = Page::read(&chapter.page(place))?;
    let headings = heading_ids(&page);
    wrong.extend(numbering(chapter));
    for step in &chapter.steps {
        let lacks = lacks(step, &chapter.solution(place), &headings, holes);
        wrong.extend(lacks.into_iter().map(|what| format!("step {}: {what}", step.id)));
    }
    let wrong_answers = labs::patches::all(place, chapter)?;
    let count = wrong_answers.iter().filter(|patch| patch.kind != labs::patches::Kind::Right).count();
    if count < 3 {
        wrong.push(format!(
            "tests/{}/wrong holds {count} wrong answers, and three are asked for",
            chapter.name
        ));
    }
    Ok(wrong)
}

fn numbering(chapter: &Chapter) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, step) in (1..).zip(&chapter.steps) {
        let expected = format!("{}.{at}", chapter.number);
        if step.id != expected {
            wrong.push(format!("lab.toml has step {:?} where {expected:?} comes", step.id));
        }
    }
    let points: u32 = chapter.steps.iter().map(|step| step.points).sum();
    if points != 100 {
        wrong.push(format!("the points add up to {points}, not to 100"));
    }
    wrong
}

fn lacks(step: &Step, core: &Path, headings: &BTreeSet<String>, holes: &[Hole]) -> Vec<String> {
    let mut lacks = Vec::new();
    let hints = [&step.hints.nudge, &step.hints.approach, &step.hints.sketch];
    let distinct: BTreeSet<&str> =
        hints.iter().map(|hint| hint.trim()).filter(|hint| !hint.is_empty()).collect();
    if distinct.len() < hints.len() {
        lacks.push("its three hints are not three".to_owned());
    }
    for (name, text) in [("title", &step.title), ("why", &step.why)] {
        if text.trim().is_empty() {
            lacks.push(format!("it has no {name}"));
        }
    }
    if step.minutes == 0 || step.points == 0 {
        lacks.push("it takes some minutes and is worth some points".to_owned());
    }
    if !core.join(&step.file).is_file() {
        lacks.push(format!("it begins in {}, which is not there", step.file));
    }
    if !headings.contains(&step.anchor) {
        lacks.push(format!("the page has no heading with the id {:?}", step.anchor));
    }
    if !holes.iter().any(|hole| hole.step == step.id) {
        lacks.push("no function has a hole of it".to_owned());
    }
    lacks
}

/// Whether steps and test modules name each other.
pub fn modules(chapter: &Chapter, tests: &[String]) -> Vec<String> {
    let modules: BTreeSet<&str> = tests.iter().filter_map(|test| Some(test.split_once("::")?.0)).collect();
    let mut wrong = Vec::new();
    for step in &chapter.steps {
        let missing = step.tests.iter().filter(|module| !modules.contains(module.as_str()));
        wrong.extend(missing.map(|module| format!("step {}: there are no tests {module}::…", step.id)));
        if step.tests.is_empty() {
            wrong.push(format!("step {}: no tests judge it", step.id));
        }
    }
    for module in modules {
        let judged = chapter.steps.iter().filter(|step| step.tests.iter().any(|own| own == module)).count();
        if judged != 1 {
            wrong.push(format!("the tests {module}::… judge {judged} steps, and should judge one"));
        }
    }
    wrong
}

/// The ids that mdBook gives to a page's headings.
fn heading_ids(page: &Page) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (_, words) in page.headings() {
        let id = heading_id(words);
        let mut unique = id.clone();
        let mut count = 0;
        while !ids.insert(unique.clone()) {
            count += 1;
            unique = format!("{id}-{count}");
        }
    }
    ids
}

/// `step-1-the-queue` of `Step 1: the queue`.
fn heading_id(words: &str) -> String {
    let kept = words.trim().chars().filter_map(|c| match c {
        _ if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        _ if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_mdbooks_ids() {
        let page = Page::parse("", "# The `Pod`\n### Step 1: it's a\u{2019}b, c_d\n## Twice\n## Twice\n");
        let expected = ["step-1-its-ab-c_d", "the-pod", "twice", "twice-1"];
        assert_eq!(heading_ids(&page).iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
