//! The programs of this chapter in one: enough of `coracle` to try the runtime alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime::images::{ImageStore, RunConfig};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Runtime(runtime::Args),
    NodeRoutes(runtime::routes::Args),
    /// Waits for ever: the first process of a pod.
    Pause,
    /// Makes an image of a directory or tar archive: DIR REF COMMAND…
    Import {
        images: PathBuf,
        rootfs: PathBuf,
        tag: String,
        cmd: Vec<String>,
    },
    /// Loads an OCI or Docker archive.
    Load {
        images: PathBuf,
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    if let Some(code) = runtime::early_dispatch() {
        return code;
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let tokio = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match command {
        Command::Runtime(args) => tokio()?.block_on(runtime::run(args)),
        Command::NodeRoutes(args) => tokio()?.block_on(runtime::routes::run(args)),
        Command::Pause => loop {
            nix::unistd::pause();
        },
        Command::Import { images, rootfs, tag, cmd } => {
            let config = RunConfig { entrypoint: cmd, ..RunConfig::default() };
            let image = ImageStore::open(images)?.import_rootfs(&tag, &rootfs, config)?;
            println!("{}", image.reference);
            Ok(())
        }
        Command::Load { images, file } => {
            ImageStore::open(images)?.load_archive(&file)?.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
    }
}
