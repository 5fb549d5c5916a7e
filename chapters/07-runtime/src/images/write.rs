//! Making an image from a root file system: a directory or a tar archive becomes its only layer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::{Image, ImageStore, RunConfig};
use crate::heart::image::{Descriptor, ImageConfig, MEDIA_LAYER, RootFs};
use crate::heart::reference::Reference;

impl ImageStore {
    /// Makes an image named `tag` of a directory or a tar archive (plain or gzip) that holds a
    /// root file system. `config` says what it runs.
    ///
    /// An ordinary user owns what they unpacked, but means root: their own ids become 0.
    pub fn import_rootfs(&self, tag: &str, rootfs: &Path, config: RunConfig) -> anyhow::Result<Image> {
        let reference = Reference::parse(tag)?;
        let found = fs::metadata(rootfs).with_context(|| format!("importing {}", rootfs.display()))?;
        let layer = if found.is_dir() {
            let mut blob = self.new_blob()?;
            tar_directory(rootfs, &mut blob).with_context(|| format!("reading {}", rootfs.display()))?;
            let (digest, size) = self.keep_blob(blob)?;
            (descriptor(MEDIA_LAYER.into(), digest.clone(), size), digest)
        } else {
            self.import_layer(&mut File::open(rootfs)?)?
        };
        let (layer, diff_id) = layer;
        let document = ImageConfig {
            created: Some("1970-01-01T00:00:00Z".into()),
            architecture: architecture().into(),
            os: "linux".into(),
            config,
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![diff_id] },
        };
        self.name_image(&reference, &document, vec![layer])
    }

    /// Copies a layer archive into the store; answers its descriptor and diff id.
    pub(super) fn import_layer(&self, from: &mut (impl Read + Seek)) -> anyhow::Result<(Descriptor, String)> {
        let mut magic = [0; 4];
        let start = from.stream_position()?;
        let known = from.read(&mut magic)?;
        from.seek(io::SeekFrom::Start(start))?;
        let kind = match &magic[..known] {
            [0x1f, 0x8b, ..] => format!("{MEDIA_LAYER}+gzip"),
            [0x28, 0xb5, 0x2f, 0xfd] => bail!("zstd layers are not supported: recompress with gzip"),
            _ => MEDIA_LAYER.to_owned(),
        };
        let mut blob = self.new_blob()?;
        io::copy(from, &mut blob)?;
        let (digest, size) = self.keep_blob(blob)?;
        let diff_id = if kind == MEDIA_LAYER {
            digest.clone()
        } else {
            let mut sum = Sha256::new();
            let blob = BufReader::new(File::open(self.blob_path(&digest)?)?);
            io::copy(&mut GzDecoder::new(blob), &mut sum).context("unpacking a gzip layer")?;
            format!("sha256:{}", HEXLOWER.encode(&sum.finalize()))
        };
        Ok((descriptor(kind, digest, size), diff_id))
    }

    pub(super) fn new_blob(&self) -> anyhow::Result<NewBlob> {
        let path = self.dir.join("blobs").join(format!("new-{}", crate::sys::random_id()?));
        let file = File::create_new(&path).with_context(|| format!("writing {}", path.display()))?;
        Ok(NewBlob { path, file: BufWriter::with_capacity(1 << 17, file), sum: Sha256::new(), size: 0 })
    }

    /// Gives a written blob its name: its digest.
    pub(super) fn keep_blob(&self, mut blob: NewBlob) -> anyhow::Result<(String, u64)> {
        blob.file.flush()?;
        let digest = format!("sha256:{}", HEXLOWER.encode(&blob.sum.clone().finalize()));
        fs::rename(&blob.path, self.blob_path(&digest)?)?;
        Ok((digest, blob.size))
    }
}

fn descriptor(media_type: String, digest: String, size: u64) -> Descriptor {
    Descriptor { media_type, digest, size, ..Descriptor::default() }
}

/// A blob that is being written: it has no name yet, and goes away unless it is kept.
pub(super) struct NewBlob {
    path: PathBuf,
    file: BufWriter<File>,
    sum: Sha256,
    size: u64,
}

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sum.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Go's name for this machine, as images use it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Writes a directory as a tar archive, in the order of names: the same tree, the same digest.
fn tar_directory(root: &Path, to: impl Write) -> anyhow::Result<()> {
    let mut tar = tar::Builder::new(to);
    let me = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let mut links: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(root)?;
        let mut header = Header::new_gnu();
        header.set_mode(meta.mode() & 0o7777);
        let own = |id: u32, mine: u32| if me.0 != 0 && id == mine { 0 } else { u64::from(id) };
        header.set_uid(own(meta.uid(), me.0));
        header.set_gid(own(meta.gid(), me.1));
        header.set_mtime(meta.mtime().max(0) as u64);
        header.set_size(0);
        let kind = meta.file_type();
        if kind.is_dir() {
            let mut children =
                fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            children.sort_unstable_by(|a, b| b.as_os_str().as_bytes().cmp(a.as_os_str().as_bytes()));
            pending.extend(children);
            if !name.as_os_str().is_empty() {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, name, io::empty())?;
            }
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, name, fs::read_link(&path)?)?;
        } else if let Some(first) = links.get(&(meta.dev(), meta.ino())).filter(|_| meta.nlink() > 1) {
            header.set_entry_type(EntryType::Link);
            tar.append_link(&mut header, name, first)?;
        } else if kind.is_file() {
            links.insert((meta.dev(), meta.ino()), name.to_owned());
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            tar.append_data(&mut header, name, File::open(&path)?.take(meta.len()))?;
        } else if kind.is_fifo() {
            header.set_entry_type(EntryType::Fifo);
            tar.append_data(&mut header, name, io::empty())?;
        }
        // Sockets and device nodes mean nothing in an image.
    }
    tar.into_inner()?.flush()?;
    Ok(())
}
