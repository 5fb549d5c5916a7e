//! Upstream's flags, under upstream's names and with its defaults.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1 as api;
use objects::duration::parse_go;

#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// How to reach the API server, and as whom.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// The node's name; the host's name if absent.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// The node's address, as other nodes and the API server reach it.
    #[arg(long)]
    pub node_ip: Option<IpAddr>,
    /// The container runtime's socket.
    #[arg(long, default_value = "unix:///run/coracle/runtime.sock")]
    pub container_runtime_endpoint: String,
    /// Where pods' volumes are.
    #[arg(long, default_value = "/var/lib/kubelet")]
    pub root_dir: PathBuf,
    /// Where containers' logs are.
    #[arg(long, default_value = "/var/log/pods")]
    pub pod_log_dir: PathBuf,
    /// The address that the server listens on.
    #[arg(long, default_value = "0.0.0.0")]
    pub address: IpAddr,
    #[arg(long, default_value_t = 10250)]
    pub port: u16,
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    #[arg(long)]
    pub tls_private_key_file: Option<PathBuf>,
    /// Whoever shows a client certificate of this authority may use the server.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// How often the node's status is looked at.
    #[arg(long, default_value = "10s", value_parser = parse_go)]
    pub node_status_update_frequency: Duration,
    /// The cluster's DNS servers, for pods with dnsPolicy ClusterFirst.
    #[arg(long, value_delimiter = ',')]
    pub cluster_dns: Vec<String>,
    #[arg(long, default_value = "")]
    pub cluster_domain: String,
    /// `key=value,…`
    #[arg(long, value_delimiter = ',', value_parser = parse_label)]
    pub node_labels: Vec<(String, String)>,
    /// `key=value:effect,…`
    #[arg(long, value_delimiter = ',', value_parser = parse_taint)]
    pub register_with_taints: Vec<api::Taint>,
    #[arg(long, default_value_t = 110)]
    pub max_pods: u32,
    /// A file that is replaced whenever an image arrives; pods that wait for one are then tried
    /// again at once.
    #[arg(long)]
    pub image_notify: Option<PathBuf>,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn parse_taint(text: &str) -> Result<api::Taint, String> {
    let bad = || format!("{text:?} is not key=value:effect");
    let (left, effect) = text.rsplit_once(':').ok_or_else(bad)?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!("{effect:?} is not NoSchedule, PreferNoSchedule or NoExecute"));
    }
    let (key, value) = match left.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (left, None),
    };
    Ok(api::Taint {
        key: key.to_owned(),
        value: value.filter(|v| !v.is_empty()),
        effect: effect.to_owned(),
        ..api::Taint::default()
    })
}
