//! Loading images from one file: an OCI layout in a tar archive, or what `docker save` writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;

use super::write::architecture;
use super::{ImageStore, MAX_DOCUMENT};
use crate::heart::image::{Descriptor, ImageConfig, Index, Manifest, REF_NAME, digest};
use crate::heart::layers::inside;
use crate::heart::reference::Reference;

/// One image in `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// A tar archive whose members can be read in any order.
struct Members {
    file: File,
    /// Offset and size, or the member that a link leads to.
    found: BTreeMap<String, Result<(u64, u64), String>>,
}

impl ImageStore {
    /// Loads all named images of an OCI or Docker archive (plain or gzip); answers their names.
    pub fn load_archive(&self, file: &Path) -> anyhow::Result<Vec<String>> {
        self.load(file, None).with_context(|| format!("loading {}", file.display()))
    }

    /// Loads the only image of an archive under a name of the caller's.
    pub fn load_archive_as(&self, file: &Path, tag: &str) -> anyhow::Result<Vec<String>> {
        self.load(file, Some(tag)).with_context(|| format!("loading {}", file.display()))
    }

    fn load(&self, file: &Path, tag: Option<&str>) -> anyhow::Result<Vec<String>> {
        let tag = tag.map(Reference::parse).transpose()?;
        let mut members = Members::open(self, file)?;
        if members.has("index.json") {
            return self.load_oci(&mut members, tag);
        }
        ensure!(members.has("manifest.json"), "neither index.json nor manifest.json is in it");
        let saved: Vec<Saved> = serde_json::from_slice(&members.document("manifest.json")?)?;
        ensure!(tag.is_none() || saved.len() == 1, "it holds {} images: a name fits one", saved.len());
        let mut names = Vec::new();
        for image in saved {
            let config_json = members.document(&image.config)?;
            let config: ImageConfig = serde_json::from_slice(&config_json)?;
            let mut layers = Vec::new();
            for (layer, diff_id) in image.layers.iter().zip(&config.rootfs.diff_ids) {
                let (descriptor, found) = self.import_layer(&mut members.member(layer)?)?;
                ensure!(found == *diff_id, "layer {layer} has digest {found}, not {diff_id}");
                layers.push(descriptor);
            }
            let tags = image.repo_tags.unwrap_or_default();
            let parsed = tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<Vec<_>, _>>()?;
            for reference in tag.clone().map_or(parsed, |tag| vec![tag]) {
                self.name_image_with(&reference, &config_json, layers.clone())?;
                names.push(reference.to_string());
            }
        }
        ensure!(!names.is_empty(), "its images have no names: give one");
        Ok(names)
    }

    fn load_oci(&self, members: &mut Members, tag: Option<Reference>) -> anyhow::Result<Vec<String>> {
        let index: Index = serde_json::from_slice(&members.document("index.json")?)?;
        let mut names = Vec::new();
        for descriptor in &index.manifests {
            // containerd and Docker put the whole name beside the OCI annotation, which is then a tag.
            let annotation = |name: &str| descriptor.annotations.get(name);
            let name = annotation("io.containerd.image.name").or_else(|| annotation(REF_NAME));
            let reference = match (&tag, name) {
                (Some(tag), _) => tag.clone(),
                (None, Some(name)) => Reference::parse(name)?,
                (None, None) => continue,
            };
            let chosen = members.choose_platform(descriptor)?;
            let json = members.blob(&chosen)?;
            let manifest: Manifest = serde_json::from_slice(&json)?;
            self.write_blob(&members.blob(&manifest.config.digest)?)?;
            for layer in &manifest.layers {
                let mut blob = self.new_blob()?;
                io::copy(&mut members.member(&blob_name(&layer.digest)?)?, &mut blob)?;
                let (found, _) = self.keep_blob(blob)?;
                ensure!(found == layer.digest, "layer {} has digest {found}", layer.digest);
            }
            let digest = self.write_blob(&json)?;
            self.point(&reference, &digest, json.len() as u64)?;
            names.push(reference.to_string());
        }
        ensure!(!names.is_empty(), "its images have no names: give one");
        Ok(names)
    }
}

impl Members {
    fn open(store: &ImageStore, path: &Path) -> anyhow::Result<Members> {
        let mut file = File::open(path)?;
        let mut magic = [0; 2];
        let zipped = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
        file.seek(SeekFrom::Start(0))?;
        if zipped {
            // Members are read out of order, so it is unpacked first, into a file without a name.
            let hidden = store.dir().join("blobs").join(format!("new-{}", crate::sys::random_id()?));
            let mut plain = File::options().read(true).write(true).create_new(true).open(&hidden)?;
            std::fs::remove_file(&hidden)?;
            io::copy(&mut GzDecoder::new(file), &mut plain)?;
            plain.seek(SeekFrom::Start(0))?;
            file = plain;
        }
        let mut found = BTreeMap::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = inside(&String::from_utf8_lossy(&entry.path_bytes()))?;
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned();
                found.insert(name, Err(target));
            } else {
                found.insert(name, Ok((entry.raw_file_position(), entry.size())));
            }
        }
        Ok(Members { file, found })
    }

    fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    fn member(&mut self, name: &str) -> anyhow::Result<Section<'_>> {
        let found = match self.found.get(name) {
            // Old `docker save` links a layer that several images share: `../ID/layer.tar`.
            Some(Err(target)) => self.found.get(target.trim_start_matches("../")),
            found => found,
        };
        let Some(Ok((offset, size))) = found else { bail!("{name} is not in it") };
        self.file.seek(SeekFrom::Start(*offset))?;
        Ok(Section { file: &mut self.file, start: *offset, at: 0, size: *size })
    }

    fn document(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.member(name)?.take(MAX_DOCUMENT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A document whose digest is right.
    fn blob(&mut self, wanted: &str) -> anyhow::Result<Vec<u8>> {
        let bytes = self.document(&blob_name(wanted)?)?;
        ensure!(digest(&bytes) == wanted, "blob {wanted} does not have that digest");
        Ok(bytes)
    }

    /// Digest of the manifest, or of the one for this machine if there is one for each kind.
    fn choose_platform(&mut self, descriptor: &Descriptor) -> anyhow::Result<String> {
        if !descriptor.media_type.contains("index") && !descriptor.media_type.contains("manifest.list") {
            return Ok(descriptor.digest.clone());
        }
        let index: Index = serde_json::from_slice(&self.blob(&descriptor.digest)?)?;
        let fits = |platform: &crate::heart::image::Platform| {
            platform.os == "linux" && platform.architecture == architecture()
        };
        let chosen = index.manifests.into_iter().find(|one| one.platform.as_ref().is_none_or(fits));
        Ok(chosen.ok_or_else(|| anyhow!("it holds nothing for linux/{}", architecture()))?.digest)
    }
}

fn blob_name(digest: &str) -> anyhow::Result<String> {
    let hex = digest.strip_prefix("sha256:").ok_or_else(|| anyhow!("unknown digest {digest:?}"))?;
    Ok(format!("blobs/sha256/{hex}"))
}

/// A part of a file, as a file.
struct Section<'a> {
    file: &'a mut File,
    start: u64,
    at: u64,
    size: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..left])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        let at = at.filter(|at| *at <= self.size).ok_or(io::ErrorKind::InvalidInput)?;
        self.at = at;
        self.file.seek(SeekFrom::Start(self.start + at))?;
        Ok(at)
    }
}
