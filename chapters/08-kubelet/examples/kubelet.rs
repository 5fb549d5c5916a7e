//! The kubelet as a program of its own: `cargo run -p kubelet --example kubelet -- --kubeconfig …`.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: kubelet::Args,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let verbose = std::env::var_os("KUBELET_DEBUG").is_some();
    let level = if verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    // Another part of the process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    kubelet::run(Cli::parse().args).await
}
