//! A lab's `Cargo.toml`, from its solution's: the same package under another name, with lints of its own.
//!
//! The workspace forbids `todo!`, which is what a lab is made of; and a student's code has no business
//! with `unsafe`: a grader that shares a process with it could not believe anything (DESIGN: "Grading").

use anyhow::{Context, Result};

use crate::chapters::Chapter;

/// `solution` and `workspace` are the texts of the two `Cargo.toml`.
pub fn write(chapter: &Chapter, solution: &str, workspace: &str) -> Result<String> {
    let name = format!("name = \"{}-solution\"\n", chapter.package);
    let lints = "[lints]\nworkspace = true\n";
    for part in [&name, lints] {
        solution.contains(part).then_some(()).with_context(|| {
            format!("solutions/{}/Cargo.toml has no part {:?}", chapter.name, part.trim_end())
        })?;
    }
    let own = format!(
        "# The workspace's lints; but `todo!` may stay here, and unsafe code may not.\n[lints.rust]\n{}unsafe_code = \"forbid\"\n\n[lints.clippy]\n{}",
        section(workspace, "[workspace.lints.rust]", &[])?,
        section(workspace, "[workspace.lints.clippy]", &["todo"])?,
    );
    // Its own tests are in the suite; a student may write some beside the code.
    let untested = "[lib]\ntest = false\ndoctest = false\n\n";
    Ok(solution
        .replace(untested, "")
        .replace(&name, &format!("name = \"{}-lab\"\n", chapter.package))
        .replace(", in full\"", ", yours to write\"")
        .replace(lints, &own))
}

/// The lines of a table, without those of some keys.
fn section(manifest: &str, head: &str, without: &[&str]) -> Result<String> {
    let lines = manifest.lines().skip_while(|line| *line != head);
    let lines: Vec<&str> =
        lines.skip(1).take_while(|line| !line.starts_with('[')).filter(|line| line.contains('=')).collect();
    (!lines.is_empty()).then_some(()).with_context(|| format!("the workspace's Cargo.toml has no {head}"))?;
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let kept = lines.into_iter().filter(|line| !without.contains(&key(line).as_str()));
    Ok(kept.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_has_the_workspaces_lints_without_todo_and_forbids_unsafe_code() {
        let workspace = "[workspace.lints.rust]\na = \"deny\"\n\n[workspace.lints.clippy]\ntodo = \"warn\"\nb = \"warn\"\n\n[x]\n";
        let solution = "[package]\nname = \"s-solution\"\ndescription = \"it, in full\"\nedition.workspace = true\n\n[lib]\ntest = false\ndoctest = false\n\n[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\n";
        let chapter = Chapter {
            number: "05".into(),
            name: "05-s".into(),
            package: "s".into(),
            title: String::new(),
            steps: Vec::new(),
        };
        let expected = "\
[package]
name = \"s-lab\"
description = \"it, yours to write\"
edition.workspace = true

# The workspace's lints; but `todo!` may stay here, and unsafe code may not.
[lints.rust]
a = \"deny\"
unsafe_code = \"forbid\"

[lints.clippy]
b = \"warn\"

[dependencies]
serde.workspace = true
";
        assert_eq!(write(&chapter, solution, workspace).unwrap(), expected);
        let error = write(&chapter, "", workspace).unwrap_err().to_string();
        assert_eq!(error, "solutions/05-s/Cargo.toml has no part \"name = \\\"s-solution\\\"\"");
    }
}
