//! etcd's flags for a member of a cluster, and what they say together.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::heart::types::Peer;
use crate::ids;

pub const DEFAULT_PEER_URL: &str = "http://localhost:2380";
/// etcd's bound: a lost leader is missed for longer than anybody waits.
const MAX_ELECTION_MS: u64 = 50_000;

/// etcd's flags. The `--initial-…` ones speak of the first start and are ignored afterwards.
#[derive(clap::Args, Debug, Clone)]
// Chapter 01's arguments, which are among these, are called so too.
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub store: store::Args,
    /// URLs to listen on for other members, separated by commas [default: http://localhost:2380; a
    /// cluster of one listens only when this is given].
    #[arg(long, value_delimiter = ',')]
    pub listen_peer_urls: Vec<String>,
    /// URLs at which other members reach this one [default: as --initial-cluster says, or else
    /// http://localhost:2380].
    #[arg(long, value_delimiter = ',')]
    pub initial_advertise_peer_urls: Vec<String>,
    /// All members of a cluster that starts, as NAME=URL, separated by commas; a name may come more than
    /// once [default: this member alone].
    #[arg(long)]
    pub initial_cluster: Option<String>,
    /// Whether the cluster starts now, or this member joins one that knows of it by `member add`.
    #[arg(long, default_value = "new")]
    pub initial_cluster_state: ClusterState,
    /// Tells clusters apart that have the same members.
    #[arg(long, default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// Milliseconds between two signs of life of the leader.
    #[arg(long, default_value_t = 100)]
    pub heartbeat_interval: u64,
    /// Milliseconds without a leader before an election is tried.
    #[arg(long, default_value_t = 1000)]
    pub election_timeout: u64,
    /// Commands after which a snapshot is made, even if the log is smaller than the data [default: none].
    #[arg(long)]
    pub snapshot_count: Option<u64>,
    /// The certificate for speaking with other members, as server and as client (PEM).
    #[arg(long)]
    pub peer_cert_file: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long)]
    pub peer_key_file: Option<PathBuf>,
    /// Who signs members' certificates (PEM).
    #[arg(long)]
    pub peer_trusted_ca_file: Option<PathBuf>,
    /// Serve only members with a certificate.
    #[arg(long)]
    pub peer_client_cert_auth: bool,
    /// Ask whether an election can be won before the term is raised: always so.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub pre_vote: bool,
    /// Refuse changes of members that would leave no majority: always so.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub strict_reconfig_check: bool,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterState {
    New,
    Existing,
}

/// The flags, understood.
#[derive(Debug, Clone)]
pub struct Setup {
    pub name: String,
    pub data_dir: PathBuf,
    /// Where to listen for members, as far as the flags say.
    pub listen: Vec<String>,
    pub start: Start,
    /// The cluster that the flags name, if they name any.
    pub named: Option<u64>,
    pub tick: Duration,
    pub election_ticks: usize,
    pub snapshot_count: Option<u64>,
}

/// What to do when the data directory is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    New {
        id: u64,
        cluster: u64,
        peers: Vec<Peer>,
    },
    /// Find the member with the first URLs among those that the others know.
    Join {
        own_urls: Vec<String>,
        other_urls: Vec<String>,
    },
}

impl Args {
    /// What the flags mean, or what contradicts what.
    pub fn setup(&self) -> anyhow::Result<Setup> {
        ensure!(self.pre_vote, "--pre-vote=false: this store always asks before it raises the term");
        ensure!(self.strict_reconfig_check, "--strict-reconfig-check=false: this store always checks");
        ensure!(self.heartbeat_interval > 0, "--heartbeat-interval must not be 0");
        ensure!(
            self.election_timeout >= 5 * self.heartbeat_interval,
            "--election-timeout {} must be at least 5 times --heartbeat-interval {}",
            self.election_timeout,
            self.heartbeat_interval
        );
        ensure!(
            self.election_timeout <= MAX_ELECTION_MS,
            "--election-timeout {} is longer than {MAX_ELECTION_MS}",
            self.election_timeout
        );
        let name = self.store.name.clone();
        let token = &self.initial_cluster_token;
        let list = self.initial_cluster.as_deref();
        let peers = founders(&name, list, &self.initial_advertise_peer_urls, token)?;
        let own = peers.iter().find(|peer| peer.name == name).context("one of them is this member")?.clone();
        let cluster = ids::cluster_id(peers.iter().map(|p| p.id).collect());
        let is_new = self.initial_cluster_state == ClusterState::New;
        if !is_new && peers.len() == 1 {
            bail!("--initial-cluster-state existing: --initial-cluster must name the members that exist");
        }
        let start = if is_new {
            Start::New { id: own.id, cluster, peers }
        } else {
            let others = peers.into_iter().filter(|peer| peer.id != own.id);
            let other_urls = others.flat_map(|peer| peer.peer_urls).collect();
            Start::Join { own_urls: own.peer_urls, other_urls }
        };
        Ok(Setup {
            data_dir: self.store.data_dir.clone().unwrap_or_else(|| format!("{name}.etcd").into()),
            name,
            listen: self.listen_peer_urls.clone(),
            start,
            named: (is_new && self.initial_cluster.is_some()).then_some(cluster),
            tick: Duration::from_millis(self.heartbeat_interval),
            election_ticks: (self.election_timeout / self.heartbeat_interval) as usize,
            snapshot_count: self.snapshot_count,
        })
    }
}

/// The members with which a cluster begins, in the order in which `list` names them first; without a list
/// the one called `name` alone, at the URLs that it advertises. `name` is one of them in any case.
pub fn founders(
    name: &str,
    list: Option<&str>,
    advertised: &[String],
    token: &str,
) -> anyhow::Result<Vec<Peer>> {
    let default = || if advertised.is_empty() { vec![DEFAULT_PEER_URL.into()] } else { advertised.to_vec() };
    let members = match list {
        Some(list) => parse_cluster(list)?,
        None => vec![(name.to_owned(), default())],
    };
    let Some((_, own_urls)) = members.iter().find(|(n, _)| n == name) else {
        bail!("--initial-cluster has no member named {name:?}, which is what --name says");
    };
    if !advertised.is_empty() && sorted(advertised) != sorted(own_urls) {
        bail!(
            "--initial-cluster says that {name:?} is at {}, --initial-advertise-peer-urls says {}",
            own_urls.join(","),
            advertised.join(",")
        );
    }
    let peers: Vec<Peer> = members.iter().map(|(name, urls)| peer(name, urls, token)).collect();
    for (at, peer) in peers.iter().enumerate() {
        if let Some(twin) = peers[..at].iter().find(|p| p.id == peer.id) {
            bail!("--initial-cluster: {:?} and {:?} have the same URLs", twin.name, peer.name);
        }
    }
    Ok(peers)
}

fn peer(name: &str, urls: &[String], token: &str) -> Peer {
    Peer {
        id: ids::member_id(urls, token, None),
        name: name.into(),
        peer_urls: sorted(urls),
        ..Peer::default()
    }
}

fn sorted(urls: &[String]) -> Vec<String> {
    let mut urls = urls.to_vec();
    urls.sort();
    urls
}

/// `a=http://h1:2380,b=http://h2:2380,b=https://h3:2380`, in the order of first mention.
fn parse_cluster(list: &str) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut members: Vec<(String, Vec<String>)> = Vec::new();
    for word in list.split(',').map(str::trim) {
        let (name, url) = word
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .with_context(|| format!("--initial-cluster: {word:?} is not NAME=URL"))?;
        check_url(url).with_context(|| format!("--initial-cluster: {name:?}"))?;
        match members.iter_mut().find(|(n, _)| n == name) {
            Some((_, urls)) => urls.push(url.into()),
            None => members.push((name.into(), vec![url.into()])),
        }
    }
    Ok(members)
}

/// Whether something can be a member's address: a scheme, a host and a port, and nothing behind.
pub fn check_url(url: &str) -> anyhow::Result<()> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let port = rest.and_then(|rest| rest.rsplit_once(':')).filter(|(host, _)| !host.is_empty());
    ensure!(
        port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()),
        "{url:?} is not a member's URL: http://HOST:PORT or https://HOST:PORT"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn setup(words: &str) -> anyhow::Result<Setup> {
        let words = ["store"].into_iter().chain(words.split_whitespace());
        Cli::try_parse_from(words)?.args.setup()
    }

    #[track_caller]
    fn refused(words: &str, why: &str) {
        let error = format!("{:#}", setup(words).expect_err("refused"));
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn with_nothing_given_it_is_etcds_cluster_of_one() {
        let setup = setup("").expect("a setup");
        assert_eq!((setup.name.as_str(), setup.listen.len(), setup.named), ("default", 0, None));
        assert_eq!((setup.tick.as_millis(), setup.election_ticks), (100, 10));
        let Start::New { id, cluster, peers } = setup.start else { panic!("new") };
        // What every etcd that was started without flags calls itself.
        assert_eq!((id, cluster), (0x8e9e_05c5_2164_694d, 0xcdf8_1819_4e3a_8c32));
        assert_eq!(peers[0].peer_urls, ["http://localhost:2380"]);
    }

    #[test]
    fn several_members_know_each_other() {
        let list = "a=http://h1:2380,b=http://h2:2380,c=http://h3:2380,b=http://h2:2382";
        let setup = setup(&format!("--name b --initial-cluster {list}")).expect("a setup");
        let Start::New { id, peers, .. } = setup.start else { panic!("new") };
        assert_eq!(peers.len(), 3);
        assert_eq!(peers[1].id, id);
        assert_eq!(peers[1].peer_urls, ["http://h2:2380", "http://h2:2382"]);
    }

    #[test]
    fn who_joins_asks_the_others() {
        let list = "a=http://h1:2380,b=http://h2:2380";
        let words = format!("--name b --initial-cluster {list} --initial-cluster-state existing");
        let join = Start::Join {
            own_urls: vec!["http://h2:2380".into()],
            other_urls: vec!["http://h1:2380".into()],
        };
        assert_eq!(setup(&words).expect("a setup").start, join);
    }

    #[test]
    fn contradictions_are_told() {
        refused("--name x --initial-cluster a=http://h:1", "no member named \"x\"");
        refused("--initial-cluster default", "is not NAME=URL");
        refused("--initial-cluster default=h:1", "is not a member's URL");
        refused("--name a --initial-cluster a=http://h:1,b=http://h:1", "have the same URLs");
        let other = "--name a --initial-cluster a=http://h:1 --initial-advertise-peer-urls http://h:2";
        refused(other, "is at http://h:1");
        refused("--heartbeat-interval 300", "5 times");
        refused("--initial-cluster-state existing", "must name the members");
        refused("--pre-vote=false", "always");
    }
}
