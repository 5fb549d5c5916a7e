//! A table for people.

use std::time::Duration;

use super::report::{ChapterGrade, Report, State};
use crate::say;

/// A line when a chapter is done.
pub fn progress(name: &str, grade: &ChapterGrade) -> String {
    let (points, of) = grade.points();
    let time = say::time(Duration::from_secs_f64(grade.seconds));
    format!("{name}: {} {points} of {of} ({time})", grade.chapter)
}

pub fn write(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text += &words;
        text.push('\n');
    };
    for graded in &report.submissions {
        let (points, of) = graded.points();
        line(format!("{}: {points} of {of} points", graded.name));
        for chapter in &graded.chapters {
            let (points, of) = chapter.points();
            line(format!("\n  {}: {points} of {of}", chapter.chapter));
            if let Some(reason) = &chapter.reason {
                line(format!("      {reason}"));
            }
            for step in chapter.steps.iter().filter(|_| chapter.state == State::Graded) {
                line(format!("  {:>6} {:<44} {:>3} of {:>3}", step.id, step.title, step.points, step.of));
                let lost = step.tests.iter().filter(|test| !test.passed);
                for test in lost {
                    let why = test.reason.as_deref().unwrap_or_default();
                    line(format!("         - {}: {why}", test.rule));
                }
            }
            for note in &chapter.notes {
                line(format!("      note: {note}"));
            }
        }
        line(String::new());
    }
    if !report.walls {
        line("These submissions ran without walls: they could read this machine's files.".to_owned());
    }
    text
}
