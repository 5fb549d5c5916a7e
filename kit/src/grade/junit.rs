//! JUnit's XML as Jenkins, GitLab and most others read it: a suite for each step, a case for each test.

use super::report::{Report, StepGrade};

pub fn write(report: &Report) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"coracle\">\n".to_owned();
    for graded in &report.submissions {
        for chapter in &graded.chapters {
            for step in &chapter.steps {
                let name = format!("{} {} {}", graded.name, step.id, step.title);
                xml += &suite(&name, &chapter.chapter, step);
            }
        }
    }
    xml + "</testsuites>\n"
}

fn suite(name: &str, chapter: &str, step: &StepGrade) -> String {
    let mut cases = String::new();
    for test in &step.tests {
        let module = test.name.split("::").next().unwrap_or_default();
        let class = format!("{chapter}.{module}");
        let printed = test.printed.as_deref().unwrap_or_default();
        cases += &case(&class, &test.rule, test.seconds, test.reason.as_deref(), printed);
    }
    // A chapter that did not run has lost its steps all the same.
    if step.tests.is_empty() {
        cases += &case(chapter, &step.title, 0.0, step.reason.as_deref(), "");
    }
    let seconds: f64 = step.tests.iter().map(|test| test.seconds).sum();
    let failures = step.tests.iter().filter(|test| !test.passed).count();
    let (tests, failures) = if step.tests.is_empty() { (1, 1) } else { (step.tests.len(), failures) };
    format!(
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.3}\">\n\
         {properties}{cases}  </testsuite>\n",
        escaped(name),
        properties = format_args!(
            "    <properties>\n      <property name=\"points\" value=\"{}\"/>\n      \
             <property name=\"of\" value=\"{}\"/>\n    </properties>\n",
            step.points, step.of
        ),
    )
}

fn case(class: &str, name: &str, seconds: f64, reason: Option<&str>, printed: &str) -> String {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
        escaped(class),
        escaped(name)
    );
    match reason {
        None => format!("{head}/>\n"),
        Some(reason) => format!(
            "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
            escaped(reason),
            escaped(printed)
        ),
    }
}

/// XML has no way to write most control characters, and students' programs print them.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml += "&amp;",
            '<' => xml += "&lt;",
            '>' => xml += "&gt;",
            '"' => xml += "&quot;",
            '\n' => xml += "&#10;",
            '\t' => xml.push('\t'),
            '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            control if control.is_control() => xml.push('\u{fffd}'),
            other => xml.push(other),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}[0m\nd"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}[0m&#10;d");
    }
}
