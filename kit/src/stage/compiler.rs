//! What cargo and the compiler say to programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// So much of the errors is passed on; they are seldom read to the end.
const ERRORS: usize = 16 * 1024;

#[derive(Default)]
pub struct Said {
    /// As the compiler shows them to a person, the first one first.
    pub errors: String,
    /// The suite's program.
    pub program: Option<PathBuf>,
    /// Where libraries were written, by their names in code.
    pub libraries: BTreeMap<String, PathBuf>,
    /// Everything that was said to people only.
    pub words: String,
}

/// The messages of cargo's that matter here; they have many more fields.
#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

pub fn read(output: &str) -> Said {
    let mut said = Said::default();
    for line in output.lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            said.words += line;
            said.words.push('\n');
            continue;
        };
        let error = line.message.filter(|message| message.level.starts_with("error"));
        if let Some(message) = error.filter(|_| said.errors.len() < ERRORS) {
            said.errors += &message.rendered.unwrap_or_default();
        }
        let Some(target) = line.target.filter(|_| line.reason == "compiler-artifact") else { continue };
        if target.kind.iter().any(|kind| kind == "test") {
            said.program = line.executable;
        } else if let Some(library) = line.filenames.into_iter().find(|file| is_library(file)) {
            said.libraries.insert(target.name, library);
        }
    }
    said
}

fn is_library(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rlib")
}

/// The files that went into a library and do not lie in its own folder. Relative paths begin at `root`,
/// where the compiler ran.
pub fn foreign_reads(library: &Path, root: &Path, own: &Path) -> Result<Vec<PathBuf>> {
    let name = library.file_stem().context("a library has a name")?.to_string_lossy().into_owned();
    let list = library.with_file_name(format!("{}.d", name.strip_prefix("lib").unwrap_or(&name)));
    let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let files = read_files(&list).into_iter().map(|file| root.join(file));
    let own = fs::canonicalize(own)?;
    Ok(files.filter(|file| !fs::canonicalize(file).is_ok_and(|file| file.starts_with(&own))).collect())
}

/// In a list of the kind that `make` reads, the compiler gives each file a line of its own: `a/b.rs:`.
fn read_files(list: &str) -> Vec<PathBuf> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.strip_suffix(':')).map(|file| file.replace("\\ ", " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_programs_are_found_among_words() {
        let said = read(
            r#"   Compiling scheduler-lab v0.1.0
{"reason":"compiler-message","target":{"name":"a","kind":["lib"]},"message":{"level":"warning","rendered":"w"}}
{"reason":"compiler-message","target":{"name":"a","kind":["lib"]},"message":{"level":"error","rendered":"error: one\n"}}
{"reason":"compiler-artifact","target":{"name":"a_lab","kind":["lib"]},"filenames":["/t/liba_lab-1.rlib","/t/liba_lab-1.rmeta"],"executable":null}
{"reason":"compiler-artifact","target":{"name":"a","kind":["test"]},"filenames":["/t/a-2"],"executable":"/t/a-2"}
"#,
        );
        assert_eq!(said.errors, "error: one\n");
        assert_eq!(said.program, Some("/t/a-2".into()));
        assert_eq!(said.libraries["a_lab"], Path::new("/t/liba_lab-1.rlib"));
        assert_eq!(said.words, "   Compiling scheduler-lab v0.1.0\n");
    }

    #[test]
    fn each_file_of_a_list_is_read() {
        let list = "/t/a.d: src/lib.rs src/a\\ b.rs\n\n/t/a.rlib: src/lib.rs\n\nsrc/lib.rs:\nsrc/a\\ b.rs:\n# env-dep:X=1\n";
        assert_eq!(read_files(list), [Path::new("src/lib.rs"), Path::new("src/a b.rs")]);
    }
}
