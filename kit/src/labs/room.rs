//! A chapter's core, read: every file of `solutions/NN-name/src`, its holes and their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Hole;
use super::marks::Complaint;
use super::skeleton;
use super::source::{Cut, Source};
use crate::chapters::Chapter;
use crate::place::Place;

pub struct Room {
    /// In the order of their paths.
    pub files: Vec<File>,
}

pub struct File {
    pub source: Source,
    /// Of each of the source's cuts.
    pub ids: Vec<String>,
}

impl File {
    /// The holes in functions, with their names.
    pub fn cuts(&self) -> impl Iterator<Item = (&str, &Cut)> {
        self.ids.iter().map(String::as_str).zip(&self.source.cuts)
    }
}

impl Room {
    /// Reads a chapter's solution; an error holds a line for each broken rule.
    pub fn read(place: &Place, chapter: &Chapter) -> Result<Room> {
        let folder = chapter.solution(place);
        let mut files = BTreeMap::new();
        for file in files_under(&folder, Path::new("src"))? {
            let text = std::fs::read_to_string(folder.join(&file)).with_context(|| file.clone())?;
            files.insert(file, text);
        }
        let steps: BTreeSet<&str> = chapter.steps.iter().map(|step| step.id.as_str()).collect();
        Room::of(&files, &steps).map_err(|wrong| {
            let lines = wrong.iter().map(|complaint| format!("solutions/{}/{complaint}", chapter.name));
            anyhow::Error::msg(lines.collect::<Vec<_>>().join("\n"))
        })
    }

    /// Reads files that are given as path and text; `steps` are those of lab.toml.
    pub fn of(files: &BTreeMap<String, String>, steps: &BTreeSet<&str>) -> Result<Room, Vec<Complaint>> {
        let mut wrong = Vec::new();
        let mut sources = Vec::new();
        for (file, text) in files {
            match Source::read(file, text) {
                Ok(source) => sources.push(source),
                Err(complaints) => wrong.extend(complaints),
            }
        }
        for source in &sources {
            let spans = source.cuts.iter().map(|cut| &cut.span).chain(&source.vanishing);
            let strangers = spans.filter(|span| !steps.contains(span.step.as_str()));
            wrong.extend(strangers.map(|span| Complaint {
                file: source.file.clone(),
                line: span.begin,
                rule: format!("the chapter's lab.toml knows no step {:?}", span.step),
            }));
        }
        if wrong.is_empty() { Ok(Room { files: named(sources) }) } else { Err(wrong) }
    }

    /// The holes as the student meets them.
    pub fn holes(&self) -> Vec<Hole> {
        let mut holes = Vec::new();
        for file in &self.files {
            let (_, lines) = skeleton::write(&file.source);
            holes.extend(file.cuts().zip(lines).map(|((id, cut), line)| Hole {
                id: id.to_owned(),
                step: cut.span.step.clone(),
                text: cut.span.text.clone(),
                file: file.source.file.clone(),
                line,
                function: cut.function.path.clone(),
            }));
        }
        holes
    }

    pub fn file(&self, name: &str) -> Result<&File> {
        let found = self.files.iter().find(|file| file.source.file == name);
        found.with_context(|| format!("the lab has no file {name}"))
    }
}

/// Gives every hole its id, with a number where a step has two functions of one name.
fn named(sources: Vec<Source>) -> Vec<File> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut id = |cut: &Cut| {
        let id = format!("{}/{}", cut.span.step, cut.function.path);
        let count = seen.entry(id.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { id } else { format!("{id}{count}") }
    };
    sources
        .into_iter()
        .map(|source| File { ids: source.cuts.iter().map(&mut id).collect(), source })
        .collect()
}

/// The files under a folder, as paths seen from `base`, in order.
pub fn files_under(base: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = base.join(&folder);
        let entries = std::fs::read_dir(&path).with_context(|| path.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                bail!("{} has a name that is no text", entry.path().display());
            };
            let path = folder.join(name);
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(step: &str) -> String {
        format!("    // lab:begin {step} do it\n    g();\n    // lab:end\n")
    }

    #[test]
    fn holes_are_named_by_step_and_function() {
        let body = hole("05.1");
        let text = format!(
            "fn f() {{\n{body}}}\nimpl Debug for A {{\nfn fmt() {{\n{body}}}\n}}\nimpl Display for A {{\nfn fmt() {{\n{body}}}\n}}\n"
        );
        let files = BTreeMap::from([("src/a.rs".to_owned(), text.clone()), ("src/b.rs".to_owned(), text)]);
        let room = Room::of(&files, &BTreeSet::from(["05.1"])).ok().unwrap();
        let ids: Vec<_> = room.holes().into_iter().map(|hole| hole.id).collect();
        let expected = ["05.1/f", "05.1/A::fmt", "05.1/A::fmt2", "05.1/f2", "05.1/A::fmt3", "05.1/A::fmt4"];
        assert_eq!(ids, expected);
        assert_eq!(room.holes()[1].line, 6);
    }

    #[test]
    fn a_mark_names_a_step_of_its_chapter() {
        let files = BTreeMap::from([("src/a.rs".to_owned(), format!("fn f() {{\n{}}}\n", hole("05.9")))]);
        let wrong = Room::of(&files, &BTreeSet::from(["05.1"])).err().unwrap();
        assert_eq!(wrong[0].to_string(), "src/a.rs:2: the chapter's lab.toml knows no step \"05.9\"");
    }
}
