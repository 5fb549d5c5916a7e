//! A lab's `README.md`: what a student sees who opens the folder first.

use std::fmt::Write;

use crate::chapters::Chapter;

pub fn write(chapter: &Chapter) -> String {
    let Chapter { name, title, .. } = chapter;
    let number = chapter.number.trim_start_matches('0');
    let number = if number.is_empty() { "0" } else { number };
    let page = format!("../../book/src/{name}.md");
    let minutes: u32 = chapter.steps.iter().map(|step| step.minutes).sum();
    let mut text = format!(
        "\
# Lab {}: {title}

Every `todo!(\"lab …\")` in `src/` is yours to replace. All else is given: signatures, types and the code
around the holes stay as they are. Beside them you may write what you like. Read [the page]({page}) first;
each step has its section there.

| step | what | minutes | points | begin in |
|---|---|---|---|---|
",
        chapter.number
    );
    for step in &chapter.steps {
        let _ = writeln!(
            text,
            "| [{}]({page}#{}) | {} | {} | {} | [`{}`]({}) |",
            step.id, step.anchor, step.title, step.minutes, step.points, step.file, step.file
        );
    }
    let _ = write!(
        text,
        "
About {} in all. Steps build on those above them, so take them in order.

```console
$ cargo kit lab {number}          # this overview, with what you have done
$ cargo kit check {number}.1      # judge one step; `check {number}` judges them all
$ cargo kit watch {number}        # judge again whenever you save
$ cargo kit hint {number}.1       # help, a level more each time
$ cargo kit reset-step {number}.1 # put a step's holes back
$ cargo kit up --mine {number}    # a real cluster, with your core in it
```
",
        hours(minutes)
    );
    text
}

/// `45 minutes`, `3½ hours`: no student is as exact as a sum of guesses.
fn hours(minutes: u32) -> String {
    let halves = (minutes + 15) / 30;
    match (halves / 2, halves % 2) {
        (0, _) => format!("{minutes} minutes"),
        (1, 0) => "an hour".to_owned(),
        (hours, 0) => format!("{hours} hours"),
        (hours, _) => format!("{hours}½ hours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_half_hours() {
        assert_eq!(
            [20, 60, 80, 215, 240].map(hours),
            ["20 minutes", "an hour", "1½ hours", "3½ hours", "4 hours"]
        );
    }
}
