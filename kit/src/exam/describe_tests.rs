use std::time::Duration;

use super::*;

fn failed(message: &str, at: &str, printed: &str) -> Came {
    Came::of(&Verdict {
        test: "step_2_filters::a_rule".into(),
        outcome: Outcome::Failed { message: message.into(), at: at.into() },
        time: Duration::from_millis(3),
        printed: printed.into(),
    })
}

fn differing(expected: &str, got: &str, about: Option<&str>) -> What {
    What::Differs { expected: expected.into(), got: got.into(), about: about.map(str::to_owned) }
}

#[test]
fn a_test_is_named_by_its_rule() {
    assert_eq!(
        rule("step_1_queue::the_highest_priority_is_popped_first"),
        "the highest priority is popped first"
    );
    assert_eq!(rule("step_1::r#move_"), "move");
}

#[test]
fn a_hole_is_told_from_a_mistake() {
    let came =
        failed("not yet implemented: lab 05.2: keep what fits", "labs/05-scheduler/src/filters.rs:12", "");
    assert_eq!(came.what, What::Unwritten { step: "05.2".into(), words: "keep what fits".into() });
    let line = "still to be written: 05.2 keep what fits (labs/05-scheduler/src/filters.rs:12)";
    assert_eq!(came.to_string(), line);
}

#[test]
fn the_right_side_of_an_equation_is_what_is_expected() {
    let came = failed("assertion `left == right` failed\n  left: [1]\n right: [2]", "t.rs:1", "");
    assert_eq!(came.what, differing("[2]", "[1]", None));
    let came = failed("assertion `left == right` failed: of b\n  left: \"x\"\n right: \"y\"", "t.rs:1", "");
    assert_eq!(came.what, differing("\"y\"", "\"x\"", Some("of b")));
    assert_eq!(came.to_string(), "expected \"y\", got \"x\"");
}

#[test]
fn a_law_comes_with_the_input_that_breaks_it() {
    let message = "Test failed: assertion failed: `(left == right)` \n  left: `3`,\n right: `4` at tests/a/s.rs:31.\nminimal failing input: pods = [\n    7,\n]\n\tsuccesses: 3\n\tlocal rejects: 0\n\tglobal rejects: 0\n";
    let came = failed(message, "tests/a/s.rs:20", "");
    assert_eq!(came.what, differing("4", "3", None));
    assert_eq!(came.input.as_deref(), Some("pods = [\n    7,\n]"));
    assert_eq!(came.to_string(), "expected 4, got 3, for pods = [ 7, ]");
    assert_eq!(came.at.as_deref(), Some("tests/a/s.rs:31"));
    let message = "Test failed: assertion failed: `(left == right)` \n  left: `3`, \n right: `4`: sums at tests/a/s.rs:31.\nminimal failing input: n = 0\n\tsuccesses: 3\n";
    assert_eq!(failed(message, "", "").what, differing("4", "3", Some("sums")));
    let message =
        "Test failed: a node is full at tests/a/s.rs:31.\nminimal failing input: n = 0\n\tsuccesses: 0\n";
    assert_eq!(failed(message, "", "").what, What::Panicked("a node is full".into()));
}

#[test]
fn a_panic_that_a_law_caught_is_looked_up_where_it_was() {
    let message =
        "Test failed: attempt to subtract with overflow.\nminimal failing input: n = 0\n\tsuccesses: 0\n";
    let printed = "\nthread 'step_1::x' (7) panicked at labs/05-scheduler/src/queue.rs:31:9:\nattempt to subtract with overflow\n\nthread 'step_1::x' (7) panicked at tests/05-scheduler/tests/scheduler/step_1_queue.rs:100:1:\nTest failed: attempt\n";
    let came = failed(message, "tests/05-scheduler/tests/scheduler/step_1_queue.rs:100", printed);
    assert_eq!(came.at.as_deref(), Some("labs/05-scheduler/src/queue.rs:31"));
    assert_eq!(came.what, What::Panicked("attempt to subtract with overflow".into()));
}

#[test]
fn the_diff_of_a_golden_is_found_in_what_was_printed() {
    let printed = "━━━━ Snapshot Summary ━━━━\nExpression: said\n────\n-old snapshot\n+new results\n────────────┬────\n    1     1 │ no nodes:\n    2       │-  0/0 nodes\n          2 │+  none\n────────────┴────\nTo update";
    let came = failed("snapshot assertion for 'a' failed in line 80", "tests/a.rs:80", printed);
    assert_eq!(came.what, What::Golden(vec![" no nodes:".into(), "-  0/0 nodes".into(), "+  none".into()]));
    assert_eq!(came.to_string(), "expected the line \"0/0 nodes\", got \"none\"");
    let came = failed("snapshot assertion for 'a' failed in line 80", "tests/a.rs:80", "");
    assert_eq!(came.to_string(), "not the expected text");
}

#[test]
fn long_values_are_cut_to_where_they_differ() {
    let (one, other) = (format!("{}A{}", "x".repeat(100), "y".repeat(100)), "x".repeat(200));
    let (one, other) = around_the_difference(&one, &other, 30);
    assert_eq!(one, format!("…{}A{}…", "x".repeat(10), "y".repeat(19)));
    assert_eq!(other, format!("…{}…", "x".repeat(30)));
    assert_eq!(around_the_difference("a", "b", 30), ("a".into(), "b".into()));
}

#[test]
fn every_beginning_of_a_message_is_described() {
    let whole = [
        "Test failed: assertion failed: `(left == right)` \n  left: `é`,\n right: `4`: sums at tests/a/s.rs:31.\nminimal failing input: n = 0\n\tsuccesses: 3\n",
        "assertion `left == right` failed: of b\n  left: \"x\"\n right: \"é\"",
        "not yet implemented: lab 05.2: keep what fits\nand more",
        "snapshot assertion for 'a' failed in line 80",
        "thread 'a' panicked at é.rs:1:1:\nwhat at x.rs:1",
    ];
    for message in whole {
        let ends = message.char_indices().map(|(end, _)| &message[..end]).chain([message]);
        ends.for_each(|part| assert!(!failed(part, "", message).to_string().is_empty(), "{part:?}"));
    }
}

#[test]
fn a_stack_that_overflows_is_told_from_other_ends() {
    let ended = |printed: &str| {
        let outcome = Outcome::Vanished("signal 6 (SIGABRT)".into());
        let (test, time) = ("step_1::a".into(), Duration::ZERO);
        Came::of(&Verdict { test, outcome, time, printed: printed.into() }).what
    };
    assert_eq!(ended("\nthread 'step_1::a' (7) has overflowed its stack\nfatal"), What::Overflowed);
    assert_eq!(ended(""), What::Vanished("signal 6 (SIGABRT)".into()));
}
