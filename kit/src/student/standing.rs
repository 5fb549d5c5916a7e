//! How the steps of a chapter stand, without running anything: marks, words and points.

use crate::chapters::{Chapter, Step};
use crate::place::Place;
use crate::student::holes::{self, OpenHole};
use crate::student::judge;
use crate::student::page::Page;
use crate::student::progress::{Progress, Record, State};

/// A step, and what is known of it.
pub struct Standing<'a> {
    pub step: &'a Step,
    pub record: Record,
    pub state: State,
    pub holes: Vec<OpenHole>,
    /// There is no lab to write in.
    is_missing: bool,
}

/// The steps of a chapter, in order.
pub fn of_chapter<'a>(place: &Place, chapter: &'a Chapter, progress: &Progress) -> Vec<Standing<'a>> {
    let sources = judge::sources(place, chapter);
    let open = holes::open(place, chapter);
    let is_missing = judge::must_exist(place, chapter).is_err();
    let of = |step: &'a Step| {
        let record = progress.of(step);
        let holes = open.iter().filter(|hole| hole.step == step.id).cloned().collect();
        Standing { step, state: record.state(&sources), record, holes, is_missing }
    };
    chapter.steps.iter().map(of).collect()
}

/// The first one that is left to do.
pub fn next<'a, 'b>(standings: &'b [Standing<'a>]) -> Option<&'b Standing<'a>> {
    standings.iter().find(|standing| !standing.is_done())
}

impl Standing<'_> {
    /// A hole that stands open now says more than what was true once.
    pub fn is_done(&self) -> bool {
        self.state.is_done() && self.holes.is_empty()
    }

    pub fn points(&self) -> u32 {
        if self.is_done() { self.step.points } else { 0 }
    }

    pub fn mark(&self, page: &Page) -> String {
        let seen = self.record.given_up.is_some();
        match &self.state {
            State::Done | State::Changed if !self.holes.is_empty() => page.yellow("/"),
            State::Done if seen => page.yellow("s"),
            State::Done => page.green("✓"),
            State::Changed => page.green("~"),
            State::Broken { .. } => page.red("✗"),
            State::Begun { .. } => page.yellow("/"),
            State::Open => page.dim("·"),
        }
    }

    pub fn words(&self) -> String {
        let done = self.record.done.as_deref().unwrap_or_default();
        let mut words = match &self.state {
            State::Done | State::Changed if !self.holes.is_empty() => "begun again".to_owned(),
            State::Done => format!("done {done}"),
            State::Changed => format!("done {done}, changed since"),
            State::Broken { passed, of } => format!("was done; {passed} of {of} tests pass"),
            State::Begun { passed, of } => format!("{passed} of {of} tests pass"),
            State::Open if self.is_missing => "its lab is missing".to_owned(),
            State::Open if self.holes.is_empty() && self.record.latest.is_none() => {
                "written, not judged yet".to_owned()
            }
            State::Open if self.holes.is_empty() => "no test passes yet".to_owned(),
            State::Open => String::new(),
        };
        if self.record.given_up.is_some() {
            words += if words.is_empty() { "solution seen" } else { ", solution seen" };
        }
        words
    }
}

/// What the marks say, as far as they occur.
pub fn legend(page: &Page, standings: &[&Standing<'_>]) -> String {
    let plain = Page::without_colour();
    let all = [
        ("✓", "done"),
        ("s", "done, solution seen"),
        ("~", "done, changed since it was judged"),
        ("✗", "fails now"),
        ("/", "begun"),
        ("·", "to do"),
    ];
    let occurs = |mark: &str| standings.iter().any(|standing| standing.mark(&plain) == mark);
    let told: Vec<String> =
        all.iter().filter(|(mark, _)| occurs(mark)).map(|(mark, words)| format!("{mark} {words}")).collect();
    page.dim(&told.join("   "))
}
