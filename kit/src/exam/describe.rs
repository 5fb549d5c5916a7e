//! What came of a test, in words for whoever wrote the answer.
//!
//! A panic message is written for the test's author. Here it is taken apart again: the two sides of an
//! equation, the input for which a law fails, the diff of a golden, the hole that was reached.

use std::fmt;

use crate::exam::{Outcome, Verdict};

/// One verdict, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    pub what: What,
    /// For a law: the smallest input for which it fails.
    pub input: Option<String>,
    /// `labs/05-scheduler/src/filters.rs:120`
    pub at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Passed,
    /// It came to a hole: `05.2`, and what to do there.
    Unwritten {
        step: String,
        words: String,
    },
    /// Two values differ. In our suites the expected one stands on the right.
    Differs {
        expected: String,
        got: String,
        about: Option<String>,
    },
    /// A text differs from the golden one: lines that begin with `-` (expected), `+` (got) or a space.
    Golden(Vec<String>),
    /// Any other panic.
    Panicked(String),
    /// It did not end within this many seconds.
    TimedOut(u64),
    Flooded,
    /// The stack was used up.
    Overflowed,
    /// The process ended without a word: how.
    Vanished(String),
    NotRun,
}

/// `step_1_queue::the_highest_priority_is_popped_first` is the rule that the highest priority is popped
/// first.
pub fn rule(test: &str) -> String {
    let name = test.rsplit("::").next().unwrap_or(test);
    // A raw identifier, where a name is a word of Rust's.
    name.trim_start_matches("r#").replace('_', " ").trim().to_owned()
}

impl Came {
    pub fn of(verdict: &Verdict) -> Self {
        let plain = |what| Came { what, input: None, at: None };
        match &verdict.outcome {
            Outcome::Passed => plain(What::Passed),
            Outcome::Failed { message, at } => Self::of_panic(message, at, &verdict.printed),
            Outcome::TimedOut => plain(What::TimedOut(verdict.time.as_secs_f64().round() as u64)),
            Outcome::Flooded => plain(What::Flooded),
            Outcome::Vanished(_) if verdict.printed.contains("has overflowed its stack") => {
                plain(What::Overflowed)
            }
            Outcome::Vanished(how) => plain(What::Vanished(how.clone())),
            Outcome::NotRun => plain(What::NotRun),
        }
    }

    fn of_panic(message: &str, at: &str, printed: &str) -> Self {
        let (why, input) = law(message).map_or((message, None), |(why, input)| (why, Some(input)));
        let what = unwritten(why)
            .or_else(|| golden(why, printed))
            .or_else(|| differs(why))
            .unwrap_or_else(|| What::Panicked(without_place(why).to_owned()));
        let mut at = Some(at).filter(|at| !at.is_empty()).map(str::to_owned);
        if input.is_some() {
            // The law's own panic stands where the law begins; what it caught says where it was.
            at = place(why).map(|(_, place)| place.to_owned()).or_else(|| caught(why, printed)).or(at);
        }
        Came { what, input: input.map(str::to_owned), at }
    }
}

/// In a line: for a list of lost points.
impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Passed => write!(f, "passed"),
            What::Unwritten { step, words } => write!(f, "still to be written: {step} {words}"),
            What::Differs { expected, got, .. } => {
                let (expected, got) = around_the_difference(expected, got, 70);
                write!(f, "expected {expected}, got {got}")
            }
            What::Golden(diff) => {
                let first = |sign: char| diff.iter().find_map(|line| line.strip_prefix(sign)).map(str::trim);
                match (first('-'), first('+')) {
                    (None, None) => write!(f, "not the expected text"),
                    (Some(expected), None) => write!(f, "expected the line {expected:?}, which is missing"),
                    (None, Some(got)) => write!(f, "got the line {got:?}, which is not expected"),
                    (Some(expected), Some(got)) => write!(f, "expected the line {expected:?}, got {got:?}"),
                }
            }
            What::Panicked(message) => {
                write!(f, "{}", cut(message.lines().next().unwrap_or("it panicked"), 160))
            }
            What::TimedOut(seconds) => write!(f, "it did not end within {seconds} s"),
            What::Flooded => write!(f, "it printed more than anybody reads, and was stopped"),
            What::Overflowed => write!(f, "its stack overflowed: a function that calls itself for ever?"),
            What::Vanished(how) => write!(f, "its process ended before the test did ({how})"),
            What::NotRun => write!(f, "not run: time was up"),
        }?;
        if let Some(input) = &self.input {
            let input = input.split_whitespace().collect::<Vec<_>>().join(" ");
            write!(f, ", for {}", cut(&input, 100))?;
        }
        let place = matches!(self.what, What::Panicked(_) | What::Unwritten { .. });
        match &self.at {
            Some(at) if place => write!(f, " ({at})"),
            _ => Ok(()),
        }
    }
}

/// A failing law, as proptest reports it: why it fails, and the smallest input that was found.
fn law(message: &str) -> Option<(&str, &str)> {
    let (why, rest) = message.strip_prefix("Test failed: ")?.split_once(".\nminimal failing input: ")?;
    let input = rest.split("\n\tsuccesses:").next().unwrap_or(rest);
    Some((why, input.trim()))
}

/// `not yet implemented: lab 05.2: words`, also deep inside another message, such as one of a thread's.
fn unwritten(message: &str) -> Option<What> {
    let (_, hole) = message.split_once("not yet implemented: lab ")?;
    let (step, words) = hole.lines().next()?.split_once(": ")?;
    Some(What::Unwritten { step: step.to_owned(), words: words.to_owned() })
}

/// insta prints the diff, and says in its panic only that there is one.
fn golden(message: &str, printed: &str) -> Option<What> {
    message.starts_with("snapshot assertion for ").then(|| {
        let shown = printed.lines().skip_while(|line| !line.starts_with("────────────┬")).skip(1);
        let diff = shown.take_while(|line| !line.starts_with("────────────┴"));
        What::Golden(diff.filter_map(|line| Some(line.split_once('│')?.1.to_owned())).collect())
    })
}

/// The two sides of `assert_eq!` and of `prop_assert_eq!`.
fn differs(message: &str) -> Option<What> {
    if let Some(rest) = message.strip_prefix("assertion `left == right` failed") {
        let (about, sides) = rest.split_once("\n  left: ")?;
        let (got, expected) = sides.split_once("\n right: ")?;
        let about = about.strip_prefix(": ").map(str::to_owned);
        return Some(What::Differs { expected: expected.to_owned(), got: got.to_owned(), about });
    }
    let sides = message.strip_prefix("assertion failed: `(left == right)` \n  left: `")?;
    let (got, rest) = sides.split_once("`, \n right: `").or_else(|| sides.split_once("`,\n right: `"))?;
    let (expected, about) = without_place(rest).rsplit_once('`')?;
    let about = about.strip_prefix(": ").map(str::to_owned);
    Some(What::Differs { expected: expected.to_owned(), got: got.to_owned(), about })
}

/// prop_assert! puts `at tests/…/step.rs:12` behind its message.
fn place(message: &str) -> Option<(&str, &str)> {
    let (before, place) = message.rsplit_once(" at ")?;
    let is_place = place.contains(".rs:") && !place.contains(char::is_whitespace);
    is_place.then_some((before, place))
}

fn without_place(message: &str) -> &str {
    place(message).map_or(message, |(before, _)| before)
}

/// Where the panic came from that a law caught: the last one with this message.
fn caught(message: &str, printed: &str) -> Option<String> {
    let first = message.lines().next()?;
    let mut found = None;
    let mut lines = printed.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, place)) = line.split_once(" panicked at ") else { continue };
        if lines.peek().is_some_and(|said| said.trim_start() == first) {
            // FILE:LINE:COLUMN:
            found = place.trim_end_matches(':').rsplit_once(':').map(|(place, _)| place.to_owned());
        }
    }
    found
}

/// Two long texts, each cut to the surroundings of the first place where they differ.
pub fn around_the_difference(one: &str, other: &str, width: usize) -> (String, String) {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let longest = one.chars().count().max(other.chars().count());
    // A third of what is shown is what they share.
    let from = if longest <= width { 0 } else { same.saturating_sub(width / 3) };
    let shown = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        let before = if from > 0 { "…" } else { "" };
        format!("{before}{}", cut(&rest, width))
    };
    (shown(one), shown(other))
}

/// The beginning of a text, with a sign that it goes on.
pub fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
