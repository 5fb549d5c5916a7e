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

/// The holes of a lab, file by file, from the top down.
pub fn open(place: &Place, chapter: &Chapter) -> Vec<OpenHole> {
    let mut files = Vec::new();
    collect(&chapter.lab(place).join("src"), &mut files);
    files.sort();
    files.iter().flat_map(|file| in_text(&std::fs::read_to_string(file).unwrap_or_default(), file)).collect()
}

fn in_text(text: &str, file: &Path) -> Vec<OpenHole> {
    let mut found = Vec::new();
    let mut function = "";
    let mut before = "";
    for (n, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        function = function_named(code).unwrap_or(function);
        // rustfmt breaks a long one behind the bracket.
        let is_todo = code.starts_with("todo!(\"lab ") || before == "todo!(" && code.starts_with("\"lab ");
        let hole = code.split_once("\"lab ").filter(|_| is_todo).and_then(|(_, rest)| rest.split_once(": "));
        if let Some((step, words)) = hole {
            let words = words.rsplit_once('"').map_or(words, |(words, _)| words).to_owned();
            let (step, function) = (step.to_owned(), function.to_owned());
            found.push(OpenHole { step, words, function, file: file.to_owned(), line: n + 1 });
        }
        before = code;
    }
    found
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
                ("05.1", "pop", 5, "the best one: \"first\" of all"),
                ("05.2", "long", 15, "a text that rustfmt moved"),
            ]
        );
    }
}
