//! `coracle status`: what runs, since when, and whether the nodes are Ready.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use informer::{Client as ApiClient, ListOptions};
use k8s_openapi::api::core::v1::Node as ApiNode;
use serde::Serialize;

use crate::control::{Client, Phase, UnitStatus};
use crate::home::Home;
use crate::mine::made_of;
use crate::processes::Processes;
use crate::ready::is_ready;

/// How long the API server may take before its nodes are "unknown".
const API_PATIENCE: Duration = Duration::from_secs(2);

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How to print it
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Table,
    Json,
}

#[derive(Serialize)]
struct Report {
    up: bool,
    home: String,
    kubeconfig: String,
    limits: String,
    ids: String,
    /// The chapters whose core is the student's.
    mine: Vec<String>,
    components: Vec<Line>,
    /// In KiB: what all processes of the sandbox use, shared pages divided among those who share them.
    memory: u64,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    unit: UnitStatus,
    /// The process as the host numbers it.
    host_pid: Option<u32>,
    /// In KiB; see `Report::memory`.
    memory: Option<u64>,
    /// For a node: `True`, `False` or `Unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<&'static str>,
    /// Of the chapters that the process is made of, those whose core is the student's.
    mine: Vec<&'static str>,
}

/// Prints the status; whether the cluster is up.
pub fn run(home: &Home, args: &Args) -> Result<bool> {
    let Some(running) = home.running() else {
        match args.output {
            Output::Table => println!("The cluster in {} is not up.", home.path().display()),
            Output::Json => println!("{}", serde_json::json!({ "up": false, "home": home.path() })),
        }
        return Ok(false);
    };
    let status = Client::connect(home)?.status()?;
    let sandbox = running.sandbox.pid.unsigned_abs();
    let processes = Processes::look();
    let nodes = node_readiness(home);
    let inits: BTreeMap<String, u32> = status
        .components
        .iter()
        .filter(|unit| is_node(&unit.name))
        .filter_map(|unit| Some((unit.name.clone(), processes.translate(sandbox, unit.pid?)?)))
        .collect();
    let mut components: Vec<Line> = status
        .components
        .into_iter()
        .map(|unit| {
            // The number of a node's program means something below that node's init only.
            let machine = match unit.name.split_once('/') {
                Some((node, _)) => inits.get(node).copied(),
                None => Some(sandbox),
            };
            let host_pid = machine.zip(unit.pid).and_then(|(machine, pid)| processes.translate(machine, pid));
            let ready = is_node(&unit.name).then(|| readiness(&nodes, &unit));
            let mut mine = made_of(&unit.name).to_vec();
            mine.retain(|chapter| status.mine.iter().any(|own| own == chapter));
            Line { host_pid, memory: host_pid.and_then(memory_of), ready, mine, unit }
        })
        .collect();
    components.sort_by_key(|line| order(&line.unit.name));
    let report = Report {
        up: true,
        home: home.path().display().to_string(),
        kubeconfig: home.kubeconfig().display().to_string(),
        limits: status.limits,
        ids: status.ids,
        mine: status.mine,
        components,
        memory: processes.below(sandbox).filter_map(memory_of).sum(),
    };
    match args.output {
        Output::Table => print(&report),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(true)
}

/// Components have no such names; a node's programs are `node-1/kubelet`.
fn is_node(name: &str) -> bool {
    name.strip_prefix("node-").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The control plane in its order of dependence, then each node with its programs.
pub fn order(name: &str) -> (usize, String) {
    let place = crate::heart::commands::CONTROL_PLANE.iter().position(|it| *it == name);
    (place.unwrap_or(usize::MAX), name.to_owned())
}

fn readiness(nodes: &Option<Vec<ApiNode>>, unit: &UnitStatus) -> &'static str {
    let Some(nodes) = nodes else { return "Unknown" };
    let found = nodes.iter().find(|node| node.metadata.name.as_deref() == Some(&unit.name));
    if found.is_some_and(is_ready) { "True" } else { "False" }
}

/// The nodes as the API server has them, unless it does not answer.
fn node_readiness(home: &Home) -> Option<Vec<ApiNode>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let api = ApiClient::from_kubeconfig(&home.kubeconfig()).ok()?;
        let options = ListOptions::default();
        let list = tokio::time::timeout(API_PATIENCE, api.list::<ApiNode>(&options)).await;
        Some(list.ok()?.ok()?.items)
    })
}

/// A process's proportional share of memory (PSS), in KiB.
fn memory_of(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn print(report: &Report) {
    let yours = if report.mine.is_empty() { "" } else { "YOURS" };
    let header = format!(
        "{:<24} {:<9} {:>8} {:>9} {:>9} {:>8}  {:<7}  {yours}",
        "NAME", "STATE", "PID", "UP", "RESTARTS", "MEMORY", "READY"
    );
    println!("{}", header.trim_end());
    for line in &report.components {
        let unit = &line.unit;
        let pid = line.host_pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let memory = line.memory.map_or_else(|| "-".to_owned(), megabytes);
        let up = unit.since.map_or_else(|| "-".to_owned(), age);
        let state = if unit.state == Phase::Waiting { "restarts".to_owned() } else { unit.state.to_string() };
        let ready = line.ready.unwrap_or_default();
        let yours = line.mine.join(" ");
        let text = format!(
            "{:<24} {state:<9} {pid:>8} {up:>9} {:>9} {memory:>8}  {ready:<7}  {yours}",
            unit.name, unit.restarts
        );
        println!("{}", text.trim_end());
    }
    println!(
        "\nuser ids    {}\nlimits      {}\nmemory      {} in all",
        report.ids,
        report.limits,
        megabytes(report.memory)
    );
    println!("kubeconfig  {}", report.kubeconfig);
    if !report.mine.is_empty() {
        println!("yours       chapters {}: your cores, the rest is the reference", report.mine.join(", "));
    }
}

fn megabytes(kib: u64) -> String {
    format!("{}.{}M", kib / 1024, kib % 1024 * 10 / 1024)
}

/// How long ago, as kubectl writes it: `42s`, `3m7s`, `5h12m`, `3d4h`.
fn age(since_ms: i64) -> String {
    let seconds = (jiff::Timestamp::now().as_millisecond() - since_ms).max(0) / 1000;
    match (seconds, seconds / 60, seconds / 3600) {
        (s, 0, _) => format!("{s}s"),
        (s, m, 0) => format!("{m}m{}s", s % 60),
        (_, m, h) if h < 24 => format!("{h}h{}m", m % 60),
        (_, _, h) => format!("{}d{}h", h / 24, h % 24),
    }
}
