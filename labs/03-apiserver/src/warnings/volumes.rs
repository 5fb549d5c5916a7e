//! Volumes of pods: kinds of volumes that are gone, and files that get into each other's way.

use super::others;
use crate::fields::quote;
use crate::validation::at::At;
use std::collections::BTreeSet;

/// Kinds of volumes that nothing mounts any more, of pods and of PersistentVolumes.
pub static GONE: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Those of pods alone.
static GONE_FROM_PODS: &[(&str, &str)] = &[
    ("gitRepo", "deprecated in v1.11"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
];

pub fn volumes(spec: &At<'_>, said: &mut Vec<String>) {
    let volumes = spec.get("volumes");
    for volume in volumes.items() {
        gone(&volume, GONE, said);
        gone(&volume, GONE_FROM_PODS, said);
        others::claim_spec(&volume.at("ephemeral.volumeClaimTemplate.spec"), said);
    }
    volumes.items().for_each(|volume| overlapping(&volume, said));
}

pub fn gone(source: &At<'_>, kinds: &[(&str, &str)], said: &mut Vec<String>) {
    for (kind, why) in kinds {
        let own = source.get(kind);
        if own.is_set() {
            // Upstream writes this one otherwise than the field is called.
            let path = if *kind == "storageos" { source.child("storageOS") } else { own.path.clone() };
            own.named(path).warn(why, said);
        }
    }
}

/// Files of one volume that would be one, or one inside the other.
fn overlapping(volume: &At<'_>, said: &mut Vec<String>) {
    let name = quote(volume.get("name").text());
    let mut told = |what: String, paths: Vec<&str>| {
        clashes(&format!("volume {name} ({what}): overlapping paths"), &paths, said);
    };
    let (map, secret) = (volume.get("configMap"), volume.get("secret"));
    told(format!("ConfigMap {}", quote(map.get("name").text())), paths_of(&map));
    told(format!("Secret {}", quote(secret.get("secretName").text())), paths_of(&secret));
    told("DownwardAPI".into(), paths_of(&volume.get("downwardAPI")));
    let mut all: BTreeSet<&str> = BTreeSet::new();
    for source in volume.at("projected.sources").items() {
        let Some((what, paths)) = projected(&source) else {
            said.push(format!("volume {name} (Projected) has no sources provided"));
            continue;
        };
        let message = format!("volume {name} (Projected {what}): overlapping paths");
        clashes(&message, &paths, said);
        let own: BTreeSet<&str> = paths.into_iter().collect();
        let mut together: Vec<&str> = own.iter().chain(&all).copied().collect();
        together.sort_unstable();
        clashes(&message, &together, said);
        all.extend(own);
    }
}

/// Where the items of a source come to stand.
fn paths_of<'v>(source: &At<'v>) -> Vec<&'v str> {
    source.get("items").items().map(|item| item.get("path").text()).collect()
}

/// What one source of a projected volume is called, and where its files come to stand.
fn projected<'v>(source: &At<'v>) -> Option<(String, Vec<&'v str>)> {
    let (key, own) = ["configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"]
        .into_iter()
        .map(|key| (key, source.get(key)))
        .find(|(_, own)| own.is_set())?;
    let named = |kind: &str, name: &str| format!("{kind} {}", quote(own.get(name).text()));
    Some(match key {
        "configMap" => (named("ConfigMap", "name"), paths_of(&own)),
        "secret" => (named("Secret", "name"), paths_of(&own)),
        "downwardAPI" => ("DownwardAPI".into(), paths_of(&own)),
        "serviceAccountToken" => ("ServiceAccountToken".into(), vec![own.get("path").text()]),
        _ => {
            let name = if own.get("name").is_set() { "name" } else { "signerName" };
            (named("ClusterTrustBundle", name), vec![own.get("path").text()])
        }
    })
}

fn clashes(message: &str, paths: &[&str], said: &mut Vec<String>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for path in paths.iter().map(|path| path.trim_end_matches('/')).filter(|path| !path.is_empty()) {
        let clash =
            seen.iter().find(|other| **other == path || is_inside(other, path) || is_inside(path, other));
        if let Some(other) = clash {
            said.push(format!("{message}: {} with {}", quote(path), quote(other)));
        }
        seen.insert(path);
    }
}

fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
