//! Images: an OCI image layout on disk that all nodes share, and layers unpacked beside it.
//!
//! ```text
//! images/                          layers/  (beside it)
//!   oci-layout                       4f1c…/     one unpacked layer, named by its chain id
//!   index.json   name → manifest     9ab0…/
//!   blobs/sha256/…                   .lock
//! ```
//! 1. `index.json` is replaced in one step, under a lock: a reader never sees half of it.
//! 2. A blob's name is its digest, checked when it is written and again when it is read.
//! 3. A layer directory appears by a rename, complete, and is never written again: it is the lower
//!    layer of running containers on every node.
//! 4. Everything but unpacking works as an ordinary user: images are imported outside the sandbox.

mod archive;
mod unpack;
mod write;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

pub use self::unpack::{Layers, copy_layer};
pub use crate::heart::image::RunConfig;
use crate::heart::image::{
    Descriptor, ImageConfig, Index, MEDIA_INDEX, MEDIA_MANIFEST, Manifest, REF_NAME, digest,
};
use crate::heart::reference::{Reference, is_digest};
use crate::sys::write_atomically;

/// Documents (not layers) longer than this are refused.
const MAX_DOCUMENT: u64 = 4 << 20;

/// An OCI image layout directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    dir: PathBuf,
}

/// A named image, with its documents.
#[derive(Debug, Clone)]
pub struct Image {
    /// Normalised: `docker.io/library/busybox:1`.
    pub reference: Reference,
    pub manifest_digest: String,
    /// Digest of the configuration: what CRI calls the image's id.
    pub id: String,
    pub manifest: Manifest,
    pub config: ImageConfig,
}

impl Image {
    /// Bytes of all blobs.
    pub fn size(&self) -> u64 {
        self.manifest.config.size + self.manifest.layers.iter().map(|layer| layer.size).sum::<u64>()
    }

    /// `docker.io/library/busybox@sha256:…`
    pub fn repo_digest(&self) -> String {
        format!("{}@{}", self.reference.repository(), self.manifest_digest)
    }
}

impl ImageStore {
    /// Opens a layout, making it when there is none.
    pub fn open(dir: impl Into<PathBuf>) -> anyhow::Result<ImageStore> {
        let dir = dir.into();
        let store = ImageStore { dir };
        if !store.index_path().exists() {
            let context = || format!("making an image store in {}", store.dir.display());
            fs::create_dir_all(store.dir.join("blobs/sha256")).with_context(context)?;
            let _lock = store.lock()?;
            if !store.index_path().exists() {
                let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
                write_atomically(&store.dir.join("oci-layout"), layout).with_context(context)?;
                store.write_index(&Index::default())?;
            }
        }
        Ok(store)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that changes whenever an image comes or goes.
    pub fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    /// All images, sorted by name. One that cannot be read is left out, with a warning.
    pub fn list(&self) -> anyhow::Result<Vec<Image>> {
        let mut images = Vec::new();
        for descriptor in self.index()?.manifests {
            match self.image(&descriptor) {
                Ok(Some(image)) => images.push(image),
                Ok(None) => {}
                Err(error) => tracing::warn!("image {}: {error:#}", descriptor.digest),
            }
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(images)
    }

    /// Finds an image by name, by id (`sha256:…` or its digits) or by repo digest.
    pub fn find(&self, name: &str) -> anyhow::Result<Option<Image>> {
        let index = self.index()?;
        if let Ok(wanted) = Reference::parse(name) {
            for descriptor in &index.manifests {
                let Some(known) = reference_of(descriptor) else { continue };
                let same = match (&wanted.digest, &wanted.tag) {
                    (Some(digest), _) => {
                        known.repository() == wanted.repository() && descriptor.digest == *digest
                    }
                    (None, tag) => known.repository() == wanted.repository() && known.tag == *tag,
                };
                if same {
                    return self.image(descriptor);
                }
            }
        }
        let id = if name.starts_with("sha256:") { name.to_owned() } else { format!("sha256:{name}") };
        if !is_digest(&id) {
            return Ok(None);
        }
        for descriptor in &index.manifests {
            let image = self.image(descriptor).unwrap_or(None);
            if let Some(image) = image.filter(|image| image.id == id || image.manifest_digest == id) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// Takes a name away (all names, when given an id), and the blobs that nothing needs any more.
    /// False: there was no such image.
    pub fn remove(&self, name: &str) -> anyhow::Result<bool> {
        let Some(image) = self.find(name)? else { return Ok(false) };
        let by_id = is_digest(name) || is_digest(&format!("sha256:{name}"));
        let _lock = self.lock()?;
        let mut index = self.index()?;
        index.manifests.retain(|descriptor| {
            let same_name = reference_of(descriptor).is_some_and(|known| known == image.reference);
            let same_image = descriptor.digest == image.manifest_digest;
            !(same_name || by_id && same_image)
        });
        self.write_index(&index)?;
        self.sweep(&index)?;
        Ok(true)
    }

    /// Where a blob is. Whoever reads it compares the digest.
    pub fn blob_path(&self, digest: &str) -> anyhow::Result<PathBuf> {
        ensure!(is_digest(digest), "{digest:?} is not a sha256 digest");
        Ok(self.dir.join("blobs/sha256").join(&digest["sha256:".len()..]))
    }

    /// Deletes blobs that no manifest of the index leads to.
    fn sweep(&self, index: &Index) -> anyhow::Result<()> {
        let mut needed = BTreeSet::new();
        for descriptor in &index.manifests {
            needed.insert(descriptor.digest.clone());
            if let Some(image) = self.image(descriptor)? {
                needed.insert(image.id.clone());
                needed.extend(image.manifest.layers.iter().map(|layer| layer.digest.clone()));
            }
        }
        for entry in fs::read_dir(self.dir.join("blobs/sha256"))? {
            let entry = entry?;
            let name = format!("sha256:{}", entry.file_name().to_string_lossy());
            if is_digest(&name) && !needed.contains(&name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn image(&self, descriptor: &Descriptor) -> anyhow::Result<Option<Image>> {
        let Some(reference) = reference_of(descriptor) else { return Ok(None) };
        let manifest: Manifest = self.document(&descriptor.digest)?;
        let config: ImageConfig = self.document(&manifest.config.digest)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        ensure!(layers == diff_ids, "the image has {layers} layers but {diff_ids} diff ids");
        Ok(Some(Image {
            reference,
            manifest_digest: descriptor.digest.clone(),
            id: manifest.config.digest.clone(),
            manifest,
            config,
        }))
    }

    /// A JSON blob whose digest is right.
    fn document<T: serde::de::DeserializeOwned>(&self, wanted: &str) -> anyhow::Result<T> {
        let path = self.blob_path(wanted)?;
        let size = fs::metadata(&path).with_context(|| format!("blob {wanted}"))?.len();
        ensure!(size <= MAX_DOCUMENT, "blob {wanted} is too long for a document");
        let bytes = fs::read(&path)?;
        ensure!(digest(&bytes) == wanted, "blob {wanted} does not have that digest");
        serde_json::from_slice(&bytes).with_context(|| format!("blob {wanted}"))
    }

    fn index(&self) -> anyhow::Result<Index> {
        let path = self.index_path();
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    fn write_index(&self, index: &Index) -> anyhow::Result<()> {
        let index = Index { schema_version: 2, media_type: MEDIA_INDEX.into(), ..index.clone() };
        let path = self.index_path();
        write_atomically(&path, &serde_json::to_vec_pretty(&index)?)
            .with_context(|| format!("writing {}", path.display()))
    }

    fn lock(&self) -> anyhow::Result<Flock<File>> {
        lock(&self.dir.join(".lock"))
    }

    /// Writes the documents of an image over blobs that are there, and gives it a name.
    fn name_image(
        &self,
        reference: &Reference,
        config: &ImageConfig,
        layers: Vec<Descriptor>,
    ) -> anyhow::Result<Image> {
        let config_json = serde_json::to_vec(config)?;
        self.name_image_with(reference, &config_json, layers)
    }

    fn name_image_with(
        &self,
        reference: &Reference,
        config: &[u8],
        layers: Vec<Descriptor>,
    ) -> anyhow::Result<Image> {
        let config = Descriptor {
            media_type: crate::heart::image::MEDIA_CONFIG.into(),
            digest: self.write_blob(config)?,
            size: config.len() as u64,
            ..Descriptor::default()
        };
        let manifest = Manifest { schema_version: 2, media_type: MEDIA_MANIFEST.into(), config, layers };
        let json = serde_json::to_vec(&manifest)?;
        let digest = self.write_blob(&json)?;
        self.point(reference, &digest, json.len() as u64)
    }

    /// Makes a name lead to a manifest that is there.
    fn point(&self, reference: &Reference, digest: &str, size: u64) -> anyhow::Result<Image> {
        let descriptor = Descriptor {
            media_type: MEDIA_MANIFEST.into(),
            digest: digest.to_owned(),
            size,
            annotations: [(REF_NAME.to_owned(), reference.to_string())].into(),
            platform: None,
        };
        let image = self.image(&descriptor)?.ok_or_else(|| anyhow!("{reference} has no name"))?;
        let _lock = self.lock()?;
        let mut index = self.index()?;
        index.manifests.retain(|known| reference_of(known).as_ref() != Some(reference));
        index.manifests.push(descriptor);
        self.write_index(&index)?;
        Ok(image)
    }

    fn write_blob(&self, bytes: &[u8]) -> anyhow::Result<String> {
        let digest = digest(bytes);
        let path = self.blob_path(&digest)?;
        if !path.exists() {
            write_atomically(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(digest)
    }
}

/// The name in an index entry, if it is one.
fn reference_of(descriptor: &Descriptor) -> Option<Reference> {
    Reference::parse(descriptor.annotations.get(REF_NAME)?).ok()
}

/// Holds an exclusive lock until dropped.
pub(crate) fn lock(path: &Path) -> anyhow::Result<Flock<File>> {
    let file = File::options().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("opening {}", path.display()))?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(held) => return Ok(held),
            Err((again, nix::Error::EINTR)) => file = again,
            Err((_, errno)) => bail!("locking {}: {errno}", path.display()),
        }
    }
}

/// Not being there is as good as removed.
pub(crate) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
