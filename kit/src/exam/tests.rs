//! The candidates here are shell scripts that speak the protocol, or do not.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A suite whose tests are the branches of a shell's `case`; `$t` is the token.
fn suite(name: &str, branches: &str) -> Suite {
    let root = std::env::temp_dir().join(format!("kit-exam-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let program = root.join("suite");
    let script = format!("#!/bin/sh\nread -r t\ncase $2 in\n{branches}\nesac\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    Suite { program, folder: root.clone(), root }
}

fn limits() -> Limits {
    let (test, sitting) = (Duration::from_secs(10), Duration::from_secs(60));
    Limits { test, sitting, memory: None, output: 100_000, at_once: 2, jail: false }
}

/// Judges tests without a keeper, who would be this test program.
fn sit(suite: &Suite, tests: &[&str], limits: &Limits) -> Vec<Verdict> {
    let tests: Vec<String> = tests.iter().map(|test| (*test).to_owned()).collect();
    let exam = Exam { suite, environment: &[("GIVEN", "yes")], limits, keeper: None };
    let mut heard = Vec::new();
    let verdicts = sit_with(&exam, &tests, &mut |verdict| heard.push(verdict.test.clone())).unwrap();
    heard.sort();
    let mut all = tests.clone();
    all.sort();
    assert_eq!(heard, all, "each is told of once");
    assert_eq!(
        verdicts.iter().map(|verdict| &verdict.test).collect::<Vec<_>>(),
        tests.iter().collect::<Vec<_>>()
    );
    std::fs::remove_dir_all(&suite.root).unwrap();
    verdicts
}

fn outcomes(verdicts: &[Verdict]) -> Vec<&Outcome> {
    verdicts.iter().map(|verdict| &verdict.outcome).collect()
}

fn vanished(how: &str) -> Outcome {
    Outcome::Vanished(how.to_owned())
}

#[test]
fn only_the_token_from_the_end_of_the_body_counts() {
    let suite = suite(
        "token",
        r#"passes) echo words; printf 'passed %s' "$t" >&0; exit 1;;
           fails) printf 'failed %s tests/a.rs:7\nleft is 1\nright is 2' "$t" >&0;;
           prints) echo "test result: ok. 1 passed"; echo "passed $t";;
           guesses) printf 'passed 0123' >&0;;
           says_more) printf 'passed %s and more' "$t" >&0;;
           exits) exit 0;;
           dies) kill -ABRT $$;;"#,
    );
    let tests = ["passes", "fails", "prints", "guesses", "says_more", "exits", "dies", "is_unknown"];
    let verdicts = sit(&suite, &tests, &limits());
    let failed = Outcome::Failed { message: "left is 1\nright is 2".into(), at: "tests/a.rs:7".into() };
    let zero = vanished("exit status 0");
    let expected =
        [&Outcome::Passed, &failed, &zero, &zero, &zero, &zero, &vanished("signal 6 (SIGABRT)"), &zero];
    assert_eq!(outcomes(&verdicts), expected);
    assert_eq!(verdicts[0].printed, "words\n");
}

#[test]
fn whoever_takes_too_long_or_says_too_much_is_stopped_with_all_its_children() {
    let suite = suite(
        "bounds",
        r#"loops) while :; do :; done;;
           floods) while :; do echo yes; done;;
           leaves_a_child) sleep 1000 & echo "$!"; printf 'passed %s' "$t" >&0;;
           hangs_up) exec 0</dev/null; sleep 1000;;"#,
    );
    let limits = Limits { test: Duration::from_secs(2), at_once: 4, ..limits() };
    let began = Instant::now();
    let verdicts = sit(&suite, &["loops", "floods", "leaves_a_child", "hangs_up"], &limits);
    let expected =
        [&Outcome::TimedOut, &Outcome::Flooded, &Outcome::Passed, &vanished("it hung up on its examiner")];
    assert_eq!(outcomes(&verdicts), expected);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(verdicts[1].printed.len() <= 20_000, "the end is kept, not all");
    let child = verdicts[2].printed.trim();
    let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(" Z "), "the child lives: {state}");
}

#[test]
fn a_sitting_that_is_over_judges_nobody_any_more() {
    let suite = suite("over", r#"slow) sleep 1000;; quick) printf 'passed %s' "$t" >&0;;"#);
    let limits = Limits { sitting: Duration::from_secs(1), at_once: 1, ..limits() };
    let verdicts = sit(&suite, &["quick", "slow", "quick"], &limits);
    assert_eq!(outcomes(&verdicts), [&Outcome::Passed, &Outcome::NotRun, &Outcome::NotRun]);
}

#[test]
fn a_test_sees_the_environment_that_it_is_given_and_no_other() {
    let suite = suite("environment", r#"all) env; printf 'passed %s' "$t" >&0;;"#);
    let printed = &sit(&suite, &["all"], &limits())[0].printed;
    assert!(printed.contains("GIVEN=yes\n") && printed.contains("INSTA_UPDATE=no\n"), "{printed}");
    assert!(!printed.contains("CARGO"), "{printed}");
}

#[test]
fn tests_are_listed_by_their_names() {
    let suite = suite("list", "");
    let script = "#!/bin/sh\necho 'step_1::a: test'\necho 'b: benchmark'\necho 'step_2::c: test'\n";
    std::fs::write(&suite.program, script).unwrap();
    assert_eq!(list(&suite).unwrap(), ["step_1::a", "step_2::c"]);
    std::fs::remove_dir_all(&suite.root).unwrap();
}
