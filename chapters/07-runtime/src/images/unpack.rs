//! Layers as directories, ready to be stacked: unpacked once, for all containers of all nodes.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use flate2::read::GzDecoder;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use sha2::{Digest, Sha256};

use super::{Image, ImageStore, gone, lock};
use crate::heart::image::chain_ids;
use crate::heart::layers::{Entry, Kind, LayerOp, LayerPlanner};

/// The directory of unpacked layers.
#[derive(Debug, Clone)]
pub struct Layers {
    dir: PathBuf,
}

impl Layers {
    pub fn open(dir: impl Into<PathBuf>) -> anyhow::Result<Layers> {
        let dir = dir.into();
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Layers { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Names of an image's layers if all of them are unpacked, the uppermost first.
    pub fn ready(&self, image: &Image) -> Option<Vec<String>> {
        let mut names = layer_names(image);
        names.reverse();
        names.iter().all(|name| self.dir.join(name).is_dir()).then_some(names)
    }

    /// Unpacks what is missing; answers the names, the uppermost first. Blocks.
    pub fn ensure(&self, store: &ImageStore, image: &Image) -> anyhow::Result<Vec<String>> {
        if let Some(names) = self.ready(image) {
            return Ok(names);
        }
        let _lock = lock(&self.dir.join(".lock"))?;
        let names = layer_names(image);
        for (at, name) in names.iter().enumerate() {
            if self.dir.join(name).is_dir() {
                continue;
            }
            let below: Vec<PathBuf> = names[..at].iter().rev().map(|name| self.dir.join(name)).collect();
            let temporary = self.dir.join(format!(".new-{name}"));
            if temporary.exists() {
                // Somebody was killed here.
                fs::remove_dir_all(&temporary)?;
            }
            let layer = &image.manifest.layers[at];
            let blob = store.blob_path(&layer.digest)?;
            unpack(&blob, &layer.digest, &image.config.rootfs.diff_ids[at], &temporary, &below)
                .with_context(|| format!("unpacking layer {} of {}", layer.digest, image.reference))?;
            fs::rename(&temporary, self.dir.join(name))?;
        }
        self.ready(image).context("layers vanished while they were unpacked")
    }
}

/// Directory names of the layers, the lowest first: half a chain id is unique enough, and short
/// names matter, for all of them must fit into one page of mount options.
fn layer_names(image: &Image) -> Vec<String> {
    let ids = chain_ids(&image.config.rootfs.diff_ids);
    ids.iter().map(|id| id.trim_start_matches("sha256:").chars().take(32).collect()).collect()
}

/// Counts bytes into a digest while they are read.
struct Summing<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.sum.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> Summing<R> {
    fn new(from: R) -> Summing<R> {
        Summing { from, sum: Sha256::new() }
    }

    /// Digest of everything, the unread rest included.
    fn finish(mut self) -> io::Result<(R, String)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.from, format!("sha256:{}", HEXLOWER.encode(&self.sum.finalize()))))
    }
}

fn unpack(blob: &Path, digest: &str, diff_id: &str, to: &Path, below: &[PathBuf]) -> anyhow::Result<()> {
    let mut file = BufReader::with_capacity(1 << 17, File::open(blob)?);
    let zipped = io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]);
    fs::DirBuilder::new().mode(0o755).create(to)?;
    let mut tree = Tree { root: to.to_owned(), below, squash: false, times: Vec::new() };
    let (whole, found) = if zipped {
        let mut plain = Summing::new(GzDecoder::new(Summing::new(file)));
        tree.unpack(&mut plain)?;
        let (zipped, found) = plain.finish()?;
        (zipped.into_inner().finish()?.1, found)
    } else {
        let mut plain = Summing::new(file);
        tree.unpack(&mut plain)?;
        let (_, found) = plain.finish()?;
        (found.clone(), found)
    };
    ensure!(whole == digest, "the blob has digest {whole}");
    ensure!(found == diff_id, "the layer has digest {found}, not {diff_id}");
    if tree.squash {
        tracing::info!("{}: owners cannot be kept here: everything belongs to one user", to.display());
    }
    Ok(())
}

/// A layer's directory while it is filled.
struct Tree<'a> {
    root: PathBuf,
    /// Directories of the layers below, the uppermost first.
    below: &'a [PathBuf],
    /// Owners were refused once (a user namespace of one id), so they are not tried again.
    squash: bool,
    /// Times of directories: set last, for every new entry changes them.
    times: Vec<(PathBuf, i64)>,
}

impl Tree<'_> {
    fn unpack(&mut self, tar: impl Read) -> anyhow::Result<()> {
        let mut planner = LayerPlanner::default();
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = String::from_utf8(entry.path_bytes().into_owned()).context("a name is not UTF-8")?;
            let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
            let link = String::from_utf8(link).context("a link is not UTF-8")?;
            let Some(kind) = kind(entry.header().entry_type()) else { continue };
            for op in planner.handle_entry(&Entry { path: &path, kind, link: &link })? {
                self.apply(&op, &mut entry, &link).with_context(|| format!("entry {path:?}"))?;
            }
        }
        for (path, mtime) in self.times.drain(..).rev() {
            set_time(&path, mtime)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        op: &LayerOp,
        entry: &mut tar::Entry<'_, impl Read>,
        link: &str,
    ) -> anyhow::Result<()> {
        let at = |path: &str| self.root.join(path);
        match op {
            LayerOp::Root => self.attributes(&self.root.clone(), entry, Kind::Dir)?,
            LayerOp::Parent { path, replace } => {
                let to = at(path);
                clear(&to, *replace)?;
                fs::create_dir(&to)?;
                // Its attributes would hide those of the same directory below: copy them.
                let lower = self.below.iter().find_map(|layer| fs::symlink_metadata(layer.join(path)).ok());
                if let Some(lower) = lower.filter(Metadata::is_dir) {
                    self.own(&to, lower.uid(), lower.gid())?;
                    fs::set_permissions(&to, fs::Permissions::from_mode(lower.mode() & 0o7777))?;
                }
            }
            LayerOp::Make { path, kind, replace } => {
                let to = at(path);
                clear(&to, *replace)?;
                if !self.make(&to, *kind, entry, link)? {
                    return Ok(());
                }
                self.attributes(&to, entry, *kind)?;
            }
            LayerOp::Link { path, target, replace } => {
                let to = at(path);
                clear(&to, *replace)?;
                self.link(&to, target)?;
            }
            LayerOp::Whiteout { path } => {
                mknod(&at(path), SFlag::S_IFCHR, Mode::empty(), 0).context("making a whiteout")?;
            }
            LayerOp::Opaque { dir } => make_opaque(&at(dir))?,
        }
        Ok(())
    }

    /// False: nothing was made, and nothing needs attributes.
    fn make(
        &self,
        to: &Path,
        kind: Kind,
        entry: &mut tar::Entry<'_, impl Read>,
        link: &str,
    ) -> anyhow::Result<bool> {
        match kind {
            Kind::Dir if to.is_dir() => {}
            Kind::Dir => fs::create_dir(to)?,
            Kind::File => drop(io::copy(entry, &mut File::create_new(to)?)?),
            Kind::Symlink => symlink(link, to)?,
            Kind::Fifo => mknod(to, SFlag::S_IFIFO, Mode::S_IRUSR | Mode::S_IWUSR, 0)?,
            // Containers get devices from the runtime; the image's could not be opened anyway.
            Kind::Device | Kind::HardLink => return Ok(false),
        }
        Ok(true)
    }

    /// A second name: of this layer's file, or of a copy of the one below.
    fn link(&self, to: &Path, target: &str) -> anyhow::Result<()> {
        let here = self.root.join(target);
        match fs::hard_link(&here, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => return Ok(done?),
        }
        let lower = self.below.iter().map(|layer| layer.join(target));
        let Some((path, meta)) =
            lower.filter_map(|path| Some((path.clone(), fs::symlink_metadata(path).ok()?))).next()
        else {
            bail!("hard link to {target:?}, which is nowhere");
        };
        ensure!(meta.is_file(), "hard link to {target:?}, which is no file");
        fs::copy(&path, to)?;
        Ok(())
    }

    fn attributes(&mut self, to: &Path, entry: &tar::Entry<'_, impl Read>, kind: Kind) -> anyhow::Result<()> {
        let header = entry.header();
        // Some writers leave fields blank: nobody and nothing in particular.
        let id = |id: io::Result<u64>| u32::try_from(id.unwrap_or(0)).unwrap_or(0);
        self.own(to, id(header.uid()), id(header.gid()))?;
        let mtime = i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0);
        if kind != Kind::Symlink {
            // After the owner: changing that takes set-user-id bits away.
            fs::set_permissions(to, fs::Permissions::from_mode(header.mode()? & 0o7777))?;
        }
        if kind == Kind::Dir {
            self.times.push((to.to_owned(), mtime));
        } else {
            set_time(to, mtime)?;
        }
        Ok(())
    }

    fn own(&mut self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        if self.squash {
            return Ok(());
        }
        match lchown(path, Some(uid), Some(gid)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL)) => {
                self.squash = true;
                Ok(())
            }
            done => done,
        }
    }
}

fn kind(kind: tar::EntryType) -> Option<Kind> {
    use tar::EntryType as T;
    Some(match kind {
        T::Directory => Kind::Dir,
        T::Regular | T::Continuous | T::GNUSparse => Kind::File,
        T::Symlink => Kind::Symlink,
        T::Link => Kind::HardLink,
        T::Fifo => Kind::Fifo,
        T::Char | T::Block => Kind::Device,
        _ => return None,
    })
}

fn clear(path: &Path, replace: bool) -> io::Result<()> {
    if !replace {
        return Ok(());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => gone(fs::remove_file(path)),
        Err(_) => Ok(()),
    }
}

fn set_time(path: &Path, mtime: i64) -> io::Result<()> {
    let time = TimeSpec::new(mtime, 0);
    Ok(utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)?)
}

/// Marks a directory opaque for overlay: root's attribute, and the one of user namespaces.
fn make_opaque(dir: &Path) -> anyhow::Result<()> {
    let set = |name: &str| set_attribute(dir, name, b"y");
    match (set("trusted.overlay.opaque"), set("user.overlay.opaque")) {
        (Err(_), Err(error)) => Err(error).context("marking a directory as opaque"),
        _ => Ok(()),
    }
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let name = std::ffi::CString::new(name)?;
    // SAFETY: both strings end with a zero byte, `value` has the length given, and all of them
    // outlive the call.
    let done =
        unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn is_opaque(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    [c"trusted.overlay.opaque", c"user.overlay.opaque"].into_iter().any(|name| {
        let mut value = [0_u8; 1];
        // SAFETY: both strings end with a zero byte; at most one byte is written to `value`.
        let count = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 1) };
        count == 1 && value[0] == b'y'
    })
}

/// Copies one layer over a tree, whiteouts included: what overlay would have shown, where overlay
/// cannot be had.
pub fn copy_layer(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source)?;
        let kind = meta.file_type();
        let there = fs::symlink_metadata(&target).ok();
        let keep = kind.is_dir() && there.as_ref().is_some_and(Metadata::is_dir) && !is_opaque(&source);
        if there.is_some() && !keep {
            clear(&target, true)?;
        }
        if kind.is_char_device() && meta.rdev() == 0 {
            continue;
        }
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_layer(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        } else {
            continue;
        }
        let _ = lchown(&target, Some(meta.uid()), Some(meta.gid()));
        if !kind.is_symlink() {
            fs::set_permissions(&target, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
        }
    }
    Ok(())
}
