//! What was found, as data. `--format json` is this, field by field; the book's page for instructors
//! tells what they mean, so a change here is a change there.

use anyhow::Result;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether submissions were shut in; false where the machine forbids it.
    pub walls: bool,
    pub submissions: Vec<Graded>,
}

/// One submission.
#[derive(Clone, Debug, Serialize)]
pub struct Graded {
    pub name: String,
    pub chapters: Vec<ChapterGrade>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChapterGrade {
    /// `05-scheduler`
    pub chapter: String,
    pub title: String,
    pub state: State,
    /// Why the chapter as a whole has no points, if that is so.
    pub reason: Option<String>,
    /// What the compiler said about it, the beginning.
    pub compiler: Option<String>,
    /// What the submission holds that was not used.
    pub notes: Vec<String>,
    pub seconds: f64,
    pub steps: Vec<StepGrade>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It compiled, and its tests ran.
    Graded,
    /// It is the skeleton, or it is not there.
    NotBegun,
    /// It was not taken, or it does not compile.
    Refused,
    /// The grader could not do its work: these are no points of the student's.
    Ungraded,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepGrade {
    /// `05.2`
    pub id: String,
    pub title: String,
    pub points: u32,
    pub of: u32,
    /// Why points are missing, if they are.
    pub reason: Option<String>,
    /// Empty if the chapter was not run.
    pub tests: Vec<TestGrade>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TestGrade {
    /// `step_2_filters::a_taint_keeps_pods_away`
    pub name: String,
    /// `a taint keeps pods away`
    pub rule: String,
    pub passed: bool,
    pub reason: Option<String>,
    /// The end of what a failing test printed.
    pub printed: Option<String>,
    pub seconds: f64,
}

impl Report {
    pub fn to_json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Outer<'a> {
            schema: &'static str,
            #[serde(flatten)]
            report: &'a Report,
        }
        let outer = Outer { schema: "coracle/grade/v1", report: self };
        Ok(serde_json::to_string_pretty(&outer)? + "\n")
    }
}

impl Graded {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), chapters: Vec::new() }
    }

    /// Points, and how many there are.
    pub fn points(&self) -> (u32, u32) {
        let points = self.chapters.iter().map(ChapterGrade::points);
        points.fold((0, 0), |(got, of), (more_got, more_of)| (got + more_got, of + more_of))
    }
}

impl ChapterGrade {
    pub fn points(&self) -> (u32, u32) {
        (self.steps.iter().map(|step| step.points).sum(), self.steps.iter().map(|step| step.of).sum())
    }
}

impl StepGrade {
    pub fn is_full(&self) -> bool {
        self.reason.is_none()
    }
}
