//! What stands in a pod's `/etc/resolv.conf` and `/etc/hosts`.
//!
//! Upstream: `pkg/kubelet/network/dns`, `ensureHostsFile` in `pkg/kubelet/kubelet_pods.go`.

use k8s_openapi::api::core::v1 as api;

use crate::names;
use crate::types::{is_host_network, spec};

/// The lines of a `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl DnsConfig {
    /// Reads a node's own `resolv.conf`.
    pub fn parse(text: &str) -> DnsConfig {
        let mut config = DnsConfig::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => config.servers.extend(words.next()),
                Some("search") => config.searches = words.filter(|w| w != ".").collect(),
                Some("options") => config.options = words.collect(),
                _ => {}
            }
        }
        config
    }
}

/// By the pod's `dnsPolicy`. Without a cluster DNS server, `ClusterFirst` falls back to the node's.
pub fn config(pod: &api::Pod, node: &DnsConfig, cluster_dns: &[String], domain: &str) -> DnsConfig {
    let spec = spec(pod);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !is_host_network(pod),
        _ => false,
    };
    let mut config = if policy == "None" {
        DnsConfig::default()
    } else if cluster && !cluster_dns.is_empty() {
        let ns = names::namespace(pod);
        let mut searches = match domain {
            "" => Vec::new(),
            d => vec![format!("{ns}.svc.{d}"), format!("svc.{d}"), d.to_owned()],
        };
        searches.extend(node.searches.iter().cloned());
        DnsConfig { servers: cluster_dns.to_vec(), searches, options: vec!["ndots:5".into()] }
    } else {
        node.clone()
    };
    if let Some(extra) = &spec.dns_config {
        let add = |to: &mut Vec<String>, more: Option<&Vec<String>>| {
            for item in more.into_iter().flatten() {
                if !to.contains(item) {
                    to.push(item.clone());
                }
            }
        };
        add(&mut config.servers, extra.nameservers.as_ref());
        add(&mut config.searches, extra.searches.as_ref());
        for option in extra.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            let same = |o: &String| o.split(':').next() == Some(name.as_str());
            config.options.retain(|o| !same(o));
            config.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name,
            });
        }
    }
    config
}

/// The host name inside the pod (at most 63 characters), and its domain where it has one.
pub fn host_name(pod: &api::Pod, cluster_domain: &str) -> (String, Option<String>) {
    let spec = spec(pod);
    let name = spec.hostname.as_deref().filter(|h| !h.is_empty());
    let name: String = name.unwrap_or_else(|| names::name(pod)).chars().take(63).collect();
    let name = name.trim_end_matches(['-', '.']).to_owned();
    let subdomain = spec.subdomain.as_deref().filter(|s| !s.is_empty());
    let domain = subdomain.map(|sub| format!("{sub}.{}.svc.{cluster_domain}", names::namespace(pod)));
    (name, domain)
}

/// The pod's `/etc/hosts`.
pub fn hosts_file(pod: &api::Pod, ips: &[String], cluster_domain: &str) -> String {
    let (host, domain) = host_name(pod, cluster_domain);
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    );
    for ip in ips {
        match &domain {
            Some(domain) => text.push_str(&format!("{ip}\t{host}.{domain}\t{host}\n")),
            None => text.push_str(&format!("{ip}\t{host}\n")),
        }
    }
    let aliases = spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.clone().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}
