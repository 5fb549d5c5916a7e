//! `cargo kit doctor`: what this machine can run, tried where it can be tried, with what follows from
//! each thing that is missing. It changes nothing: whatever it makes, it makes in namespaces that end
//! with the attempt.

use std::fs;
use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::Result;

use crate::needs::NEEDS;
use crate::place::{Place, is_root, program};
use crate::say;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// One line of the table.
struct Finding {
    what: &'static str,
    health: Health,
    detail: String,
}

fn ok(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, health: Health::Ok, detail: detail.into() }
}

fn warn(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, health: Health::Warn, detail: detail.into() }
}

fn fail(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, health: Health::Fail, detail: detail.into() }
}

pub fn run(place: &Place) -> Result<ExitCode> {
    let mut findings = vec![user(), namespaces(place), overlay(place), iptables(place), limits()];
    if !is_root() {
        findings.push(subordinate_ids());
    }
    findings.extend(programs(place));
    findings.extend(ports(place));
    for finding in &findings {
        let word = match finding.health {
            Health::Ok => say::green("ok  "),
            Health::Warn => say::yellow("warn"),
            Health::Fail => say::red("FAIL"),
        };
        println!("{word}  {:<16} {}", finding.what, finding.detail);
    }
    let failed = findings.iter().any(|finding| finding.health == Health::Fail);
    println!();
    if failed {
        println!("The cluster cannot run here until what failed is mended.");
        return Ok(ExitCode::FAILURE);
    }
    println!("The cluster can run here.");
    Ok(ExitCode::SUCCESS)
}

fn user() -> Finding {
    if is_root() {
        ok("user", "root: the sandbox needs no user namespace")
    } else {
        ok("user", "not root: the sandbox gets a user namespace of its own")
    }
}

/// Runs a script in fresh namespaces, as root of them.
fn inside(place: &Place, script: &str) -> Result<String> {
    let mut unshare = place.command("unshare");
    if !is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    say::run(unshare.args(["--mount", "--net", "--pid", "--fork", "sh", "-c", script]))
}

fn namespaces(place: &Place) -> Finding {
    const WHAT: &str = "namespaces";
    if let Err(why) = inside(place, "true") {
        // Ubuntu's guard against what is, for it, an attack surface.
        let guarded = |name: &str, bad: &str| {
            fs::read_to_string(format!("/proc/sys/kernel/{name}")).is_ok_and(|value| value.trim() == bad)
        };
        if guarded("apparmor_restrict_unprivileged_userns", "1") {
            return fail(
                WHAT,
                "AppArmor forbids them to ordinary users; to allow them, run: \
                 sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            );
        }
        if guarded("unprivileged_userns_clone", "0") {
            return fail(
                WHAT,
                "forbidden to ordinary users; to allow them, run: sudo sysctl -w kernel.unprivileged_userns_clone=1",
            );
        }
        return fail(WHAT, format!("{why:#}; in a container, it may need --privileged"));
    }
    ok(WHAT, "mount, network and process namespaces can be made")
}

fn overlay(place: &Place) -> Finding {
    let script = "mount -t tmpfs none /tmp && cd /tmp && mkdir low up work all && \
                  mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work all";
    match inside(place, script) {
        Ok(_) => ok("overlay", "images can be layered"),
        Err(why) => fail("overlay", format!("containers need it for their roots: {why:#}")),
    }
}

fn iptables(place: &Place) -> Finding {
    const WHAT: &str = "iptables";
    if program("iptables").is_none() {
        return fail(WHAT, "not installed, and services need it: apt-get install iptables");
    }
    // Its lock lies in /run.
    match inside(place, "mount -t tmpfs none /run && iptables -t nat -S >/dev/null && iptables --version") {
        Ok(version) => ok(WHAT, format!("works, by way of {}", backend(&version))),
        Err(why) => fail(WHAT, format!("it does not work in a network namespace: {why:#}")),
    }
}

/// `iptables v1.8.9 (nf_tables)`; versions before 1.8 had only one.
fn backend(version: &str) -> &str {
    version.rsplit_once('(').and_then(|(_, rest)| rest.split(')').next()).unwrap_or("legacy")
}

fn limits() -> Finding {
    const WHAT: &str = "limits";
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    if let Ok(controllers) = controllers {
        let has = |name| controllers.split_whitespace().any(|controller| controller == name);
        return if has("cpu") && has("memory") {
            let to_us = if is_root() { "" } else { ", if they are delegated to you" };
            ok(WHAT, format!("cgroup v2: cpu and memory are limited{to_us}"))
        } else {
            warn(WHAT, "cgroup v2 without the cpu and memory controllers: limits are not enforced")
        };
    }
    let version_1 = ["cpu", "memory"].map(|name| fs::metadata(format!("/sys/fs/cgroup/{name}")).is_ok());
    match (version_1, is_root()) {
        ([true, true], true) => ok(WHAT, "cgroup v1: cpu and memory are limited"),
        ([false, false], _) => warn(WHAT, "no cgroups: limits are not enforced"),
        (_, false) => warn(WHAT, "cgroup v1, which only root may write: limits are not enforced"),
        (_, true) => warn(WHAT, "cgroup v1 with one of cpu and memory only: the other is not limited"),
    }
}

fn subordinate_ids() -> Finding {
    const WHAT: &str = "user ids";
    let tools = program("newuidmap").is_some() && program("newgidmap").is_some();
    let user = std::env::var("USER").unwrap_or_default();
    let lent = |file| fs::read_to_string(file).is_ok_and(|text| is_lent(&text, &user));
    if tools && lent("/etc/subuid") && lent("/etc/subgid") {
        return ok(WHAT, "a range of subordinate ids is yours");
    }
    warn(
        WHAT,
        format!(
            "one only: images unpack with squashed owners, and a process that changes its user fails. For more: \
             sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        ),
    )
}

fn is_lent(text: &str, user: &str) -> bool {
    !user.is_empty() && text.lines().any(|line| line.split(':').next() == Some(user))
}

fn programs(place: &Place) -> Vec<Finding> {
    let others = NEEDS.iter().filter(|need| need.program != "iptables");
    let finding = |need: &crate::needs::Need| match (program(need.program), need.vital) {
        (Some(path), _) => {
            ok(need.program, version(place, need.program).unwrap_or(path.display().to_string()))
        }
        (None, true) => {
            fail(need.program, format!("missing ({}): apt-get install {}", need.why, need.package))
        }
        (None, false) => {
            warn(need.program, format!("missing ({}): apt-get install {}", need.why, need.package))
        }
    };
    others.map(finding).collect()
}

/// Only where it tells something that matters here.
fn version(place: &Place, name: &str) -> Option<String> {
    match name {
        "kubectl" => {
            let version = crate::kubectl::client_version(place)?;
            let advice = if version.speaks_websocket() {
                ""
            } else {
                " (logs and get work; exec needs 1.31 or later)"
            };
            Some(format!("{version}{advice}"))
        }
        "etcdctl" => {
            let said = say::run(place.command(name).arg("version").env("ETCDCTL_API", "3")).ok()?;
            said.lines().next().map(str::to_owned)
        }
        _ => None,
    }
}

fn ports(place: &Place) -> Vec<Finding> {
    if place.is_up() {
        return vec![ok("ports", "the cluster is up and has its own")];
    }
    [("port 6443", 6443), ("port 2379", 2379)]
        .into_iter()
        .map(|(what, port)| match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => ok(what, "free"),
            Err(_) => warn(what, "taken by another program: the next free one is used instead"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_stands_in_parentheses() {
        assert_eq!(backend("iptables v1.8.9 (nf_tables)\n"), "nf_tables");
        assert_eq!(backend("iptables v1.8.4 (legacy)"), "legacy");
        assert_eq!(backend("iptables v1.6.1"), "legacy");
    }

    #[test]
    fn ids_are_lent_by_name() {
        assert!(is_lent("root:1:2\nann:100000:65536\n", "ann"));
        assert!(!is_lent("anna:100000:65536\n", "ann"));
        assert!(!is_lent(":1:2", ""));
    }
}
