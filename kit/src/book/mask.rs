//! # What a terminal printed, compared with what the page says
//!
//! A page shows one run, and no run is like another. So both sides are **masked** first: what is
//! different each time becomes a word that says what stood there.
//!
//! | what | for example | becomes |
//! |---|---|---|
//! | times and dates | `2026-11-21T01:20:00.08Z`, `Sat Nov 21 01:29:57 UTC 2026`, `01:29:57` | `<time>` |
//! | ages and durations, as words of their own | `34s`, `5m1s`, `0.18s`, `2 milliseconds` | `<age>` |
//! | uids | `3553a2fa-…` in full | `<uid>` |
//! | ids and digests, 12 hexadecimal digits and more | `f19ad48b82da` | `<id>` |
//! | ends of generated names | `-75c46d4fc4-8bzgg`, `-btmdf` | `-<name>` |
//! | chains of one endpoint | `KUBE-SEP-QA4PSDNF5R2OJOPA` | `KUBE-SEP-<id>` |
//! | addresses of pods and Services | `10.244.1.3`, `10.96.192.11` | `<pod-ip>`, `<service-ip>` |
//! | a node's range of addresses | `10.244.1.0/24` | `<pod-range>` |
//! | versions and revisions, where a name says so | `"resourceVersion":"94"`, `"Revision" : 87` | `<number>` |
//!
//! Spaces count as one, since the width of a column hangs on what stands in it. And the page may say
//! `…` for what else it does not want to promise: inside a line it stands for anything on that line, on
//! a line of its own for any number of lines, none too.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

const ANYTHING: char = '…';

static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let masks = [
        // As `date` says it, and kubectl's `describe`, and a volume's name of one version.
        (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [A-Z]{3,4} \d{4}\b", "<time>"),
        (r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
        (r"\b\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+\b", "<time>"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
        (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "<time>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
        (r"\b[0-9a-f]{12,}\b", "<id>"),
        (r"KUBE-SEP-[A-Z2-7]{16}", "KUBE-SEP-<id>"),
        // Which node was first is chance.
        (r"\b10\.244\.\d+\.0/24\b", "<pod-range>"),
        // Kubernetes makes names from letters and digits that can form no word.
        (r"(-[bcdfghjklmnpqrstvwxz2456789]{8,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<name>"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b", "-<name>"),
        (r"(^|[\s(])(\d+(\.\d+)?(ms|us|µs|s|m|h|d))+([\s,.):;]|$)", "$1<age>$5"),
        (r"\b\d+ (milli|micro)?seconds\b", "<age>"),
        (r#"((?i:resourceversion|revision|raftterm|clusterid|memberid)"?\s*[:=]\s*"?)\d+"#, "$1<number>"),
    ];
    let compiled = masks.into_iter().map(|(pattern, word)| (Regex::new(pattern), word));
    compiled.map(|(pattern, word)| (pattern.expect("a pattern that the tests have tried"), word)).collect()
});

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b10\.(244|96)\.\d+\.\d+\b").expect("a pattern that the tests have tried"));

/// Addresses that every cluster has, and whole ranges.
fn stays(address: &str) -> bool {
    ["10.96.0.1", "10.96.0.10"].contains(&address) || address.ends_with(".0")
}

pub fn mask(line: &str) -> String {
    let line = ADDRESS.replace_all(line, |found: &Captures<'_>| match (&found[0], &found[1]) {
        (address, _) if stays(address) => address.to_owned(),
        (_, "244") => "<pod-ip>".to_owned(),
        _ => "<service-ip>".to_owned(),
    });
    let mut line = line.into_owned();
    for (pattern, word) in MASKS.iter() {
        // Twice: neighbours share the space between them.
        for _ in 0..2 {
            line = pattern.replace_all(&line, *word).into_owned();
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line, masked, still says on which day it was printed.
pub fn names_a_day(line: &str) -> bool {
    static DAY: LazyLock<Regex> = LazyLock::new(|| {
        let day = r"\b20[2-9]\d[-_/]\d\d|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2}\b";
        Regex::new(day).expect("a pattern that the tests have tried")
    });
    DAY.is_match(&mask(line))
}

/// Whether a line is what the page says.
fn fits(expected: &str, came: &str) -> bool {
    let (expected, came) = (mask(expected), mask(came));
    let Some((start, rest)) = expected.split_once(ANYTHING) else { return expected == came };
    let Some(mut left) = came.strip_prefix(start.trim_end()) else { return false };
    let mut parts = rest.split(ANYTHING).map(str::trim).peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() {
            left.ends_with(part).then(|| left.len() - part.len())
        } else {
            left.find(part)
        };
        let Some(at) = at else { return false };
        left = &left[at + part.len()..];
    }
    true
}

/// One line of a comparison. The numbers are those of the lines on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Same {
        expected: usize,
        came: usize,
    },
    /// A line `…`, and one of the lines that it stands for, or its end.
    Within {
        came: usize,
    },
    Anything {
        expected: usize,
    },
    Missing {
        expected: usize,
    },
    Extra {
        came: usize,
    },
}

/// The page's lines beside those that came.
pub struct Comparison<'a> {
    expected: &'a [String],
    came: &'a [String],
    steps: Vec<Step>,
}

impl<'a> Comparison<'a> {
    /// Lays the two beside each other with as few differences as can be.
    pub fn new(expected: &'a [String], came: &'a [String]) -> Self {
        let (expected, came) = (trimmed(expected), trimmed(came));
        let anything: Vec<bool> = expected.iter().map(|line| line.trim() == ANYTHING.to_string()).collect();
        // cost[e][c]: how many differences the lines from e and c on have at least.
        let (rows, columns) = (expected.len(), came.len());
        let mut cost = vec![vec![0_usize; columns + 1]; rows + 1];
        let same: Vec<Vec<bool>> =
            expected.iter().map(|line| came.iter().map(|other| fits(line, other)).collect()).collect();
        let choices = |cost: &[Vec<usize>], e: usize, c: usize| {
            let mut choices = Vec::new();
            if e < rows && anything[e] {
                // No more lines than it must, so that a difference behind it is shown where it is.
                choices.push((cost[e + 1][c], Step::Anything { expected: e }));
                if c < columns {
                    choices.push((cost[e][c + 1], Step::Within { came: c }));
                }
                return choices;
            }
            if e < rows && c < columns && same[e][c] {
                choices.push((cost[e + 1][c + 1], Step::Same { expected: e, came: c }));
            }
            if e < rows {
                choices.push((cost[e + 1][c] + 1, Step::Missing { expected: e }));
            }
            if c < columns {
                choices.push((cost[e][c + 1] + 1, Step::Extra { came: c }));
            }
            choices
        };
        for e in (0..=rows).rev() {
            for c in (0..=columns).rev() {
                cost[e][c] = choices(&cost, e, c).iter().map(|(cost, _)| *cost).min().unwrap_or(0);
            }
        }
        let mut steps = Vec::new();
        let (mut e, mut c) = (0, 0);
        while let Some((_, step)) = choices(&cost, e, c).into_iter().min_by_key(|(cost, _)| *cost) {
            match step {
                Step::Same { .. } => (e, c) = (e + 1, c + 1),
                Step::Within { .. } | Step::Extra { .. } => c += 1,
                Step::Anything { .. } | Step::Missing { .. } => e += 1,
            }
            steps.push(step);
        }
        Self { expected, came, steps }
    }

    pub fn agrees(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step, Step::Missing { .. } | Step::Extra { .. }))
    }

    /// The page's lines with `-` where they did not come, and with `+` what came instead.
    pub fn diff(&self) -> Vec<String> {
        let line = |step: &Step| match *step {
            Step::Same { expected, .. } | Step::Anything { expected } => {
                format!("  {}", self.expected[expected])
            }
            Step::Within { came } => format!("  {}", self.came[came]),
            Step::Missing { expected } => format!("- {}", self.expected[expected]),
            Step::Extra { came } => format!("+ {}", self.came[came]),
        };
        self.steps.iter().map(line).collect()
    }

    /// What the page should say: as it did where that was true.
    pub fn blessed(&self) -> Vec<String> {
        let line = |step: &Step| match *step {
            Step::Same { expected, .. } | Step::Anything { expected } => {
                Some(self.expected[expected].clone())
            }
            Step::Within { .. } | Step::Missing { .. } => None,
            Step::Extra { came } => Some(self.came[came].trim_end().to_owned()),
        };
        self.steps.iter().filter_map(line).collect()
    }
}

/// Without empty lines at the ends.
fn trimmed(lines: &[String]) -> &[String] {
    let filled = |line: &String| !line.trim().is_empty();
    let Some(first) = lines.iter().position(filled) else { return &[] };
    let last = lines.iter().rposition(filled).unwrap_or(first);
    &lines[first..=last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_masked() {
        for (line, masked) in [
            ("web-75c46d4fc4-8bzgg   1/1   Running   0   34s", "web-<name> 1/1 Running 0 <age>"),
            ("web-btmdf  web-75c46d4fc4", "web-<name> web-<name>"),
            ("crash 3 (29s ago)   5m1s", "crash 3 (<age> ago) <age>"),
            ("31s (x4 over 65s)  kubelet", "<age> (x4 over <age>) kubelet"),
            ("2026-11-21T01:26:10.468192Z INFO", "<time> INFO"),
            ("Sat Nov 21 01:29:57 UTC 2026", "<time>"),
            ("Tue Dec  1 23:59:59 UTC 2026", "<time>"),
            ("Start Time: Sun, 22 Nov 2026 00:35:18 +0000", "Start Time: <time>"),
            ("..data -> ..2026_11_22_00_35_23.734710369", "..data -> ..<time>"),
            ("(3553a2fa-0123-4567-89ab-0123456789ab)", "(<uid>)"),
            ("shim --id f19ad48b82da0f", "shim --id <id>"),
            ("-j KUBE-SEP-QA4PSDNF5R2OJOPA", "-j KUBE-SEP-<id>"),
            (
                "10.244.1.3 via 10.89.0.12 10.96.0.1 10.96.192.11",
                "<pod-ip> via 10.89.0.12 10.96.0.1 <service-ip>",
            ),
            ("10.244.1.0/24 of 10.244.0.0/16", "<pod-range> of 10.244.0.0/16"),
            (r#""Revision" : 87"#, r#""Revision" : <number>"#),
            (r#"{"resourceVersion":"94"}"#, r#"{"resourceVersion":"<number>"}"#),
            ("200 OK in 2 milliseconds", "200 OK in <age>"),
        ] {
            assert_eq!(mask(line), masked);
        }
    }

    #[test]
    fn what_a_page_is_about_is_not() {
        for line in [
            r#"{"limits":{"cpu":"2","memory":"1536Mi"},"requests":{"cpu":"100m"}}"#,
            "node-1   Ready    <none>   v1.32.0",
            "kube-system   kube-proxy",
            "replicas: 3",
            "-A KUBE-SVC-CDGGSHYLG3RE2FKL -j KUBE-MARK-MASQ",
        ] {
            assert_eq!(mask(line), line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }

    #[test]
    fn a_date_that_is_left_is_seen() {
        for line in ["2026-11-21 and no time", "5 Nov  1 01:29 name", "../2026_11_21", "Sat Nov 21"] {
            assert!(names_a_day(line), "{line}");
        }
        for line in ["2026-11-21T01:29:57Z", "Sat Nov 21 01:29:57 UTC 2026", "2026 pods", "March of 3"] {
            assert!(!names_a_day(line), "{line}");
        }
    }

    #[test]
    fn the_page_may_leave_things_open() {
        assert!(fits(
            "overlay on / type overlay (rw,lowerdir=…,workdir=…)",
            "overlay on / type overlay (rw,lowerdir=/a,workdir=/b)"
        ));
        assert!(fits("…", "whatever"));
        assert!(fits("a …", "a"));
        assert!(!fits("a … b", "a c"));
        assert!(!fits("ab…ba", "aba"), "the two ends may not overlap");
        assert!(!fits("pod/big created", "pod/big created twice"));
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_dots_stands_for_any_lines() {
        for came in ["a\nb", "a\nx\ny\nb", "\na\nb\n\n"] {
            assert!(Comparison::new(&lines("a\n…\nb"), &lines(came)).agrees(), "{came:?}");
        }
        assert!(!Comparison::new(&lines("a\n…\nb"), &lines("a\nx")).agrees());
        assert!(Comparison::new(&lines("…"), &[]).agrees());
        assert!(!Comparison::new(&[], &lines("x")).agrees());
    }

    #[test]
    fn a_difference_is_shown_where_it_is() {
        let (expected, came) = (lines("one 3s\ntwo\n…\nend"), lines("one 4s\n2\nthree\nfour\nend\nmore"));
        let comparison = Comparison::new(&expected, &came);
        assert_eq!(
            comparison.diff(),
            ["  one 3s", "- two", "  2", "  three", "  four", "  …", "  end", "+ more"]
        );
    }

    #[test]
    fn blessing_keeps_what_is_true_and_what_is_left_open() {
        let (expected, came) = (lines("one 3s\n…\ntwo\nend"), lines("one 4s\nx\n2 \nend"));
        assert_eq!(Comparison::new(&expected, &came).blessed(), ["one 3s", "…", "end"]);
        let (expected, came) = (lines("one 3s\ntwo"), lines("one 4s\n2 "));
        assert_eq!(Comparison::new(&expected, &came).blessed(), ["one 3s", "2"]);
    }
}
