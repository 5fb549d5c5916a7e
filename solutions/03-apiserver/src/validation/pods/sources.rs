//! Where the content of a volume comes from: one table for pods, one for persistent volumes.

use super::env;
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use crate::validation::meta;
use crate::validation::rules::{Row, Rule, check};
use crate::validation::storage;
use serde_json::Value;
use std::collections::BTreeSet;

type Source = (&'static str, &'static [Row]);

const REQUIRED: Rule = Rule::Required("");
const PARTITION: Row = Row("partition", Rule::Code(partition));
const LUN: Row = Row("lun", Rule::Between(0, 255));

/// In the order in which upstream looks: the first is the volume's, the others are too many.
static OF_POD: &[Source] = &[
    ("emptyDir", &[Row("sizeLimit", Rule::Code(size_limit))]),
    ("hostPath", HOST_PATH),
    ("gitRepo", &[Row("repository", REQUIRED), Row("directory", Rule::Code(descending))]),
    ("gcePersistentDisk", &[Row("pdName", REQUIRED), PARTITION]),
    ("awsElasticBlockStore", &[Row("volumeID", REQUIRED), PARTITION]),
    ("secret", &[Row("secretName", REQUIRED), MODE, ITEMS]),
    ("nfs", NFS),
    ("iscsi", ISCSI),
    ("glusterfs", GLUSTER),
    ("flocker", &[Row("", Rule::Code(flocker))]),
    ("persistentVolumeClaim", &[Row("claimName", REQUIRED)]),
    ("rbd", RBD),
    ("cinder", &[Row("volumeID", REQUIRED), Row("secretRef", Rule::Within(&[Row("name", REQUIRED)]))]),
    ("cephfs", &[Row("monitors", REQUIRED)]),
    ("quobyte", QUOBYTE),
    ("downwardAPI", &[MODE, Row("", Rule::Code(downward_items))]),
    ("fc", &[Row("", Rule::Code(fibre_channel))]),
    ("flexVolume", FLEX),
    ("configMap", &[Row("name", REQUIRED), MODE, ITEMS]),
    ("azureFile", AZURE_FILE),
    ("vsphereVolume", &[Row("volumePath", REQUIRED)]),
    ("photonPersistentDisk", &[Row("pdID", REQUIRED)]),
    ("portworxVolume", &[Row("volumeID", REQUIRED)]),
    ("azureDisk", AZURE_DISK),
    ("storageos", STORAGE_OS),
    ("projected", &[MODE, Row("", Rule::Code(projected))]),
    ("scaleIO", SCALE_IO),
    (
        "csi",
        &[
            Row("driver", Rule::Code(csi_driver)),
            Row("nodePublishSecretRef", Rule::Within(&[Row("name", Rule::Named(names::subdomain))])),
        ],
    ),
    ("ephemeral", &[Row("volumeClaimTemplate", Rule::Code(claim_template))]),
    (
        "image",
        &[Row("reference", REQUIRED), Row("pullPolicy", Rule::OneOf(&["Always", "IfNotPresent", "Never"]))],
    ),
];

static OF_PERSISTENT_VOLUME: &[Source] = &[
    ("hostPath", HOST_PATH),
    ("gcePersistentDisk", &[Row("pdName", REQUIRED), PARTITION]),
    ("awsElasticBlockStore", &[Row("volumeID", REQUIRED), PARTITION]),
    ("glusterfs", GLUSTER),
    ("flocker", &[Row("", Rule::Code(flocker))]),
    ("nfs", NFS),
    ("rbd", RBD),
    ("quobyte", QUOBYTE),
    ("cephfs", &[Row("monitors", REQUIRED)]),
    ("iscsi", ISCSI),
    ("cinder", &[Row("volumeID", REQUIRED), Row("secretRef", Rule::Within(SECRET))]),
    ("fc", &[Row("", Rule::Code(fibre_channel))]),
    ("flexVolume", FLEX),
    ("azureFile", AZURE_FILE),
    ("vsphereVolume", &[Row("volumePath", REQUIRED)]),
    ("photonPersistentDisk", &[Row("pdID", REQUIRED)]),
    ("portworxVolume", &[Row("volumeID", REQUIRED)]),
    ("azureDisk", AZURE_DISK),
    ("scaleIO", SCALE_IO),
    ("local", &[Row("path", REQUIRED), Row("path", Rule::Code(no_backsteps))]),
    ("storageos", STORAGE_OS),
    (
        "csi",
        &[
            Row("driver", Rule::Code(csi_driver)),
            Row("volumeHandle", REQUIRED),
            Row("controllerPublishSecretRef", Rule::Within(SECRET_NAMED)),
            Row("controllerExpandSecretRef", Rule::Within(SECRET_NAMED)),
            Row("nodePublishSecretRef", Rule::Within(SECRET_NAMED)),
            Row("nodeExpandSecretRef", Rule::Within(SECRET_NAMED)),
        ],
    ),
];

/// The keys under which a persistent volume has its source.
pub fn persistent_sources() -> impl Iterator<Item = &'static str> {
    OF_PERSISTENT_VOLUME.iter().map(|(key, _)| *key)
}

static SECRET: &[Row] = &[Row("name", REQUIRED), Row("namespace", REQUIRED)];
static SECRET_NAMED: &[Row] =
    &[Row("name", Rule::Named(names::subdomain)), Row("namespace", Rule::Named(names::label))];
static HOST_PATH: &[Row] = &[
    Row("path", REQUIRED),
    Row("path", Rule::Code(no_backsteps)),
    Row(
        "type",
        Rule::OneOf(&[
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ]),
    ),
];
static NFS: &[Row] = &[Row("server", REQUIRED), Row("path", REQUIRED), Row("path", Rule::Code(absolute))];
static ISCSI: &[Row] = &[
    Row("targetPortal", REQUIRED),
    Row("iqn", REQUIRED),
    Row("iqn", Rule::Code(iqn)),
    LUN,
    Row("", Rule::Code(chap_secret)),
];
static GLUSTER: &[Row] = &[Row("endpoints", REQUIRED), Row("path", REQUIRED)];
static RBD: &[Row] = &[Row("monitors", REQUIRED), Row("image", REQUIRED)];
static QUOBYTE: &[Row] = &[
    Row("registry", Rule::Required("must be a host:port pair or multiple pairs separated by commas")),
    Row("volume", REQUIRED),
];
static FLEX: &[Row] = &[Row("driver", REQUIRED)];
static AZURE_FILE: &[Row] = &[Row("secretName", REQUIRED), Row("shareName", REQUIRED)];
static AZURE_DISK: &[Row] = &[
    Row("diskName", REQUIRED),
    Row("diskURI", REQUIRED),
    Row("cachingMode", Rule::OneOf(&["None", "ReadOnly", "ReadWrite"])),
    Row("kind", Rule::OneOf(&["Dedicated", "Managed", "Shared"])),
];
static STORAGE_OS: &[Row] =
    &[Row("volumeName", Rule::Named(names::label)), Row("volumeNamespace", Rule::Name(names::label))];
static SCALE_IO: &[Row] = &[Row("gateway", REQUIRED), Row("system", REQUIRED), Row("volumeName", REQUIRED)];
const MODE: Row = Row("defaultMode", Rule::Code(file_mode));
const ITEMS: Row = Row("items", Rule::Each(ITEM));
static ITEM: &[Row] = &[
    Row("key", REQUIRED),
    Row("path", REQUIRED),
    Row("path", Rule::Code(local)),
    Row("mode", Rule::Code(file_mode)),
];

pub fn of_pod(volume: &At<'_>, errors: &mut Errors) {
    one(volume, OF_POD, errors);
}

pub fn of_persistent_volume(spec: &At<'_>, errors: &mut Errors) {
    one(spec, OF_PERSISTENT_VOLUME, errors);
}

fn one(volume: &At<'_>, sources: &[Source], errors: &mut Errors) {
    let mut found = 0;
    for (key, rows) in sources {
        let source = volume.get(key);
        if !source.is_set() {
            continue;
        }
        found += 1;
        if found == 1 {
            check(&source, rows, errors);
        } else {
            source.forbidden("may not specify more than 1 volume type", errors);
        }
    }
    if found == 0 {
        volume.required("must specify a volume type", errors);
    }
}

fn size_limit(at: &At<'_>, errors: &mut Errors) {
    if at.quantity().is_some_and(|size| size.is_negative()) {
        at.forbidden("SizeLimit field must be a valid resource quantity", errors);
    }
}

fn partition(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|n| !(0..=255).contains(&n)) {
        at.invalid("must be between 1 and 255, inclusive", errors);
    }
}

fn file_mode(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        at.invalid("must be a number between 0 and 0777 (octal), both inclusive", errors);
    }
}

fn absolute(at: &At<'_>, errors: &mut Errors) {
    if !at.text().starts_with('/') {
        at.invalid_text("must be an absolute path", errors);
    }
}

/// No step of a path goes up.
pub fn no_backsteps(at: &At<'_>, errors: &mut Errors) {
    if at.text().split('/').any(|step| step == "..") {
        at.invalid("must not contain '..'", errors);
    }
}

/// A path that stays inside the volume.
pub fn descending(at: &At<'_>, errors: &mut Errors) {
    if at.text().starts_with('/') {
        at.invalid("must be a relative path", errors);
    }
    no_backsteps(at, errors);
}

/// As `descending`, and it does not begin as the files that the kubelet keeps there for itself.
fn local(at: &At<'_>, errors: &mut Errors) {
    descending(at, errors);
    if at.text().starts_with("..") && !at.text().starts_with("../") && at.text() != ".." {
        at.invalid("must not start with '..'", errors);
    }
}

fn iqn(at: &At<'_>, errors: &mut Errors) {
    let text = at.text();
    if !text.is_empty() && !["iqn", "eui", "naa"].iter().any(|prefix| text.starts_with(prefix)) {
        at.invalid("must be valid format starting with iqn, eui, or naa", errors);
    }
}

fn chap_secret(at: &At<'_>, errors: &mut Errors) {
    let chap = at.get("chapAuthDiscovery").is_true() || at.get("chapAuthSession").is_true();
    if chap && !at.get("secretRef").is_set() {
        at.get("secretRef").required("", errors);
    }
}

fn flocker(at: &At<'_>, errors: &mut Errors) {
    let (name, uuid) = (at.get("datasetName"), at.get("datasetUUID"));
    match (name.is_empty(), uuid.is_empty()) {
        (true, true) => at.required("one of datasetName and datasetUUID is required", errors),
        (false, false) => errors.invalid(
            &at.path,
            &Value::from("resource"),
            "datasetName and datasetUUID can not be specified simultaneously",
        ),
        _ => {}
    }
    if name.text().contains('/') {
        name.invalid("must not contain '/'", errors);
    }
}

fn fibre_channel(at: &At<'_>, errors: &mut Errors) {
    let (targets, lun) = (at.get("targetWWNs"), at.get("lun"));
    match (targets.is_empty(), at.get("wwids").is_empty()) {
        (true, true) => targets.required("must specify either targetWWNs or wwids, but not both", errors),
        (false, false) => targets.invalid("targetWWNs and wwids can not be specified simultaneously", errors),
        _ => {}
    }
    if !targets.is_empty() {
        if lun.is_set() {
            lun.between(0, 255, errors);
        } else {
            lun.required("lun is required if targetWWNs is specified", errors);
        }
    }
}

/// The name of a CSI driver: a subdomain in any case, and short.
pub fn csi_driver(at: &At<'_>, errors: &mut Errors) {
    at.require(errors);
    if at.text().len() > 63 {
        errors.too_long(&at.path, 63);
    }
    for why in names::lower(names::subdomain, at.text()) {
        at.invalid_text(why, errors);
    }
}

fn claim_template(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return at.required("", errors);
    }
    let metadata = at.get("metadata");
    meta::annotations(&metadata.get("annotations"), errors);
    meta::labels(&metadata.get("labels"), errors);
    for (key, value) in metadata.entries() {
        if !["annotations", "labels"].contains(&key) && !value.value.is_null() {
            metadata.get(key).forbidden("cannot be set", errors);
        }
    }
    storage::claim_spec(&at.get("spec"), errors);
}

fn downward_items(at: &At<'_>, errors: &mut Errors) {
    at.get("items").items().for_each(|item| downward_item(at, &item, errors));
}

const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Upstream's paths are those of the whole source, not of the item.
fn downward_item(at: &At<'_>, item: &At<'_>, errors: &mut Errors) {
    let path = item.get("path").named(at.child("path"));
    path.require(errors);
    local(&path, errors);
    let field = item.get("fieldRef").named(at.child("fieldRef"));
    let resource = item.get("resourceFieldRef").named(at.child("resourceFieldRef"));
    if field.is_set() {
        env::field_ref(&field, &VOLUME_FIELDS, errors);
        if resource.is_set() {
            let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.invalid(&at.path, &Value::from("resource"), why);
        }
    } else if resource.is_set() {
        env::resource_field_ref(&resource, true, errors);
    } else {
        at.required("one of fieldRef and resourceFieldRef is required", errors);
    }
    file_mode(&item.get("mode").named(at.child("mode")), errors);
}

/// Several sources in one directory: their files may not meet.
fn projected(at: &At<'_>, errors: &mut Errors) {
    let mut paths = BTreeSet::new();
    for source in at.get("sources").items() {
        let mut found = 0;
        for key in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let part = source.get(key);
            if !part.is_set() {
                continue;
            }
            found += 1;
            match key {
                "secret" | "configMap" => {
                    part.get("name").require(errors);
                    part.get("items").items().for_each(|item| check(&item, ITEM, errors));
                }
                "downwardAPI" => downward_items(&part, errors),
                "serviceAccountToken" => token(at, &part, errors),
                _ => {
                    part.get("path").require(errors);
                    local(&part.get("path"), errors);
                }
            }
            let items: Vec<At<'_>> = part.get("items").items().map(|item| item.get("path")).collect();
            let own = (key == "clusterTrustBundle").then(|| part.get("path"));
            for path in items.into_iter().chain(own).filter(|path| !path.is_empty()) {
                if !paths.insert(path.text()) {
                    let name = part.get("name");
                    let shown = if key == "secret" || key == "configMap" { name.text() } else { path.text() };
                    errors.invalid(&at.path, &Value::from(shown), "conflicting duplicate paths");
                }
            }
        }
        if found > 1 {
            source.forbidden("may not specify more than 1 volume type per source", errors);
        }
    }
}

fn token(at: &At<'_>, part: &At<'_>, errors: &mut Errors) {
    let seconds = part.get("expirationSeconds");
    if seconds.int().is_some_and(|s| s < 600) {
        seconds.invalid("may not specify a duration less than 10 minutes", errors);
    }
    if seconds.int().is_some_and(|s| s > 1 << 32) {
        seconds.invalid("may not specify a duration larger than 2^32 seconds", errors);
    }
    let path = part.get("path").named(at.child("path"));
    if path.require(errors) {
        local(&path, errors);
    }
}
