//! `cargo kit reset-step N.S`: puts the holes of a step back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::chapters::{Chapter, Step, Target};
use crate::labs;
use crate::place::Place;
use crate::student::page::{self, Page};
use crate::student::{judge, progress, report};

#[derive(clap::Args)]
pub struct Args {
    /// A step: 5.2
    target: Target,
    /// Put the step's files back as they were given, with all that is in them
    #[arg(long)]
    whole_files: bool,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let chapter = Chapter::find(place, &args.target)?;
    judge::must_exist(place, &chapter)?;
    let Some(ordinal) = args.target.step else {
        let number = report::typed_chapter(&chapter);
        bail!("one step is put back at a time: cargo kit reset-step {number}.1");
    };
    let mut page = Page::of_the_terminal();
    reset(&mut page, place, &chapter, chapter.step(ordinal)?, args.whole_files)?;
    page.print();
    Ok(ExitCode::SUCCESS)
}

/// A file that is to be written anew.
struct Change {
    path: PathBuf,
    /// `src/filters.rs`
    name: String,
    before: Option<String>,
    after: String,
}

/// Keeps what is there in the backup, and only then writes.
pub fn reset(
    page: &mut Page,
    place: &Place,
    chapter: &Chapter,
    step: &Step,
    whole_files: bool,
) -> Result<()> {
    let changes = changes(place, chapter, step, whole_files)?;
    if changes.is_empty() {
        page.line(&format!("{step}: nothing is written yet, so there is nothing to put back."));
        return Ok(());
    }
    let backup = backup(place, chapter, &changes)?;
    for change in &changes {
        if let Some(folder) = change.path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&change.path, &change.after).with_context(|| change.path.display().to_string())?;
    }
    page.line(&format!("{}: its holes are back.", page.bold(&step.to_string())));
    for change in &changes {
        page.exact(2, "file", &page::path(place, &change.path));
    }
    if let Some(backup) = backup {
        page.exact(2, "yours", &page::path(place, &backup));
    }
    Ok(())
}

fn changes(place: &Place, chapter: &Chapter, step: &Step, whole_files: bool) -> Result<Vec<Change>> {
    let holes = labs::holes(place, chapter)?;
    let mut names: Vec<String> =
        holes.into_iter().filter(|hole| hole.step == step.id).map(|hole| hole.file).collect();
    names.dedup();
    let mut changes = Vec::new();
    for name in names {
        let path = chapter.lab(place).join(&name);
        let skeleton = labs::skeleton(place, chapter, &name)?;
        let before = match fs::read(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let after = match &before {
            Some(text) if !whole_files => labs::reset_step(text, &skeleton, &step.id).with_context(|| {
                let file = page::path(place, &path);
                format!("{file} (`cargo kit reset-step {} --whole-files` takes it anew)", report::typed(step))
            })?,
            _ => skeleton,
        };
        if before.as_ref() != Some(&after) {
            changes.push(Change { path, name, before, after });
        }
    }
    Ok(changes)
}

/// Saves what will be overwritten, in a folder of its own.
fn backup(place: &Place, chapter: &Chapter, changes: &[Change]) -> Result<Option<PathBuf>> {
    if changes.iter().all(|change| change.before.is_none()) {
        return Ok(None);
    }
    let now = progress::instant(SystemTime::now()).replace(':', "");
    let all = place.home.join("backup").join(&chapter.name);
    let folder = free(&all, &now)?;
    for change in changes {
        let Some(before) = &change.before else { continue };
        let kept = folder.join(&change.name);
        if let Some(parent) = kept.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        fs::write(&kept, before).with_context(|| kept.display().to_string())?;
    }
    Ok(Some(folder))
}

/// Two within a second have folders of their own.
fn free(all: &Path, now: &str) -> Result<PathBuf> {
    let names = std::iter::once(now.to_owned()).chain((2..).map(|n| format!("{now}-{n}")));
    let mut free = names.map(|name| all.join(name)).filter(|path| !path.exists());
    free.next().context("no name is free")
}
