//! Images of several layers, in both kinds of archive.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use runtime::heart::image::digest;
use serde_json::json;
use tar::{EntryType, Header};

use crate::harness::Node;

/// Looks at what the layers left; busybox is in the lowest.
pub const SCRIPT: &str = "cd /d; echo *; cat keep; echo *; ls /gone 2>/dev/null || echo gone; cat /new/*; \
                          stat -c %a /sticky; readlink /link; cat /hard";
pub const EXPECTED: &str = "keep new\nfirst\nkeep new\ngone\nfresh\n1777\nd/keep\nfirst\n";

/// The layers: made, then changed, hidden and replaced.
fn layers() -> Vec<Vec<u8>> {
    let busybox = fs::read("/usr/bin/busybox").expect("busybox");
    let mut lowest = Layer::new();
    lowest.dir("bin", 0o755).file("bin/busybox", &busybox, 0o755);
    for tool in ["sh", "cat", "echo", "ls", "stat", "readlink"] {
        lowest.link(&format!("bin/{tool}"), "busybox", EntryType::Symlink);
    }
    lowest.dir("d", 0o755).file("d/keep", b"first\n", 0o644).file("d/hidden", b"x", 0o644);
    lowest.dir("gone", 0o755).file("gone/x", b"x", 0o644);
    lowest.dir("new", 0o755).file("new/old", b"old\n", 0o644).dir("sticky", 0o1777);
    let mut upper = Layer::new();
    upper.file("d/.wh.hidden", b"", 0o644).file("d/new", b"second\n", 0o644).file(".wh.gone", b"", 0o644);
    upper.dir("new", 0o755).file("new/.wh..wh..opq", b"", 0o644).file("new/fresh", b"fresh\n", 0o644);
    // Its parent is not in this layer: the directory must look as it does below.
    upper.file("sticky/note", b"x", 0o644);
    upper.link("link", "d/keep", EntryType::Symlink).link("hard", "d/keep", EntryType::Link);
    vec![lowest.end(), upper.end()]
}

struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Layer {
        Layer(tar::Builder::new(Vec::new()))
    }

    fn add(&mut self, kind: EntryType, path: &str, bytes: &[u8], mode: u32) -> &mut Layer {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(1_000_000_000);
        self.0.append_data(&mut header, path, bytes).expect("tar");
        self
    }

    fn dir(&mut self, path: &str, mode: u32) -> &mut Layer {
        self.add(EntryType::Directory, path, b"", mode)
    }

    fn file(&mut self, path: &str, bytes: &[u8], mode: u32) -> &mut Layer {
        self.add(EntryType::Regular, path, bytes, mode)
    }

    fn link(&mut self, path: &str, to: &str, kind: EntryType) -> &mut Layer {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, to).expect("tar");
        self
    }

    fn end(self) -> Vec<u8> {
        self.0.into_inner().expect("tar")
    }
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({ "Env": ["PATH=/bin"], "Entrypoint": null });
    let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
    json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs })
        .to_string()
        .into_bytes()
}

fn archive(path: &Path, members: &[(String, Vec<u8>)]) {
    let mut all = Layer::new();
    for (name, bytes) in members {
        all.file(name, bytes, 0o644);
    }
    let mut zipped =
        flate2::write::GzEncoder::new(File::create(path).expect("a file"), flate2::Compression::fast());
    zipped.write_all(&all.end()).and_then(|()| zipped.finish().map(drop)).expect("gzip");
}

fn blob(bytes: &[u8]) -> (String, Vec<u8>) {
    (format!("blobs/sha256/{}", &digest(bytes)["sha256:".len()..]), bytes.to_vec())
}

/// An OCI layout whose upper layer is compressed.
pub fn oci(node: &Node) -> PathBuf {
    let layers = layers();
    let config = config(&layers);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&layers[1]).expect("gzip");
    let zipped = zipped.finish().expect("gzip");
    let media = "application/vnd.oci.image.layer.v1.tar";
    let describe =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "config": describe("application/vnd.oci.image.config.v1+json", &config),
        "layers": [describe(media, &layers[0]), describe(&format!("{media}+gzip"), &zipped)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut named = describe("application/vnd.oci.image.manifest.v1+json", &manifest);
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": "oci:1" });
    let index = json!({ "schemaVersion": 2, "manifests": [named] }).to_string().into_bytes();
    let path = node.dir("archives").join("oci.tar.gz");
    let mut members = vec![("./index.json".to_owned(), index), ("oci-layout".to_owned(), b"{}".to_vec())];
    members.extend([blob(&manifest), blob(&config), blob(&layers[0]), blob(&zipped)]);
    archive(&path, &members);
    path
}

/// What `docker save` wrote for years.
pub fn docker(node: &Node) -> PathBuf {
    let layers = layers();
    let path = node.dir("archives").join("docker.tar.gz");
    archive(&path, &saved(&layers, &layers[1], "docker:2"));
    path
}

/// A layer that is not the one that the configuration means.
pub fn damaged(node: &Node) -> PathBuf {
    let path = node.dir("archives").join("damaged.tar.gz");
    let layers = layers();
    let other = Layer::new().end();
    archive(&path, &saved(&layers, &other, "damaged:1"));
    path
}

fn saved(layers: &[Vec<u8>], upper: &[u8], name: &str) -> Vec<(String, Vec<u8>)> {
    let config = config(layers);
    let manifest =
        json!([{ "Config": "c.json", "RepoTags": [name], "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    vec![
        ("manifest.json".into(), manifest.to_string().into_bytes()),
        ("c.json".into(), config),
        ("a/layer.tar".into(), layers[0].clone()),
        ("b/layer.tar".into(), upper.to_vec()),
    ]
}
