//! # What a student has done, kept in `.coracle/progress.json`
//!
//! Everything here is derived from test results; the file only remembers them, so that `cargo kit` need
//! not run anything. Its rules:
//!
//! 1. A step is known by its id. Tests may be renamed, added or taken away by an update: nothing is lost.
//! 2. What this version does not know, it keeps.
//! 3. The file is replaced in one go, and changed by one process at a time.
//! 4. A file that cannot be read is set aside under another name, and never deleted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chapters::{Chapter, Step};
use crate::place::Place;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(default)]
    steps: BTreeMap<String, Record>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// What is remembered of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The day on which all of its tests passed first, such as `2026-11-21`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// The lab's sources when its tests passed last, as [`fingerprint`] has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<String>,
    /// What its tests said when they ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Sitting>,
    /// How many levels of hints were read.
    #[serde(default)]
    pub hints: u8,
    /// The day on which the solution was asked for before the tests passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sitting {
    /// `2026-11-21T04:05:06Z`
    pub when: String,
    pub passed: usize,
    pub of: usize,
}

/// How a step stands, as far as that is known without running anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Never judged, or no test passed.
    Open,
    Begun {
        passed: usize,
        of: usize,
    },
    /// All tests passed, on these very sources.
    Done,
    /// All tests passed, and the sources were changed since.
    Changed,
    /// All tests passed once, and later not all of them.
    Broken {
        passed: usize,
        of: usize,
    },
}

impl State {
    /// Whether its points are earned, as far as is known.
    pub fn is_done(&self) -> bool {
        matches!(self, State::Done | State::Changed)
    }
}

impl Progress {
    /// An unreadable file counts as none, with a word on standard error.
    pub fn load(place: &Place) -> Result<Self> {
        let path = file(place);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
            other => other.with_context(|| path.display().to_string())?,
        };
        match serde_json::from_str(&text) {
            Ok(progress) => Ok(progress),
            Err(error) => {
                let aside = set_aside(&path)?;
                eprintln!(
                    "{} cannot be read ({error}). It is kept as {}, and progress starts anew; \
                     `cargo kit check N` finds again what passes.",
                    path.display(),
                    aside.display()
                );
                Ok(Self::default())
            }
        }
    }

    /// Loads, changes and saves, while no other process does.
    pub fn update(place: &Place, change: impl FnOnce(&mut Progress)) -> Result<Progress> {
        fs::create_dir_all(&place.home).with_context(|| place.home.display().to_string())?;
        let path = place.home.join("progress.lock");
        let lock = fs::File::create(&path).with_context(|| path.display().to_string())?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let before = Self::load(place)?;
        let mut progress = before.clone();
        change(&mut progress);
        if progress != before {
            progress.save(&file(place))?;
        }
        Ok(progress)
    }

    fn save(&self, path: &Path) -> Result<()> {
        let new = path.with_extension("json.new");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let written = fs::File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            // A rename that reaches the disk before its contents would leave an empty file after a crash.
            file.sync_all()?;
            fs::rename(&new, path)
        });
        written.with_context(|| path.display().to_string())
    }

    pub fn of(&self, step: &Step) -> Record {
        self.steps.get(&step.id).cloned().unwrap_or_default()
    }

    pub fn of_mut(&mut self, step: &Step) -> &mut Record {
        self.steps.entry(step.id.clone()).or_default()
    }

    /// Where the student was last, among these chapters.
    pub fn latest_chapter<'a>(&self, chapters: &'a [Chapter]) -> Option<&'a Chapter> {
        let when = |chapter: &Chapter| {
            let sittings = chapter.steps.iter().filter_map(|step| self.steps.get(&step.id)?.latest.as_ref());
            sittings.map(|sitting| sitting.when.clone()).max()
        };
        chapters.iter().filter(|chapter| when(chapter).is_some()).max_by_key(|chapter| when(chapter))
    }
}

impl Record {
    /// Remembers what the tests of the step said.
    pub fn sat(&mut self, passed: usize, of: usize, sources: &str, now: SystemTime) {
        self.latest = Some(Sitting { when: instant(now), passed, of });
        if of > 0 && passed == of {
            self.done.get_or_insert_with(|| day(now));
            self.sources = Some(sources.to_owned());
        }
    }

    pub fn state(&self, sources: &str) -> State {
        let (passed, of) = self.latest.as_ref().map_or((0, 0), |sitting| (sitting.passed, sitting.of));
        match (&self.done, passed == of) {
            (None, _) if passed == 0 => State::Open,
            (None, _) => State::Begun { passed, of },
            (Some(_), false) => State::Broken { passed, of },
            (Some(_), true) if self.sources.as_deref() == Some(sources) => State::Done,
            (Some(_), true) => State::Changed,
        }
    }
}

pub fn file(place: &Place) -> PathBuf {
    place.home.join("progress.json")
}

fn set_aside(path: &Path) -> Result<PathBuf> {
    let names = (1..).map(|n| path.with_extension(format!("damaged-{n}.json")));
    let aside = names.into_iter().find(|name| !name.exists()).context("no name is free")?;
    fs::rename(path, &aside).with_context(|| path.display().to_string())?;
    Ok(aside)
}

/// A hash of everything in the lab's `src`: a student's edit changes it, an update of the tests does not.
pub fn fingerprint(lab: &Path) -> String {
    let src = lab.join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    let mut hash = Fnv::default();
    for file in files {
        hash.add(file.strip_prefix(&src).unwrap_or(&file).as_os_str().as_encoded_bytes());
        hash.add(&fs::read(&file).unwrap_or_default());
    }
    format!("{:016x}", hash.0)
}

/// Every file below a folder.
pub fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, files),
            // Editors keep their own beside a file while it is open.
            Ok(_) if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            _ => {}
        }
    }
}

/// FNV-1a, which is the same under every compiler: it only has to notice an edit.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a text and its end.
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// `2026-11-21`, in UTC.
pub fn day(now: SystemTime) -> String {
    instant(now)[..10].to_owned()
}

/// `2026-11-21T04:05:06Z`
pub fn instant(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar from a count of days, with years that begin in March (Hinnant).
    let since_0000 = days + 719_468;
    let (era, day_of_era) = (since_0000 / 146_097, since_0000 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
