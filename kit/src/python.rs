//! Clients in Python, fetched into the target folder: nothing is installed where others would find it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::place::{Place, program};
use crate::say;

/// The folder for `PYTHONPATH` with what `tests/clients/python/requirements.txt` lists; if there can
/// be none, why.
pub fn clients(place: &Place) -> Result<PathBuf> {
    let requirements = place.root.join("tests/clients/python/requirements.txt");
    let wanted = fs::read(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let folder = place.root.join("target/tools/python");
    // Written last: a folder with it is whole.
    let stamp = folder.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    let python = program("python3").context("there is no python3 for the clients in Python")?;
    let _ = fs::remove_dir_all(&folder);
    let mut install = place.command(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--target",
    ]);
    install.arg(&folder).arg("--requirement").arg(&requirements).stdin(Stdio::null());
    say::run(&mut install).context("the clients in Python cannot be fetched")?;
    fs::write(&stamp, &wanted)?;
    Ok(folder)
}
