//! A saved store becomes the beginning of a cluster: `snapshot restore`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use store::disk::{self, Dir};
use store::heart::Store;
use store::heart::snapshot::Snapshot;

use crate::args::founders;
use crate::identity::{self, Identity};
use crate::ids;

/// etcd's flags for `snapshot restore`, as far as they speak of members.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct RestoreArgs {
    /// Name of the member that is made.
    #[arg(long, default_value = "default")]
    pub name: String,
    /// Where to make its data directory [default: NAME.etcd].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// All members of the new cluster, as NAME=URL, separated by commas. Restore the same file for each
    /// [default: this member alone].
    #[arg(long)]
    pub initial_cluster: Option<String>,
    /// Tells the new cluster apart from the one that was saved.
    #[arg(long, default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// URLs at which the other members will reach this one [default: as --initial-cluster says, or else
    /// http://localhost:2380].
    #[arg(long, value_delimiter = ',')]
    pub initial_advertise_peer_urls: Vec<String>,
}

/// Makes a data directory that starts as a member of a new cluster with this store in it, which had
/// applied the command with index `applied` when it was saved. Who was a member then is not any more.
pub fn restore(args: &RestoreArgs, store: &Store, applied: u64) -> anyhow::Result<()> {
    let path = args.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", args.name).into());
    let token = &args.initial_cluster_token;
    let list = args.initial_cluster.as_deref();
    let first_members = founders(&args.name, list, &args.initial_advertise_peer_urls, token)?;
    let myself = first_members.iter().find(|peer| peer.name == args.name).context("one of them is this")?;
    let cluster = ids::cluster_id(first_members.iter().map(|peer| peer.id).collect());
    let identity = Identity { cluster, id: myself.id, life: 0, first_members: first_members.clone() };
    let is_empty = |path: &PathBuf| std::fs::read_dir(path).map_or(true, |mut files| files.next().is_none());
    if !is_empty(&path) {
        bail!("{}: there is something already; a store is restored into a new directory", path.display());
    }
    let dir = Dir::open(&path)?;
    // The log goes on behind the snapshot; index 0 would mean that there is none.
    dir.read_log(0, |_| Ok(()))?;
    let snapshot = Snapshot::of(store, applied.max(1));
    disk::write_snapshot(&path, &snapshot, &AtomicBool::new(false))?;
    identity::write(&path, &identity)
}
