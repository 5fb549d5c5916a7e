//! A member alone: `cargo run -p consensus --example member -- --data-dir /tmp/store`.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: consensus::Args,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    consensus::run(Cli::parse().args).await
}
