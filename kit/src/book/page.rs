//! A page of the book as its author wrote it: lines, headings and fenced blocks.

use std::path::Path;

use anyhow::{Context, Result};

pub struct Page {
    /// `05-scheduler.md`
    pub name: String,
    pub lines: Vec<String>,
}

/// A fenced block. Lines are counted from 0, as [`Page::lines`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// What stands behind the backticks: `console,run`.
    pub info: String,
    /// Where the opening fence stands.
    pub line: usize,
    /// The lines between the fences.
    pub body: std::ops::Range<usize>,
}

impl Fence {
    /// Whether this is a terminal that is run.
    pub fn is_run(&self) -> bool {
        let mut words = self.info.split(',').map(str::trim);
        words.next() == Some("console") && words.any(|word| word == "run")
    }
}

impl Page {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::parse(&name, &text))
    }

    pub fn parse(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), lines: text.lines().map(str::to_owned).collect() }
    }

    /// All pages in a folder, in the order of their names.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    pub fn fences(&self) -> Vec<Fence> {
        let mut fences = Vec::new();
        let mut line = 0;
        while line < self.lines.len() {
            let opening = self.lines[line].trim_start();
            let ticks = opening.bytes().take_while(|byte| *byte == b'`').count();
            if ticks < 3 || opening[ticks..].contains('`') {
                line += 1;
                continue;
            }
            let closes = |text: &String| {
                let text = text.trim();
                text.len() >= ticks && text.bytes().all(|byte| byte == b'`')
            };
            let rest = &self.lines[line + 1..];
            let end = line + 1 + rest.iter().position(closes).unwrap_or(rest.len());
            fences.push(Fence { info: opening[ticks..].trim().to_owned(), line, body: line + 1..end });
            line = end + 1;
        }
        fences
    }

    pub fn body(&self, fence: &Fence) -> &[String] {
        &self.lines[fence.body.clone()]
    }

    /// `(level, words)` of each heading.
    pub fn headings(&self) -> Vec<(usize, &str)> {
        self.prose()
            .filter_map(|(_, line)| {
                let level = line.bytes().take_while(|byte| *byte == b'#').count();
                let words = line[level..].strip_prefix(' ')?;
                (1..=6).contains(&level).then_some((level, words.trim()))
            })
            .collect()
    }

    /// The lines that stand in no block, with their numbers.
    pub fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let fences = self.fences();
        let lines = self.lines.iter().map(String::as_str).enumerate();
        lines.filter(move |(number, _)| {
            !fences.iter().any(|fence| (fence.line..=fence.body.end).contains(number))
        })
    }

    /// The line, counted from 1, on which a text stands first.
    pub fn line_of(&self, text: &str) -> Option<usize> {
        Some(self.lines.iter().position(|line| line.contains(text))? + 1)
    }
}

/// What mdBook includes with `{{#include PATH:ANCHOR}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Counted from 1.
    pub line: usize,
    /// Seen from the page.
    pub path: String,
    pub anchor: Option<String>,
}

impl Page {
    pub fn includes(&self) -> Vec<Include> {
        let lines = self.lines.iter().enumerate();
        lines
            .filter_map(|(number, line)| {
                let (before, inner) = line.split_once("{{#include ")?;
                // `\{{#include …}}` talks of one.
                let (inner, _) = (!before.ends_with('\\')).then_some(inner)?.split_once("}}")?;
                let (path, anchor) =
                    inner.trim().split_once(':').map_or((inner, None), |(p, a)| (p, Some(a)));
                let (path, anchor) = (path.trim().to_owned(), anchor.map(|anchor| anchor.trim().to_owned()));
                Some(Include { line: number + 1, path, anchor })
            })
            .collect()
    }
}

/// The lines of a source that an include means, as mdBook takes them: between the comments
/// `ANCHOR: name` and `ANCHOR_END: name`, without the comments of other anchors; or by their numbers, as
/// `5:` and `5:10`.
pub fn anchored<'a>(source: &'a str, anchor: &str) -> Option<Vec<&'a str>> {
    if anchor.chars().all(|char| char.is_ascii_digit() || char == ':') {
        let (first, last) = anchor.split_once(':').unwrap_or((anchor, anchor));
        let first = first.parse::<usize>().unwrap_or(1).max(1);
        let last = last.parse::<usize>().unwrap_or(usize::MAX);
        let lines: Vec<&str> =
            source.lines().skip(first - 1).take(last.saturating_sub(first).saturating_add(1)).collect();
        return (!lines.is_empty()).then_some(lines);
    }
    let marks = |line: &str, mark: &str| {
        line.split_once(mark).is_some_and(|(_, name)| name.split_whitespace().next() == Some(anchor))
    };
    let mut lines = source.lines();
    lines.by_ref().find(|line| marks(line, "ANCHOR:"))?;
    let mut inside = Vec::new();
    for line in lines {
        if marks(line, "ANCHOR_END:") {
            return Some(inside);
        }
        if !line.contains("ANCHOR:") && !line.contains("ANCHOR_END:") {
            inside.push(line);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# A page

```console,run
# no heading
$ true
```

## See it run, `twice`

````text
```
inner
```
````

- in a list:
  ```rust
  {{#include ../../chapters/05-scheduler/src/lib.rs:event}}
  \\{{#include shown, not meant}}
  ```
";

    #[test]
    fn blocks_are_found_and_what_stands_in_them_is_no_heading() {
        let page = Page::parse("a.md", PAGE);
        let infos: Vec<String> = page.fences().into_iter().map(|fence| fence.info).collect();
        assert_eq!(infos, ["console,run", "text", "rust"]);
        assert_eq!(page.headings(), [(1, "A page"), (2, "See it run, `twice`")]);
        assert_eq!(page.body(&page.fences()[1]), ["```", "inner", "```"]);
        assert!(page.fences()[0].is_run() && !page.fences()[1].is_run());
    }

    #[test]
    fn a_block_that_is_never_closed_ends_with_the_page() {
        assert_eq!(Page::parse("a.md", "```\na").fences()[0].body, 1..2);
    }

    #[test]
    fn includes_name_a_file_and_an_anchor() {
        let expected = Include {
            line: 18,
            path: "../../chapters/05-scheduler/src/lib.rs".into(),
            anchor: Some("event".into()),
        };
        assert_eq!(Page::parse("a.md", PAGE).includes(), [expected]);
    }

    #[test]
    fn anchors_are_cut_out_without_the_comments_of_others() {
        let source =
            "a\n// ANCHOR: outer\nb\n// ANCHOR: inner\nc\n// ANCHOR_END: inner\n// ANCHOR_END: outer\nd";
        assert_eq!(anchored(source, "outer"), Some(vec!["b", "c"]));
        assert_eq!(anchored(source, "inner"), Some(vec!["c"]));
        assert_eq!(anchored(source, "inn"), None);
        assert_eq!(anchored("// ANCHOR: open\na", "open"), None);
    }

    #[test]
    fn lines_are_included_by_their_numbers_too() {
        for (range, lines) in [("2:", "b c"), ("2", "b"), (":2", "a b"), ("2:3", "b c"), ("3:9", "c")] {
            assert_eq!(anchored("a\nb\nc", range), Some(lines.split(' ').collect()), "{range}");
        }
        assert_eq!(anchored("a", "2:"), None);
    }
}
