//! `store …` and `store snapshot save|restore|status …`, whoever serves and restores: alone that is this
//! chapter, among others chapter 02.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use tonic::transport::{Channel, Endpoint};

use crate::dial::Connector;
use crate::etcd::AuthenticateRequest;
use crate::etcd::auth_client::AuthClient;
use crate::heart::Store;
use crate::heart::types::KeyRange;
use crate::saved::{self, Saved};
use crate::tls::{self, ClientFiles};

/// `S` are the arguments for serving, `R` those for making a data directory.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StoreCommand<S: clap::Args, R: clap::Args> {
    #[command(flatten)]
    pub serve: S,
    #[command(subcommand)]
    pub verb: Option<StoreVerb<R>>,
}

#[derive(clap::Subcommand, Debug)]
pub enum StoreVerb<R: clap::Args> {
    /// Save a member's data in a file, look into one, make a member of one
    #[command(subcommand)]
    Snapshot(SnapshotVerb<R>),
}

#[derive(clap::Subcommand, Debug)]
pub enum SnapshotVerb<R: clap::Args> {
    /// Fetch all data of a member that runs into a file
    Save(SaveArgs),
    /// Make a data directory of a saved file
    Restore {
        file: PathBuf,
        /// Take a file that was copied out of a data directory, and has no hash behind it.
        #[arg(long)]
        skip_hash_check: bool,
        #[command(flatten)]
        into: R,
    },
    /// Say what is in a saved file
    Status {
        file: PathBuf,
        #[arg(short, long, default_value = "simple")]
        write_out: Output,
    },
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Simple,
    Json,
    Table,
}

/// etcdctl's flags.
#[derive(clap::Args, Debug)]
pub struct SaveArgs {
    file: PathBuf,
    /// The member to fetch from, HOST:PORT or a URL.
    #[arg(long, default_value = "127.0.0.1:2379")]
    endpoints: String,
    /// Who signs the member's certificate (PEM).
    #[arg(long)]
    cacert: Option<PathBuf>,
    /// The client's certificate (PEM).
    #[arg(long)]
    cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long)]
    key: Option<PathBuf>,
    /// Believe any certificate.
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// NAME:PASSWORD, or NAME and --password.
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    password: Option<String>,
}

/// Does what the verb says. `restore` is given the store, and the index of the last command in it.
pub async fn run_verb<R: clap::Args>(
    verb: StoreVerb<R>,
    restore: impl FnOnce(&R, &Store, u64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let StoreVerb::Snapshot(verb) = verb;
    match verb {
        SnapshotVerb::Save(args) => {
            saved::save(args.connect().await?, args.token().await?.as_deref(), &args.file).await?;
            println!("Snapshot saved at {}", args.file.display());
        }
        SnapshotVerb::Restore { file, skip_hash_check, into } => {
            let Saved { file, .. } = saved::read(&file, skip_hash_check)?;
            restore(&into, &file.store, file.applied)?;
        }
        SnapshotVerb::Status { file, write_out } => print!("{}", status(&file, write_out)?),
    }
    Ok(())
}

impl SaveArgs {
    async fn connect(&self) -> anyhow::Result<Channel> {
        let endpoint = self.endpoints.as_str();
        ensure!(!endpoint.contains(','), "--endpoints: a snapshot is of one member: name one");
        let has_tls = self.cacert.is_some() || self.cert.is_some() || self.insecure_skip_tls_verify;
        let (address, wants_tls) = match endpoint.split_once("://") {
            Some(("http", address)) => (address, false),
            Some(("https", address)) => (address, true),
            Some(_) => bail!("--endpoints {endpoint:?}: http:// and https:// are known"),
            None => (endpoint, has_tls),
        };
        let files = ClientFiles { ca: self.cacert.clone(), cert: self.cert.clone(), key: self.key.clone() };
        let tls = if wants_tls {
            ensure!(
                files.ca.is_some() || self.insecure_skip_tls_verify,
                "{endpoint}: https needs --cacert (or --insecure-skip-tls-verify)"
            );
            Some(Arc::new(tls::client_config(&files, &[b"h2"]).context("--cacert, --cert and --key")?))
        } else {
            None
        };
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect_with_connector(Connector { tls })
            .await;
        channel.with_context(|| format!("cannot connect to {endpoint}"))
    }

    async fn token(&self) -> anyhow::Result<Option<String>> {
        let Some(user) = &self.user else { return Ok(None) };
        let (name, password) = match (&self.password, user.split_once(':')) {
            (Some(password), _) => (user.as_str(), password.as_str()),
            (None, Some((name, password))) => (name, password),
            (None, None) => bail!("--user: a password is needed, as NAME:PASSWORD or by --password"),
        };
        let request = AuthenticateRequest { name: name.into(), password: password.into() };
        let mut auth = AuthClient::new(self.connect().await?);
        Ok(Some(auth.authenticate(request).await?.into_inner().token))
    }
}

fn status(path: &Path, output: Output) -> anyhow::Result<String> {
    let Saved { file, hash, bytes } = saved::read(path, true)?;
    let revision = file.store.revision();
    // As etcd counts them: each change that is remembered.
    let all = KeyRange::all();
    let keys: usize = file.store.histories(&all).map(|(_, history)| history.records().len()).sum();
    let size = human(bytes);
    Ok(match output {
        Output::Simple => format!("{hash:x}, {revision}, {keys}, {size}\n"),
        Output::Json => {
            format!("{{\"hash\":{hash},\"revision\":{revision},\"totalKey\":{keys},\"totalSize\":{bytes}}}\n")
        }
        Output::Table => {
            let cells = [
                ("HASH", format!("{hash:x}")),
                ("REVISION", revision.to_string()),
                ("TOTAL KEYS", keys.to_string()),
                ("TOTAL SIZE", size),
            ];
            let width = |(name, value): &(&str, String)| name.len().max(value.len());
            let line: String = cells.iter().map(|c| format!("+{}", "-".repeat(width(c) + 2))).collect();
            let names: String = cells.iter().map(|c| format!("| {:^1$} ", c.0, width(c))).collect();
            let values: String = cells.iter().map(|c| format!("| {:>1$} ", c.1, width(c))).collect();
            format!("{line}+\n{names}|\n{line}+\n{values}|\n{line}+\n")
        }
    })
}

/// Three digits at most, as etcdctl writes sizes.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit > 0 && size < 10.0 {
        format!("{size:.1} {}", UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}
