//! The student's form of a file: given text as it stands, a `todo!` where an answer was.
//!
//! What is written here is laid out as rustfmt would lay it out, so that nothing needs to be formatted
//! afterwards and the given text stays as its author left it.

use super::source::{Cut, Source};

/// rustfmt.toml's `max_width`.
const WIDTH: usize = 110;

const GIVEN: &str = "#[allow(dead_code, reason = \"used by your answer\")]";

/// A file's skeleton, and the line of each hole's `todo!` in it.
pub fn write(source: &Source) -> (String, Vec<usize>) {
    if source.is_all_given() {
        return (source.text.clone(), Vec::new());
    }
    let mut page = Page::default();
    for (number, line) in (1..).zip(source.text.lines()) {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(cut) = source.cuts.iter().find(|cut| cut.span.holds(number)) {
            if number == cut.span.begin {
                page.hole(indent, cut);
            }
        } else if source.anchors.contains(&number) || source.vanishing.iter().any(|span| span.holds(number)) {
            page.something_vanished = true;
        } else if source.given.contains(&number) {
            page.line(&format!("{indent}{GIVEN}"));
        } else {
            page.line(line);
        }
    }
    if page.something_vanished {
        page.text.truncate(page.text.trim_end_matches('\n').len() + 1);
    }
    (page.text, page.holes)
}

/// `todo!("lab 05.2: words")`, as a line of code or three.
pub fn todo(indent: &str, cut: &Cut) -> String {
    let text = format!("lab {}: {}", cut.span.step, cut.span.text);
    let literal = text.replace('\\', "\\\\").replace('"', "\\\"").replace('{', "{{").replace('}', "}}");
    let short = format!("{indent}todo!(\"{literal}\")\n");
    if width(&short) <= WIDTH {
        return short;
    }
    format!("{indent}todo!(\n{indent}    \"{literal}\"\n{indent})\n")
}

/// `let _ = (&a, &b);`
fn consume(indent: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("{indent}let _ = &{name};\n"),
        names => {
            let short = format!("{indent}let _ = (&{});\n", names.join(", &"));
            if width(&short) <= WIDTH {
                return short;
            }
            let lines: String = names.iter().map(|name| format!("{indent}    &{name},\n")).collect();
            format!("{indent}let _ = (\n{lines}{indent});\n")
        }
    }
}

fn width(line: &str) -> usize {
    line.trim_end().chars().count()
}

#[derive(Default)]
struct Page {
    text: String,
    holes: Vec<usize>,
    /// The next line stands below one that is not there any more.
    something_vanished: bool,
}

impl Page {
    /// A given line. Where something vanished, what remains must not leave two blank lines, or one at
    /// the end of a block or of the file's head.
    fn line(&mut self, line: &str) {
        if self.something_vanished {
            let above = self.text.lines().next_back().unwrap_or("");
            let opens = self.text.is_empty() || above.trim().is_empty() || above.ends_with('{');
            if line.trim().is_empty() && opens {
                return;
            }
            if line.trim_start().starts_with('}') && above.trim().is_empty() {
                self.text.truncate(self.text.trim_end_matches('\n').len() + 1);
            }
            self.something_vanished = false;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn hole(&mut self, indent: &str, cut: &Cut) {
        self.something_vanished = false;
        self.text.push_str(&consume(indent, &cut.consumed));
        self.holes.push(self.text.lines().count() + 1);
        self.text.push_str(&todo(indent, cut));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skeleton(text: &str) -> (String, Vec<usize>) {
        write(&Source::read("a.rs", text).unwrap())
    }

    #[test]
    fn an_answer_becomes_what_there_is_to_do() {
        let text = "\
/// Doc.
fn f(a: u8, b: u8) -> u8 {
    let c = 1;
    // lab:begin 05.2 add {a}, \"b\" and c
    a + b + c
    // lab:end
}
";
        let expected = "\
/// Doc.
fn f(a: u8, b: u8) -> u8 {
    let c = 1;
    let _ = (&a, &b, &c);
    todo!(\"lab 05.2: add {{a}}, \\\"b\\\" and c\")
}
";
        assert_eq!(skeleton(text), (expected.to_owned(), vec![5]));
    }

    #[test]
    fn long_lines_are_laid_out_as_rustfmt_does() {
        let words = "x".repeat(100);
        let names = ["a", "b", "c"].map(|name| name.repeat(40));
        let arguments = names.clone().map(|name| format!("    {name}: u8,\n")).concat();
        let text =
            format!("fn f(\n{arguments}) {{\n    // lab:begin 05.2 {words}\n    g();\n    // lab:end\n}}\n");
        let consumed = names.map(|name| format!("        &{name},\n")).concat();
        let tail = format!("    todo!(\n        \"lab 05.2: {words}\"\n    )\n");
        let expected = format!("fn f(\n{arguments}) {{\n    let _ = (\n{consumed}    );\n{tail}}}\n");
        assert_eq!(skeleton(&text), (expected, vec![11]));
    }

    #[test]
    fn what_vanishes_leaves_no_gap() {
        let text = "\
// lab:begin 05.1 imports
use a::B;
// lab:end

struct A {
    // lab:given
    b: u8,
}

// lab:begin 05.1 helper
fn helper() {}
// lab:end

impl A {
    // ANCHOR: f
    fn f() {}
    // ANCHOR_END: f

    // lab:begin 05.1 another
    fn g() {}
    // lab:end
}

// lab:begin 05.1 the last
fn z() {}
// lab:end
";
        let expected = "\
struct A {
    #[allow(dead_code, reason = \"used by your answer\")]
    b: u8,
}

impl A {
    fn f() {}
}
";
        assert_eq!(skeleton(text), (expected.to_owned(), vec![]));
    }

    #[test]
    fn a_file_without_marks_is_copied() {
        let text = "fn f() {\n\n\n    g();\n}\n";
        assert_eq!(skeleton(text).0, text);
        assert_eq!(write(&Source::read("schema.txt", "a\n\nb\n").unwrap()).0, "a\n\nb\n");
    }
}
