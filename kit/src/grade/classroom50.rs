//! Classroom 50's `result.json`, schema `classroom50/result/v1` (github.com/foundation50/classroom50,
//! wiki page "Advanced Autograding", "The result.json contract"). A test of theirs is a step of ours.
//!
//! Their runner sets the environment that tells whose submission it is, and stamps owner, type and times
//! over what stands here. Without a runner, as on an instructor's desk, those fields say `local`.

use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::json;

use super::report::Report;
use crate::student::progress::instant;

pub fn write(report: &Report) -> Result<String> {
    write_with(report, SystemTime::now(), |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn write_with(report: &Report, now: SystemTime, told: impl Fn(&str) -> Option<String>) -> Result<String> {
    let graded = report.submissions.first().context("nothing was graded")?;
    let of = |name: &str| told(name).unwrap_or_else(|| "local".to_owned());
    let steps = graded.chapters.iter().flat_map(|chapter| &chapter.steps);
    let tests = steps.map(|step| {
        let mut test = json!({
            "test-name": format!("{} {}", step.id, step.title),
            "passed": step.is_full(),
            "score": step.points,
            "max-score": step.of,
        });
        // Fields of one's own are kept as they are.
        if let Some(reason) = &step.reason {
            test["reason"] = json!(reason);
        }
        test
    });
    let (score, most) = graded.points();
    let result = json!({
        "schema": "classroom50/result/v1",
        "classroom": of("CLASSROOM"),
        "assignment": of("ASSIGNMENT"),
        "assignment_type": told("ASSIGNMENT_TYPE").unwrap_or_else(|| "individual".to_owned()),
        "owner": told("OWNER").or_else(|| told("USERNAME")).unwrap_or_else(|| graded.name.clone()),
        "submission": of("SUBMISSION_TAG"),
        "commit": of("COMMIT_URL"),
        "release": of("RELEASE_URL"),
        "review": told("REVIEW_URL").unwrap_or_else(|| of("COMMIT_URL")),
        "datetime": instant(now),
        "score": score,
        "max-score": most,
        "tests": tests.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&result)? + "\n")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::report::Graded;
    use super::*;

    #[test]
    fn who_handed_in_is_told_by_the_runner() {
        let report = Report { walls: true, submissions: vec![Graded::new("desk")] };
        let told = |name: &str| (name != "REVIEW_URL").then(|| format!("its {name}"));
        let written = write_with(&report, UNIX_EPOCH, told).unwrap();
        let result: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(result["schema"], "classroom50/result/v1");
        assert_eq!((&result["owner"], &result["review"]), (&json!("its OWNER"), &json!("its COMMIT_URL")));
        assert_eq!(result["datetime"], "1970-01-01T00:00:00Z");
        let alone = write_with(&report, UNIX_EPOCH, |_| None).unwrap();
        let result: serde_json::Value = serde_json::from_str(&alone).unwrap();
        assert_eq!((&result["owner"], &result["classroom"]), (&json!("desk"), &json!("local")));
    }
}
