//! Pages for the sources that the book links to.
//!
//! mdBook leaves a link such as `../../chapters/05-scheduler/src/lib.rs` as it is, which would lead out of
//! the built book. Here each such link is turned to a page beside the others that shows the file, in the
//! book's own frame.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex_lite::{Captures, Regex};

use super::html::escape;
use super::out;
use crate::place::Place;

static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r##"href="\.\./\.\./([^"#]+)(#[^"]*)?""##).expect("a pattern"));

/// Turns the links and writes the pages; the files that they show.
pub fn publish(place: &Place) -> Result<Vec<PathBuf>> {
    let mut shown = BTreeSet::new();
    for entry in std::fs::read_dir(out(place))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "html") {
            continue;
        }
        let html = std::fs::read_to_string(&path)?;
        let turned = LINK.replace_all(&html, |link: &Captures<'_>| {
            let Some(source) = file(place, &link[1]) else { return link[0].to_owned() };
            let page = page_of(&source);
            shown.insert(source);
            format!("href=\"{page}\"")
        });
        if turned != html {
            std::fs::write(&path, turned.as_bytes())?;
        }
    }
    let frame = out(place).join("introduction.html");
    let frame = std::fs::read_to_string(&frame).with_context(|| frame.display().to_string())?;
    for source in &shown {
        let text = std::fs::read_to_string(place.root.join(source)).with_context(|| source.clone())?;
        std::fs::write(out(place).join(page_of(source)), page(&frame, source, &text))?;
    }
    Ok(shown.into_iter().map(|source| place.root.join(source)).collect())
}

/// The file of the workspace that a link out of the book means. (mdBook takes every link to a `.md` for one
/// to a page.)
pub fn file(place: &Place, linked: &str) -> Option<String> {
    let as_markdown = linked.strip_suffix(".html").map(|stem| format!("{stem}.md"));
    let candidates = [Some(linked.to_owned()), as_markdown];
    let leads_out = linked.split('/').any(|part| part == "..");
    candidates.into_iter().flatten().find(|path| !leads_out && place.root.join(path).is_file())
}

/// `source-chapters-05-scheduler-src-lib.rs.html`
fn page_of(source: &str) -> String {
    format!("source-{}.html", source.replace('/', "-"))
}

/// The frame of another page around a file's text.
fn page(frame: &str, source: &str, text: &str) -> String {
    let language = match source.rsplit('.').next() {
        Some("rs") => "rust",
        Some("toml") => "ini",
        Some("yaml" | "yml") => "yaml",
        Some("sh") => "bash",
        _ => "text",
    };
    let code = format!("<pre><code class=\"language-{language}\">{}</code></pre>", escape(text));
    let code = if source.starts_with("solutions/") && text.contains("lab:begin") {
        format!("<details><summary>The reference, with its answers</summary>\n{code}</details>")
    } else {
        code
    };
    let main = format!("<h1>{}</h1>\n{code}", escape(source));
    let mut html = frame.to_owned();
    replace_between(&mut html, "<main>", "</main>", &main);
    replace_between(&mut html, "<title>", "</title>", &escape(source));
    // It has no neighbours in the book.
    replace_between(&mut html, "<nav class=\"nav-wrapper\"", "</nav>", ">");
    replace_between(&mut html, "<nav class=\"nav-wide-wrapper\"", "</nav>", ">");
    html
}

fn replace_between(html: &mut String, start: &str, end: &str, with: &str) {
    let Some(from) = html.find(start).map(|at| at + start.len()) else { return };
    let Some(to) = html[from..].find(end).map(|at| from + at) else { return };
    html.replace_range(from..to, with);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_stands_in_the_frame_of_the_book() {
        let frame = "<title>Old</title><main>\nold</main><nav class=\"nav-wrapper\" a><a>next</a></nav>";
        let html = page(frame, "chapters/a.rs", "a < b");
        assert_eq!(
            html,
            "<title>chapters/a.rs</title><main><h1>chapters/a.rs</h1>\n<pre><code class=\"language-rust\">a &lt; b\
             </code></pre></main><nav class=\"nav-wrapper\"></nav>"
        );
    }

    #[test]
    fn answers_are_shown_to_those_who_ask() {
        let html = page("<main></main>", "solutions/a.rs", "// lab:begin 05.1 x\n");
        assert!(html.contains("<details><summary>"));
        assert!(!page("<main></main>", "solutions/a.rs", "given").contains("<details>"));
    }
}
