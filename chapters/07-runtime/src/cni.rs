//! `coracle-ptp`: the CNI plugin that gives a pod its cable and its address.
//!
//! A program of its own, run for each call: it reads the configuration from standard input and
//! the rest from `CNI_*`, changes links over netlink, and answers on standard output. Addresses are
//! kept as the reference plugin host-local keeps them, a file for each in
//! `/var/lib/cni/networks/NAME`, so that people and other tools find what they expect.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use crate::heart::cni::{Attachment, IpamConf, PluginConf, SUPPORTED, VERSION, error, result};
use crate::heart::network::{GATEWAY, allocate, host_link, plan_attach, pod_mac};
use crate::images::{gone, lock};
use crate::netlink::{self, Both};

const DATA_DIR: &str = "/var/lib/cni/networks";
const MTU: u32 = 1500;

/// One call of the plugin, from beginning to end.
pub fn main() -> ExitCode {
    let mut input = String::new();
    let read = std::io::stdin().read_to_string(&mut input);
    let version = serde_json::from_str::<Value>(&input)
        .ok()
        .and_then(|conf| Some(conf.get("cniVersion")?.as_str()?.to_owned()))
        .unwrap_or_else(|| VERSION.into());
    let answer =
        read.context("reading standard input").map_err(Failure::from).and_then(|_| call(&input, &version));
    let (answer, code) = match answer {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(failure) => {
            let message = format!("{:#}", failure.why);
            (Some(error(&version, failure.code, &message, "")), ExitCode::FAILURE)
        }
    };
    if let Some(answer) = answer {
        println!("{answer}");
    }
    code
}

/// A failure and its code in the spec's list.
struct Failure {
    code: u32,
    why: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(why: anyhow::Error) -> Failure {
        Failure { code: 100, why }
    }
}

fn call(input: &str, version: &str) -> Result<Option<Value>, Failure> {
    let bad = |code: u32, why: String| Failure { code, why: anyhow!(why) };
    let verb = variable("CNI_COMMAND");
    if verb == "VERSION" {
        return Ok(Some(json!({ "cniVersion": version, "supportedVersions": SUPPORTED })));
    }
    if !SUPPORTED.contains(&version) {
        return Err(bad(1, format!("incompatible CNI version {version}")));
    }
    let conf: PluginConf =
        serde_json::from_str(input).map_err(|why| bad(6, format!("configuration: {why}")))?;
    let me = Attachment { container_id: variable("CNI_CONTAINERID"), ifname: variable("CNI_IFNAME") };
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if matches!(verb.as_str(), "ADD" | "DEL" | "CHECK") && !(word(&me.container_id) && word(&me.ifname)) {
        return Err(bad(4, "CNI_CONTAINERID and CNI_IFNAME must be names".into()));
    }
    if !word(&conf.name) {
        return Err(bad(7, "the network has no name".into()));
    }
    let ipam = conf.ipam.clone().ok_or_else(|| bad(7, "ipam is missing".into()))?;
    let addresses = Addresses::open(&ipam, &conf.name)?;
    let netns = variable("CNI_NETNS");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(|why| Failure::from(anyhow::Error::from(why)))?;
    Ok(tokio.block_on(async {
        match verb.as_str() {
            "ADD" => add(&conf, version, &addresses, &me, &netns).await.map(Some),
            "DEL" => del(&addresses, &me).await.map(|()| None),
            "CHECK" => check(&addresses, &me).await.map(|()| None),
            "GC" => gc(&addresses, &conf).await.map(|()| None),
            "STATUS" => Ok(None),
            other => Err(anyhow!("unknown CNI_COMMAND {other:?}")),
        }
    })?)
}

async fn add(
    conf: &PluginConf,
    version: &str,
    addresses: &Addresses,
    me: &Attachment,
    netns: &str,
) -> anyhow::Result<Value> {
    let namespace = File::open(netns).with_context(|| format!("opening network namespace {netns:?}"))?;
    crate::network::enable_forwarding()?;
    let ip = addresses.take(me)?;
    let host = host_link(&me.container_id, &me.ifname);
    let attach = async {
        let both = Both::open(namespace.into())?;
        for op in plan_attach(&host, &me.ifname, ip, conf.mtu.unwrap_or(MTU)) {
            both.apply(&op).await?;
        }
        anyhow::Ok(())
    };
    if let Err(error) = attach.await {
        addresses.give_back(me)?;
        return Err(error);
    }
    let mac = crate::heart::network::mac_text(pod_mac(ip));
    Ok(result(version, &host, &me.ifname, &mac, netns, ip, GATEWAY))
}

/// Removes the cable, which takes both ends, routes and neighbours with it. Nothing there is fine:
/// a runtime repeats DEL until it hears that it is done.
async fn del(addresses: &Addresses, me: &Attachment) -> anyhow::Result<()> {
    netlink::remove_link(&netlink::handle()?, &host_link(&me.container_id, &me.ifname)).await?;
    addresses.give_back(me)
}

async fn check(addresses: &Addresses, me: &Attachment) -> anyhow::Result<()> {
    netlink::index(&netlink::handle()?, &host_link(&me.container_id, &me.ifname)).await?;
    let held = addresses.held()?;
    if !held.iter().any(|(_, owner)| owner == me) {
        bail!("{} has no address", me.container_id);
    }
    Ok(())
}

/// Takes away what belongs to nobody on the list.
async fn gc(addresses: &Addresses, conf: &PluginConf) -> anyhow::Result<()> {
    let valid: BTreeSet<&Attachment> = conf.valid_attachments.iter().flatten().collect();
    for (_, owner) in addresses.held()? {
        if !valid.contains(&owner) {
            del(addresses, &owner).await?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The addresses of one network: a directory with a file for each that is taken.
struct Addresses {
    dir: PathBuf,
    conf: IpamConf,
}

impl Addresses {
    fn open(conf: &IpamConf, network: &str) -> anyhow::Result<Addresses> {
        let dir = Path::new(conf.data_dir.as_deref().unwrap_or(DATA_DIR)).join(network);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Addresses { dir, conf: conf.clone() })
    }

    /// Takes a free address. The lock makes two calls at once take two.
    fn take(&self, owner: &Attachment) -> anyhow::Result<Ipv4Addr> {
        let _lock = lock(&self.dir.join("lock"))?;
        let held = self.held()?;
        if let Some((ip, _)) = held.iter().find(|(_, other)| other == owner) {
            bail!("{} has address {ip} already", owner.container_id);
        }
        let used: BTreeSet<Ipv4Addr> = held.iter().map(|(ip, _)| *ip).collect();
        let last_file = self.dir.join("last_reserved_ip.0");
        let last = fs::read_to_string(&last_file).ok().and_then(|text| text.trim().parse().ok());
        let ip = allocate(self.conf.subnet, &used, last)
            .ok_or_else(|| anyhow!("no IP addresses available in range set: {}", self.conf.subnet))?;
        let mut file = File::create_new(self.dir.join(ip.to_string()))?;
        write!(file, "{}\n{}", owner.container_id, owner.ifname)?;
        fs::write(last_file, ip.to_string())?;
        Ok(ip)
    }

    fn give_back(&self, owner: &Attachment) -> anyhow::Result<()> {
        let _lock = lock(&self.dir.join("lock"))?;
        for (ip, _) in self.held()?.into_iter().filter(|(_, other)| other == owner) {
            gone(fs::remove_file(self.dir.join(ip.to_string())))?;
        }
        Ok(())
    }

    fn held(&self) -> anyhow::Result<Vec<(Ipv4Addr, Attachment)>> {
        let mut held = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Some(ip) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let text = match fs::read_to_string(entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read?,
            };
            let mut lines = text.lines().map(str::trim);
            let container_id = lines.next().unwrap_or_default().to_owned();
            let ifname = lines.next().unwrap_or_default().to_owned();
            held.push((ip, Attachment { container_id, ifname }));
        }
        held.sort();
        Ok(held)
    }
}
