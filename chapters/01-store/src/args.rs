//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ArgAction;

use crate::compactor::Retention;
use crate::heart::txn::MAX_TXN_OPS;
use crate::listen::{self, Door, TlsFiles};
use crate::{auth, duration, etcd};

/// etcd's.
const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;

/// etcd's flags, under their names, as far as one member alone understands them.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// Name of this member.
    #[arg(long, default_value = "default")]
    pub name: String,
    /// Where the data is kept [default: NAME.etcd].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// URLs to listen on for clients, separated by commas [default: http://localhost:2379, unless
    /// --listen-fd is given].
    #[arg(long, value_delimiter = ',')]
    pub listen_client_urls: Vec<String>,
    /// URLs that members lists tell clients [default: those that are listened on].
    #[arg(long, value_delimiter = ',')]
    pub advertise_client_urls: Vec<String>,
    /// A socket that listens already, by its number. May be repeated. It speaks TLS when there is
    /// a certificate.
    #[arg(long)]
    pub listen_fd: Vec<RawFd>,
    /// The server's certificate, and what leads from it to its authority (PEM).
    #[arg(long)]
    pub cert_file: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long)]
    pub key_file: Option<PathBuf>,
    /// Who signs clients' certificates (PEM).
    #[arg(long)]
    pub trusted_ca_file: Option<PathBuf>,
    /// Serve only clients with a certificate.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub client_cert_auth: bool,
    /// Bytes that the data may take before the store raises an alarm and takes nothing more; 0 for the
    /// default of 2 GiB, negative for no limit.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub quota_backend_bytes: i64,
    /// Most compares, and most operations of one list, in a transaction.
    #[arg(long, default_value_t = MAX_TXN_OPS)]
    pub max_txn_ops: usize,
    /// Largest request.
    #[arg(long, default_value_t = 3 << 19)]
    pub max_request_bytes: usize,
    /// Streams that a client may have at once on one connection [default: no limit].
    #[arg(long)]
    pub max_concurrent_streams: Option<u32>,
    /// After so long without a word a client's connection is tried.
    #[arg(long, default_value = "2h", value_parser = duration::parse)]
    pub grpc_keepalive_interval: Duration,
    /// After so long without an answer to that it is closed.
    #[arg(long, default_value = "20s", value_parser = duration::parse)]
    pub grpc_keepalive_timeout: Duration,
    /// What --auto-compaction-retention counts: time, or revisions.
    #[arg(long, default_value = "periodic")]
    pub auto_compaction_mode: AutoCompactionMode,
    /// History that is kept: hours, or a time as 30m; or so many revisions. 0 keeps all.
    #[arg(long, default_value = "0")]
    pub auto_compaction_retention: String,
    /// How often watchers that hear nothing are told how far they have come, if they want to be.
    #[arg(long, alias = "experimental-watch-progress-notify-interval", default_value = "10m", value_parser = duration::parse)]
    pub watch_progress_notify_interval: Duration,
    /// What stands for a user who has authenticated: random letters are all there is.
    #[arg(long, default_value = "simple", value_parser = ["simple"])]
    pub auth_token: String,
    /// Seconds that a token is good for when it is not used.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub auth_token_ttl: u64,
    /// Of passwords' hashes: one more is twice the work.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=31))]
    pub bcrypt_cost: u32,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompactionMode {
    Periodic,
    Revision,
}

/// What the flags say of how clients are served.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) limits: Limits,
    pub(crate) retention: Option<Retention>,
    pub(crate) max_concurrent_streams: Option<u32>,
    pub(crate) keepalive_interval: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) progress_interval: Duration,
    pub(crate) auth: auth::Options,
}

/// What is more than this is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub txn_ops: usize,
    pub request_bytes: usize,
    /// Of all data; `None`: no limit.
    pub quota_bytes: Option<u64>,
}

impl Limits {
    /// What the connection lets through, so that a request somewhat too large is answered in words. (And
    /// about what a message of a watch may have, if its client takes it in fragments.)
    pub fn message_bytes(&self) -> usize {
        self.request_bytes.saturating_add(512 << 10)
    }
}

impl Args {
    fn client_urls(&self) -> Vec<String> {
        if self.listen_client_urls.is_empty() && self.listen_fd.is_empty() {
            return vec!["http://localhost:2379".into()];
        }
        self.listen_client_urls.clone()
    }

    /// What members lists tell clients.
    pub fn advertised(&self) -> Vec<String> {
        if self.advertise_client_urls.is_empty() {
            return self.client_urls();
        }
        self.advertise_client_urls.clone()
    }

    /// Where the data is kept.
    pub fn dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into())
    }

    /// Opens the doors for clients.
    pub async fn listen(&self) -> anyhow::Result<Vec<Door>> {
        let files = TlsFiles {
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
            trusted_ca: self.trusted_ca_file.clone(),
            client_cert_auth: self.client_cert_auth,
        };
        let tls = listen::tls(&files, &[b"h2"])
            .context("--cert-file, --key-file, --client-cert-auth and --trusted-ca-file")?;
        listen::open(&self.client_urls(), &self.listen_fd, tls).await
    }

    /// What is not about sockets and files.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let quota_bytes = match self.quota_backend_bytes {
            0 => Some(DEFAULT_QUOTA_BYTES),
            n => u64::try_from(n).ok(),
        };
        let limits = Limits { txn_ops: self.max_txn_ops, request_bytes: self.max_request_bytes, quota_bytes };
        ensure!(
            limits.txn_ops <= MAX_TXN_OPS,
            "--max-txn-ops {}: transactions have at most {MAX_TXN_OPS} operations here",
            limits.txn_ops
        );
        let retention = self
            .retention()
            .with_context(|| format!("--auto-compaction-retention {:?}", self.auto_compaction_retention))?;
        ensure!(
            !self.watch_progress_notify_interval.is_zero() && !self.grpc_keepalive_interval.is_zero(),
            "--watch-progress-notify-interval and --grpc-keepalive-interval must not be 0"
        );
        Ok(Settings {
            limits,
            retention,
            max_concurrent_streams: self.max_concurrent_streams,
            keepalive_interval: self.grpc_keepalive_interval,
            keepalive_timeout: self.grpc_keepalive_timeout,
            progress_interval: self.watch_progress_notify_interval,
            auth: auth::Options {
                token_ttl: Duration::from_secs(self.auth_token_ttl),
                bcrypt_cost: self.bcrypt_cost,
            },
        })
    }

    fn retention(&self) -> anyhow::Result<Option<Retention>> {
        let text = self.auto_compaction_retention.as_str();
        let number = text.parse::<u64>();
        Ok(match (self.auto_compaction_mode, number) {
            (_, Ok(0)) => None,
            (AutoCompactionMode::Revision, number) => Some(Retention::Revisions(number?)),
            (AutoCompactionMode::Periodic, Ok(hours)) => {
                Some(Retention::Time(Duration::from_secs(hours.saturating_mul(3600))))
            }
            (AutoCompactionMode::Periodic, Err(_)) => {
                let time = duration::parse(text).map_err(anyhow::Error::msg)?;
                (!time.is_zero()).then_some(Retention::Time(time))
            }
        })
    }

    /// The same name gives the same numbers after a restart.
    pub(crate) fn myself(&self) -> etcd::Member {
        etcd::Member {
            id: number(&["coracle", "member", &self.name]),
            name: self.name.clone(),
            peer_urls: vec!["http://localhost:2380".into()],
            client_urls: self.advertised(),
            is_learner: false,
        }
    }
}

/// FNV-1a.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |n, byte| (n ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
