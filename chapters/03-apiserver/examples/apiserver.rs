//! The API server alone: `cargo run -p apiserver --example apiserver -- --help`.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: apiserver::Args,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let level = std::env::var("LOG").ok().and_then(|l| l.parse().ok()).unwrap_or(tracing::Level::INFO);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    apiserver::run(Cli::parse().args).await
}
