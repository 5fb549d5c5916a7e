//! A skeleton compiles, and takes the reference's place wherever that stands.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::chapters::Chapter;
use crate::place::Place;
use crate::{cargo, say};

/// What does not compile, in a few words each; the compiler has said the rest.
pub fn check(place: &Place, chapters: &[Chapter]) -> Result<Vec<&'static str>> {
    let each = |words: &dyn Fn(&Chapter) -> String| chapters.iter().map(words).collect::<Vec<_>>();
    let mut clippy = vec!["clippy".to_owned(), "--keep-going".to_owned()];
    clippy.extend(each(&|chapter| format!("--package={}-lab", chapter.package)));
    clippy.extend(["--", "--deny", "warnings"].map(str::to_owned));

    // What vanished with the answers must not have been part of what others see.
    let mut suites = vec!["check".to_owned(), "--tests".to_owned(), "--keep-going".to_owned()];
    suites.extend(each(&|chapter| format!("--package={}", chapter.tests_package())));
    suites.extend(each(&|chapter| format!("--features={}/lab", chapter.tests_package())));

    let mut shells = ["check", "--package=cluster"].map(str::to_owned).to_vec();
    shells.extend(each(&|chapter| format!("--features=lab-{}", chapter.number)));

    let claims = [
        ("skeletons compile under clippy with warnings denied", clippy),
        ("suites compile with the skeletons", suites),
        ("shells compile with the skeletons", shells),
    ];
    let mut unproved = Vec::new();
    for (claim, words) in claims {
        let start = Instant::now();
        let mut command = cargo::command(place);
        command.args(&words[..1]).arg("--quiet").args(&words[1..]).stdin(Stdio::null());
        let compiles = command.status().context("cannot run cargo")?.success();
        let word = if compiles { say::green("ok") } else { say::red("FAILED") };
        println!("{word} {claim} ({})", say::time(start.elapsed()));
        if !compiles {
            unproved.push(claim);
        }
    }
    Ok(unproved)
}
