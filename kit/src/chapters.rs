//! The chapters of the house and the steps of their labs, as `chapters/NN-name/lab.toml` tells them.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::place::Place;

/// A chapter that has a lab.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// `00`, as it stands in front of every room's name.
    pub number: String,
    /// The name of its rooms: `00-objects`.
    pub name: String,
    /// The stem of its packages: `objects`, so that `objects-lab` is the student's.
    pub package: String,
    pub title: String,
    pub steps: Vec<Step>,
}

/// One evening's work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `00.1`
    pub id: String,
    pub title: String,
    /// How long it takes somebody who has read the page.
    pub minutes: u32,
    /// All of them when all tests pass, otherwise none. A chapter's add up to 100.
    pub points: u32,
    /// Where to begin, seen from the lab's folder: `src/quantity.rs`.
    pub file: String,
    /// The heading of the book's page: `step-1-amounts`.
    pub anchor: String,
    /// The test modules that judge it: `step_1_quantities`.
    pub tests: Vec<String>,
    /// Why Kubernetes wants it so, in a sentence or two; shown beside a failing test.
    pub why: String,
    pub hints: Hints,
}

/// Three levels of help, and never the code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// Where to look.
    pub nudge: String,
    /// How to go about it.
    pub approach: String,
    /// The parts of an answer and their order, in words.
    pub sketch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lab {
    title: String,
    package: String,
    step: Vec<Step>,
}

/// A chapter, or one step of it, as a person names it: `5`, `05`, `05-scheduler`, `5.2`, `05.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub chapter: String,
    pub step: Option<u32>,
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (chapter, step) = text.split_once('.').map_or((text, None), |(c, s)| (c, Some(s)));
        let chapter = chapter.split('-').next().unwrap_or(chapter);
        let number =
            |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let (Some(chapter), step) = (number(chapter), step.map(number)) else {
            bail!("{text:?} names no chapter: try 5, 05-scheduler, or 5.2 for its second step");
        };
        if step == Some(None) {
            bail!("{text:?} names no step: try {chapter}.1");
        }
        Ok(Self { chapter: format!("{chapter:02}"), step: step.flatten() })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.title)
    }
}

impl Step {
    /// `2` of `05.2`.
    pub fn ordinal(&self) -> u32 {
        self.id.rsplit('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Whether a test is one of this step's, by its full name `module::sentence`.
    pub fn judges(&self, test: &str) -> bool {
        test.split_once("::").is_some_and(|(module, _)| self.tests.iter().any(|own| own == module))
    }
}

impl Chapter {
    /// Every chapter with a lab, in order.
    pub fn all(place: &Place) -> Result<Vec<Chapter>> {
        let mut names: Vec<String> = std::fs::read_dir(place.root.join("chapters"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        let labs = names.iter().filter(|name| lab_file(place, name).exists());
        labs.map(|name| Chapter::load(place, name)).collect()
    }

    pub fn find(place: &Place, target: &Target) -> Result<Chapter> {
        let all = Chapter::all(place)?;
        let known = all.iter().map(|chapter| chapter.number.as_str()).collect::<Vec<_>>().join(", ");
        let found = all.into_iter().find(|chapter| chapter.number == target.chapter);
        let chapter =
            found.with_context(|| format!("chapter {} has no lab; there are {known}", target.chapter))?;
        if let Some(step) = target.step {
            chapter.step(step)?;
        }
        Ok(chapter)
    }

    fn load(place: &Place, name: &str) -> Result<Chapter> {
        let path = lab_file(place, name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lab: Lab = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let number = name.split('-').next().unwrap_or(name).to_owned();
        Ok(Chapter { number, name: name.to_owned(), package: lab.package, title: lab.title, steps: lab.step })
    }

    pub fn step(&self, ordinal: u32) -> Result<&Step> {
        let found = self.steps.iter().find(|step| step.ordinal() == ordinal);
        found.with_context(|| {
            format!("chapter {} has {} steps, and {ordinal} is none", self.number, self.steps.len())
        })
    }

    /// The steps that a target names: one, or all.
    pub fn chosen(&self, target: &Target) -> Result<Vec<&Step>> {
        match target.step {
            Some(ordinal) => Ok(vec![self.step(ordinal)?]),
            None => Ok(self.steps.iter().collect()),
        }
    }

    pub fn solution(&self, place: &Place) -> PathBuf {
        place.root.join("solutions").join(&self.name)
    }

    pub fn lab(&self, place: &Place) -> PathBuf {
        place.root.join("labs").join(&self.name)
    }

    pub fn suite(&self, place: &Place) -> PathBuf {
        place.root.join("tests").join(&self.name)
    }

    pub fn page(&self, place: &Place) -> PathBuf {
        place.root.join("book/src").join(format!("{}.md", self.name))
    }

    /// `scheduler-tests`
    pub fn tests_package(&self) -> String {
        format!("{}-tests", self.package)
    }
}

fn lab_file(place: &Place, name: &str) -> PathBuf {
    Path::new(&place.root).join("chapters").join(name).join("lab.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_and_steps_are_named_as_people_do() {
        let target = |text: &str| text.parse::<Target>().map(|target| (target.chapter, target.step)).ok();
        assert_eq!(target("5"), Some(("05".into(), None)));
        assert_eq!(target("05-scheduler"), Some(("05".into(), None)));
        assert_eq!(target("5.2"), Some(("05".into(), Some(2))));
        assert_eq!(target("05-scheduler.2"), Some(("05".into(), Some(2))));
        assert_eq!(target("12.10"), Some(("12".into(), Some(10))));
        for wrong in ["", "x", "5.", "5.x", ".2", "+5", "5.2.1"] {
            assert_eq!(target(wrong), None, "{wrong:?}");
        }
    }
}
