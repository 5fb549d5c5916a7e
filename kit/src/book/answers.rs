//! The lines that only answers hold: what no page may show.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::place::Place;

/// Shorter lines, such as `let mut out = Vec::new();`, tell nobody anything.
const TELLING: usize = 28;

pub struct Answers {
    lines: BTreeSet<String>,
}

impl Answers {
    /// From the marks in `solutions/`. A line that stands outside of every hole too is no secret.
    pub fn read(place: &Place) -> Result<Self> {
        let mut files = Vec::new();
        collect(&place.root.join("solutions"), &mut files)?;
        let (mut inside, mut outside) = (BTreeSet::new(), BTreeSet::new());
        for file in files {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            sort_lines(&text, &mut inside, &mut outside);
        }
        Ok(Self { lines: inside.difference(&outside).cloned().collect() })
    }

    pub fn hold(&self, line: &str) -> bool {
        self.lines.contains(line.trim())
    }
}

fn sort_lines(text: &str, inside: &mut BTreeSet<String>, outside: &mut BTreeSet<String>) {
    let mut in_hole = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("// lab:begin") {
            in_hole = true;
        } else if line.starts_with("// lab:end") {
            in_hole = false;
        } else if line.len() >= TELLING && !line.starts_with("//") {
            if in_hole { &mut *inside } else { &mut *outside }.insert(line.to_owned());
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_stand_in_holes_alone_are_secrets() {
        let text = "fn a() -> u32 {\n    // lab:begin 05.1 x\n    let answer = forty_two_in_many_letters();\n    \
                    // a comment that is long enough to be told\n    let given = also_given_elsewhere(a);\n    short\n    \
                    // lab:end\n}\nlet given = also_given_elsewhere(a);";
        let (mut inside, mut outside) = (BTreeSet::new(), BTreeSet::new());
        sort_lines(text, &mut inside, &mut outside);
        let answers = Answers { lines: inside.difference(&outside).cloned().collect() };
        assert!(answers.hold("  let answer = forty_two_in_many_letters();"));
        assert!(!answers.hold("let given = also_given_elsewhere(a);") && !answers.hold("short"));
    }
}
