//! One chapter of one submission.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::report::{ChapterGrade, State, StepGrade, TestGrade};
use super::submission::{Part, Submission};
use crate::chapters::{Chapter, Step};
use crate::exam::describe::{Came, cut, rule};
use crate::exam::{self, Limits, Outcome, Suite, Verdict};
use crate::place::Place;
use crate::stage::{self, Built, Core, Stage};

/// A test of ours takes a hundredth of it, on a slow machine a tenth.
const TEST: Duration = Duration::from_secs(10);
/// All tests of a step together: many loops are no better than one.
const STEP: Duration = Duration::from_secs(30);
const MEMORY: u64 = 1 << 30;
const OUTPUT: usize = 1 << 20;
/// Where random tests begin, so that nobody gains by handing in twice.
const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "20");
/// Of what was printed, so much goes into a report.
const SHOWN: usize = 4000;

pub fn grade(place: &Place, chapter: &Chapter, submission: &Submission, walls: bool) -> ChapterGrade {
    let began = Instant::now();
    let mut grade = ChapterGrade {
        chapter: chapter.name.clone(),
        title: chapter.title.clone(),
        state: State::NotBegun,
        reason: None,
        compiler: None,
        notes: submission.unused(place, chapter).iter().map(|note| clean(note)).collect(),
        seconds: 0.0,
        steps: chapter.steps.iter().map(unearned).collect(),
    };
    if let Err(error) = fill(&mut grade, place, chapter, submission, walls) {
        grade.is_out(State::Ungraded, format!("NOT GRADED, the grader failed: {error:#}"));
    }
    grade.seconds = began.elapsed().as_secs_f64();
    grade
}

fn fill(
    grade: &mut ChapterGrade,
    place: &Place,
    chapter: &Chapter,
    submission: &Submission,
    walls: bool,
) -> Result<()> {
    match submission.part(place, chapter)? {
        Part::Missing => grade.is_out(State::NotBegun, "it was not handed in".to_owned()),
        Part::Skeleton => grade.is_out(State::NotBegun, "not begun: it is the skeleton".to_owned()),
        Part::Refused(why) => grade.is_out(State::Refused, clean(&format!("it was not taken: {why}"))),
        Part::Files(files, look) => {
            grade.notes.extend(look.iter().map(|note| clean(note)));
            let src = stage::aside(place, &format!("taken-{}", std::process::id()))?;
            let _ = fs::remove_dir_all(&src);
            for (path, text) in files {
                let path = src.join(path);
                fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
                fs::write(path, text)?;
            }
            let stage = Stage::lay(place, chapter, "grade", &Core::Submission(&src));
            fs::remove_dir_all(&src)?;
            let stage = stage?;
            match stage.build(chapter)? {
                Built::Refused(said) => {
                    grade.compiler = Some(clean(&cut(&said, SHOWN)));
                    grade.is_out(State::Refused, clean(&does_not_compile(&said)));
                }
                Built::Suite(suite) => {
                    grade.state = State::Graded;
                    let tests = exam::list(&suite)?;
                    let limits = Limits {
                        test: TEST,
                        sitting: STEP,
                        memory: Some(MEMORY),
                        output: OUTPUT,
                        at_once: std::thread::available_parallelism().map_or(1, usize::from),
                        jail: walls,
                    };
                    let steps = chapter.steps.iter().map(|step| sit(&suite, step, &tests, &limits));
                    grade.steps = steps.collect::<Result<_>>()?;
                }
            }
        }
    }
    Ok(())
}

impl ChapterGrade {
    /// No points for any of it.
    fn is_out(&mut self, state: State, reason: String) {
        self.state = state;
        for step in &mut self.steps {
            step.reason = Some(reason.clone());
        }
        self.reason = Some(reason);
    }
}

fn unearned(step: &Step) -> StepGrade {
    let (id, title) = (step.id.clone(), step.title.clone());
    StepGrade { id, title, points: 0, of: step.points, reason: None, tests: Vec::new() }
}

fn sit(suite: &Suite, step: &Step, tests: &[String], limits: &Limits) -> Result<StepGrade> {
    let own: Vec<String> = tests.iter().filter(|test| step.judges(test)).cloned().collect();
    if own.is_empty() {
        bail!("step {} has no tests: there is nothing to give points for", step.id);
    }
    let verdicts = exam::sit(suite, &own, &[SEED], limits, &mut |_| {})?;
    let tests: Vec<TestGrade> = verdicts.iter().map(|verdict| judged(verdict, limits)).collect();
    let lost: Vec<&TestGrade> = tests.iter().filter(|test| !test.passed).collect();
    let reason = lost.first().map(|first| {
        let why = first.reason.as_deref().unwrap_or_default();
        format!("{} of {} tests failed. {}: {why}", lost.len(), tests.len(), first.rule)
    });
    let points = if reason.is_none() { step.points } else { 0 };
    Ok(StepGrade { points, reason, tests, ..unearned(step) })
}

fn judged(verdict: &Verdict, limits: &Limits) -> TestGrade {
    let passed = verdict.outcome == Outcome::Passed;
    TestGrade {
        name: verdict.test.clone(),
        rule: rule(&verdict.test),
        passed,
        reason: (!passed).then(|| clean(&reason(verdict, limits))),
        printed: (!passed).then(|| clean(&end_of(verdict.printed.trim(), SHOWN))),
        seconds: verdict.time.as_secs_f64(),
    }
}

/// What a student's code said must not steer the terminal of whoever reads it.
fn clean(text: &str) -> String {
    let dangerous = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    text.replace(dangerous, "\u{fffd}")
}

/// The last of a text, with a sign that something stood before it.
fn end_of(text: &str, most: usize) -> String {
    match text.char_indices().rev().nth(most) {
        Some((from, _)) => format!("…{}", &text[from..]),
        None => text.to_owned(),
    }
}

/// Why a test did not pass, in a sentence for its author.
fn reason(verdict: &Verdict, limits: &Limits) -> String {
    let said = |words: &str| verdict.printed.contains(words);
    match &verdict.outcome {
        Outcome::TimedOut => {
            format!("it was stopped after {} s: it loops, or is far too slow", limits.test.as_secs())
        }
        Outcome::Flooded => format!("it was stopped: it printed more than {} KiB", limits.output >> 10),
        Outcome::Vanished(_) if said("memory allocation of ") => {
            format!("it wanted more memory than the {} MiB that it may have", MEMORY >> 20)
        }
        Outcome::Vanished(_) if said(" has overflowed its stack") => {
            "its stack overflowed: a recursion without end?".to_owned()
        }
        Outcome::Vanished(how) => format!("the program ended before the test did ({how})"),
        _ => Came::of(verdict).to_string(),
    }
}

/// The first error in a line, with its place.
fn does_not_compile(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error"));
    let error = lines.next().unwrap_or("error");
    let place =
        lines.take_while(|line| !line.is_empty()).find_map(|line| line.trim_start().strip_prefix("--> "));
    let error = cut(error, 300);
    match place {
        Some(place) if place.starts_with("tests/") => {
            format!(
                "the tests do not compile with it; was something changed that they use? {error} ({place})"
            )
        }
        Some(place) => format!("it does not compile: {error} ({place})"),
        None => format!("it does not compile: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_with_its_place() {
        let said = "error[E0308]: mismatched types\n  --> labs/05-scheduler/src/queue.rs:12:5\n   |\n\nerror: other\n";
        let expected =
            "it does not compile: error[E0308]: mismatched types (labs/05-scheduler/src/queue.rs:12:5)";
        assert_eq!(does_not_compile(said), expected);
        let nowhere = does_not_compile("Caused by:\nerror: could not compile `a` (lib)\n\n --> other:1:1");
        assert_eq!(nowhere, "it does not compile: error: could not compile `a` (lib)");
    }

    #[test]
    fn each_way_to_lose_a_test_has_its_words() {
        let limits = Limits {
            test: TEST,
            sitting: STEP,
            memory: Some(MEMORY),
            output: OUTPUT,
            at_once: 1,
            jail: true,
        };
        let because = |outcome, printed: &str| {
            let verdict = Verdict { test: "a::b".into(), outcome, time: TEST, printed: printed.into() };
            reason(&verdict, &limits)
        };
        let vanished = |how: &str| Outcome::Vanished(how.into());
        assert_eq!(because(Outcome::TimedOut, ""), "it was stopped after 10 s: it loops, or is far too slow");
        assert_eq!(because(Outcome::Flooded, ""), "it was stopped: it printed more than 1024 KiB");
        let zero = because(vanished("exit status 0"), "test result: ok");
        assert_eq!(zero, "the program ended before the test did (exit status 0)");
        let memory = because(vanished("signal 6 (SIGABRT)"), "memory allocation of 9 bytes failed");
        assert_eq!(memory, "it wanted more memory than the 1024 MiB that it may have");
        let stack = because(vanished("signal 6 (SIGABRT)"), "thread 'a' has overflowed its stack");
        assert_eq!(stack, "its stack overflowed: a recursion without end?");
    }
}
