//! # A staged tree: one chapter's suite with the core of one's choice
//!
//! ```text
//!   STAGE/Cargo.toml             a workspace of these three, with our Cargo.lock, profiles and lints
//!   STAGE/PURPOSE/solutions/NN   the core that is judged, or an empty package
//!   STAGE/PURPOSE/labs/NN        the submission, or what stands in the workspace
//!   STAGE/PURPOSE/tests/NN       the suite, as it stands in the workspace
//! ```
//!
//! Whatever else they use (chapter 00, `graded`) stays where it is in the workspace.
//!
//! ## Invariants
//! 1. Of a submission only `src` comes in; every manifest is ours, so it has no build script, no
//!    dependency and no lint of its own.
//! 2. All stages compile into the workspace's own target folder, so what the workspace has built of other
//!    people's packages is not built again. Cargo tells packages apart by their place *in* their
//!    workspace; hence the folder `PURPOSE`, without which a stage's artifacts would replace ours. For
//!    the same reason a stage lies in the target folder that it compiles into: were there two of one
//!    name, cargo would take one's artifacts for the other's.
//! 3. A file is written only if it differs: cargo goes by the time of a file.
//! 4. A submission is compiled where neither sources of other cores nor other people's submissions are to
//!    be seen ([`shut_in`]), and whatever it has read beside its own `src` is told by the compiler: then it
//!    is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::chapters::Chapter;
use crate::exam::Suite;
use crate::exam::process::{self, Bounds, End, Ran};
use crate::place::Place;
use crate::{cargo, labs};

mod compiler;
mod shut_in;

/// The core that a staged suite judges.
pub enum Core<'a> {
    /// The solution with every hole behind a switch (`labs::switches`).
    Holes,
    /// The solution with patches laid on, each as `git apply` reads it.
    Patched(&'a [PathBuf]),
    /// Somebody's `src` folder as the lab; the solution is an empty package.
    Submission(&'a Path),
}

pub struct Stage {
    pub root: PathBuf,
    /// Shared by every stage of the workspace, so that dependencies are built once.
    pub target: PathBuf,
    place: Place,
    purpose: String,
    submission: bool,
    /// Our packages outside the stage that its members use.
    given: Vec<PathBuf>,
    /// One user of a stage at a time.
    _lock: Flock<fs::File>,
}

/// A suite that compiled, or what the compiler said.
pub enum Built {
    Suite(Suite),
    Refused(String),
}

/// How long a compiler may take, dependencies included.
const COMPILING: Duration = Duration::from_secs(900);
/// How long it may take over a submission, whose dependencies are built.
const COMPILING_A_SUBMISSION: Duration = Duration::from_secs(180);
/// Bytes of what a compiler says.
const COMPILERS_WORDS: usize = 64 << 20;

/// Where stages lie in the target folder.
const STAGES: &str = "stages";

/// Paths and contents of a tree.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

impl Stage {
    /// Lays the tree for a chapter, in a folder named after `purpose`.
    pub fn lay(place: &Place, chapter: &Chapter, purpose: &str, core: &Core<'_>) -> Result<Stage> {
        fetch(place)?;
        let target = target(place)?;
        let root = target.join(STAGES).join(format!("{purpose}-{}", chapter.number));
        fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let lock = fs::File::create(root.join(".lock"))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let submission = matches!(core, Core::Submission(_));
        let rooms =
            ["solutions", "labs", "tests"].map(|room| (room, place.root.join(room).join(&chapter.name)));
        let mut tree = Tree::new();
        let mut manifests = Vec::new();
        for (room, folder) in &rooms {
            let at = Path::new(room).join(&chapter.name);
            let manifest =
                fs::read(folder.join("Cargo.toml")).with_context(|| folder.display().to_string())?;
            manifests.push(String::from_utf8(manifest.clone())?);
            tree.insert(at.join("Cargo.toml"), manifest);
            let (from, into) = match (*room, core) {
                ("solutions", Core::Submission(_)) => {
                    tree.insert(at.join("src/lib.rs"), b"//! Empty: the lab is judged.\n".to_vec());
                    continue;
                }
                ("labs", Core::Submission(theirs)) => (theirs.to_path_buf(), at.join("src")),
                _ => (folder.clone(), at),
            };
            read_tree(&from, &into, &mut tree)?;
        }
        match core {
            Core::Holes => {
                let solution = Path::new("solutions").join(&chapter.name);
                let files = labs::switches(place, chapter)?;
                tree.extend(files.into_iter().map(|(path, text)| (solution.join(path), text.into_bytes())));
            }
            Core::Patched(patches) => patch(&root, &mut tree, patches)?,
            Core::Submission(_) => {}
        }
        let given = given(place, chapter, &manifests)?;
        sync(&root.join(purpose), &tree)?;
        write_if_new(&root.join("Cargo.toml"), workspace_manifest(place, chapter, purpose)?.as_bytes())?;
        // Cargo leaves out of it what a stage does not use.
        fs::copy(place.root.join("Cargo.lock"), root.join("Cargo.lock"))?;
        let (place, purpose) = (place.clone(), purpose.to_owned());
        Ok(Stage { root, target, place, purpose, submission, given, _lock: lock })
    }

    /// Compiles the suite, offline.
    pub fn build(&self, chapter: &Chapter) -> Result<Built> {
        let package = chapter.tests_package();
        let mut words = vec!["test", "--no-run", "--offline", "--message-format", "json"];
        words.extend(["--package", &package]);
        fs::create_dir_all(&self.target)?;
        let ran = if self.submission {
            // What is not theirs is built first, so that it neither takes of their time nor is their fault.
            let ours = self.cargo(&[&words[..], &["--lib"]].concat(), COMPILING)?;
            if !matches!(ours.end, End::Exited(status) if status.success()) {
                let said = compiler::read(&ours.printed);
                bail!("what every submission needs does not compile: {}{}", said.errors, said.words.trim());
            }
            self.cargo(&[&words[..], &["--test", "*", "--features", "lab"]].concat(), COMPILING_A_SUBMISSION)?
        } else {
            self.cargo(&[&words[..], &["--test", "*"]].concat(), COMPILING)?
        };
        let said = compiler::read(&ran.printed);
        let prefix = format!("{}/", self.purpose);
        let refused = |text: &str| Ok(Built::Refused(text.replace(&prefix, "")));
        match ran.end {
            End::Exited(status) if status.success() => {}
            End::TimedOut => {
                let after = crate::say::time(ran.time);
                return refused(&format!("error: the compiler was stopped after {after}"));
            }
            End::Flooded => return refused("error: the compiler was stopped: it said too much"),
            _ if !said.errors.is_empty() => return refused(&said.errors),
            // It fell over a text, rather than refusing it.
            _ if said.words.contains("could not compile") => return refused(said.words.trim()),
            _ => bail!("cargo failed in {}: {}", self.root.display(), said.words.trim()),
        }
        let folder = self.root.join(&self.purpose).join("tests").join(&chapter.name);
        if self.submission {
            let own = Path::new(&self.purpose).join("labs").join(&chapter.name).join("src");
            let lab = format!("{}_lab", chapter.package.replace('-', "_"));
            let lab = said.libraries.get(&lab).context("cargo did not name the lab's library")?;
            let foreign = compiler::foreign_reads(lab, &self.root, &self.root.join(own))?;
            if let Some(path) = foreign.first() {
                return refused(&format!(
                    "error: the code reads a file that is not its own: {}",
                    path.display()
                ));
            }
        }
        let program = said.program.context("cargo did not name the suite that it built")?;
        Ok(Built::Suite(Suite { program, root: self.root.clone(), folder }))
    }

    fn cargo(&self, words: &[&str], time: Duration) -> Result<Ran> {
        let mut command = if self.submission { shut_in::cargo(self)? } else { cargo::command(&self.place) };
        command
            .args(words)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null());
        process::run(command, &Bounds { time, output: COMPILERS_WORDS, kept: COMPILERS_WORDS }, None)
    }
}

/// Has cargo fetch what is missing of other people's packages, which later may come from no network.
fn fetch(place: &Place) -> Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        let about = crate::say::run(Command::new("rustc").arg("-vV").current_dir(&place.root))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        let mut fetch = cargo::command(place);
        fetch.args(["fetch", "--quiet", "--locked"]).args(host.map(|host| format!("--target={host}")));
        crate::say::run(&mut fetch)?;
        let _ = DONE.set(());
    }
    Ok(())
}

/// The workspace's target folder.
fn target(place: &Place) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(place.root.join("target"), PathBuf::from);
    Ok(std::path::absolute(target)?)
}

/// A folder beside the stages, for what is to be laid on one.
pub fn aside(place: &Place, name: &str) -> Result<PathBuf> {
    Ok(target(place)?.join(STAGES).join(name))
}

/// Adds the files under `from` to a tree. Links and devices are nobody's source.
fn read_tree(from: &Path, into: &Path, tree: &mut Tree) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (path, at) = (entry.path(), into.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_tree(&path, &at, tree)?;
        } else if kind.is_file() {
            tree.insert(at, fs::read(&path).with_context(|| path.display().to_string())?);
        } else {
            bail!("{} is neither a file nor a folder", path.display());
        }
    }
    Ok(())
}

/// Makes a folder equal to a tree, touching nothing that is so already.
fn sync(root: &Path, tree: &Tree) -> Result<()> {
    let mut stale = Tree::new();
    if root.exists() {
        read_tree(root, Path::new(""), &mut stale)?;
    }
    for path in stale.keys().filter(|path| !tree.contains_key(*path)) {
        fs::remove_file(root.join(path))?;
    }
    for (path, text) in tree {
        if stale.get(path) != Some(text) {
            write_if_new(&root.join(path), text)?;
        }
    }
    Ok(())
}

fn write_if_new(path: &Path, text: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// Lays patches on a tree, in a folder apart: files must not change twice.
fn patch(root: &Path, tree: &mut Tree, patches: &[PathBuf]) -> Result<()> {
    let scratch = root.join(".patching");
    let _ = fs::remove_dir_all(&scratch);
    sync(&scratch, tree)?;
    for patch in patches {
        let mut git = Command::new("git");
        git.args(["apply", "--whitespace=nowarn"]).arg(std::path::absolute(patch)?).current_dir(&scratch);
        // No repository around it: git would take the paths for that one's.
        git.env("GIT_CEILING_DIRECTORIES", root);
        crate::say::run(&mut git).with_context(|| patch.display().to_string())?;
    }
    tree.clear();
    read_tree(&scratch, Path::new(""), tree)?;
    Ok(fs::remove_dir_all(&scratch)?)
}

/// The workspace's manifest, with other members: ours are found where they are, the chapter's in the stage.
fn workspace_manifest(place: &Place, chapter: &Chapter, purpose: &str) -> Result<String> {
    let ours = fs::read_to_string(place.root.join("Cargo.toml"))?;
    let mut text = String::new();
    for line in ours.lines() {
        if line.starts_with("members =") {
            text += &format!("members = [\"{purpose}/tests/{}\"]", chapter.name);
        } else if let Some((name, path)) = path_dependency(line) {
            let staged = [format!("solutions/{}", chapter.name), format!("labs/{}", chapter.name)];
            let path = if staged.iter().any(|own| own == path) {
                Path::new(purpose).join(path)
            } else {
                place.root.join(path)
            };
            text += &format!("{name} = {{ path = {path:?} }}");
        } else if !line.starts_with("default-members") {
            text += line;
        }
        text.push('\n');
    }
    Ok(text)
}

/// `objects = { path = "chapters/00-objects" }`
fn path_dependency(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(" = { path = \"")?;
    Some((name, rest.strip_suffix("\" }")?))
}

/// The packages of ours that these manifests name, and those that they name in turn, but for the
/// chapter's own, which are staged.
fn given(place: &Place, chapter: &Chapter, manifests: &[String]) -> Result<Vec<PathBuf>> {
    let ours = fs::read_to_string(place.root.join("Cargo.toml"))?;
    let paths = ours.lines().filter_map(path_dependency);
    let paths: BTreeMap<&str, &str> = paths.filter(|(_, path)| !path.ends_with(&chapter.name)).collect();
    let mut found = BTreeSet::new();
    let mut to_read = manifests.to_vec();
    while let Some(manifest) = to_read.pop() {
        let names = manifest.lines().filter_map(|line| {
            let name = line.split(['.', ' ']).next().filter(|_| line.contains("workspace = true"))?;
            paths.get(name)
        });
        for path in names {
            let folder = place.root.join(path);
            if found.insert(folder.clone()) {
                to_read.push(fs::read_to_string(folder.join("Cargo.toml"))?);
            }
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_what_a_tree_says_and_what_is_so_already_is_not_touched() {
        let root = std::env::temp_dir().join(format!("kit-stage-{}", std::process::id()));
        let tree = |files: &[(&str, &str)]| -> Tree {
            files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect()
        };
        sync(&root, &tree(&[("src/a.rs", "a"), ("src/b.rs", "b")])).unwrap();
        let written = |path: &str| fs::metadata(root.join(path)).unwrap().modified().unwrap();
        let before = written("src/a.rs");
        let next = tree(&[("src/a.rs", "a"), ("src/c/d.rs", "d")]);
        sync(&root, &next).unwrap();
        let mut now = Tree::new();
        read_tree(&root, Path::new(""), &mut now).unwrap();
        assert_eq!((now, written("src/a.rs")), (next, before));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_link_is_refused_with_its_path() {
        let root = std::env::temp_dir().join(format!("kit-stage-link-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.rs")).unwrap();
        let error = read_tree(&root, Path::new(""), &mut Tree::new()).unwrap_err().to_string();
        assert!(error.ends_with("link.rs is neither a file nor a folder"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
