//! Where things lie: the workspace, the cluster's home, programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

#[derive(Clone)]
pub struct Place {
    /// The workspace.
    pub root: PathBuf,
    /// The cluster's folder: `$CORACLE_HOME`, or `.coracle` in the workspace.
    pub home: PathBuf,
}

impl Place {
    pub fn find() -> Result<Self> {
        let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = kit.parent().context("the kit lies in the workspace")?.to_owned();
        let home = match std::env::var_os("CORACLE_HOME") {
            // Whoever is called may work elsewhere.
            Some(home) => std::path::absolute(home)?,
            None => root.join(".coracle"),
        };
        Ok(Self { root, home })
    }

    /// `program` with what every program of ours wants to know.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("CORACLE_HOME", &self.home).env("PATH", search_path());
        command
    }

    /// The program of the cluster that was started last.
    pub fn coracle(&self) -> Result<Command> {
        let binary = self.home.join("bin/coracle");
        if !binary.exists() {
            bail!("there is no cluster in {} yet: start one with `cargo kit up`", self.home.display());
        }
        Ok(self.command(binary))
    }

    /// Whether the cluster is up.
    pub fn is_up(&self) -> bool {
        let Ok(mut status) = self.coracle() else { return false };
        status.arg("status").output().is_ok_and(|output| output.status.success())
    }

    /// The chapters whose core is the student's in the cluster that is up; `None` if none is.
    pub fn running_mine(&self) -> Option<Vec<String>> {
        let output = self.coracle().ok()?.args(["status", "--output", "json"]).output().ok()?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        if status["up"] != true {
            return None;
        }
        let mine = status["mine"].as_array().into_iter().flatten();
        Some(mine.filter_map(|number| number.as_str().map(str::to_owned)).collect())
    }

    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let path = self.home.join("kubeconfig");
        if !path.exists() {
            bail!("there is no kubeconfig in {} yet: `cargo kit up` makes one", self.home.display());
        }
        Ok(path)
    }

    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }
}

/// `PATH`, and the folders that an ordinary user's lacks on Debian though iptables lives there.
pub fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !std::env::split_paths(&path).any(|known| known == Path::new(folder)) {
            path.push(":");
            path.push(folder);
        }
    }
    path
}

pub fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|path| path.is_file())
}

pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_uid(&status) == Some(0)
}

/// The second number of the line `Uid:` in `/proc/self/status`.
fn effective_uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_is_the_second_number() {
        assert_eq!(effective_uid("Name:\tkit\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(effective_uid("Name:\tkit\n"), None);
    }

    #[test]
    fn system_folders_are_searched_once() {
        let path = search_path();
        let sbin = std::env::split_paths(&path).filter(|folder| folder == Path::new("/usr/sbin"));
        assert_eq!(sbin.count(), 1);
    }
}
