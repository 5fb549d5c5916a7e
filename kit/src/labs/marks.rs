//! The marks in a solution's text, line by line, before anything is known of Rust.
//!
//! A mark is a line of its own that holds nothing else: `// lab:begin 05.2 words`, `// lab:end`,
//! `// lab:given`, `// ANCHOR: name`, `// ANCHOR_END: name`.

use std::fmt;

/// What is wrong with a solution's text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// `src/filters.rs`
    pub file: String,
    /// From 1.
    pub line: usize,
    /// A sentence.
    pub rule: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// The lines from `begin` to `end`, both of them marks. Lines count from 1, as spans do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub begin: usize,
    pub end: usize,
    /// `05.2`
    pub step: String,
    pub text: String,
}

impl Span {
    pub fn holds(&self, line: usize) -> bool {
        (self.begin..=self.end).contains(&line)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub spans: Vec<Span>,
    /// Lines that say `// lab:given`.
    pub given: Vec<usize>,
    /// Lines that are there for the book.
    pub anchors: Vec<usize>,
}

/// Finds the marks of a file, or all that is wrong with them.
pub fn read(file: &str, text: &str) -> Result<Marks, Vec<Complaint>> {
    let mut marks = Marks::default();
    let mut wrong = Vec::new();
    let mut open: Option<Span> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let complain = |rule: String| Complaint { file: file.to_owned(), line, rule };
        let content = content.trim();
        let Some(comment) = content.strip_prefix("//").map(str::trim_start) else {
            // One that stands behind code would be copied in silence.
            if content.contains("// lab:") {
                wrong.push(complain("a mark stands on a line of its own".into()));
            }
            continue;
        };
        if comment.starts_with("ANCHOR:") || comment.starts_with("ANCHOR_END:") {
            marks.anchors.push(line);
        } else if let Some(rest) = comment.strip_prefix("lab:begin") {
            if let Some(open) = &open {
                wrong.push(complain(format!("a hole begins inside the one of line {}", open.begin)));
            }
            let (step, text) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
            let (step, text) = (step.to_owned(), text.trim().to_owned());
            if !is_step(&step) {
                wrong.push(complain(format!("{step:?} names no step: write `// lab:begin 05.2 words`")));
            } else if text.is_empty() {
                wrong.push(complain(
                    "a hole tells the student what to do: write words behind the step".into(),
                ));
            }
            open = Some(Span { begin: line, end: line, step, text });
        } else if comment == "lab:end" {
            match open.take() {
                Some(span) => marks.spans.push(Span { end: line, ..span }),
                None => wrong.push(complain("no hole is open that could end here".into())),
            }
        } else if comment == "lab:given" {
            marks.given.push(line);
        } else if comment.starts_with("lab:") {
            wrong.push(complain(format!(
                "{comment:?} is no mark: there are lab:begin, lab:end and lab:given, and nothing stands behind the last two"
            )));
        }
    }
    if let Some(open) = open {
        let rule = "this hole has no `// lab:end`".to_owned();
        wrong.push(Complaint { file: file.to_owned(), line: open.begin, rule });
    }
    if wrong.is_empty() { Ok(marks) } else { Err(wrong) }
}

/// `05.2`: two digits as in the rooms' names, then the step's number.
fn is_step(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(chapter, step)| chapter.len() == 2 && digits(chapter) && digits(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        read("src/a.rs", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn marks_are_lines_of_their_own() {
        let text = "// ANCHOR: x\nfn f() {\n    // lab:begin 05.2 do it\n    g();\n    // lab:end\n}\n// lab:given\n";
        let span = Span { begin: 3, end: 5, step: "05.2".into(), text: "do it".into() };
        assert_eq!(read("", text), Ok(Marks { spans: vec![span], given: vec![7], anchors: vec![1] }));
    }

    #[test]
    fn what_is_wrong_with_marks_is_told_all_at_once() {
        assert_eq!(complaints("// lab:end\n"), ["src/a.rs:1: no hole is open that could end here"]);
        assert_eq!(complaints("\n// lab:begin 05.2 x\n"), ["src/a.rs:2: this hole has no `// lab:end`"]);
        let nested = complaints("// lab:begin 05.2 x\n// lab:begin 05.3 x\n// lab:end\n");
        assert_eq!(nested, ["src/a.rs:2: a hole begins inside the one of line 1"]);
        let named =
            complaints("// lab:begin 5.2 x\n// lab:end\n// lab:begin 05.2\n// lab:end\n// lab:gven\n");
        assert_eq!(named[0], "src/a.rs:1: \"5.2\" names no step: write `// lab:begin 05.2 words`");
        assert_eq!(named[1], "src/a.rs:3: a hole tells the student what to do: write words behind the step");
        assert!(named[2].starts_with("src/a.rs:5: \"lab:gven\" is no mark"), "{}", named[2]);
        assert_eq!(complaints("g(); // lab:end\n"), ["src/a.rs:1: a mark stands on a line of its own"]);
    }
}
