//! `cargo kit book --check`: what a machine can say of the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use super::page::{Fence, Page, anchored};
use super::{html, mask, mdbook, out, shell, sources, src};
use crate::chapters::Chapter;
use crate::place::Place;
use crate::say;
use crate::verify::leaks;

/// What each chapter's page has, in this order.
const PARTS: &[&str] = &[
    "What you will have at the end",
    "The idea",
    "Invariants",
    "Predict before you code",
    "The steps",
    "See it run",
    "What the real one does differently",
    "Questions",
];

pub fn run(place: &Place) -> Result<ExitCode> {
    let start = Instant::now();
    let mdbook = mdbook::find_or_install(place)?;
    let mut findings = mdbook::build(place, &mdbook)?;
    let library = Library::open(place)?;
    for page in &library.pages {
        findings.extend(library.links(page));
        findings.extend(code(place, page));
        findings.extend(terminals(page));
        if is_chapter(page) {
            findings.extend(parts(page));
        }
    }
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        findings.extend(library.document(document)?);
    }
    for chapter in Chapter::all(place)? {
        findings.extend(library.steps(&chapter));
        findings.extend(leaks::find(place, &chapter)?);
    }
    sources::publish(place)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    if !findings.is_empty() {
        bail!("the book has {} faults ({})", findings.len(), say::time(start.elapsed()));
    }
    let pages = library.pages.len();
    println!("{} {pages} pages are whole ({})", say::green("The book:"), say::time(start.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// `05-scheduler.md`
fn is_chapter(page: &Page) -> bool {
    page.name.starts_with(|first: char| first.is_ascii_digit())
}

fn finding(page: &Page, line: Option<usize>, what: impl std::fmt::Display) -> String {
    match line {
        Some(line) => format!("book/src/{}:{line}: {what}", page.name),
        None => format!("book/src/{}: {what}", page.name),
    }
}

/// The pages as they are written, and as mdBook built them.
struct Library<'a> {
    place: &'a Place,
    pages: Vec<Page>,
    /// By file name, `05-scheduler.html`: the part that the author wrote.
    built: BTreeMap<String, String>,
}

impl<'a> Library<'a> {
    fn open(place: &'a Place) -> Result<Self> {
        let mut pages = Page::all(&src(place))?;
        pages.retain(|page| page.name != "SUMMARY.md");
        let mut built = BTreeMap::new();
        for page in &pages {
            let name = page.name.replace(".md", ".html");
            // A page that the summary does not name is not built.
            let html = std::fs::read_to_string(out(place).join(&name)).unwrap_or_default();
            built.insert(name, html::main_part(&html).to_owned());
        }
        Ok(Self { place, pages, built })
    }

    fn ids(&self, file: &str) -> BTreeSet<String> {
        self.built.get(file).map(|html| html::ids(html)).unwrap_or_default()
    }

    fn links(&self, page: &Page) -> Vec<String> {
        let file = page.name.replace(".md", ".html");
        let html = &self.built[&file];
        if html.is_empty() {
            return vec![finding(page, None, "SUMMARY.md does not name this page")];
        }
        let mut findings = Vec::new();
        for link in html::links(html) {
            if let Some(why) = self.fault(&file, &link) {
                let written = link.replace(".html", ".md");
                let line = page.line_of(&link).or_else(|| page.line_of(&written));
                findings.push(finding(page, line, format!("{link}: {why}")));
            }
        }
        findings
    }

    /// What is wrong with a link on a built page.
    fn fault(&self, file: &str, link: &str) -> Option<String> {
        if link.contains("://") {
            return (!is_address(link)).then(|| "no address of the form https://host/path".to_owned());
        }
        let (path, id) = link.split_once('#').map_or((link, None), |(path, id)| (path, Some(id)));
        if let Some(outside) = path.strip_prefix("../../") {
            return match (sources::file(self.place, outside), id) {
                (None, _) => Some("the repository has no such file".to_owned()),
                (Some(_), Some(_)) => Some("a source has no headings".to_owned()),
                (Some(_), None) => None,
            };
        }
        let path = if path.is_empty() { file } else { path };
        if !out(self.place).join(path).is_file() {
            return Some("the book has no such page".to_owned());
        }
        let id = id?;
        (!self.ids(path).contains(id)).then(|| format!("{path} has no heading with that id"))
    }

    /// The links of a text that lies in the repository, and is no page.
    fn document(&self, name: &str) -> Result<Vec<String>> {
        let document = Page::read(&self.place.root.join(name))?;
        let mut findings = Vec::new();
        for (number, line) in document.prose() {
            for link in markdown_links(line) {
                let (path, id) = link.split_once('#').map_or((link, None), |(path, id)| (path, Some(id)));
                let page = path.strip_prefix("book/src/").map(|page| page.replace(".md", ".html"));
                let fine = match (page, id) {
                    _ if link.contains("://") => is_address(link),
                    (Some(page), Some(id)) => self.ids(&page).contains(id),
                    (_, _) => path.is_empty() || self.place.root.join(path).exists(),
                };
                if !fine {
                    findings.push(format!("{name}:{}: {link} leads nowhere", number + 1));
                }
            }
        }
        Ok(findings)
    }

    /// The page of a chapter has the headings that its lab names.
    fn steps(&self, chapter: &Chapter) -> Vec<String> {
        let file = format!("{}.html", chapter.name);
        let lab = format!("chapters/{}/lab.toml", chapter.name);
        let Some(page) = self.pages.iter().find(|page| page.name == format!("{}.md", chapter.name)) else {
            return vec![format!("{lab}: the book has no page book/src/{}.md", chapter.name)];
        };
        let mut findings = Vec::new();
        let ids = self.ids(&file);
        for step in chapter.steps.iter().filter(|step| !ids.contains(&step.anchor)) {
            findings.push(format!(
                "{lab}: step {} names the heading #{}, which {} does not have",
                step.id, step.anchor, page.name
            ));
        }
        let headings =
            page.headings().into_iter().filter(|(level, text)| *level == 3 && text.starts_with("Step "));
        let told: Vec<&str> = headings.map(|(_, text)| text).collect();
        for ordinal in 1..=chapter.steps.len().max(told.len()) {
            let heading = format!("Step {ordinal}:");
            if !told.get(ordinal - 1).is_some_and(|text| text.starts_with(&heading)) {
                findings.push(finding(
                    page,
                    None,
                    format!("no heading `### {heading} …` where it should stand"),
                ));
            }
        }
        if told.len() != chapter.steps.len() {
            let (told, steps) = (told.len(), chapter.steps.len());
            findings.push(finding(page, None, format!("tells of {told} steps, and {lab} has {steps}")));
        }
        findings
    }
}

/// Where `[words](link)` leads, for each of a line.
fn markdown_links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// `https://host.name/…`; nobody is asked whether it is there.
fn is_address(link: &str) -> bool {
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    host.contains('.') && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
}

/// Included code is there.
fn code(place: &Place, page: &Page) -> Vec<String> {
    let lacks = page.includes().into_iter().filter_map(|include| {
        let what = match (std::fs::read_to_string(src(place).join(&include.path)), &include.anchor) {
            (Err(why), _) => why.to_string(),
            (Ok(text), Some(anchor)) if anchored(&text, anchor).is_none() => {
                format!("it has no lines between ANCHOR: {anchor} and its end")
            }
            (Ok(_), _) => return None,
        };
        Some(finding(page, Some(include.line), format!("{}: {what}", include.path)))
    });
    lacks.collect()
}

/// Terminals that are run can be read, and what they print is true on another day.
fn terminals(page: &Page) -> Vec<String> {
    let run: Vec<Fence> = page.fences().into_iter().filter(Fence::is_run).collect();
    let mut findings = Vec::new();
    for fence in &run {
        let body = page.body(fence);
        let commands = match shell::commands(body) {
            Ok(commands) => commands,
            Err(why) => {
                findings.push(finding(page, Some(fence.line + 1), why));
                continue;
            }
        };
        for line in commands.into_iter().flat_map(|command| command.printed) {
            if mask::names_a_day(&body[line]) {
                let what = "a date that is not masked: true on one day only";
                findings.push(finding(page, Some(fence.body.start + line + 1), what));
            }
        }
    }
    if is_chapter(page) && run.is_empty() {
        findings.push(finding(page, None, "no terminal is marked `console,run`"));
    }
    findings
}

/// The parts of a chapter, in their order, with a picture in the first, and answers linked to nowhere in
/// the steps.
fn parts(page: &Page) -> Vec<String> {
    let mut findings = Vec::new();
    let headings: Vec<&str> =
        page.headings().into_iter().filter(|(level, _)| *level == 2).map(|(_, words)| words).collect();
    let mut from = 0;
    for part in PARTS {
        match headings[from..].iter().position(|heading| heading == part) {
            Some(at) => from += at + 1,
            None => findings.push(finding(page, None, format!("no part `## {part}` where it should stand"))),
        }
    }
    let within = |part: &str| {
        let start = page.lines.iter().position(|line| line.trim() == format!("## {part}"))?;
        let length = page.lines[start + 1..].iter().position(|line| line.starts_with("## "));
        Some(start..length.map_or(page.lines.len(), |length| start + 1 + length))
    };
    if let Some(first) = within(PARTS[0]) {
        let drawn = page.fences().iter().any(|fence| fence.info == "text" && first.contains(&fence.line));
        if !drawn && !page.lines[first].iter().any(|line| line.contains("![")) {
            findings.push(finding(page, None, format!("no picture in `## {}`", PARTS[0])));
        }
    }
    if let Some(steps) = within("The steps") {
        for line in steps.filter(|line| page.lines[*line].contains("](../../solutions/")) {
            let what = "a step that links to solutions/: the student works in labs/";
            findings.push(finding(page, Some(line + 1), what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_at_but_not_visited() {
        assert!(is_address("https://kubernetes.io/docs/") && is_address("http://127.0.0.1:3000"));
        assert!(!is_address("https://kubernetes") && !is_address("ftp://a.b") && !is_address("https:///x"));
    }

    #[test]
    fn every_link_of_a_line_is_found() {
        let links = markdown_links("a [b](c.md#d) [e](https://f.g), `x](` and [h]");
        assert_eq!(links.collect::<Vec<_>>(), ["c.md#d", "https://f.g"]);
    }

    #[test]
    fn a_terminal_may_not_hang_on_the_day() {
        let page = |printed: &str| Page::parse("a.md", &format!("```console,run\n$ ls\n{printed}\n```\n"));
        assert_eq!(terminals(&page("Sat Nov 21 01:29:57 UTC 2026")), [""; 0]);
        let expected = ["book/src/a.md:3: a date that is not masked: true on one day only"];
        assert_eq!(terminals(&page("-rw-r--r-- 1 root root 5 Nov 21 01:29 name")), expected);
    }

    fn page(steps: &str) -> Page {
        let parts = PARTS.iter().map(|part| match *part {
            "What you will have at the end" => format!("## {part}\n```text\n+--+\n```\n"),
            "The steps" => format!("## {part}\n{steps}\n"),
            _ => format!("## {part}\n"),
        });
        Page::parse("05-scheduler.md", &parts.collect::<String>())
    }

    #[test]
    fn a_chapter_has_its_parts_in_order_and_a_picture() {
        assert_eq!(parts(&page("")), [""; 0]);
        let text = page("").lines.join("\n").replace("## The idea\n", "").replace("```text", "```rust");
        let expected = [
            "book/src/05-scheduler.md: no part `## The idea` where it should stand",
            "book/src/05-scheduler.md: no picture in `## What you will have at the end`",
        ];
        assert_eq!(parts(&Page::parse("05-scheduler.md", &text)), expected);
    }

    #[test]
    fn a_step_leads_to_the_lab() {
        assert_eq!(parts(&page("[x](../../labs/05-scheduler/src/queue.rs)")), [""; 0]);
        let expected =
            ["book/src/05-scheduler.md:9: a step that links to solutions/: the student works in labs/"];
        assert_eq!(parts(&page("[x](../../solutions/05-scheduler/src/queue.rs)")), expected);
    }
}
