//! Gradescope's `results.json` (gradescope-autograders.readthedocs.io, "Output Format"): a test of theirs
//! is a step of ours, so that points are where Gradescope counts them.

use anyhow::{Context, Result};
use serde_json::json;

use super::report::{ChapterGrade, Report, StepGrade};

pub fn write(report: &Report) -> Result<String> {
    let graded = report.submissions.first().context("nothing was graded")?;
    let tests = graded.chapters.iter().flat_map(|chapter| {
        chapter.steps.iter().map(|step| {
            json!({
                "number": step.id,
                "name": format!("{} {}", step.id, step.title),
                "score": step.points,
                "max_score": step.of,
                "status": if step.is_full() { "passed" } else { "failed" },
                "output": output(chapter, step),
                "output_format": "text",
                "tags": [chapter.chapter],
                "visibility": "visible",
            })
        })
    });
    let seconds: f64 = graded.chapters.iter().map(|chapter| chapter.seconds).sum();
    let (score, _) = graded.points();
    let notes: Vec<&str> =
        graded.chapters.iter().flat_map(|chapter| &chapter.notes).map(String::as_str).collect();
    let results = json!({
        "score": score,
        "execution_time": seconds.ceil() as u64,
        "output": notes.join("\n"),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&results)? + "\n")
}

/// What a student reads when they open a step.
fn output(chapter: &ChapterGrade, step: &StepGrade) -> String {
    if step.tests.is_empty() {
        let compiler = chapter.compiler.iter().map(|said| format!("\n\n{said}"));
        return step.reason.iter().cloned().chain(compiler).collect();
    }
    let lines = step.tests.iter().map(|test| match &test.reason {
        None => format!("passed: {}", test.rule),
        Some(reason) => format!("FAILED: {}\n        {reason}", test.rule),
    });
    lines.collect::<Vec<_>>().join("\n")
}
