//! Builds a suite on the student's core, lets its tests sit, and remembers what they said.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Remark};
use crate::chapters::{Chapter, Step};
use crate::exam::{self, Limits, Outcome, Suite, Verdict};
use crate::place::Place;
use crate::say;
use crate::student::page::Page;
use crate::student::progress::{self, Progress};

/// A test that takes longer is in a loop.
const TEST: Duration = Duration::from_secs(10);
/// A round ends soon after its first tests could have timed out, so that it can be the last.
const ROUND: Duration = Duration::from_millis(10_500);
/// After so long a build wants an explanation.
const LONG: Duration = Duration::from_secs(15);
/// So many that do not end are enough to tell that the step loops.
const ENOUGH_LOOPS: usize = 2;

/// What came of the student's sources.
pub enum Built {
    Suite {
        suite: Suite,
        /// How many warnings the compiler has for the lab.
        warnings: usize,
    },
    Refused(Refusal),
}

/// Why there is nothing that could be judged.
#[derive(Debug)]
pub struct Refusal {
    pub guilty: Guilty,
    /// What the compiler says, error by error.
    pub errors: Vec<String>,
    /// What cargo says; all there is where the compiler was not reached.
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guilty {
    /// The lab does not compile.
    Lab,
    /// The lab compiles, and the suite does not fit it.
    Suite,
    /// Neither: another package, or cargo itself.
    Other,
}

/// A step with what its tests said.
#[derive(Debug)]
pub struct Judged {
    pub step: Step,
    pub verdicts: Vec<Verdict>,
}

impl Judged {
    pub fn passed(&self) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Passed).count()
    }

    pub fn is_done(&self) -> bool {
        self.passed() == self.verdicts.len()
    }

    pub fn loops(&self) -> bool {
        let loops = |verdict: &&Verdict| verdict.outcome == Outcome::TimedOut;
        self.verdicts.iter().filter(loops).count() >= ENOUGH_LOOPS
    }

    pub fn was_left_out(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.outcome == Outcome::NotRun)
    }
}

/// Compiles a chapter's suite with the student's core in it.
pub fn build(place: &Place, chapter: &Chapter) -> Result<Built> {
    let lab = chapter.lab(place);
    must_exist(place, chapter)?;
    let feature = format!("{}/lab", chapter.tests_package());
    let target = chapter.package.replace('-', "_");
    // The whole workspace is selected, though one program of it is built: so every chapter, the cluster,
    // and `cargo kit test`, agree about the features of what they share, and it is compiled once.
    let all = ["--workspace", "--exclude", "clients"];
    let args = [&["test", "--no-run"], &all[..], &["--features", &feature, "--test", &target]].concat();
    let status = Status::new();
    let built = cargo::build_quietly(place, &args, say::is_watched(), &mut |what| {
        let patience =
            if status.since.elapsed() > LONG { "; only the first build takes so long" } else { "" };
        status.show(&format!("{what}{patience}"));
    })?;
    drop(status);
    let folder = chapter.suite(place);
    if !built.succeeded {
        return Ok(Built::Refused(refusal(built.remarks, built.said, &lab, &folder)));
    }
    let program = built.artifacts.into_iter().find(|artifact| artifact.folder == folder);
    let program = program.context("cargo did not name the suite that it built")?.executable;
    let warnings = built.remarks.iter().filter(|remark| remark.folder == lab).count();
    Ok(Built::Suite { suite: Suite { program, root: place.root.clone(), folder }, warnings })
}

/// Nothing can be said of a lab that was removed.
pub fn must_exist(place: &Place, chapter: &Chapter) -> Result<()> {
    let lab = chapter.lab(place);
    if !lab.join("src/lib.rs").exists() {
        bail!("there is no lab in {}: `git restore labs/{}` brings it back", lab.display(), chapter.name);
    }
    Ok(())
}

fn refusal(remarks: Vec<Remark>, said: String, lab: &std::path::Path, suite: &std::path::Path) -> Refusal {
    let errors = |folder: Option<&std::path::Path>| -> Vec<String> {
        let of = |remark: &&Remark| remark.is_error && folder.is_none_or(|folder| remark.folder == folder);
        remarks.iter().filter(of).map(|remark| remark.text.clone()).collect()
    };
    let sorted = [(Guilty::Lab, Some(lab)), (Guilty::Suite, Some(suite)), (Guilty::Other, None)];
    let found = sorted.into_iter().map(|(guilty, folder)| (guilty, errors(folder)));
    let (guilty, errors) =
        found.into_iter().find(|(_, errors)| !errors.is_empty()).unwrap_or((Guilty::Other, Vec::new()));
    Refusal { guilty, errors, said }
}

/// Lets the tests of some steps sit, one step after the other. Once a step does not end, those behind it
/// are left out: they would most likely meet the same loop.
pub fn sit(suite: &Suite, steps: &[&Step]) -> Result<Vec<Judged>> {
    let listed = exam::list(suite)?;
    let status = Status::new();
    let mut judged: Vec<Judged> = Vec::new();
    for step in steps {
        let tests: Vec<String> = listed.iter().filter(|test| step.judges(test)).cloned().collect();
        if tests.is_empty() {
            bail!("no test judges step {step}: that is a mistake of the course, not yours");
        }
        let verdicts = if judged.iter().any(Judged::loops) {
            tests.iter().map(|test| left_out(test)).collect()
        } else {
            sit_one(suite, &tests, &|done| {
                status.show(&format!("{step}: {done} of {} tests, and each has 10 s", tests.len()))
            })?
        };
        judged.push(Judged { step: (*step).clone(), verdicts });
    }
    Ok(judged)
}

fn left_out(test: &str) -> Verdict {
    Verdict { test: test.to_owned(), outcome: Outcome::NotRun, time: Duration::ZERO, printed: String::new() }
}

/// In rounds, so that a step that loops for ever is told after the first.
fn sit_one(suite: &Suite, tests: &[String], tell: &dyn Fn(usize)) -> Result<Vec<Verdict>> {
    let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let limits = Limits { test: TEST, sitting: ROUND, memory: None, output: 1 << 20, at_once, jail: false };
    let mut verdicts: Vec<Verdict> = tests.iter().map(|test| left_out(test)).collect();
    loop {
        let waiting: Vec<String> = verdicts
            .iter()
            .filter(|verdict| verdict.outcome == Outcome::NotRun)
            .map(|verdict| verdict.test.clone())
            .collect();
        let loops = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::TimedOut).count();
        if waiting.is_empty() || loops >= ENOUGH_LOOPS {
            return Ok(verdicts);
        }
        let mut done = tests.len() - waiting.len();
        let round = exam::sit(suite, &waiting, &[], &limits, &mut |_| {
            done += 1;
            tell(done);
        })?;
        for verdict in round {
            if let Some(place) = verdicts.iter_mut().find(|known| known.test == verdict.test) {
                *place = verdict;
            }
        }
    }
}

/// Remembers what the tests said of the sources with this fingerprint.
pub fn remember(place: &Place, judged: &[Judged], sources: &str) -> Result<Progress> {
    let now = SystemTime::now();
    Progress::update(place, |progress| {
        for one in judged.iter().filter(|one| !one.was_left_out()) {
            progress.of_mut(&one.step).sat(one.passed(), one.verdicts.len(), sources, now);
        }
    })
}

/// The steps of a chapter, without `asked`, that were done once: an answer to one step may break another.
pub fn done_before<'a>(chapter: &'a Chapter, asked: &[&Step], progress: &Progress) -> Vec<&'a Step> {
    let others = chapter.steps.iter().filter(|step| asked.iter().all(|one| one.id != step.id));
    others.filter(|step| progress.of(step).done.is_some()).collect()
}

pub fn sources(place: &Place, chapter: &Chapter) -> String {
    progress::fingerprint(&chapter.lab(place))
}

/// A line on a terminal that says what goes on, and vanishes.
struct Status {
    watched: bool,
    since: Instant,
}

impl Status {
    fn new() -> Self {
        Self { watched: std::io::stderr().is_terminal() && say::is_watched(), since: Instant::now() }
    }

    fn show(&self, text: &str) {
        if self.watched {
            // Longer than the terminal is wide, it could not be taken back.
            let width = Page::of_the_terminal().width - 16;
            eprint!("\r\x1b[K{} ({})", exam::describe::cut(text, width), say::time(self.since.elapsed()));
            let _ = std::io::stderr().flush();
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if self.watched {
            eprint!("\r\x1b[K");
        }
    }
}
