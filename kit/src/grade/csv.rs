//! A line for each submission and step, as RFC 4180 has it, for a spreadsheet.

use super::report::Report;

pub fn write(report: &Report) -> String {
    let mut text = "submission,chapter,step,title,points,of,reason\n".to_owned();
    for graded in &report.submissions {
        for chapter in &graded.chapters {
            for step in &chapter.steps {
                let (points, of) = (step.points.to_string(), step.of.to_string());
                let reason = step.reason.as_deref().unwrap_or_default();
                let cells = [&graded.name, &chapter.chapter, &step.id, &step.title, &points, &of, reason];
                text += &cells.map(cell).join(",");
                text.push('\n');
            }
        }
    }
    text
}

fn cell(text: &str) -> String {
    // What a student's code said could begin like a formula, and spreadsheets calculate those.
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = format!("{}{text}", if formula { "'" } else { "" });
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula_runs() {
        let cells = ["plain", "a, b", "say \"x\"", "=1+1", "two\nlines"].map(cell);
        assert_eq!(cells, ["plain", "\"a, b\"", "\"say \"\"x\"\"\"", "'=1+1", "\"two\nlines\""]);
    }
}
