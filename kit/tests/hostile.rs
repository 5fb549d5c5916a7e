//! Submissions that try to get points without earning them, or to harm the grader: each gets exactly what
//! it earned, and a reason. They stand in `hostile/`, as changes to a right answer of chapter 01 (which
//! compiles quickest). The long ones run with `CORACLE_LONG`, as CI does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

const CHAPTER: &str = "01-store";

/// `NAME.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hostile {
    /// What it tries.
    #[allow(dead_code, reason = "for whoever reads the file")]
    why: String,
    /// What it earned; nothing, where it is refused.
    #[serde(default)]
    points: u32,
    /// The steps that it loses, and words of the reason that is given.
    #[serde(default)]
    lost: BTreeMap<String, String>,
    /// The chapter as a whole is refused, for a reason that begins so.
    refused: Option<String>,
    /// Words of what the compiler said, or of the reason.
    #[serde(default)]
    said: String,
    /// Words of a note.
    #[serde(default)]
    note: String,
    /// Harmful, or pointless, where the machine forbids walls.
    #[serde(default)]
    walls: bool,
    /// It runs always.
    #[serde(default)]
    quick: bool,
    #[serde(default)]
    edit: Vec<Edit>,
    #[serde(default)]
    file: Vec<File>,
    #[serde(default)]
    link: Vec<Link>,
}

/// A change to a file of the right answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    /// The text goes to the beginning of this function's body; without one, to the end of the file.
    into: Option<String>,
    /// The text takes the place of this.
    replace: Option<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    path: String,
    to: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the kit lies in the workspace").to_owned()
}

impl Hostile {
    /// Writes it as a student would hand it in.
    fn hand_in(&self, folder: &Path) {
        let lab = folder.join("labs").join(CHAPTER);
        copy(&root().join("solutions").join(CHAPTER).join("src"), &lab.join("src"));
        let known = |text: &str| text.replace("{root}", &root().to_string_lossy());
        for edit in &self.edit {
            let path = lab.join(&edit.file);
            let before = fs::read_to_string(&path).expect("the right answer has this file");
            fs::write(&path, edit.of(&before, &known(&edit.text))).unwrap();
        }
        for file in &self.file {
            let path = folder.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, known(&file.text)).unwrap();
        }
        for link in &self.link {
            let path = folder.join(&link.path);
            let _ = fs::remove_file(&path);
            std::os::unix::fs::symlink(known(&link.to), path).unwrap();
        }
    }

    /// What is wrong with its grade.
    fn complaints(&self, chapter: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut points = 0;
        for step in chapter["steps"].as_array().expect("steps") {
            points += step["points"].as_u64().expect("points");
            let (id, reason) = (step["id"].as_str().unwrap_or_default(), step["reason"].as_str());
            match (self.lost.get(id), reason) {
                (Some(expected), Some(reason)) if reason.contains(expected.as_str()) => {}
                (None, None) => {}
                (None, Some(_)) if self.refused.is_some() => {}
                (expected, reason) => wrong.push(format!("{id}: expected {expected:?}, got {reason:?}")),
            }
        }
        if points != u64::from(self.points) {
            wrong.push(format!("expected {} points, got {points}", self.points));
        }
        let reason = chapter["reason"].as_str();
        match (&self.refused, reason) {
            (None, None) => {}
            (Some(expected), Some(reason)) if reason.starts_with(expected.as_str()) => {}
            (expected, reason) => wrong.push(format!("expected {expected:?}, got {reason:?}")),
        }
        let compiler = chapter["compiler"].as_str().unwrap_or_default();
        if !format!("{}{compiler}", reason.unwrap_or_default()).contains(&self.said) {
            wrong.push(format!("nothing is said of {:?}: {compiler}", self.said));
        }
        if !chapter["notes"].to_string().contains(&self.note) {
            wrong.push(format!("no note says {:?}: {}", self.note, chapter["notes"]));
        }
        wrong
    }
}

impl Edit {
    fn of(&self, before: &str, text: &str) -> String {
        if let Some(old) = &self.replace {
            assert!(before.contains(old.as_str()), "{} has no {old:?}", self.file);
            return before.replace(old.as_str(), text);
        }
        let Some(function) = &self.into else { return format!("{before}\n{text}") };
        let from = before.find(function.as_str());
        let from = from.unwrap_or_else(|| panic!("{} has no {function:?}", self.file));
        let body = from + before[from..].find("{\n").expect("a body") + 2;
        format!("{}{text}\n{}", &before[..body], &before[body..])
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// All those of a kind, by name.
fn all(quick: bool) -> BTreeMap<String, Hostile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        (name.clone(), toml::from_str::<Hostile>(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    entries.map(read).filter(|(_, hostile)| hostile.quick == quick).collect()
}

/// Grades them as a class of students, in one go, and compares.
fn grade(class: &BTreeMap<String, Hostile>, kind: &str) {
    let folder = std::env::temp_dir().join(format!("coracle-hostile-{kind}-{}", std::process::id()));
    for (name, hostile) in class {
        hostile.hand_in(&folder.join(name));
    }
    let mut kit = Command::new(env!("CARGO_BIN_EXE_kit"));
    kit.args(["grade", "--chapters", "1", "--format", "json", "--all-in"]).arg(&folder);
    kit.env("CORACLE_SECRET", "for the grader alone");
    let output = kit.output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    println!("{words}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let graded = report["submissions"].as_array().expect("submissions");
    assert_eq!(graded.len(), class.len());
    let mut wrong = Vec::new();
    for submission in graded {
        let name = submission["name"].as_str().expect("a name");
        let complaints = class[name].complaints(&submission["chapters"][0]);
        wrong.extend(complaints.iter().map(|complaint| format!("{name}: {complaint}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether this machine can shut a submission in.
fn walls() -> bool {
    let empty = std::env::temp_dir().join(format!("coracle-hostile-empty-{}", std::process::id()));
    fs::create_dir_all(&empty).unwrap();
    let mut kit = Command::new(env!("CARGO_BIN_EXE_kit"));
    kit.args(["grade", "--chapters", "1", "--format", "json", "--submission"]).arg(&empty);
    let output = kit.output().unwrap();
    fs::remove_dir_all(&empty).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["walls"] == true
}

#[test]
fn the_usual_tricks_cost_their_own_steps_only() {
    grade(&all(true), "quick");
}

#[test]
fn each_hostile_submission_gets_exactly_what_it_earned() {
    if std::env::var_os("CORACLE_LONG").is_none() {
        println!("SKIPPED: hostile submissions take minutes; `cargo kit test --all` runs them");
        return;
    }
    let mut class = all(false);
    if !walls() {
        let harmful: Vec<String> =
            class.iter().filter(|(_, hostile)| hostile.walls).map(|(name, _)| name.clone()).collect();
        println!("SKIPPED: this machine forbids walls: {}", harmful.join(", "));
        class.retain(|_, hostile| !hostile.walls);
    }
    grade(&class, "long");
}
