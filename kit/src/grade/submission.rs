//! What is taken of a submission: the files under `labs/NN-name/src`, and nothing else.
//!
//! Links are not followed, and neither they nor devices are taken: `src` could be a link to the
//! solutions. Sizes are bounded, so that nobody fills the instructor's disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::given;
use crate::chapters::Chapter;
use crate::labs;
use crate::place::Place;

/// A chapter's answers are a dozen files of some hundred lines.
const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 2 << 20;
const DEEPEST: usize = 6;

pub struct Submission {
    pub name: String,
    /// Where the chapters' labs stand: `labs` of what was handed in, or that itself.
    labs: PathBuf,
}

/// A chapter's part of a submission.
pub enum Part {
    Missing,
    /// Byte for byte what the student was given.
    Skeleton,
    /// Too large, or not made of files: why.
    Refused(String),
    /// Files below `src` and their texts; and what somebody should look at.
    Files(Vec<(PathBuf, Vec<u8>)>, Vec<String>),
}

impl Submission {
    pub fn at(folder: &Path) -> Result<Self> {
        let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let labs = folder.join("labs");
        let labs = if fs::symlink_metadata(&labs).is_ok() { labs } else { folder };
        Ok(Self { name: name.unwrap_or_default(), labs })
    }

    pub fn all_in(folder: &Path) -> Result<Vec<Self>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
                folders.push(entry.path());
            }
        }
        if folders.is_empty() {
            bail!("{} holds no submissions: each is a folder", folder.display());
        }
        folders.sort();
        folders.iter().map(|folder| Self::at(folder)).collect()
    }

    pub fn part(&self, place: &Place, chapter: &Chapter) -> Result<Part> {
        let lab = self.labs.join(&chapter.name);
        let src = lab.join("src");
        for folder in [&self.labs, &lab, &src] {
            match fs::symlink_metadata(folder) {
                Err(_) => return Ok(Part::Missing),
                Ok(is) if is.is_symlink() => {
                    return Ok(Part::Refused(format!("{} is a link", self.named(folder))));
                }
                Ok(is) if !is.is_dir() => {
                    return Ok(Part::Refused(format!("{} is no folder", self.named(folder))));
                }
                Ok(_) => {}
            }
        }
        let mut taking = Taking { submission: self, files: Vec::new(), bytes: 0 };
        if let Some(why) = taking.take(&src, Path::new(""), 0)? {
            return Ok(Part::Refused(why));
        }
        taking.files.sort();
        let given: BTreeMap<PathBuf, String> = labs::sync::generate(place, chapter)?
            .into_iter()
            .filter_map(|(path, text)| Some((Path::new(&path).strip_prefix("src").ok()?.to_owned(), text)))
            .collect();
        let theirs = taking.files.iter().map(|(path, text)| (path, text.as_slice()));
        if theirs.eq(given.iter().map(|(path, text)| (path, text.as_bytes()))) {
            return Ok(Part::Skeleton);
        }
        let theirs: BTreeMap<&PathBuf, &Vec<u8>> =
            taking.files.iter().map(|(path, text)| (path, text)).collect();
        let look = given.iter().filter_map(|(path, text)| {
            let why = match theirs.get(path) {
                None => Some("a given file is missing".to_owned()),
                Some(theirs) => given::changed(text, &String::from_utf8_lossy(theirs)),
            };
            Some(format!("{}: {}", self.named(&src.join(path)), why?))
        });
        let look = look.collect();
        Ok(Part::Files(taking.files, look))
    }

    /// What of a chapter's lab was handed in, but is not used.
    pub fn unused(&self, place: &Place, chapter: &Chapter) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.labs.join(&chapter.name)) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let ours = |name: &str| fs::read(chapter.lab(place).join(name)).ok();
        let theirs = |name: &str| fs::read(self.labs.join(&chapter.name).join(name)).ok();
        let mut unused: Vec<String> = names
            .filter(|name| {
                name != "src"
                    && !name.starts_with('.')
                    && (ours(name).is_none() || ours(name) != theirs(name))
            })
            .map(|name| {
                format!("labs/{}/{name} is not used: the grader has its own, or needs none", chapter.name)
            })
            .collect();
        unused.sort();
        unused
    }

    /// A path as its owner knows it.
    fn named(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.labs).unwrap_or(path);
        Path::new("labs").join(inside).display().to_string()
    }
}

struct Taking<'a> {
    submission: &'a Submission,
    files: Vec<(PathBuf, Vec<u8>)>,
    bytes: u64,
}

impl Taking<'_> {
    /// Takes what is in a folder; a sentence says what cannot be taken.
    fn take(&mut self, folder: &Path, at: &Path, depth: usize) -> Result<Option<String>> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let at = at.join(entry.file_name());
            let named = self.submission.named(&path);
            if kind.is_dir() && depth < DEEPEST {
                if let Some(why) = self.take(&path, &at, depth + 1)? {
                    return Ok(Some(why));
                }
                continue;
            } else if kind.is_dir() {
                return Ok(Some(format!("{named}: folders in folders, deeper than {DEEPEST}")));
            } else if !kind.is_file() {
                return Ok(Some(format!("{named} is not a plain file")));
            }
            let mut text = Vec::new();
            let most = MOST_BYTES - self.bytes;
            fs::File::open(&path).with_context(|| named.clone())?.take(most + 1).read_to_end(&mut text)?;
            self.bytes += text.len() as u64;
            self.files.push((at, text));
            if self.bytes > MOST_BYTES || self.files.len() > MOST_FILES {
                let most = MOST_BYTES >> 20;
                return Ok(Some(format!("more than {MOST_FILES} files or {most} MiB in one chapter")));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a `src` folder that `lay` fills.
    fn said(name: &str, lay: impl FnOnce(&Path)) -> Option<String> {
        let labs = std::env::temp_dir().join(format!("kit-taking-{name}-{}", std::process::id()));
        let src = labs.join("05-scheduler/src");
        fs::create_dir_all(&src).unwrap();
        lay(&src);
        let submission = Submission { name: name.to_owned(), labs: labs.clone() };
        let mut taking = Taking { submission: &submission, files: Vec::new(), bytes: 0 };
        let said = taking.take(&src, Path::new(""), 0).unwrap();
        fs::remove_dir_all(labs).unwrap();
        said
    }

    #[test]
    fn only_plain_files_of_a_reasonable_size_are_taken() {
        assert_eq!(said("plain", |src| fs::write(src.join("lib.rs"), "//! Fine.").unwrap()), None);
        let link = said("link", |src| std::os::unix::fs::symlink("/etc/passwd", src.join("a.rs")).unwrap());
        assert_eq!(link.unwrap(), "labs/05-scheduler/src/a.rs is not a plain file");
        let pipe = said("pipe", |src| {
            nix::unistd::mkfifo(&src.join("a.rs"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        });
        assert_eq!(pipe.unwrap(), "labs/05-scheduler/src/a.rs is not a plain file");
        let large = said("large", |src| {
            fs::File::create(src.join("a.rs")).unwrap().set_len(1 << 40).unwrap();
        });
        assert_eq!(large.unwrap(), "more than 200 files or 2 MiB in one chapter");
        let many = said("many", |src| {
            (0..=MOST_FILES).for_each(|number| fs::write(src.join(number.to_string()), "").unwrap());
        });
        assert_eq!(many.unwrap(), "more than 200 files or 2 MiB in one chapter");
        let deep = said("deep", |src| fs::create_dir_all(src.join("a/b/c/d/e/f/g")).unwrap());
        assert_eq!(deep.unwrap(), "labs/05-scheduler/src/a/b/c/d/e/f/g: folders in folders, deeper than 6");
    }
}
