//! The holes that a student has left to fill, as they stand in the lab at this moment.
//!
//! Read line by line: a file that the compiler refuses still has its holes.

use std::path::{Path, PathBuf};

use crate::chapters::Chapter;
use crate::place::Place;
use crate::student::progress::collect;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHole {
    /// `05.2`
    pub step: String,
    /// What to do there.
    pub words: String,
    /// The name of the function, without its type.
    pub function: String,
    pub file: PathBuf,
    pub line: usize,
}

/// The holes of a lab, step by step; a step's begin in the file that its description names.
pub fn open(place: &Place, chapter: &Chapter) -> Vec<OpenHole> {
    let src = chapter.lab(place).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    let read = |file: &PathBuf| in_text(&std::fs::read_to_string(file).unwrap_or_default(), file);
    let mut holes: Vec<OpenHole> = files.iter().flat_map(read).collect();
    holes.sort_by_key(|hole| {
        let step = chapter.steps.iter().position(|step| step.id == hole.step);
        let begins_here = step.is_some_and(|at| hole.file.ends_with(&chapter.steps[at].file));
        (step, !begins_here)
    });
    holes
}

fn in_text(text: &str, file: &Path) -> Vec<OpenHole> {
    let mut found = Vec::new();
    let (mut of, mut function, mut before) = ("", "", "");
    for (n, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if line.starts_with(|c: char| !c.is_whitespace()) {
            of = type_of_impl(line).unwrap_or_default();
        }
        function = function_named(code).unwrap_or(function);
        // rustfmt breaks a long one behind the bracket.
        let is_todo = code.starts_with("todo!(\"lab ") || before == "todo!(" && code.starts_with("\"lab ");
        let hole = code.split_once("\"lab ").filter(|_| is_todo).and_then(|(_, rest)| rest.split_once(": "));
        if let Some((step, words)) = hole {
            let words = words.rsplit_once('"').map_or(words, |(words, _)| words).to_owned();
            let function = if of.is_empty() { function.to_owned() } else { format!("{of}::{function}") };
            found.push(OpenHole {
                step: step.to_owned(),
                words,
                function,
                file: file.to_owned(),
                line: n + 1,
            });
        }
        before = code;
    }
    found
}

/// `Queue` of `impl Queue {`, and of `impl<T> fmt::Display for Queue<T>`.
fn type_of_impl(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.split_once(" for ") {
        Some((_, rest)) => rest,
        None => rest.strip_prefix('<').map_or(Some(rest), |rest| Some(rest.split_once("> ")?.1))?,
    };
    let path = rest.trim_start().split(|c: char| c != '_' && c != ':' && !c.is_alphanumeric()).next()?;
    path.rsplit("::").next().filter(|name| !name.is_empty())
}

/// `fits` of `pub fn fits(request: &Resources) -> bool {`.
fn function_named(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("fn ")?;
    if !before.chars().all(|c| c.is_ascii_alphabetic() || c == ' ' || c == '(' || c == ')') {
        return None;
    }
    let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric())?;
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_with_their_functions() {
        let text = r#"
impl Queue {
    pub(crate) fn pop(&mut self) -> Option<Pod> {
        let _ = &self.active;
        todo!("lab 05.1: the best one: "first" of all")
    }
    // todo!("lab 05.1: an old one")
    fn written() { todo!() }
}

pub const fn long(
    a: u8,
) -> u8 {
    todo!(
        "lab 05.2: a text that rustfmt moved"
    )
}
"#;
        let found = in_text(text, Path::new("a.rs"));
        let told: Vec<_> = found
            .iter()
            .map(|hole| (hole.step.as_str(), hole.function.as_str(), hole.line, hole.words.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("05.1", "Queue::pop", 5, "the best one: \"first\" of all"),
                ("05.2", "long", 15, "a text that rustfmt moved"),
            ]
        );
    }
}
