//! `coracle`, the one program: every component of the cluster, and the operator's verbs.

use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use cluster::control::{Client, Request};
use cluster::home::Home;
use cluster::{down, enter, guard, images, init, logs, pause, sandbox, status, up, web};
use store::cli::StoreCommand;

/// The store's requests are made on one thread and written on another; the system's allocator is slow at
/// that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(name = "coracle", version, about = "A Kubernetes that you build yourself", max_term_width = 100)]
struct Cli {
    /// The cluster's folder [default: $CORACLE_HOME, or .coracle here]
    #[arg(long, global = true)]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the cluster and wait until its nodes are Ready
    Up(up::Args),
    /// Stop the cluster; its state stays
    Down,
    /// Stop the cluster and delete its state
    Reset,
    /// Show components and nodes
    Status(status::Args),
    /// Show the log of a component
    Logs(logs::Args),
    /// Run a command (or a shell) in a node, or in the control plane's network
    Enter(enter::Args),
    /// Switch a node off or on
    #[command(subcommand)]
    Node(NodeVerb),
    /// What the nodes can run without a network
    #[command(subcommand)]
    Image(images::Verb),
    /// Print the path of the administrator's kubeconfig
    Kubeconfig,
    /// Run the host's etcdctl against the store
    Etcdctl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },

    /// The store: etcd's v3 API, on one node or several
    Store(Box<StoreCommand<consensus::Args, consensus::RestoreArgs>>),
    /// The API server: the only way to the store
    Apiserver(apiserver::Args),
    /// Chooses a node for each pod
    Scheduler(scheduler::Args),
    /// The controllers: deployments, replica sets, endpoints, nodes, namespaces, garbage
    ControllerManager(controllers::Args),
    /// Containers and pod sandboxes behind CRI
    Runtime(runtime::Args),
    /// Routes from a node to the pods of the others
    NodeRoutes(runtime::routes::Args),
    /// Runs the pods of a node
    Kubelet(kubelet::Args),
    /// Rules in a node's kernel that carry Services
    KubeProxy(kube_proxy::Args),

    /// Be the first process of a pod
    Pause,
    /// Serve HTTP, saying which pod answered
    Web(web::WebArgs),
    /// Ask an HTTP server, with a new connection each time
    Fetch(web::FetchArgs),

    #[command(hide = true)]
    Guard(guard::Args),
    #[command(hide = true)]
    Sandbox(sandbox::Args),
    #[command(hide = true)]
    Init(init::Args),
    #[command(hide = true)]
    Remove { paths: Vec<PathBuf> },
}

#[derive(Subcommand, Debug)]
enum NodeVerb {
    /// As when the power fails: everything on the node dies at once
    Stop { name: String },
    /// One more node, node-3 after node-2; it is there after the next `up` too
    Add { name: Option<String> },
    /// The node comes back with what its disk still holds
    Start { name: String },
}

pub fn main() -> ExitCode {
    // The CNI plugin and the shim answer before anything else is set up.
    if let Some(code) = runtime::early_dispatch() {
        return code;
    }
    start_log();
    // A component that has its own provider does not mind.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("coracle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Warnings and what happens, on standard error; `CORACLE_LOG=debug` for more.
fn start_log() {
    let level = std::env::var("CORACLE_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(tracing::Level::INFO);
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(ansi).init();
}

fn run(cli: Cli) -> Result<ExitCode> {
    let wish = cli.home.as_deref();
    if matches!(cli.command, Command::Up(_) | Command::Status(_) | Command::Logs(_) | Command::Kubeconfig) {
        // Whoever reads our output may stop reading it (`| head`): end as other programs do.
        // SAFETY: the default action, set before there are threads.
        unsafe {
            nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)
        }?;
    }
    match cli.command {
        Command::Up(args) => up::run(wish, args)?,
        Command::Down => {
            let was_up = down::down(&Home::existing(wish)?)?;
            println!("{}", if was_up { "The cluster is down." } else { "The cluster was not up." });
        }
        Command::Reset => {
            down::reset(&Home::existing(wish)?)?;
            println!("The cluster is gone.");
        }
        Command::Status(args) => {
            let is_up = status::run(&Home::existing(wish)?, &args)?;
            return Ok(if is_up { ExitCode::SUCCESS } else { ExitCode::from(3) });
        }
        Command::Logs(args) => logs::run(&Home::existing(wish)?, &args)?,
        Command::Enter(args) => return enter::run(&Home::existing(wish)?, args),
        Command::Node(verb) => node(&Home::existing(wish)?, verb)?,
        Command::Image(verb) => images::run(&Home::open(wish)?, verb)?,
        Command::Kubeconfig => println!("{}", Home::existing(wish)?.kubeconfig().display()),
        Command::Etcdctl { arguments } => return etcdctl(&Home::existing(wish)?, &arguments),
        Command::Store(command) => match command.verb {
            None => on_one_thread(consensus::run(command.serve))?,
            Some(verb) => on_one_thread(store::cli::run_verb(verb, consensus::restore))?,
        },
        Command::Apiserver(args) => on_two_threads(apiserver::run(args))?,
        Command::Scheduler(args) => on_one_thread(scheduler::run(args))?,
        Command::ControllerManager(args) => on_one_thread(controllers::run(args))?,
        Command::Runtime(args) => on_one_thread(runtime::run(args))?,
        Command::NodeRoutes(args) => on_one_thread(runtime::routes::run(args))?,
        Command::Kubelet(args) => on_one_thread(kubelet::run(args))?,
        Command::KubeProxy(args) => on_one_thread(kube_proxy::run(args))?,
        Command::Pause => pause::run()?,
        Command::Web(args) => on_one_thread(web::web(args))?,
        Command::Fetch(args) => on_one_thread(web::fetch(args))?,
        Command::Guard(args) => guard::run(wish, args)?,
        Command::Sandbox(args) => sandbox::run(wish, args)?,
        Command::Init(args) => init::run(args)?,
        Command::Remove { paths } => paths.iter().try_for_each(|path| down::remove(path))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_one_thread(component: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(component)
}

/// For those who compute as they serve. The store does not: its disk has a thread of its own, and a
/// wake from one thread to another costs it more than a second thread gives.
fn on_two_threads(component: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(component)
}

fn node(home: &Home, verb: NodeVerb) -> Result<()> {
    let mut client = Client::connect(home)?;
    match verb {
        NodeVerb::Stop { name } => {
            client.ask(&Request::StopNode { node: name.clone() })?;
            println!("{name} is off.");
        }
        NodeVerb::Add { name } => {
            let name = up::add_node(home, &mut client, name.as_deref())?;
            println!("{name} is on.");
        }
        NodeVerb::Start { name } => {
            client.ask(&Request::StartNode { node: name.clone() })?;
            println!("{name} is on.");
        }
    }
    Ok(())
}

fn etcdctl(home: &Home, arguments: &[String]) -> Result<ExitCode> {
    let Some(port) = home.memory().store_port else { bail!("the cluster was never up") };
    let pki = home.pki().join("etcd");
    let error = std::process::Command::new("etcdctl")
        .args(arguments)
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", format!("https://127.0.0.1:{port}"))
        .env("ETCDCTL_CACERT", pki.join("ca.crt"))
        .env("ETCDCTL_CERT", pki.join("healthcheck-client.crt"))
        .env("ETCDCTL_KEY", pki.join("healthcheck-client.key"))
        .exec();
    bail!("starting etcdctl (package etcd-client): {error}")
}
