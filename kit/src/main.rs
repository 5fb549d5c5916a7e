//! # The courseware tool, `cargo kit`
//!
//! It brings a machine, the workspace and a cluster together, so that a student needs to know two
//! commands: `demo` and `test`. It uses no chapter: it runs cargo, and then `coracle`, the program that
//! cargo built, so it compiles in seconds and cannot disagree with the cluster that it drives.
//!
//! ```text
//!   cargo kit up ── cargo build -p cluster ──> target/…/coracle up ── copies itself ──┐
//!   cargo kit status, logs, enter, … ────────────────> .coracle/bin/coracle  <────────┘
//! ```
//!
//! Verbs that start a cluster build it first; the others use the copy that the running cluster was
//! started from, so that they are quick, and in step with it even while the sources change.
//!
//! One command a file. [`place`] knows where things lie, [`needs`] what a machine must have.

mod bench;
mod book;
mod bounded;
mod cargo;
mod chapters;
mod cluster;
mod demo;
mod doctor;
mod exam;
mod grade;
mod histogram;
mod kubectl;
mod labs;
mod mutants;
mod needs;
mod oracle;
mod place;
mod python;
mod say;
mod setup;
mod stage;
mod student;
mod test;
mod up;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::place::Place;

#[derive(Parser)]
#[command(name = "cargo kit", bin_name = "cargo kit", version, about = "Coracle's courseware tool")]
struct Cli {
    /// Without one: your progress, and what comes next
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Everything after the verb goes to `coracle` as it stands.
#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    rest: Vec<OsString>,
}

#[derive(Subcommand)]
enum Verb {
    /// The whole thing, shown: boot two nodes, run a web service, balance, kill, heal
    Demo,
    /// Run the tests, set-up included
    Test(test::Args),
    /// Build and start the cluster; resumes what was there before
    Up(up::Args),
    /// Stop the cluster and keep its state
    Down(Rest),
    /// Stop the cluster and forget its state
    Reset(Rest),
    /// What runs, and since when
    Status(Rest),
    /// A component's log: apiserver, node-1/kubelet, … (-f follows)
    Logs(Rest),
    /// Images that the nodes see: list, import, load, rm
    Image(Rest),
    /// A shell, or a command, inside the sandbox or a node: `enter node-1 -- ip route`
    Enter(Rest),
    /// The real etcdctl, on the cluster's store
    Etcdctl(Rest),
    /// Take a node away, and bring it back: node stop|start NAME
    Node(Rest),
    /// Print the path of the administrator's kubeconfig
    Kubeconfig,
    /// What this machine can run, and what to do about the rest
    Doctor,
    /// Install what is missing, where that is allowed
    Setup,
    /// What a chapter's lab asks, and where to begin
    Lab(student::lab::Args),
    /// Judge your answers: a chapter's, or one step's
    Check(student::check::Args),
    /// Check again whenever you save
    Watch(student::watch::Args),
    /// Help with a step, a level more each time
    Hint(student::hint::Args),
    /// Put the holes of a step back
    ResetStep(student::reset_step::Args),
    /// The reference answer, once yours passes
    Solution(student::solution::Args),
    /// The book
    Book(book::Args),
    /// Grade submissions
    Grade(grade::Args),
    /// Write labs/ from solutions/
    SyncLabs(labs::sync::Args),
    /// Prove that the labs can be solved and that their tests judge
    VerifyLabs(verify::Args),
    /// How many deliberate faults a chapter's suite notices
    Mutants(mutants::Args),
    /// Measure the store beside a real etcd
    Bench(bench::Args),
    /// Run a program within limits and walls: the examiner's own
    #[command(hide = true)]
    Jail(Rest),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    // As they were written: clap takes a `--` away that the next program wants to see.
    let rest: Vec<OsString> = std::env::args_os().skip(2).collect();
    match run(verb, &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{} {error:#}", say::red("error:"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Option<Verb>, rest: &[OsString]) -> anyhow::Result<ExitCode> {
    let place = Place::find()?;
    let Some(verb) = verb else { return student::overview::run(&place) };
    match verb {
        Verb::Demo => demo::run(&place),
        Verb::Test(args) => test::run(&place, &args),
        Verb::Up(args) => up::run(&place, &args),
        Verb::Down(_) => cluster::stop(&place, "down", rest),
        Verb::Reset(_) => cluster::stop(&place, "reset", rest),
        Verb::Status(_) => cluster::hand_over(&place, "status", rest),
        Verb::Logs(_) => cluster::hand_over(&place, "logs", rest),
        Verb::Image(_) => cluster::image(&place, rest),
        Verb::Enter(_) => cluster::hand_over(&place, "enter", rest),
        Verb::Etcdctl(_) => cluster::etcdctl(&place, rest),
        Verb::Node(_) => cluster::hand_over(&place, "node", rest),
        Verb::Kubeconfig => {
            println!("{}", place.kubeconfig()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Doctor => doctor::run(&place),
        Verb::Setup => setup::run(&place),
        Verb::Lab(args) => student::lab::run(&place, &args),
        Verb::Check(args) => student::check::run(&place, &args),
        Verb::Watch(args) => student::watch::run(&place, &args),
        Verb::Hint(args) => student::hint::run(&place, &args),
        Verb::ResetStep(args) => student::reset_step::run(&place, &args),
        Verb::Solution(args) => student::solution::run(&place, &args),
        Verb::Book(args) => book::run(&place, &args),
        Verb::Grade(args) => grade::run(&place, &args),
        Verb::SyncLabs(args) => labs::sync::run(&place, &args),
        Verb::VerifyLabs(args) => verify::run(&place, &args),
        Verb::Mutants(args) => mutants::run(&place, &args),
        Verb::Bench(args) => bench::run(&place, &args),
        Verb::Jail(_) => Ok(exam::jail::keep(rest)),
    }
}
