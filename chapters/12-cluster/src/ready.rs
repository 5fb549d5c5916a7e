//! Waiting until a cluster is ready, awake only when something changes: the sandbox tells of its
//! processes, the API server of its nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use informer::{Client as ApiClient, Informer, Query};
use k8s_openapi::api::core::v1::{Node as ApiNode, NodeCondition};
use tokio::sync::mpsc;

use crate::control::{Answer, Client, Phase, Request, UnitStatus};
use crate::heart::Node;
use crate::home::Home;
use crate::status::order;
use crate::up::{Progress, last_lines};

/// A component that was started again so often does not come up by waiting longer.
const HOPELESS_RESTARTS: u32 = 8;
/// A failure shows so many logs, and names the other components.
const LOGS_TO_SHOW: usize = 3;
/// Changes that wait to be looked at; the reader of the socket waits when it is full.
const WAITING_CHANGES: usize = 64;

/// Everything that the wait is about.
enum Event {
    Changed(UnitStatus),
    SandboxEnded,
    /// The list of nodes was read for the first time.
    ApiAnswers,
    NodeChanged(String, bool),
    TimeIsUp,
}

/// What keeps pods away from a node that is not ready: a controller takes it off a moment after the
/// kubelet has said that it is.
const AWAY: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Waits until every node is Ready and takes pods, and tells how it comes to be.
pub fn wait(
    home: &Home,
    sandbox: Client,
    nodes: &[Node],
    patience: Duration,
    progress: &Progress,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(watch(home, sandbox, nodes, patience, progress));
    // The thread that reads the control socket ends with this process.
    runtime.shutdown_background();
    result
}

async fn watch(
    home: &Home,
    sandbox: Client,
    nodes: &[Node],
    patience: Duration,
    progress: &Progress,
) -> Result<()> {
    // The store still says of each node what it was when the cluster went down; a heartbeat tells
    // whole seconds.
    let began = jiff::Timestamp::now().as_second();
    let deadline = tokio::time::sleep(patience);
    tokio::pin!(deadline);
    let mut changes = follow(sandbox)?;
    let api = ApiClient::from_kubeconfig(&home.kubeconfig())?;
    let informer = Informer::<ApiNode>::start(&api, Query::default());
    let mut api_nodes = informer.subscribe();

    let mut missing: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let mut troubled: Vec<UnitStatus> = Vec::new();
    loop {
        let event = tokio::select! {
            change = changes.recv() => change.map_or(Event::SandboxEnded, Event::Changed),
            Some(event) = api_nodes.recv() => match event {
                informer::Event::Synced => Event::ApiAnswers,
                informer::Event::Added(node) | informer::Event::Updated { new: node, .. } => {
                    let ready = takes_pods(&node) && heartbeat(&node) >= Some(began);
                    Event::NodeChanged(node.metadata.name.clone().unwrap_or_default(), ready)
                }
                informer::Event::Deleted(node) => Event::NodeChanged(node.metadata.name.clone().unwrap_or_default(), false),
            },
            () = &mut deadline => Event::TimeIsUp,
        };
        match event {
            Event::ApiAnswers => progress.say("API server answers"),
            Event::NodeChanged(name, true) if missing.remove(name.as_str()) => {
                progress.say(format_args!("{name} is Ready"));
                if missing.is_empty() {
                    return Ok(());
                }
            }
            Event::NodeChanged(..) => {}
            Event::Changed(status) => {
                troubled.retain(|other| other.name != status.name);
                // The first time may be bad luck; the pause before the second says that it is not.
                if let (Some(exit), Phase::Waiting, 1..=2) = (status.last_exit, status.state, status.restarts)
                {
                    progress.say(format_args!("{} {exit}; it is started again", status.name));
                }
                let hopeless = status.restarts >= HOPELESS_RESTARTS;
                if status.restarts > 0 {
                    troubled.push(status.clone());
                }
                if hopeless {
                    bail!("{}", trouble(home, "a component does not come up", &troubled));
                }
            }
            Event::SandboxEnded => bail!("the sandbox ended; {}", last_lines(&home.log("sandbox"))),
            Event::TimeIsUp => {
                let missing: Vec<&str> = missing.into_iter().collect();
                let what = format!("not Ready for pods within {patience:?}: {}", missing.join(", "));
                bail!("{}", trouble(home, &what, &troubled));
            }
        }
    }
}

/// Changes, from a thread that reads the socket.
fn follow(mut sandbox: Client) -> Result<mpsc::Receiver<UnitStatus>> {
    sandbox.send(&Request::Follow)?;
    let (sender, changes) = mpsc::channel(WAITING_CHANGES);
    std::thread::spawn(move || {
        while let Ok(Some(answer)) = sandbox.answer() {
            let statuses = match answer {
                Answer::Status(status) => status.components,
                Answer::Change(status) => vec![status],
                Answer::Done | Answer::Refused { .. } => continue,
            };
            for status in statuses {
                if sender.blocking_send(status).is_err() {
                    return;
                }
            }
        }
    });
    Ok(changes)
}

pub fn is_ready(node: &ApiNode) -> bool {
    ready_condition(node).is_some_and(|condition| condition.status == "True")
}

fn takes_pods(node: &ApiNode) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    is_ready(node) && !taints.iter().any(|taint| AWAY.contains(&taint.key.as_str()))
}

/// When the kubelet last said so, in seconds since 1970.
fn heartbeat(node: &ApiNode) -> Option<i64> {
    Some(ready_condition(node)?.last_heartbeat_time.as_ref()?.0.as_second())
}

fn ready_condition(node: &ApiNode) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// What went wrong, with the logs of those who had trouble: first of those on whom others depend.
fn trouble(home: &Home, what: &str, troubled: &[UnitStatus]) -> String {
    let mut troubled: Vec<&UnitStatus> = troubled.iter().collect();
    troubled.sort_by_key(|status| order(&status.name));
    let mut text = what.to_owned();
    for status in troubled.iter().take(LOGS_TO_SHOW) {
        let exit = status.last_exit.map_or_else(String::new, |exit| format!(" and last {exit}"));
        let restarts = status.restarts;
        text += &format!(
            "\n{} was started again {restarts} times{exit}; {}",
            status.name,
            last_lines(&home.log(&status.name))
        );
    }
    if troubled.len() > LOGS_TO_SHOW {
        let others: Vec<&str> = troubled[LOGS_TO_SHOW..].iter().map(|status| status.name.as_str()).collect();
        text += &format!("\nStarted again too: {}", others.join(", "));
    }
    text + "\nThe sandbox stays up, so that you can look: `status`, `logs COMPONENT`, `enter`; then `down`."
}
