//! `cargo kit up`: builds, and starts the cluster, with the student's cores in it on request.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::chapters::{Chapter, Target};
use crate::place::Place;
use crate::{cargo, say, setup};

#[derive(clap::Args, Default)]
pub struct Args {
    /// How many nodes [default: as many as last time, or 2]
    #[arg(long)]
    nodes: Option<u32>,
    /// Build with optimisation: slower to build, and smaller and faster to run
    #[arg(long)]
    release: bool,
    /// Chapters whose core is yours, from labs/, as in 5,6; or all
    #[arg(long, value_name = "LIST")]
    mine: Option<String>,
    /// More flags for `coracle up`
    #[arg(last = true)]
    more: Vec<String>,
}

pub fn run(place: &Place, args: &Args) -> Result<ExitCode> {
    let mine = match &args.mine {
        Some(list) => chosen(&Chapter::all(place)?, list)?,
        None => Vec::new(),
    };
    for chapter in &mine {
        warn_of_holes(place, chapter);
    }
    let mine: Vec<String> = mine.into_iter().map(|chapter| chapter.number).collect();
    setup::ensure(place)?;
    let coracle = cargo::build_coracle(place, args.release, &mine)?;
    stop_another(place, args.mine.is_some(), &mine)?;
    let mut up = place.command(&coracle);
    up.arg("up");
    if let Some(nodes) = args.nodes {
        up.args(["--nodes", &nodes.to_string()]);
    }
    let status = up.args(&args.more).status().with_context(|| format!("cannot run {}", coracle.display()))?;
    if !status.success() {
        let logs = place.logs();
        if !mine.is_empty() {
            let check = format!("cargo kit check {}", mine[0]);
            eprintln!(
                "Your cores of chapters {} run in it; what do `{check}` and the logs say?",
                mine.join(", ")
            );
        }
        bail!("the cluster did not come up ({status}); the logs are in {}", logs.display());
    }
    if !mine.is_empty() {
        println!("{} `cargo kit status` shows which parts are yours.", say::green("With your cores."));
    }
    Ok(ExitCode::SUCCESS)
}

/// A cluster that is up keeps the program that it was started from, so another mix needs another start.
fn stop_another(place: &Place, asked: bool, mine: &[String]) -> Result<()> {
    let Some(running) = place.running_mine() else { return Ok(()) };
    if !asked || (running == mine && mine.is_empty()) {
        return Ok(());
    }
    println!("The cluster that is up runs other code: it stops, keeps its state, and starts again.");
    let status = place.coracle()?.arg("down").status().context("cannot run coracle down")?;
    if !status.success() {
        bail!("the cluster did not stop ({status})");
    }
    Ok(())
}

/// The chapters of `5,6` or `all`, each once, in order.
fn chosen(all: &[Chapter], list: &str) -> Result<Vec<Chapter>> {
    if list == "all" {
        return Ok(all.to_vec());
    }
    let mut numbers = Vec::new();
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let target: Target = word.parse()?;
        if target.step.is_some() {
            bail!("{word:?} is a step, and a cluster takes whole chapters: --mine {}", target.chapter);
        }
        if !all.iter().any(|chapter| chapter.number == target.chapter) {
            let known = all.iter().map(|chapter| chapter.number.as_str()).collect::<Vec<_>>().join(", ");
            bail!("chapter {} has no lab; there are {known}", target.chapter);
        }
        numbers.push(target.chapter);
    }
    if numbers.is_empty() {
        bail!("--mine wants chapters, as in `--mine 5,6`, or `--mine all`");
    }
    Ok(all.iter().filter(|chapter| numbers.contains(&chapter.number)).cloned().collect())
}

/// A core with holes compiles, and stops where it meets one.
fn warn_of_holes(place: &Place, chapter: &Chapter) {
    let holes = count_holes(&chapter.lab(place).join("src"));
    if holes > 0 {
        let what = if holes == 1 { "a hole".to_owned() } else { format!("{holes} holes") };
        println!(
            "{} {} still has {what}: the component stops where it meets one, and is started again.",
            say::yellow("note:"),
            chapter.name
        );
    }
}

fn count_holes(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| match std::fs::read_to_string(path) {
        Ok(text) => text.matches("todo!(").count(),
        Err(_) => count_holes(path),
    };
    entries.filter_map(|entry| Some(count(&entry.ok()?.path()))).sum()
}

/// For the demo: two nodes, and nothing special.
pub fn two_nodes() -> Args {
    Args { nodes: Some(2), ..Args::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(number: &str) -> Chapter {
        let text = |text: &str| text.to_owned();
        Chapter {
            number: text(number),
            name: format!("{number}-x"),
            package: text("x"),
            title: text("X"),
            steps: Vec::new(),
        }
    }

    #[test]
    fn a_list_names_chapters_once_and_in_order() {
        let all = ["00", "05", "06"].map(chapter);
        let numbers = |list: &str| -> Result<Vec<String>> {
            Ok(chosen(&all, list)?.into_iter().map(|chapter| chapter.number).collect())
        };
        assert_eq!(numbers("6,5, 05").unwrap(), ["05", "06"]);
        assert_eq!(numbers("all").unwrap(), ["00", "05", "06"]);
        for (list, said) in [
            ("", "--mine wants chapters"),
            ("7", "chapter 07 has no lab; there are 00, 05, 06"),
            ("5.2", "is a step"),
            ("five", "names no chapter"),
        ] {
            let error = numbers(list).unwrap_err().to_string();
            assert!(error.contains(said), "{list:?}: {error}");
        }
    }
}
