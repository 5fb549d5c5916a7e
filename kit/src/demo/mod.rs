//! `cargo kit demo`: the main job, from nothing to a healed service, told step by step with the
//! commands that a person would type.

mod steps;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::kubectl::Kubectl;
use crate::place::Place;
use crate::{say, setup, up};

const STEPS: usize = 8;

/// Counts the steps and measures them.
struct Teller {
    start: Instant,
    step: usize,
    step_start: Instant,
}

impl Teller {
    fn begin(&mut self, title: &str) {
        self.step += 1;
        self.step_start = Instant::now();
        println!("\n{} {}", say::bold(&format!("[{}/{STEPS}]", self.step)), say::bold(title));
    }

    fn end(&self) {
        println!("    {}", say::dim(&format!("{} so far", say::time(self.start.elapsed()))));
    }
}

pub fn run(place: &Place) -> Result<ExitCode> {
    let now = Instant::now();
    let mut teller = Teller { start: now, step: 0, step_start: now };
    let told = tell(place, &mut teller);
    if told.is_err() && place.home.exists() {
        eprintln!();
        eprintln!("The demo stopped in step {} of {STEPS}.", teller.step);
        eprintln!("    cargo kit status            what runs, if the cluster is up");
        eprintln!("    cargo kit logs COMPONENT    one log; all of them are in {}", place.logs().display());
        eprintln!("    cargo kit doctor            what this machine can run");
    }
    told.map(|()| ExitCode::SUCCESS)
}

fn tell(place: &Place, teller: &mut Teller) -> Result<()> {
    teller.begin("What this machine needs");
    if setup::ensure(place)? {
        println!("    everything is here");
    }
    teller.end();

    teller.begin("A cluster of two nodes, in a sandbox of its own");
    if place.is_up() {
        println!("    it is up already");
    } else {
        println!("    Building it; the first time takes minutes, later ones seconds.");
        up::run(place, &up::two_nodes())?;
    }
    let kubectl = Kubectl::new(place).context(
        "the cluster is up, but the rest of the demo needs kubectl: see https://kubernetes.io/docs/tasks/tools/",
    )?;
    println!("    From here on, kubectl {} drives it, as it would drive any cluster.", kubectl.version());
    steps::nodes(&kubectl)?;
    teller.end();

    teller.begin("A Deployment of two replicas, and a Service in front");
    steps::apply(&kubectl)?;
    teller.end();

    teller.begin("Both replicas run, one on each node");
    let pods = steps::wait_for_pods(&kubectl)?;
    teller.end();

    teller.begin("Twenty requests to the Service, from inside a pod");
    steps::traffic(place, &kubectl, &pods)?;
    teller.end();

    teller.begin("A process dies: the kubelet starts it again");
    let victim = steps::kill(place, &kubectl, &pods)?;
    teller.end();

    teller.begin("A pod is deleted: the ReplicaSet makes another");
    steps::delete(&kubectl, &victim)?;
    teller.end();

    teller.begin("What to try next");
    next(place)?;
    let total = say::time(teller.start.elapsed());
    println!("\n{} The demo took {total}. The cluster stays up.", say::green("Done."));
    Ok(())
}

fn next(place: &Place) -> Result<()> {
    println!("    The cluster is yours now. In this terminal:\n");
    say::command(&format!("export KUBECONFIG={}", place.kubeconfig()?.display()));
    for (command, what) in [
        ("kubectl get pods --all-namespaces --output wide", ""),
        ("kubectl scale deployment web --replicas 5", ""),
        ("kubectl logs deployment/web", ""),
        ("cargo kit etcdctl watch --prefix /registry/pods", "what the store hears of it"),
        ("cargo kit enter node-1 -- iptables-save -t nat", "what kube-proxy wrote for web"),
        ("cargo kit node stop node-2", "and watch its pods move; `node start node-2` brings it back"),
        ("cargo kit logs node-1/kubelet -f", ""),
        ("cargo kit down", "keeps the state; `up` resumes, `reset` forgets"),
    ] {
        let what =
            if what.is_empty() { String::new() } else { format!("   {}", say::dim(&format!("# {what}"))) };
        say::command(&format!("{command}{what}"));
    }
    Ok(())
}
