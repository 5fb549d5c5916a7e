use graded::graded;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::heart::layers::{Entry, Kind, LayerError, LayerOp, LayerPlanner, overlay_options};
use crate::strings;

fn entry<'a>(path: &'a str, kind: Kind) -> Entry<'a> {
    Entry { path, kind, link: "" }
}

fn plan(entries: &[Entry<'_>]) -> Result<Vec<LayerOp>, LayerError> {
    let mut planner = LayerPlanner::default();
    let mut ops = Vec::new();
    for entry in entries {
        ops.extend(planner.handle_entry(entry)?);
    }
    Ok(ops)
}

fn make(path: &str, kind: Kind) -> LayerOp {
    LayerOp::Make { path: path.into(), kind, replace: false }
}

/// Tools write `etc`, `./etc` and `/etc` and mean the same.
#[graded]
fn names_are_relative_to_the_layer() {
    let ops =
        plan(&[entry("./", Kind::Dir), entry("./etc/", Kind::Dir), entry("/etc/x", Kind::File)]).unwrap();
    assert_eq!(ops, [LayerOp::Root, make("etc", Kind::Dir), make("etc/x", Kind::File)]);
}

/// Layers are unpacked by root and made by strangers: one `..` would write anywhere on the node.
#[graded]
fn a_name_that_climbs_out_is_refused() {
    for path in ["../x", "a/../../x", "a/.."] {
        assert_eq!(plan(&[entry(path, Kind::File)]), Err(LayerError::Escapes(path.into())));
    }
    let link = Entry { path: "x", kind: Kind::HardLink, link: "../../etc/shadow" };
    assert_eq!(plan(&[link]), Err(LayerError::Escapes("../../etc/shadow".into())));
}

/// A link to `/root` and a file behind it: a careless unpacker writes the node's authorized_keys.
#[graded]
fn nothing_is_written_through_a_link_of_the_layer() {
    let evil =
        [Entry { path: "home", kind: Kind::Symlink, link: "/root" }, entry("home/.ssh/keys", Kind::File)];
    let error = LayerError::BehindLink { path: "home/.ssh/keys".into(), link: "home".into() };
    assert_eq!(plan(&evil), Err(error));
    let evil = [
        Entry { path: "etc", kind: Kind::Symlink, link: "/etc" },
        Entry { path: "mine", kind: Kind::HardLink, link: "etc/shadow" },
    ];
    assert!(plan(&evil).is_err());
}

/// Layers only add; to delete, one has to add the news that something is gone.
#[graded]
fn a_whiteout_hides_a_name_of_lower_layers() {
    let ops = plan(&[entry("etc/.wh.motd", Kind::File)]).unwrap();
    let parent = LayerOp::Parent { path: "etc".into(), replace: false };
    assert_eq!(ops, [parent, LayerOp::Whiteout { path: "etc/motd".into() }]);
}

/// The directory was deleted and made anew: the files that it had below must not come back.
#[graded]
fn a_directory_both_hidden_and_brought_is_opaque_in_either_order() {
    let opaque = LayerOp::Opaque { dir: "d".into() };
    let ops = plan(&[entry("d", Kind::Dir), entry(".wh.d", Kind::File)]).unwrap();
    assert_eq!(ops, [make("d", Kind::Dir), opaque.clone()]);
    let ops = plan(&[entry(".wh.d", Kind::File), entry("d", Kind::Dir)]).unwrap();
    let replaced = LayerOp::Make { path: "d".into(), kind: Kind::Dir, replace: true };
    assert_eq!(ops, [LayerOp::Whiteout { path: "d".into() }, replaced, opaque]);
}

/// A whiteout speaks of lower layers, wherever in the archive it stands.
#[graded]
fn a_file_that_the_layer_brings_stays_though_the_layer_hides_the_name() {
    let ops = plan(&[entry("f", Kind::File), entry(".wh.f", Kind::File)]).unwrap();
    assert_eq!(ops, [make("f", Kind::File)]);
}

/// An archive may name a directory again, for its owner or its time: what lies in it is still there.
#[graded]
fn a_directory_that_comes_twice_forgets_nothing() {
    let link = Entry { path: "d/l", kind: Kind::Symlink, link: "/" };
    let ops = plan(&[entry("d", Kind::Dir), link, entry("d", Kind::Dir), entry("d/l/x", Kind::File)]);
    assert_eq!(ops, Err(LayerError::BehindLink { path: "d/l/x".into(), link: "d/l".into() }));
}

/// What is gone is gone: nobody can walk through a link that the layer itself has taken away again.
#[graded]
fn a_link_that_went_with_its_directory_is_in_nobodys_way() {
    let link = Entry { path: "d/l", kind: Kind::Symlink, link: "/" };
    let entries = [entry("d", Kind::Dir), link, entry("d", Kind::File), entry("d", Kind::Dir)];
    let ops = plan(&[&entries[..], &[entry("d/l/x", Kind::File)]].concat());
    assert!(ops.is_ok(), "the link was replaced together with the directory that it lay in: {ops:?}");
}

/// Docker's first storage driver was AUFS; its bookkeeping still turns up in old images.
#[graded]
fn other_names_of_aufs_mean_nothing() {
    assert_eq!(plan(&[entry(".wh..wh.plnk", Kind::Dir), entry(".wh..wh.aufs", Kind::File)]), Ok(vec![]));
    assert_eq!(plan(&[entry("a/.wh.", Kind::File)]), Err(LayerError::EmptyWhiteout("a/.wh.".into())));
    assert_eq!(plan(&[entry(".wh...", Kind::File)]), Err(LayerError::EmptyWhiteout(".wh...".into())));
}

/// mount(2) takes one string: a colon in a path would be read as one more layer.
#[graded]
fn overlay_options_escape_what_separates() {
    let lower = strings(&["top", "base"]);
    let options = overlay_options(&lower, "/a:b/upper", "/c,d/work", false);
    assert_eq!(options, "lowerdir=top:base,upperdir=/a\\:b/upper,workdir=/c\\,d/work");
    assert!(overlay_options(&lower, "/u", "/w", true).ends_with(",userxattr"));
}

// ---- random layers: overlay's rules against the image specification's ----

/// What an archive may say of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Dir,
    File,
    Link,
    Hide,
    HideAll,
}

fn layers() -> impl Strategy<Value = Vec<Vec<(String, Says)>>> {
    let says = prop_oneof![
        3 => Just(Says::Dir),
        4 => Just(Says::File),
        1 => Just(Says::Link),
        2 => Just(Says::Hide),
        1 => Just(Says::HideAll),
    ];
    let layer = prop::collection::vec(("[abc](/[abc]){0,2}", says), 0..8);
    prop::collection::vec(layer, 1..4)
}

fn name_in_archive(path: &str, says: Says) -> String {
    let (dir, name) =
        path.rsplit_once('/').map_or((String::new(), path), |(dir, name)| (format!("{dir}/"), name));
    match says {
        Says::Hide => format!("{dir}.wh.{name}"),
        Says::HideAll => format!("{path}/.wh..wh..opq"),
        _ => path.to_owned(),
    }
}

fn kind_of(says: Says) -> Kind {
    match says {
        Says::Dir => Kind::Dir,
        Says::Link => Kind::Symlink,
        _ => Kind::File,
    }
}

/// A layer's directory as overlay reads it.
#[derive(Debug, Default)]
struct OnDisk {
    nodes: BTreeMap<String, Node>,
    opaque: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Dir,
    /// File or link, and which entry it came from.
    Leaf(Kind, usize),
    Whiteout,
}

impl OnDisk {
    fn put(&mut self, path: &str, node: Node, replace: bool) {
        let before = self.nodes.get(path);
        let same_dir = before == Some(&Node::Dir) && node == Node::Dir;
        assert!(before.is_none() || replace || same_dir, "{path} is in the way and was not replaced");
        if replace {
            self.nodes.retain(|known, _| known != path && !known.starts_with(&format!("{path}/")));
            self.opaque.retain(|known| known != path && !known.starts_with(&format!("{path}/")));
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert_eq!(self.nodes.get(parent), Some(&Node::Dir), "{path} has no parent directory");
        }
        self.nodes.insert(path.to_owned(), node);
    }

    fn apply(&mut self, op: &LayerOp, id: usize) {
        match op {
            LayerOp::Root => {}
            LayerOp::Parent { path, replace } => self.put(path, Node::Dir, *replace),
            LayerOp::Make { path, kind: Kind::Dir, replace } => self.put(path, Node::Dir, *replace),
            LayerOp::Make { path, kind, replace } => self.put(path, Node::Leaf(*kind, id), *replace),
            LayerOp::Link { .. } => unreachable!("no hard links here"),
            LayerOp::Whiteout { path } => self.put(path, Node::Whiteout, false),
            LayerOp::Opaque { dir } => {
                assert_eq!(self.nodes.get(dir), Some(&Node::Dir), "{dir} is no directory");
                self.opaque.push(dir.clone());
            }
        }
    }
}

/// What overlay shows below `dir`, given the layers that still count for it, the uppermost first.
fn show(layers: &[&OnDisk], dir: &str, into: &mut BTreeMap<String, Option<usize>>) {
    let mut names: Vec<String> = Vec::new();
    for layer in layers {
        let below =
            layer.nodes.keys().filter(|path| path.rsplit_once('/').map_or("", |(parent, _)| parent) == dir);
        names.extend(below.cloned());
    }
    names.sort();
    names.dedup();
    for path in names {
        let mut merged = Vec::new();
        for layer in layers {
            match layer.nodes.get(&path) {
                None => continue,
                Some(Node::Dir) => {
                    merged.push(*layer);
                    if layer.opaque.contains(&path) {
                        break;
                    }
                }
                Some(Node::Leaf(_, id)) => {
                    if merged.is_empty() {
                        into.insert(path.clone(), Some(*id));
                    }
                    break;
                }
                Some(Node::Whiteout) => break,
            }
        }
        if !merged.is_empty() {
            into.insert(path.clone(), None);
            show(&merged, &path, into);
        }
    }
}

/// The image specification, read naively: one tree, and each layer changes it in place; whiteouts
/// first, because they speak of what was there before.
fn change(tree: &mut BTreeMap<String, Option<usize>>, layer: &[(String, Says, usize)]) {
    let remove_below = |tree: &mut BTreeMap<String, Option<usize>>, path: &str| {
        tree.retain(|known, _| !known.starts_with(&format!("{path}/")));
    };
    for (path, says, _) in layer {
        match says {
            Says::Hide => {
                tree.remove(path);
                remove_below(tree, path);
            }
            Says::HideAll => remove_below(tree, path),
            _ => {}
        }
    }
    for (path, says, id) in layer {
        let full = if *says == Says::HideAll { format!("{path}/x") } else { path.clone() };
        for (end, _) in full.match_indices('/') {
            let parent = &full[..end];
            if tree.get(parent) != Some(&None) {
                tree.insert(parent.to_owned(), None);
            }
        }
        match says {
            Says::Dir if tree.get(path) == Some(&None) => {}
            Says::Dir => drop(tree.insert(path.clone(), None)),
            Says::File | Says::Link => {
                remove_below(tree, path);
                tree.insert(path.clone(), Some(*id));
            }
            Says::Hide | Says::HideAll => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Two readings of random layers must agree: overlay's, of your operations, and the image
    /// specification's.
    #[graded]
    fn stacked_by_overlay_layers_show_what_the_specification_says(layers in layers()) {
        let mut disks: Vec<OnDisk> = Vec::new();
        let mut naive = BTreeMap::new();
        let mut id = 0;
        for layer in &layers {
            let mut planner = LayerPlanner::default();
            let mut disk = OnDisk::default();
            let mut accepted = Vec::new();
            for (path, says) in layer {
                id += 1;
                let name = name_in_archive(path, *says);
                // What is refused (something behind a link or file) would refuse the whole layer;
                // here the rest goes on without it.
                let Ok(ops) = planner.handle_entry(&Entry { path: &name, kind: kind_of(*says), link: "/" }) else { continue };
                for op in &ops {
                    disk.apply(op, id);
                }
                accepted.push((path.clone(), *says, id));
            }
            change(&mut naive, &accepted);
            disks.insert(0, disk);
        }
        let mut shown = BTreeMap::new();
        show(&disks.iter().collect::<Vec<_>>(), "", &mut shown);
        prop_assert_eq!(shown, naive);
    }

    /// Whatever an archive names, no operation may lead out of the layer's own directory.
    #[graded]
    fn no_operation_ever_leaves_the_layer(paths in prop::collection::vec("[./a]{0,8}", 1..6)) {
        let mut planner = LayerPlanner::default();
        for path in &paths {
            for op in planner.handle_entry(&entry(path, Kind::File)).unwrap_or_default() {
                let path = match op {
                    LayerOp::Root => continue,
                    LayerOp::Parent { path, .. } | LayerOp::Make { path, .. } | LayerOp::Link { path, .. } => path,
                    LayerOp::Whiteout { path } | LayerOp::Opaque { dir: path } => path,
                };
                prop_assert!(!path.starts_with('/') && !path.split('/').any(|part| matches!(part, "" | "." | "..")));
            }
        }
    }
}
