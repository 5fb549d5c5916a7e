//! The proofs that need a suite to run: which tests fail when what is open.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::{Kind, Report};
use crate::chapters::{Chapter, Step};
use crate::exam::{self, Limits, Outcome, Suite, Verdict};
use crate::labs::patches::Patch;
use crate::labs::{Hole, OPEN};

/// A proof is not a lottery: laws are tried on the same cases each time. And nobody looks at the smallest
/// case on which a law fails.
const PROPERTIES: [(&str, &str); 2] = [("PROPTEST_RNG_SEED", "12"), ("PROPTEST_MAX_SHRINK_ITERS", "0")];

/// How many cases of a law are enough to see that a test has nothing to do with an answer. The store's and
/// the controllers' laws are long, and this is asked of each wrong answer.
const FEW: (&str, &str) = ("PROPTEST_CASES", "32");

/// How many sit at the same time.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8)
}

/// Longer than any honest test takes here: a wrong answer may loop for ever.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Sittings<'a> {
    chapter: &'a Chapter,
    suite: Suite,
    /// The graded ones.
    pub tests: Vec<String>,
}

impl<'a> Sittings<'a> {
    pub fn of(chapter: &'a Chapter, suite: Suite) -> Result<Self> {
        let mut tests = exam::list(&suite)?;
        // Modules of other names hold what students are given; it is tested elsewhere, and not graded.
        tests.retain(|test| test.starts_with("step_"));
        Ok(Self { chapter, suite, tests })
    }

    pub fn of_step(&self, step: &Step) -> Vec<String> {
        self.tests.iter().filter(|test| step.judges(test)).cloned().collect()
    }

    pub fn skeleton_fails(&self, holes: &[Hole], report: &mut Report) -> Result<()> {
        let open = ids(holes.iter());
        for verdict in self.sit(&self.tests, &open)? {
            if verdict.outcome == Outcome::Passed {
                report
                    .complaints
                    .push(format!("{} passes on the skeleton, so it judges nothing", verdict.test));
            }
        }
        Ok(())
    }

    /// The tests that fail all the same.
    pub fn solution_passes(&self, report: &mut Report) -> Result<BTreeSet<String>> {
        let mut failing = BTreeSet::new();
        for verdict in self.sit(&self.tests, "")? {
            if let Some(step) = self.chapter.steps.iter().find(|step| step.judges(&verdict.test)) {
                self.count(report, &step.id, |row| row.time += verdict.time);
            }
            if verdict.outcome != Outcome::Passed {
                report.complaints.push(format!("{} fails on the solution: {}", verdict.test, said(&verdict)));
                failing.insert(verdict.test);
            }
        }
        Ok(failing)
    }

    /// `failing` are those that fail on the solution, too: that has been told.
    pub fn steps_come_in_order(
        &self,
        holes: &[Hole],
        failing: &BTreeSet<String>,
        report: &mut Report,
    ) -> Result<()> {
        for step in &self.chapter.steps {
            let later = holes.iter().filter(|hole| self.ordinal(&hole.step) > step.ordinal());
            let open = ids(later);
            if open.is_empty() {
                continue;
            }
            let mut tests = self.of_step(step);
            tests.retain(|test| !failing.contains(test));
            for verdict in self.sit(&tests, &open)? {
                if verdict.outcome != Outcome::Passed {
                    report.complaints.push(format!(
                        "{} judges step {} and needs a later one: {}",
                        verdict.test,
                        step.id,
                        said(&verdict)
                    ));
                }
            }
        }
        Ok(())
    }

    pub fn every_hole_is_noticed(&self, holes: &[Hole], report: &mut Report) -> Result<()> {
        let noticed = concurrently(holes, |hole| {
            let step = self.chapter.steps.iter().find(|step| step.id == hole.step);
            self.somebody_fails(&step.map(|step| self.of_step(step)).unwrap_or_default(), &hole.id)
        })?;
        for (hole, noticed) in holes.iter().zip(noticed) {
            if noticed {
                self.count(report, &hole.step, |row| row.caught += 1);
            } else {
                report.complaints.push(format!(
                    "the hole {} ({}) alone fails no test of step {}",
                    hole.id, hole.file, hole.step
                ));
            }
        }
        Ok(())
    }

    /// Lets other answers sit: those with a switch, or one that this suite was built from.
    pub fn judge(&self, patches: &[Patch], report: &mut Report) -> Result<()> {
        let judged = concurrently(patches, |patch| match &patch.kind {
            Kind::Right => {
                let failed = self.failing(&self.tests, &[(OPEN, &patch.name)])?;
                Ok(failed.map(|it| format!("is right, but {} fails: {}", it.test, said(&it))))
            }
            Kind::Wrong { step, .. } => {
                let mut earlier = self.tests.clone();
                earlier.retain(|test| {
                    self.chapter.steps.iter().any(|it| it.judges(test) && it.ordinal() < self.ordinal(step))
                });
                let own = self.chapter.steps.iter().find(|it| it.id == *step);
                if !self.somebody_fails(&own.map(|it| self.of_step(it)).unwrap_or_default(), &patch.name)? {
                    return Ok(Some(format!("passes every test of step {step}")));
                }
                let blamed = self.failing(&earlier, &[(OPEN, &patch.name), FEW])?;
                Ok(blamed.map(|it| {
                    format!("belongs to step {step}, but {} fails as well: {}", it.test, said(&it))
                }))
            }
        })?;
        for (patch, complaint) in patches.iter().zip(judged) {
            if let Kind::Wrong { step, .. } = &patch.kind {
                let rejected = usize::from(complaint.is_none());
                self.count(report, step, |row| {
                    row.wrong += 1;
                    row.rejected += rejected;
                });
            }
            let told = |complaint| format!("{}.patch {complaint}{}", patch.name, why(patch));
            report.complaints.extend(complaint.map(told));
        }
        Ok(())
    }

    fn count(&self, report: &mut Report, step: &str, count: impl FnOnce(&mut super::Row)) {
        let at = self.chapter.steps.iter().position(|known| known.id == step);
        if let Some(row) = at.and_then(|at| report.rows.get_mut(at)) {
            count(row);
        }
    }

    fn ordinal(&self, step: &str) -> u32 {
        self.chapter.steps.iter().find(|known| known.id == step).map_or(0, Step::ordinal)
    }

    fn sit(&self, tests: &[String], open: &str) -> Result<Vec<Verdict>> {
        self.sit_under(tests, &[(OPEN, open)], at_once())
    }

    fn sit_under(&self, tests: &[String], set: &[(&str, &str)], at_once: usize) -> Result<Vec<Verdict>> {
        let limits = Limits {
            test: PATIENCE,
            sitting: Duration::from_secs(600),
            memory: Some(4 << 30),
            output: 1 << 20,
            at_once,
            jail: false,
        };
        let environment: Vec<(&str, &str)> = PROPERTIES.iter().chain(set).copied().collect();
        exam::sit(&self.suite, tests, &environment, &limits, &mut |_| {})
    }

    /// The first of the tests that does not pass; those behind it need not sit.
    fn failing(&self, tests: &[String], set: &[(&str, &str)]) -> Result<Option<Verdict>> {
        for test in tests {
            let verdicts = self.sit_under(std::slice::from_ref(test), set, 1)?;
            if let Some(failed) = verdicts.into_iter().find(|verdict| verdict.outcome != Outcome::Passed) {
                return Ok(Some(failed));
            }
        }
        Ok(None)
    }

    fn somebody_fails(&self, tests: &[String], open: &str) -> Result<bool> {
        Ok(self.failing(tests, &[(OPEN, open)])?.is_some())
    }
}

fn ids<'h>(holes: impl Iterator<Item = &'h Hole>) -> String {
    let ids: BTreeSet<&str> = holes.map(|hole| hole.id.as_str()).collect();
    ids.into_iter().collect::<Vec<_>>().join(",")
}

fn why(patch: &Patch) -> String {
    match &patch.kind {
        Kind::Wrong { why, .. } => format!(" (it is wrong because: {why})"),
        Kind::Right => String::new(),
    }
}

/// The first line of what came.
fn said(verdict: &Verdict) -> String {
    match &verdict.outcome {
        Outcome::Failed { message, at } => format!("{} ({at})", message.lines().next().unwrap_or_default()),
        Outcome::Vanished(how) => {
            format!("it ended with {how}, without a word from the end of its body; is it #[graded]?")
        }
        other => format!("{other:?}"),
    }
}

/// `work` on every item, a few at the same time; the results in order.
fn concurrently<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once() {
            scope.spawn(|| {
                while let Some((at, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = work(item);
                    done.lock().expect("no worker panics").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker panicked");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
