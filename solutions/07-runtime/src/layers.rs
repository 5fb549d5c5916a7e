//! Layers: tar archives that are stacked, and what they say about what lies below.
//!
//! A layer is a diff. To delete a file of a lower layer it brings a **whiteout**, an empty file
//! named `.wh.NAME`; to hide all that a directory had, `.wh..wh..opq` in it. Overlay keeps the
//! same two facts in its own way: a character device 0:0, and an extended attribute `opaque=y`.
//! [`LayerPlanner`] translates one into the other, and refuses entries that would leave the
//! layer's own directory: layers come from strangers.
//!
//! Source: OCI image-spec, layer.md; Linux Documentation/filesystems/overlayfs.rst.

use std::collections::BTreeMap;

/// What a tar entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    Symlink,
    HardLink,
    Fifo,
    /// A block or character device.
    Device,
}

/// The part of a tar header that decides where an entry goes.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// As in the archive: may start with `/` or `./`.
    pub path: &'a str,
    pub kind: Kind,
    /// Target of a link, else empty.
    pub link: &'a str,
}

// ANCHOR: ops
/// What to do in the layer's directory. Paths are relative, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerOp {
    /// Attributes of the layer's top directory.
    Root,
    /// A directory that the archive did not mention: it looks as the one below it does.
    Parent { path: String, replace: bool },
    /// What the entry says. `replace`: something of this layer is in the way and goes first.
    Make { path: String, kind: Kind, replace: bool },
    /// A second name for a file of this layer, or, when this layer has none, of one below.
    Link { path: String, target: String, replace: bool },
    /// A character device 0:0: the name does not exist from here up.
    Whiteout { path: String },
    /// The directory hides what lower layers have in it.
    Opaque { dir: String },
}
// ANCHOR_END: ops

/// Why a layer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    #[error("{0:?} leaves the layer")]
    Escapes(String),
    #[error("{path:?} lies behind {link:?}, which is a link")]
    BehindLink { path: String, link: String },
    #[error("{path:?} lies behind {file:?}, which is no directory")]
    BehindFile { path: String, file: String },
    #[error("{0:?} is a whiteout without a name")]
    EmptyWhiteout(String),
}

/// What the name of a whiteout starts with.
pub const WHITEOUT: &str = ".wh.";
/// The whiteout of all that a directory had.
pub const OPAQUE: &str = ".wh..wh..opq";

/// Plans one layer, entry after entry, in the order of the archive.
///
/// Call [`LayerPlanner::handle_entry`] for each entry and do what it answers before the next.
#[derive(Debug, Default)]
pub struct LayerPlanner {
    /// What this layer has brought so far, and the whiteouts it asked for.
    pub made: BTreeMap<String, Made>,
}

/// What a layer has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Dir,
    Symlink,
    Other,
    Whiteout,
}

impl LayerPlanner {
    /// What to do about an entry, in order. Its name is relative to the layer: leading `/` and `./`
    /// are dropped, `..` is refused.
    pub fn handle_entry(&mut self, entry: &Entry<'_>) -> Result<Vec<LayerOp>, LayerError> {
        let path = inside(entry.path)?;
        if path.is_empty() {
            return Ok(vec![LayerOp::Root]);
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name.starts_with(WHITEOUT) { self.hide(dir, name) } else { self.bring(path, entry) }
    }

    /// A whiteout: `name` (it starts with `.wh.`) in the directory `dir` (empty: the top).
    ///
    /// - It speaks of *lower* layers: what this layer has brought under the hidden name stays. If that
    ///   is a directory, what lower layers have in it is hidden, for the two would be merged otherwise.
    /// - The directories above it come first, as [`LayerPlanner::parents`] says.
    /// - [`OPAQUE`] hides what lower layers have in `dir`. Other names that start with `.wh..wh.` are
    ///   AUFS's own and mean nothing. To hide no name, or `.` or `..`, is an error with the whole path.
    pub fn hide(&mut self, dir: &str, name: &str) -> Result<Vec<LayerOp>, LayerError> {
        // lab:begin 07.3 a whiteout of everything, of nothing that concerns us, of an impossible name, of one name
        let hidden = &name[WHITEOUT.len()..];
        let at = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        if name == OPAQUE {
            let mut ops = self.parents(&at(name))?;
            ops.push(LayerOp::Opaque { dir: dir.to_owned() });
            return Ok(ops);
        }
        if hidden.starts_with(WHITEOUT) {
            return Ok(Vec::new());
        }
        if matches!(hidden, "" | "." | "..") {
            return Err(LayerError::EmptyWhiteout(at(name)));
        }
        let path = at(hidden);
        let mut ops = self.parents(&path)?;
        match self.made.get(&path) {
            Some(Made::Dir) => ops.push(LayerOp::Opaque { dir: path }),
            Some(_) => {}
            None => {
                self.made.insert(path.clone(), Made::Whiteout);
                ops.push(LayerOp::Whiteout { path });
            }
        }
        Ok(ops)
        // lab:end
    }

    /// Anything else that an archive brings: a directory, a file, a link, a device, at `path`.
    ///
    /// - The directories above it come first, and no parent of it, or of the file that a hard link
    ///   names, may be a link or a file of this layer.
    /// - What this layer has under the name is replaced, with all that was in it; only a directory
    ///   that comes twice is the same directory.
    /// - A directory that replaces something hides what lower layers have under its name: so did
    ///   what it replaced.
    pub fn bring(&mut self, path: String, entry: &Entry<'_>) -> Result<Vec<LayerOp>, LayerError> {
        // lab:begin 07.3 parents, then what was there before, then the entry itself
        let mut ops = self.parents(&path)?;
        let target = inside(if entry.kind == Kind::HardLink { entry.link } else { "" })?;
        self.check_parents(&target)?;
        let made = match entry.kind {
            Kind::Dir => Made::Dir,
            Kind::Symlink => Made::Symlink,
            _ => Made::Other,
        };
        let before = self.made.insert(path.clone(), made);
        let replace = before.is_some_and(|before| (before, made) != (Made::Dir, Made::Dir));
        if replace && before == Some(Made::Dir) {
            let below = format!("{path}/");
            self.made.retain(|known, _| !known.starts_with(&below));
        }
        ops.push(match entry.kind {
            Kind::HardLink => LayerOp::Link { path: path.clone(), target, replace },
            kind => LayerOp::Make { path: path.clone(), kind, replace },
        });
        // What stood here before hid what lower layers have; so must the directory.
        if made == Made::Dir && replace {
            ops.push(LayerOp::Opaque { dir: path });
        }
        Ok(ops)
        // lab:end
    }

    /// Makes the directories above `path` that this layer does not have yet; an error if one of its
    /// parents is a link or a file of this layer.
    pub fn parents(&mut self, path: &str) -> Result<Vec<LayerOp>, LayerError> {
        self.check_parents(path)?;
        let mut ops = Vec::new();
        for (end, _) in path.match_indices('/') {
            let parent = path[..end].to_owned();
            let before = self.made.insert(parent.clone(), Made::Dir);
            if before == Some(Made::Dir) {
                continue;
            }
            let hidden = before == Some(Made::Whiteout);
            ops.push(LayerOp::Parent { path: parent.clone(), replace: hidden });
            if hidden {
                ops.push(LayerOp::Opaque { dir: parent });
            }
        }
        Ok(ops)
    }

    /// No parent of `path` is a link or a file of this layer.
    pub fn check_parents(&self, path: &str) -> Result<(), LayerError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.made.get(parent) {
                Some(Made::Symlink) => {
                    return Err(LayerError::BehindLink { path: path.to_owned(), link: parent.to_owned() });
                }
                Some(Made::Other) => {
                    return Err(LayerError::BehindFile { path: path.to_owned(), file: parent.to_owned() });
                }
                Some(Made::Dir | Made::Whiteout) | None => {}
            }
        }
        Ok(())
    }
}

/// A name relative to the layer: without leading `/`, without `.`, never with `..`.
pub fn inside(path: &str) -> Result<String, LayerError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(LayerError::Escapes(path.to_owned())),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Options of the overlay mount: lower layers uppermost first.
///
/// A colon separates layers and a comma options, so both must be escaped in paths (the names of
/// layers are digests and need no escape).
pub fn overlay_options(lower: &[String], upper: &str, work: &str, userxattr: bool) -> String {
    // lab:begin 07.3 lower layers, upper and work directory, userxattr where asked for; escape what separates
    let escape = |path: &str| path.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,");
    let lower: Vec<String> = lower.iter().map(|path| escape(path)).collect();
    let mut options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), escape(upper), escape(work));
    if userxattr {
        options.push_str(",userxattr");
    }
    options
    // lab:end
}
