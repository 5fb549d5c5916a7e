//! # The book: built, served, checked, and run
//!
//! ```text
//!   book/src/*.md ── mdBook ──▶ book/book/*.html ──▶ sources: a page for each file that is linked to
//!        │                            │
//!        │                            └─▶ serve, on 127.0.0.1
//!        ├─▶ check: links, headings, code by anchor, nothing of an answer
//!        └─▶ run: the terminals of each page, on a cluster of their own
//! ```
//!
//! Links from a page to a source (`../../chapters/…`) are right where the page lies. In the built book the
//! same link leads to a page with that file's text, so that `book/book` can be read from the disk, and put
//! on any server as it is.

mod check;
mod html;
mod mask;
mod mdbook;
pub mod page;
mod run;
mod serve;
mod session;
mod shell;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::chapters::{Chapter, Target};
use crate::place::Place;

#[derive(clap::Args)]
pub struct Args {
    /// A chapter or a step, as 5 or 5.2: where to open the book, or, with --run, the page to run
    target: Option<Target>,
    /// Build it into book/book, and no more
    #[arg(long, group = "what")]
    build: bool,
    /// Build it, and check links, headings, included code, and that no answer is shown
    #[arg(long, group = "what")]
    check: bool,
    /// Run the terminals marked `console,run`, each page on a cluster of its own, and compare
    #[arg(long, group = "what")]
    run: bool,
    /// With --run: write what came into the pages; read the difference before you commit it
    #[arg(long, requires = "run")]
    bless: bool,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    if args.run {
        return run::run(place, args.target.as_ref(), args.bless);
    }
    if args.check {
        return check::run(place);
    }
    let built = build(place)?;
    for warning in &built.warnings {
        eprintln!("{warning}");
    }
    if args.build {
        println!("The book is in {}", out(place).join("index.html").display());
        return Ok(ExitCode::SUCCESS);
    }
    let path = args.target.as_ref().map(|target| address(place, target)).transpose()?;
    serve::run(place, built, &path.unwrap_or_default())
}

fn src(place: &Place) -> PathBuf {
    place.root.join("book/src")
}

fn out(place: &Place) -> PathBuf {
    place.root.join("book/book")
}

/// A built book.
struct Built {
    /// What mdBook was not content with.
    warnings: Vec<String>,
    /// The files that it was made of.
    made_of: Vec<PathBuf>,
}

fn build(place: &Place) -> Result<Built> {
    let mdbook = mdbook::find_or_install(place)?;
    let warnings = mdbook::build(place, &mdbook)?;
    let mut made_of = sources::publish(place)?;
    made_of.push(place.root.join("book/book.toml"));
    for page in page::Page::all(&src(place))? {
        made_of.extend(page.includes().iter().map(|include| src(place).join(&include.path)));
        made_of.push(src(place).join(&page.name));
    }
    Ok(Built { warnings, made_of })
}

/// `05-scheduler.html#step-2-filters`
fn address(place: &Place, target: &Target) -> Result<String> {
    let pages = page::Page::all(&src(place))?;
    let Some(page) = pages.iter().find(|page| page.name.starts_with(&format!("{}-", target.chapter))) else {
        bail!("the book has no chapter {}", target.chapter);
    };
    let file = page.name.replace(".md", ".html");
    let Some(step) = target.step else { return Ok(file) };
    let chapter = Chapter::find(place, target)?;
    Ok(format!("{file}#{}", chapter.step(step)?.anchor))
}
