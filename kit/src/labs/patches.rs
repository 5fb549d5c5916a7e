//! Other answers: patches against the solution, kept beside the suite that judges them.
//!
//! `tests/NN-name/wrong/NAME.patch` holds a plausible mistake. In front of the diff, as `git diff` makes it
//! in the workspace, stand two lines: `step: 05.2`, the step whose tests must notice it, and `why: …`, one
//! sentence. `tests/NN-name/right/NAME.patch` holds another right answer, and no such lines are asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::room;
use crate::chapters::Chapter;
use crate::place::Place;
use crate::say;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// `wrong/rounds-down`
    pub name: String,
    pub path: PathBuf,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Wrong { step: String, why: String },
    Right,
}

/// A chapter's other answers, by name.
pub fn all(place: &Place, chapter: &Chapter) -> Result<Vec<Patch>> {
    let suite = chapter.suite(place);
    let mut patches = Vec::new();
    for kind in ["right", "wrong"] {
        if !suite.join(kind).is_dir() {
            continue;
        }
        for file in room::files_under(&suite, Path::new(kind))? {
            let path = suite.join(&file);
            let Some(name) = file.strip_suffix(".patch") else {
                bail!("tests/{}/{file} is no patch: its name should end in .patch", chapter.name);
            };
            let text = fs::read_to_string(&path).with_context(|| file.clone())?;
            let kind = if kind == "right" { Kind::Right } else { wrong(chapter, &file, &text)? };
            patches.push(Patch { name: name.to_owned(), path, kind });
        }
    }
    Ok(patches)
}

fn wrong(chapter: &Chapter, file: &str, text: &str) -> Result<Kind> {
    let head: Vec<&str> = text.lines().take_while(|line| !line.starts_with("diff --git")).collect();
    let entry = |name: &str| {
        let entry = head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
        entry.filter(|text| !text.is_empty()).map(str::to_owned).with_context(|| {
            format!("tests/{}/{file} has no line `{name} …` in front of its diff", chapter.name)
        })
    };
    let (step, why) = (entry("step:")?, entry("why:")?);
    if chapter.steps.iter().all(|known| known.id != step) {
        bail!("tests/{}/{file} names the step {step:?}, which lab.toml does not know", chapter.name);
    }
    Ok(Kind::Wrong { step, why })
}

/// The files of the chapter's core with a patch laid on, path to text.
pub fn laid_on(place: &Place, chapter: &Chapter, patch: &Patch) -> Result<BTreeMap<String, String>> {
    let solution = chapter.solution(place);
    let copy = Copy::new(&format!("{}-{}", chapter.number, patch.name.replace('/', "-")))?;
    let folder = copy.0.join("solutions").join(&chapter.name);
    for file in room::files_under(&solution, Path::new("src"))? {
        let path = folder.join(&file);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs::copy(solution.join(&file), path).with_context(|| file.clone())?;
    }
    // Not a repository's business: it would look for the paths from its root on, and skip them in silence.
    let mut git = Command::new("git");
    git.current_dir(&copy.0)
        .env("GIT_CEILING_DIRECTORIES", std::env::temp_dir())
        .arg("apply")
        .arg(&patch.path);
    say::run(&mut git).with_context(|| {
        format!("tests/{}/{}.patch does not fit the solution any more", chapter.name, patch.name)
    })?;
    let mut files = BTreeMap::new();
    for file in room::files_under(&folder, Path::new("src"))? {
        files.insert(file.clone(), fs::read_to_string(folder.join(file))?);
    }
    Ok(files)
}

/// A folder that goes when it is done with.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("coracle-patch-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chapters::{Hints, Step};

    fn chapter() -> Chapter {
        let text = String::new;
        let step = Step {
            id: "05.2".into(),
            title: text(),
            minutes: 1,
            points: 1,
            file: text(),
            anchor: text(),
            tests: Vec::new(),
            why: text(),
            hints: Hints { nudge: text(), approach: text(), sketch: text() },
        };
        Chapter {
            number: "05".into(),
            name: "05-s".into(),
            package: text(),
            title: text(),
            steps: vec![step],
        }
    }

    #[test]
    fn a_wrong_answer_says_which_step_must_notice_it_and_why() {
        let read = |text: &str| wrong(&chapter(), "wrong/a.patch", text).map_err(|error| error.to_string());
        let kind = Kind::Wrong { step: "05.2".into(), why: "it rounds down".into() };
        assert_eq!(read("step: 05.2\nwhy: it rounds down\ndiff --git a/x b/x\n"), Ok(kind));
        let lacks = "tests/05-s/wrong/a.patch has no line `why: …` in front of its diff";
        assert_eq!(read("step: 05.2\ndiff --git a/x b/x\nwhy: x\n"), Err(lacks.to_owned()));
        let unknown = "tests/05-s/wrong/a.patch names the step \"05.3\", which lab.toml does not know";
        assert_eq!(read("step: 05.3\nwhy: x\n"), Err(unknown.to_owned()));
    }
}
