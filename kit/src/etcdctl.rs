//! `cargo kit etcdctl`: the real one, with the address and the certificates of our store.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cluster::become_program;
use crate::place::{Place, program};

/// Of what `coracle` remembers between runs, only this.
#[derive(Deserialize, Default)]
struct Memory {
    store_port: Option<u16>,
}

pub fn run(place: &Place, rest: &[OsString]) -> Result<ExitCode> {
    let etcdctl = program("etcdctl")
        .context("etcdctl is not installed; on Debian and Ubuntu: apt-get install etcd-client")?;
    let pki = place.home.join("pki/etcd");
    anyhow::ensure!(
        pki.exists(),
        "there is no store in {} yet: `cargo kit up` makes one",
        place.home.display()
    );
    // `cargo kit etcdctl -- get …` is as good as without the dashes.
    let rest = if rest.first().is_some_and(|first| first == "--") { &rest[1..] } else { rest };
    let mut command = place.command(etcdctl);
    command
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", endpoint(&place.home))
        .env("ETCDCTL_CACERT", pki.join("ca.crt"))
        .env("ETCDCTL_CERT", pki.join("healthcheck-client.crt"))
        .env("ETCDCTL_KEY", pki.join("healthcheck-client.key"))
        .args(rest);
    become_program(&mut command)
}

fn endpoint(home: &Path) -> String {
    let memory = std::fs::read(home.join("state.json")).unwrap_or_default();
    let memory: Memory = serde_json::from_slice(&memory).unwrap_or_default();
    format!("https://127.0.0.1:{}", memory.store_port.unwrap_or(2379))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_remembered_one() {
        let home = std::env::temp_dir().join(format!("coracle-kit-{}", std::process::id()));
        assert_eq!(endpoint(&home), "https://127.0.0.1:2379");
        std::fs::create_dir_all(&home).expect("a folder");
        std::fs::write(home.join("state.json"), r#"{"nodes": 2, "store_port": 2381}"#).expect("a file");
        assert_eq!(endpoint(&home), "https://127.0.0.1:2381");
        std::fs::remove_dir_all(&home).expect("the folder");
    }
}
