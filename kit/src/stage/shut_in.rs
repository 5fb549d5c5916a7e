//! Cargo for a submission: where there is nothing to read but compilers, other people's packages, and the
//! stage, with an environment that holds no secrets. (`option_env!` reads it, and what is compiled can be
//! printed.)

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{COMPILING, Stage};
use crate::exam::jail::{self, Rules, Walls};
use crate::place::search_path;

/// Bytes of address space of one compiler or linker.
const MEMORY: u64 = 8 << 30;
/// Bytes of the largest file that a linker writes.
const FILE: u64 = 4 << 30;

/// Cargo within walls; where the machine forbids them, cargo with limits.
pub fn cargo(stage: &Stage) -> Result<Command> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
    let sysroot = sysroot(stage)?;
    let mut rules = Rules::limits(Some(MEMORY), COMPILING);
    (rules.tell, rules.file) = (false, FILE);
    if jail::forbidden().is_none() {
        rules.walls = Some(walls(stage, &sysroot, &cargo_home)?);
    }
    let mut path = sysroot.join("bin").into_os_string();
    path.push(":");
    path.push(search_path());
    let mut command = Command::new("/proc/self/exe");
    command.arg("jail").arg(rules.to_json()?).arg(sysroot.join("bin/cargo")).env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| is_for_compilers(name)));
    command.env("PATH", path).env("CARGO_HOME", cargo_home).env("HOME", "/tmp");
    Ok(command)
}

fn walls(stage: &Stage, sysroot: &Path, cargo_home: &Path) -> Result<Walls> {
    let root = &stage.place.root;
    let mut reads = vec![sysroot.to_owned(), root.join("Cargo.toml"), root.join(".cargo")];
    // Not the whole of cargo's home: it may hold credentials.
    reads.extend(["registry", "git", "config.toml"].map(|part| cargo_home.join(part)));
    reads.extend(stage.given.iter().cloned());
    // Not the whole target folder: other stages are in it, and the pages of `cargo doc` show sources.
    reads.push(stage.target.join(".rustc_info.json"));
    reads.retain(|path| path.exists());
    let mut writes = vec![stage.root.clone()];
    for folder in ["debug", "tmp"] {
        let folder = stage.target.join(folder);
        fs::create_dir_all(&folder)?;
        writes.push(folder);
    }
    Ok(Walls::for_a_compiler(reads, writes))
}

/// Where the compiler and its library are; cargo itself lies beside it.
fn sysroot(stage: &Stage) -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "sysroot"]).current_dir(&stage.place.root).output();
    let output = output.context("cannot run rustc")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// What may change how our packages are compiled, and so must be as it is everywhere else.
fn is_for_compilers(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let own = name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST")
        || name.contains("TOKEN")
        || name.contains("CREDENTIAL");
    let wanted = ["CARGO_", "RUST", "CC", "CFLAGS", "LD_LIBRARY_PATH", "SOURCE_DATE_EPOCH"];
    !own && wanted.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_told_nothing_secret() {
        let told = |name: &str| is_for_compilers(OsStr::new(name));
        assert!(told("CARGO_HOME") && told("RUSTFLAGS") && told("CC"));
        for secret in ["CARGO_REGISTRY_TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "CARGO_PKG_NAME"] {
            assert!(!told(secret), "{secret}");
        }
    }
}
