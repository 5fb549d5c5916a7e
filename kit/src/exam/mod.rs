//! # The examiner
//!
//! Runs tests of a grading suite, each in a process of its own, and believes nothing but the token that
//! comes back from the end of a test's body (the protocol is told in `tests/graded/src/lib.rs`).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

/// A chapter's tests, as one program.
#[derive(Clone, Debug)]
pub struct Suite {
    pub program: PathBuf,
    /// The workspace in which it was compiled: the names of its snapshots begin there.
    pub root: PathBuf,
    /// Its own folder, where its tests run: `tests/05-scheduler`.
    pub folder: PathBuf,
}

/// What one test may use, and what all of them together may.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall time of one test.
    pub test: Duration,
    /// Wall time of the whole sitting; what has not run by then counts as [`Outcome::NotRun`].
    pub sitting: Duration,
    /// Bytes of address space; `None` leaves it open.
    pub memory: Option<u64>,
    /// Bytes of standard output and error that are read before the test is stopped.
    pub output: usize,
    /// How many tests sit at the same time.
    pub at_once: usize,
    /// Shut in: no sources, no network, few processes, nothing to write to but its own `/tmp`.
    pub jail: bool,
}

/// One test, judged.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `step_1_quantities::every_suffix_has_its_factor`
    pub test: String,
    pub outcome: Outcome,
    pub time: Duration,
    /// The end of what it printed, both streams.
    pub printed: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The body reached its end.
    Passed,
    /// The body panicked.
    Failed { message: String, at: String },
    /// Killed after [`Limits::test`].
    TimedOut,
    /// Killed after too much [`Limits::output`].
    Flooded,
    /// The process ended without a word from the end of the body: how it ended.
    Vanished(String),
    /// The sitting was over.
    NotRun,
}

/// The names of a suite's tests, as its program lists them.
pub fn list(suite: &Suite) -> Result<Vec<String>> {
    let _ = suite;
    todo!()
}

/// Lets `tests` of a suite sit, and calls `judged` for each as it ends; the verdicts come in the order
/// of `tests`. `environment` is set for each of them.
pub fn sit(
    suite: &Suite,
    tests: &[String],
    environment: &[(&str, &str)],
    limits: &Limits,
    judged: &mut dyn FnMut(&Verdict),
) -> Result<Vec<Verdict>> {
    let _ = (suite, tests, environment, limits, judged);
    todo!()
}
