//! `cargo kit sync-labs`: writes `labs/` from `solutions/`.
//!
//! **It overwrites only what it wrote.** `labs/` is where a student works, so each lab keeps, in
//! `.generated`, a fingerprint of every file as the generator left it. A file that differs from its
//! fingerprint, or has none, is somebody's work: the lab is then left alone, all of it, unless `--force`
//! says otherwise. That holds without git, in a copy, and after any number of the student's commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::room::{self, Room};
use super::{manifest, readme, skeleton};
use crate::chapters::{Chapter, Target};
use crate::place::Place;
use crate::say;

#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail if a byte differs
    #[arg(long)]
    check: bool,
    /// Overwrite work that the generator did not make
    #[arg(long, conflicts_with = "check")]
    force: bool,
    /// Only these chapters
    chapters: Vec<Target>,
}

const GENERATED: &str = ".generated";

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapters = match &args.chapters[..] {
        [] => Chapter::all(place)?,
        some => some.iter().map(|target| Chapter::find(place, target)).collect::<Result<_>>()?,
    };
    let mut wrong = 0;
    for chapter in &chapters {
        let done = if args.check { check(place, chapter) } else { write(place, chapter, args.force) };
        match done {
            Ok(said) => println!("{} labs/{}: {said}", say::green("ok"), chapter.name),
            Err(error) => {
                wrong += 1;
                println!("{} labs/{}", say::red("FAILED"), chapter.name);
                say::indented(&format!("{error:#}"));
            }
        }
    }
    if args.chapters.is_empty() {
        for stranger in strangers(place, &chapters)? {
            wrong += 1;
            println!("{} {stranger} belongs to no chapter with a lab.toml", say::red("FAILED"));
        }
    }
    if wrong > 0 {
        bail!("{wrong} of the labs are not as their solutions say");
    }
    Ok(ExitCode::SUCCESS)
}

/// Every file of a chapter's lab, as the generator writes it: path in the lab's folder, and text.
pub fn generate(place: &Place, chapter: &Chapter) -> Result<BTreeMap<String, String>> {
    let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| path.display().to_string());
    let room = Room::read(place, chapter)?;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for file in &room.files {
        files.insert(file.source.file.clone(), skeleton::write(&file.source).0);
    }
    let solution = read(chapter.solution(place).join("Cargo.toml"))?;
    let workspace = read(place.root.join("Cargo.toml"))?;
    files.insert("Cargo.toml".into(), manifest::write(chapter, &solution, &workspace)?);
    files.insert("README.md".into(), readme::write(chapter));
    files.insert(GENERATED.into(), fingerprints(&files));
    Ok(files)
}

/// Fails with a line for each difference.
pub fn check(place: &Place, chapter: &Chapter) -> Result<String> {
    let folder = chapter.lab(place);
    let wanted = generate(place, chapter)?;
    let found = present(&folder)?;
    let mut differences = Vec::new();
    for (path, text) in &wanted {
        match found.get(path) {
            None => differences.push(format!("{path} is missing")),
            Some(found) if found != text => {
                let lines = found.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
                differences.push(format!("{path} differs from line {} on", lines + 1));
            }
            Some(_) => {}
        }
    }
    differences.extend(
        found
            .keys()
            .filter(|path| !wanted.contains_key(*path))
            .map(|path| format!("{path} is not the generator's")),
    );
    if !differences.is_empty() {
        bail!(
            "{}\n`cargo kit sync-labs` writes them from solutions/{}",
            differences.join("\n"),
            chapter.name
        );
    }
    Ok("in step".to_owned())
}

fn write(place: &Place, chapter: &Chapter, force: bool) -> Result<String> {
    let wanted = generate(place, chapter)?;
    let said = lay(&chapter.lab(place), &wanted, force)?;
    for odd in super::odd_sizes(place, chapter)? {
        println!("{} {odd}", say::yellow("note"));
    }
    Ok(said)
}

/// Makes `folder` hold what is wanted, and nothing that an earlier run left.
fn lay(folder: &Path, wanted: &BTreeMap<String, String>, force: bool) -> Result<String> {
    let found = present(folder)?;
    let known = found.get(GENERATED).map(|text| read_fingerprints(text)).unwrap_or_default();
    let ours = |path: &str, text: &str| {
        path == GENERATED
            || wanted.get(path).is_some_and(|wanted| wanted == text)
            || known.get(path) == Some(&fingerprint(text))
    };
    let edited: Vec<&String> =
        found.iter().filter(|(path, text)| !ours(path, text)).map(|(path, _)| path).collect();
    if !edited.is_empty() && !force {
        let list = edited.iter().map(|path| format!("  {path}\n")).collect::<String>();
        bail!(
            "somebody has worked here, and this lab is left as it is:\n{list}`--force` overwrites that; `git diff` shows it, and `cargo kit reset-step` puts back single steps"
        );
    }
    let mut written = 0;
    for (path, text) in wanted {
        if found.get(path) != Some(text) {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            written += 1;
        }
    }
    let stale: Vec<&String> = found.keys().filter(|path| !wanted.contains_key(*path)).collect();
    for path in &stale {
        fs::remove_file(folder.join(path)).with_context(|| (*path).clone())?;
    }
    Ok(match (written, stale.len()) {
        (0, 0) => "in step".to_owned(),
        (written, 0) => format!("{written} files written"),
        (written, stale) => format!("{written} files written, {stale} removed"),
    })
}

/// What of a lab is the generator's business: its source, manifest and readme. Other files beside them,
/// and an editor's own, are nobody's.
fn present(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut paths: BTreeSet<String> = [GENERATED, "Cargo.toml", "README.md"].map(str::to_owned).into();
    if folder.join("src").exists() {
        let sources = room::files_under(folder, Path::new("src"))?;
        paths.extend(sources.into_iter().filter(|path| !path.contains("/.") && !path.ends_with('~')));
    }
    let present = paths.into_iter().filter(|path| folder.join(path).exists());
    present
        .map(|path| {
            let bytes = fs::read(folder.join(&path)).with_context(|| path.clone())?;
            Ok((path, String::from_utf8_lossy(&bytes).into_owned()))
        })
        .collect()
}

/// Folders under `labs/` that no chapter owns.
fn strangers(place: &Place, chapters: &[Chapter]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place.root.join("labs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if chapters.iter().all(|chapter| chapter.name != name) {
            names.push(format!("labs/{name}"));
        }
    }
    names.sort();
    Ok(names)
}

fn fingerprints(files: &BTreeMap<String, String>) -> String {
    let lines = files.iter().map(|(path, text)| format!("{} {path}\n", fingerprint(text)));
    format!(
        "# As `cargo kit sync-labs` left these files: what differs is your work, and it keeps its hands off.\n{}",
        lines.collect::<String>()
    )
}

fn read_fingerprints(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(print, path)| (path.to_owned(), print.to_owned()))
        .collect()
}

/// FNV-1a: it only has to notice a change, not to withstand a forger.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for a test, gone with it.
    struct Lab(PathBuf);

    impl Lab {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("kit-sync-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("src")).unwrap();
            Self(folder)
        }

        fn lay(&self, files: &[(&str, &str)], force: bool) -> Result<String> {
            let mut wanted: BTreeMap<_, _> =
                files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
            wanted.insert(GENERATED.into(), fingerprints(&wanted));
            lay(&self.0, &wanted, force)
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap_or_else(|_| "none".to_owned())
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_the_generator_wrote_it_may_change_and_remove() {
        let lab = Lab::new("ours");
        assert_eq!(lab.lay(&[("src/a.rs", "1"), ("src/b.rs", "1")], false).unwrap(), "3 files written");
        assert_eq!(lab.lay(&[("src/a.rs", "1"), ("src/b.rs", "1")], false).unwrap(), "in step");
        assert_eq!(lab.lay(&[("src/a.rs", "2")], false).unwrap(), "2 files written, 1 removed");
        assert_eq!((lab.text("src/a.rs"), lab.text("src/b.rs")), ("2".into(), "none".into()));
    }

    #[test]
    fn an_evenings_work_is_left_alone() {
        let lab = Lab::new("theirs");
        lab.lay(&[("src/a.rs", "todo"), ("src/b.rs", "todo")], false).unwrap();
        fs::write(lab.0.join("src/a.rs"), "answer").unwrap();
        fs::write(lab.0.join("src/new.rs"), "mine").unwrap();
        let refused =
            lab.lay(&[("src/a.rs", "other"), ("src/b.rs", "other")], false).unwrap_err().to_string();
        assert!(refused.contains("  src/a.rs\n  src/new.rs\n"), "{refused}");
        assert_eq!((lab.text("src/a.rs"), lab.text("src/b.rs")), ("answer".into(), "todo".into()));
        assert_eq!(lab.lay(&[("src/a.rs", "other")], true).unwrap(), "2 files written, 2 removed");
        assert_eq!((lab.text("src/a.rs"), lab.text("src/new.rs")), ("other".into(), "none".into()));
    }

    #[test]
    fn files_without_fingerprints_are_somebodys() {
        let lab = Lab::new("unknown");
        fs::write(lab.0.join("src/a.rs"), "answer").unwrap();
        fs::write(lab.0.join("src/.a.rs.swp"), "an editor's").unwrap();
        assert!(lab.lay(&[("src/a.rs", "todo")], false).is_err());
        assert_eq!(lab.lay(&[("src/a.rs", "answer")], false).unwrap(), "1 files written");
        assert_eq!(lab.text("src/.a.rs.swp"), "an editor's");
    }
}
