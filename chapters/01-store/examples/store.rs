//! The store alone: `cargo run -p store --example store -- --data-dir /tmp/store`.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: store::Args,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    store::run(Cli::parse().args).await
}
