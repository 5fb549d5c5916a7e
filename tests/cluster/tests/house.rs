//! The house rules of ARCHITECTURE.md, held by `cargo metadata`: who may use whom, and which
//! rooms every chapter has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What a core must not reach, not even through another crate.
const OUTSIDE_WORLD: [&str; 5] = ["tokio", "hyper", "tonic", "mio", "rand"];

struct House {
    metadata: Metadata,
    root: PathBuf,
}

/// A workspace package, by the room it stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Shell(u8),
    Core(u8),
    /// A core with holes, for a student to fill.
    Lab(u8),
    Suite(u8),
    /// What every suite stands on.
    Graded,
    /// A world in one thread, for suites and shells to be tried in. Knows no chapter.
    Simulator,
    /// Measures from outside, by the protocols alone.
    Bench,
    Kit,
    EndToEnd,
    /// Programs that were not made for us, against a whole cluster.
    Clients,
}

/// The system that all this is built for.
fn host() -> String {
    let told = std::process::Command::new("rustc").arg("-vV").output().expect("rustc runs").stdout;
    let told = String::from_utf8(told).expect("text");
    told.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

impl House {
    fn visit() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        // Who has only built has no packages that are for other systems, and need not fetch them.
        let metadata = MetadataCommand::new()
            .manifest_path(&manifest)
            .other_options(vec![format!("--filter-platform={}", host())])
            .exec()
            .expect("cargo metadata answers for the workspace");
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Self { metadata, root }
    }

    fn room(&self, manifest: &Path) -> Room {
        let path = manifest.strip_prefix(&self.root).expect("a workspace member lies in the workspace");
        let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
        let (wing, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let number = name.get(..2).and_then(|digits| digits.parse().ok());
        match (wing.as_str(), number) {
            ("chapters", Some(n)) => Room::Shell(n),
            ("solutions", Some(n)) => Room::Core(n),
            ("labs", Some(n)) => Room::Lab(n),
            ("tests", Some(n)) => Room::Suite(n),
            ("tests", None) if name == "cluster" => Room::EndToEnd,
            ("tests", None) if name == "graded" => Room::Graded,
            ("tests", None) if name == "simulator" => Room::Simulator,
            ("tests", None) if name == "bench" => Room::Bench,
            ("tests", None) if name == "clients" => Room::Clients,
            ("kit", _) => Room::Kit,
            _ => panic!("{} stands in no room of the house", path.display()),
        }
    }

    /// Each member with its room and the rooms that it names in its manifest.
    fn members(&self) -> BTreeMap<String, (Room, BTreeMap<String, Room>)> {
        let packages = self.metadata.workspace_packages();
        let rooms: BTreeMap<String, Room> = packages
            .iter()
            .map(|package| (package.name.to_string(), self.room(package.manifest_path.as_std_path())))
            .collect();
        packages
            .iter()
            .map(|package| {
                let uses = package
                    .dependencies
                    .iter()
                    .filter_map(|dependency| {
                        Some((dependency.name.clone(), rooms.get(&dependency.name)?.clone()))
                    })
                    .collect();
                (package.name.to_string(), (rooms[package.name.as_str()].clone(), uses))
            })
            .collect()
    }

    /// Everything that a package reaches by ordinary (not test, not build) dependencies.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        let resolve = self.metadata.resolve.as_ref().expect("metadata holds the resolved graph");
        let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let start = self.metadata.packages.iter().find(|package| package.name == name).expect("a member");
        let (mut seen, mut queue) = (BTreeSet::new(), vec![&start.id]);
        while let Some(id) = queue.pop() {
            for dependency in &nodes[id].deps {
                let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
                if normal && seen.insert(self.metadata[&dependency.pkg].name.to_string()) {
                    queue.push(&dependency.pkg);
                }
            }
        }
        seen
    }
}

#[test]
fn a_core_uses_chapter_00_and_pure_libraries_alone() {
    let house = House::visit();
    for (name, (room, uses)) in house.members() {
        let (Room::Core(number) | Room::Lab(number)) = room else { continue };
        for used in uses.keys() {
            assert!(
                used == "objects",
                "the core {name} names {used}; of this workspace it may use `objects` alone"
            );
        }
        let reach = house.reach(&name);
        for outside in OUTSIDE_WORLD {
            // The `raft` crate draws its election timeouts from `rand`; the core puts its own, from a
            // seed, in their place, and the simulator's replays would notice if it did not.
            let replaced = number == 2 && outside == "rand";
            assert!(
                replaced || !reach.contains(outside),
                "the core {name} reaches {outside}; move that part to its shell"
            );
        }
        assert!(
            number == 7 || !reach.contains("nix"),
            "the core {name} reaches nix; only chapter 07 is about system calls"
        );
    }
}

#[test]
fn a_shell_uses_its_own_core_and_the_chapters_below_it() {
    for (name, (room, uses)) in House::visit().members() {
        let Room::Shell(number) = room else { continue };
        for (used, other) in uses {
            let allowed = match other {
                Room::Shell(n) => n < number,
                Room::Core(n) | Room::Lab(n) => n == number,
                // Of its tests.
                Room::Simulator => true,
                Room::Bench | Room::Suite(_) | Room::Graded | Room::Kit | Room::EndToEnd | Room::Clients => {
                    false
                }
            };
            assert!(allowed, "the shell {name} (chapter {number:02}) may not use {used} ({other:?})");
        }
    }
}

#[test]
fn only_a_chapters_shell_and_suite_name_its_core() {
    for (name, (room, uses)) in House::visit().members() {
        for (used, other) in uses {
            let (Room::Core(n) | Room::Lab(n)) = other else { continue };
            assert!(
                room == Room::Shell(n) || room == Room::Suite(n),
                "{name} names {used}; go through the shell of chapter {n:02}"
            );
        }
    }
}

#[test]
fn nobody_uses_the_last_chapter_and_the_kit_uses_no_chapter() {
    for (name, (room, uses)) in House::visit().members() {
        for (used, other) in &uses {
            assert!(
                *other != Room::Shell(12),
                "{name} uses {used}: only the binary itself is built from chapter 12"
            );
        }
        if room == Room::Kit {
            assert!(uses.is_empty(), "the kit uses {uses:?}; it must compile in seconds");
        }
        if room == Room::Simulator {
            assert!(uses.is_empty(), "the simulator uses {uses:?}; students wait for it to compile");
        }
    }
}

#[test]
fn every_chapter_has_its_rooms_under_one_name() {
    let house = House::visit();
    let names = |wing: &str| -> BTreeSet<String> {
        std::fs::read_dir(house.root.join(wing))
            .unwrap_or_else(|error| panic!("{wing}/ cannot be read: {error}"))
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
            .collect()
    };
    let chapters = names("chapters");
    assert_eq!(chapters, names("solutions"));
    assert_eq!(chapters, names("labs"));
    assert_eq!(chapters, names("tests"));
    for chapter in &chapters {
        let page = house.root.join("book/src").join(format!("{chapter}.md"));
        assert!(page.is_file(), "chapter {chapter} has no page at {}", page.display());
    }
}

#[test]
fn a_shell_takes_its_core_in_one_place() {
    let house = House::visit();
    for (name, (room, uses)) in house.members() {
        let Room::Shell(number) = room else { continue };
        let Some(core) = uses.iter().find_map(|(used, other)| (*other == Room::Core(number)).then_some(used))
        else {
            panic!("the shell {name} does not use its own core")
        };
        let package = house.metadata.packages.iter().find(|package| package.name == name).expect("a member");
        let sources = package.manifest_path.parent().expect("a manifest has a folder").join("src");
        let solution = core.replace('-', "_");
        for symbol in [solution.replace("_solution", "_lab"), solution] {
            let places: Vec<PathBuf> = rust_files(sources.as_std_path())
                .into_iter()
                .filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&symbol)))
                .collect();
            let lib = sources.as_std_path().join("lib.rs");
            assert_eq!(
                places,
                [lib],
                "{name} names {symbol} in one place: `pub use {symbol} as heart;` in lib.rs"
            );
        }
    }
}

#[test]
fn no_two_tls_providers_and_no_two_time_libraries_are_linked() {
    let reach = House::visit().reach("cluster");
    for twice in [["ring", "aws-lc-rs"], ["rustls", "openssl"], ["jiff", "chrono"]] {
        assert!(!twice.iter().all(|name| reach.contains(*name)), "two crates for one job: {twice:?}");
    }
}

/// A crate is built once for each set of features. What a test asks of a crate that the cluster is made
/// of, the cluster must ask of it too, or everybody waits for the upper half of the cluster twice.
#[test]
fn the_cluster_and_its_tests_are_one_build() {
    let crates = |selection: &[&str]| -> BTreeSet<String> {
        let tree = ["tree", "--offline", "--prefix=none", "--format={p}|{f}"];
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(tree).args(selection).current_dir(House::visit().root);
        let printed = cargo.output().expect("cargo runs").stdout;
        let lines = String::from_utf8(printed).expect("text");
        // Our own are named with their paths.
        let lines =
            lines.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.contains('/'));
        lines.map(str::to_owned).collect()
    };
    let cluster = crates(&["--package=cluster", "--edges=normal"]);
    let tests = crates(&["--workspace", "--exclude=*-lab", "--exclude=clients", "--edges=normal,dev"]);
    assert!(cluster.len() > 100, "{cluster:?}");
    let apart: Vec<_> = cluster.difference(&tests).collect();
    assert!(apart.is_empty(), "built again for the tests, with other features: {apart:?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
