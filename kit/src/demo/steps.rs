//! The demo's steps on a cluster that is up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::kubectl::{Kubectl, Pod, Rows};
use crate::place::Place;
use crate::{histogram, say};

const SELECTOR: &str = "app=web";
/// Enough for a slow machine that builds something else at the same time.
const PATIENCE: Duration = Duration::from_secs(120);
const REQUESTS: usize = 20;

pub fn nodes(kubectl: &Kubectl<'_>) -> Result<()> {
    // A node that was started a moment ago has to say so first.
    let waited = kubectl.quietly(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=20s"]);
    let nodes = kubectl.shown(&["get", "nodes", "-o", "wide"])?;
    let ready = nodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
    if ready >= 2 {
        return Ok(());
    }
    let advice = format!(
        "the demo needs two Ready nodes and this cluster has {ready}: \
         try `cargo kit node start NAME`, or `cargo kit down` and `cargo kit up --nodes 2`"
    );
    match waited {
        Ok(_) => bail!(advice),
        Err(why) => Err(why.context(advice)),
    }
}

pub fn apply(kubectl: &Kubectl<'_>) -> Result<()> {
    kubectl.shown(&["apply", "-f", "examples/web.yaml"]).map(drop)
}

/// The two pods, Running and ready.
pub fn wait_for_pods(kubectl: &Kubectl<'_>) -> Result<Vec<Pod>> {
    let staying = || -> Result<Vec<Pod>> {
        Ok(kubectl.pods(SELECTOR)?.into_iter().filter(|pod| !pod.leaving).collect())
    };
    let ready = |pods: &[Pod]| pods.len() == 2 && pods.iter().all(|pod| pod.ready);
    let mut pods = staying()?;
    if !ready(&pods) {
        let rows = kubectl.watch(&["get", "pods", "-l", SELECTOR, "--watch"])?;
        let deadline = Instant::now() + PATIENCE;
        // Whether all is well is a question about the pods together: any row may be the answer.
        while !ready(&pods) {
            let left = deadline.saturating_duration_since(Instant::now());
            rows.until("both pods Running", left, |_| true)?;
            pods = staying()?;
        }
    }
    kubectl.shown(&["get", "pods", "-l", SELECTOR, "-o", "wide"])?;
    if pods[0].node == pods[1].node {
        println!("    Both are on {} this time: a pod that was replaced came back there.", pods[0].node);
    }
    Ok(pods)
}

pub fn traffic(place: &Place, kubectl: &Kubectl<'_>, pods: &[Pod]) -> Result<()> {
    let address = kubectl.shown(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let url = format!("http://{}/", address.trim());
    // A moment may pass from "the pod is ready" to "every node's rules know of it".
    let deadline = Instant::now() + PATIENCE;
    let from = &pods[0];
    while let Err(error) = fetch(place, kubectl, from, &url, 1) {
        if Instant::now() > deadline {
            return Err(error.context("the Service does not answer"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let count = REQUESTS.to_string();
    if kubectl.version().speaks_websocket() {
        say::command(&format!("kubectl exec {} -- /coracle fetch {url} --count {count}", from.name));
    } else {
        println!("    (kubectl {} cannot exec here, so it is done by way of the node.)", kubectl.version());
    }
    let answers = fetch(place, kubectl, from, &url, REQUESTS)?;
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let counts = histogram::count(&answers, &names);
    let label = |name: &str| match pods.iter().find(|pod| pod.name == name) {
        Some(pod) => format!("{} on {}", pod.name, pod.node),
        None => name.to_owned(),
    };
    let bars: Vec<(String, usize)> = counts.iter().map(|(name, count)| (label(name), *count)).collect();
    say::indented(&histogram::bars(&bars));
    let answered: usize = names.iter().map(|name| counts[name]).sum();
    ensure!(answered == REQUESTS, "{answered} of {REQUESTS} requests were answered by the pods");
    ensure!(names.iter().all(|name| counts[name] > 0), "one pod got all the traffic");
    Ok(())
}

/// Requests from inside a pod; what each answer's first line said.
fn fetch(place: &Place, kubectl: &Kubectl<'_>, pod: &Pod, url: &str, count: usize) -> Result<String> {
    let count = count.to_string();
    if kubectl.version().speaks_websocket() {
        return kubectl.quietly(&["exec", &pod.name, "--", "/coracle", "fetch", url, "--count", &count]);
    }
    let process = process_of(place, pod)?.to_string();
    let mut enter = place.coracle()?;
    enter.args(["enter", &pod.node, "--", "nsenter", "--net", "--target", &process]);
    say::run(enter.args(["coracle", "fetch", url, "--count", &count]))
}

/// Kills a container's process from its node: inside, it is process 1, which the kernel protects from
/// signals of its own kind.
pub fn kill(place: &Place, kubectl: &Kubectl<'_>, pods: &[Pod]) -> Result<Pod> {
    // A container that died lately is started again with a delay.
    let victim = pods.iter().min_by_key(|pod| pod.restarts).context("there are two")?;
    let process = process_of(place, victim)?;
    let rows = kubectl.watch(&["get", "pods", "-l", SELECTOR, "--watch"])?;
    first_look(&rows, pods)?;
    say::command(&format!("cargo kit enter {} -- kill -9 {process}", victim.node));
    say::run(place.coracle()?.args(["enter", &victim.node, "--", "kill", "-9", &process.to_string()]))?;
    rows.until("the container runs again", PATIENCE, |row| {
        row.name == victim.name && row.restarts > victim.restarts && row.is_running()
    })?;
    Ok(victim.clone())
}

/// Once a watch has shown what is, it will show what changes.
fn first_look(rows: &Rows, pods: &[Pod]) -> Result<()> {
    let mut unseen: BTreeSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    rows.until("a first look at the pods", PATIENCE, |row| {
        unseen.remove(row.name);
        unseen.is_empty()
    })
}

/// The number, on its node, of the process that a pod's container is.
fn process_of(place: &Place, pod: &Pod) -> Result<u32> {
    let script = format!(
        "for file in $(grep -lzx HOSTNAME={} /proc/[0-9]*/environ 2>/dev/null); do \
           pid=${{file#/proc/}}; pid=${{pid%/environ}}; \
           echo \"$pid $(tr '\\0' ' ' </proc/$pid/cmdline)\"; \
         done",
        pod.name
    );
    let said = say::run(place.coracle()?.args(["enter", &pod.node, "--", "sh", "-c", &script]))?;
    first_container(&said).with_context(|| format!("no process of {} on {}", pod.name, pod.node))
}

/// Of lines `PID COMMAND…`, the lowest that is not the pause process, which holds the pod together.
fn first_container(lines: &str) -> Option<u32> {
    let processes = lines.lines().filter_map(|line| line.split_once(' '));
    let containers = processes.filter(|(_, command)| !command.contains("pause"));
    containers.filter_map(|(pid, _)| pid.parse().ok()).min()
}

pub fn delete(kubectl: &Kubectl<'_>, victim: &Pod) -> Result<()> {
    let before = kubectl.pods(SELECTOR)?;
    let rows = kubectl.watch(&["get", "pods", "-l", SELECTOR, "--watch"])?;
    first_look(&rows, &before)?;
    kubectl.shown(&["delete", "pod", &victim.name, "--wait=false"])?;
    rows.until("another pod takes its place", PATIENCE, |row| {
        row.is_running() && !before.iter().any(|pod| pod.name == row.name)
    })?;
    drop(rows);
    let pods = kubectl.pods(SELECTOR)?;
    if pods.iter().any(|pod| pod.name == victim.name && !pod.leaving) {
        bail!("{} was deleted, and is still there", victim.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_process_is_spared() {
        assert_eq!(first_container("31 /coracle pause \n47 /coracle web \n52 /coracle fetch \n"), Some(47));
        assert_eq!(first_container("31 /pause \n"), None);
        assert_eq!(first_container(""), None);
    }
}
