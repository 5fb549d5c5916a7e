//! The process alone: `cargo run -p scheduler --example scheduler -- --kubeconfig FILE`.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: scheduler::Args,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let level = std::env::var("LOG").ok().and_then(|l| l.parse().ok()).unwrap_or(tracing::Level::INFO);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    scheduler::run(Cli::parse().args).await
}
