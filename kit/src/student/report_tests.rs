use std::time::Duration;

use super::*;
use crate::chapters::Hints;

fn step(id: &str, title: &str) -> Step {
    let hints = Hints { nudge: String::new(), approach: String::new(), sketch: String::new() };
    Step {
        id: id.into(),
        title: title.into(),
        minutes: 90,
        points: 25,
        file: "src/filters.rs".into(),
        anchor: "step-2-filters".into(),
        tests: vec!["step_2_filters".into()],
        why: "A filter answers one question: may this pod run here at all? It counts requests, never use, \
              so that the answer is the same for every observer."
            .into(),
        hints,
    }
}

fn place() -> Place {
    // Nowhere near the current folder's tree, so that paths are told in full.
    Place { root: "/w".into(), home: "/w/.coracle".into() }
}

fn scheduler() -> Chapter {
    Chapter {
        number: "05".into(),
        name: "05-scheduler".into(),
        package: "scheduler".into(),
        title: "The scheduler".into(),
        steps: vec![step("05.1", "The queue"), step("05.2", "Filters"), step("05.3", "Scores")],
    }
}

fn about<'a>(place: &'a Place, chapter: &'a Chapter) -> About<'a> {
    let suite = PathBuf::from("/w/tests/05-scheduler/tests/scheduler/step_2_filters.rs");
    let rule = |doc: Option<&str>, line| Rule { doc: doc.map(str::to_owned), file: suite.clone(), line };
    let rules = [
        (
            "step_2_filters::a_host_port_is_taken_once",
            rule(
                Some(
                    "Two sockets cannot listen on one port; the second pod would start and fail, again and again.",
                ),
                81,
            ),
        ),
        ("step_2_filters::a_refusal_says_why_in_upstreams_words", rule(None, 40)),
    ];
    let hole = OpenHole {
        step: "05.2".into(),
        words: "keep a node only if every requested resource still fits".into(),
        function: "fits".into(),
        file: "/w/labs/05-scheduler/src/filters.rs".into(),
        line: 120,
    };
    let rules = rules.into_iter().map(|(test, rule)| (test.to_owned(), rule)).collect();
    About { place, chapter, rules, holes: vec![hole] }
}

fn verdict(test: &str, outcome: Outcome) -> Verdict {
    let time = if outcome == Outcome::TimedOut { 10 } else { 0 };
    let printed = "────────────┬───\n    1     1 │ no nodes:\n    2       │-  0/0 nodes are available\n          2 │+  none\n────────────┴───\n";
    Verdict {
        test: format!("step_2_filters::{test}"),
        outcome,
        time: Duration::from_secs(time),
        printed: printed.into(),
    }
}

fn failed(test: &str, message: &str, at: &str) -> Verdict {
    verdict(test, Outcome::Failed { message: message.into(), at: at.into() })
}

fn told(width: usize, verdicts: Vec<Verdict>) -> String {
    let (place, chapter) = (place(), scheduler());
    let mut page = Page::plain(width);
    details(&mut page, &about(&place, &chapter), &Judged { step: step("05.2", "Filters"), verdicts });
    page.text().to_owned()
}

#[test]
fn a_mistake_is_told_before_what_is_missing() {
    let text = told(
        80,
        vec![
            failed(
                "requests_of_all_containers_count",
                "not yet implemented: lab 05.2: keep a node only if every requested resource still fits",
                "labs/05-scheduler/src/filters.rs:120",
            ),
            failed(
                "a_host_port_is_taken_once",
                "assertion `left == right` failed: on one node\n  left: [\"n1\", \"n2\"]\n right: [\"n1\", \"n3\"]",
                "tests/05-scheduler/tests/scheduler/step_2_filters.rs:90",
            ),
            failed(
                "a_refusal_says_why_in_upstreams_words",
                "snapshot assertion for 'a' failed in line 80",
                "tests/05-scheduler/tests/scheduler/step_2_filters.rs:20",
            ),
            failed(
                "of_another_step",
                "not yet implemented: lab 05.1: take the best one",
                "labs/05-scheduler/src/queue.rs:7",
            ),
            verdict("this_passes", Outcome::Passed),
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_loop_is_told_as_one() {
    let text = told(
        80,
        vec![
            verdict("the_first", Outcome::TimedOut),
            verdict("the_second", Outcome::TimedOut),
            verdict("the_third", Outcome::NotRun),
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn whatever_else_may_come_has_words() {
    let law = "Test failed: assertion failed: `(left == right)` \n  left: `3`,\n right: `4` at tests/a/s.rs:31.\nminimal failing input: pods = [\n    Pod {\n        cpu: 7,\n    },\n], n = 1\n\tsuccesses: 3\n";
    let text = told(
        60,
        vec![
            failed("a_law", law, "tests/x.rs:1"),
            failed(
                "an_index",
                "index out of bounds: the len is 0 but the index is 0",
                "labs/05-scheduler/src/queue.rs:31",
            ),
            failed(
                "a_text",
                "assertion `left == right` failed\n  left: \"a\\nb\\nc\\nd\"\n right: \"a\\nx\\nc\\nd\"",
                "tests/x.rs:1",
            ),
        ],
    );
    insta::assert_snapshot!(text);
    let text = told(
        60,
        vec![
            failed("a_condition", "assertion failed: queue.pop(at(999)).is_none()", "tests/x.rs:1"),
            verdict("a_flood", Outcome::Flooded),
            verdict("an_end", Outcome::Vanished("signal 6 (SIGABRT)".into())),
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_chapter_is_a_line_a_step() {
    let (place, chapter) = (place(), scheduler());
    let judged = |n: usize, verdicts| Judged { step: chapter.steps[n].clone(), verdicts };
    let pass = || verdict("this_passes", Outcome::Passed);
    let all = [
        judged(0, vec![pass(), pass()]),
        judged(1, vec![verdict("it_loops", Outcome::TimedOut), pass()]),
        judged(2, vec![verdict("not_run", Outcome::NotRun)]),
    ];
    let mut page = Page::plain(80);
    super::chapter(&mut page, &about(&place, &chapter), &all);
    broken(&mut page, &all);
    insta::assert_snapshot!(page.text());
}

#[test]
fn the_compiler_has_the_word_behind_a_sentence() {
    let (place, chapter) = (place(), scheduler());
    let mut page = Page::plain(80);
    for (guilty, errors, said) in [
        (Guilty::Lab, vec!["error[E0308]: mismatched types\n --> labs/05-scheduler/src/a.rs:1:1\n"; 7], ""),
        (Guilty::Suite, vec!["error[E0425]: cannot find function `fits`\n"], ""),
        (Guilty::Other, vec![], "error: no space left on device\n"),
    ] {
        let errors = errors.into_iter().map(str::to_owned).collect();
        let said = said.to_owned();
        refusal(
            &mut page,
            &about(&place, &chapter),
            &Refusal { guilty, errors, said },
            "cargo kit check 5.2",
        );
        page.line("=====");
    }
    insta::assert_snapshot!(page.text());
}

#[test]
fn numbers_are_typed_without_their_zero() {
    assert_eq!(["00.1", "05.2", "12.10", "00", "05"].map(short), ["0.1", "5.2", "12.10", "0", "5"]);
}

#[test]
fn pretty_values_are_told_in_a_line() {
    assert_eq!(
        in_a_line("a = (\n    \"0n\",\n    [\n        1,\n        2,\n    ],\n), b = P {\n    c: 1,\n}"),
        "a = (\"0n\", [1, 2]), b = P { c: 1 }"
    );
    assert_eq!(in_a_line("n = 0"), "n = 0");
}
