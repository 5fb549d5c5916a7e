//! `coracle image`, and the images that every cluster has without a network: made of this very
//! program, and of the host's static busybox.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use runtime::images::{ImageStore, RunConfig};

use crate::elf;
use crate::home::{Home, read_json, write_atomically};

const PAUSE: &str = "coracle/pause:1";
const WEB: &str = "coracle/web:1";
const BUSYBOX: &str = "busybox:1";

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
    /// Load images from an OCI or Docker archive
    Load { file: PathBuf },
    /// Make an image of a root file system: a folder, or a tar archive
    Import {
        rootfs: PathBuf,
        /// Its name, as in `nginx:1.7.9`
        #[arg(long)]
        tag: String,
        /// What it runs, when a pod does not say; can also follow after `--`
        #[arg(long, num_args = 1.., allow_hyphen_values = true)]
        cmd: Vec<String>,
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// List the images that the nodes have
    List,
    /// Remove an image
    Rm { name: String },
    /// (Comes later.) Fetch an image from a registry
    Pull { name: String },
}

pub fn run(home: &Home, verb: Verb) -> Result<()> {
    let store = ImageStore::open(home.paths.images())?;
    match verb {
        Verb::Load { file } => {
            for image in store.load_archive(&file)? {
                println!("{image}");
            }
        }
        Verb::Import { rootfs, tag, cmd, command } => {
            let cmd = [cmd, command].concat();
            let image =
                store.import_rootfs(&tag, &rootfs, RunConfig { cmd, env: path(), ..RunConfig::default() })?;
            println!("{}", image.reference);
        }
        Verb::List => {
            println!("{:<50} {:<14} {:>10}", "IMAGE", "ID", "SIZE");
            for image in store.list()? {
                let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
                let size = format!("{:.1}M", image.size() as f64 / 1e6);
                println!("{:<50} {id:<14} {size:>10}", image.reference.to_string());
            }
        }
        Verb::Rm { name } => {
            if !store.remove(&name)? {
                bail!("there is no image {name:?}");
            }
        }
        Verb::Pull { name } => {
            bail!(
                "{name}: registries come with a later chapter; `image load` and `image import` work without a network"
            )
        }
    }
    Ok(())
}

fn path() -> Vec<String> {
    vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]
}

/// Makes the built-in images that are missing, or were made of another program than today's. Their
/// names.
pub fn ensure_built_in(home: &Home) -> Result<Vec<&'static str>> {
    let store = ImageStore::open(home.paths.images())?;
    let stamps = home.paths.images().join("built-in.json");
    let mut made_of: BTreeMap<String, String> = read_json(&stamps).unwrap_or_default();
    let mut made = Vec::new();
    let binary = home.paths.binary();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| is_static(path));
    let sources = [(PAUSE, Some(binary.as_path())), (WEB, Some(binary.as_path())), (BUSYBOX, busybox)];
    for (name, source) in sources {
        let Some(source) = source else { continue };
        let stamp = stamp(source)?;
        if made_of.get(name) == Some(&stamp) && store.find(name)?.is_some() {
            continue;
        }
        make(home, &store, name, source).with_context(|| format!("making the image {name}"))?;
        made_of.insert(name.to_owned(), stamp);
        made.push(name);
    }
    if !made.is_empty() {
        write_atomically(&stamps, &serde_json::to_vec_pretty(&made_of)?, 0o644)?;
    }
    Ok(made)
}

/// Which version of a file an image was made of.
fn stamp(source: &Path) -> Result<String> {
    let meta = source.metadata().with_context(|| format!("looking at {}", source.display()))?;
    let modified = meta.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}.{:09}", meta.len(), modified.as_secs(), modified.subsec_nanos()))
}

fn make(home: &Home, store: &ImageStore, name: &str, source: &Path) -> Result<()> {
    let root = home.run().join("rootfs");
    remove_folder(&root)?;
    let entrypoint = |verb: &str| vec!["/coracle".to_owned(), verb.to_owned()];
    let config = match name {
        BUSYBOX => {
            lay_out_busybox(&root, source)?;
            RunConfig { cmd: vec!["sh".to_owned()], env: path(), ..RunConfig::default() }
        }
        PAUSE => {
            lay_out_coracle(&root, source)?;
            RunConfig { entrypoint: entrypoint("pause"), ..RunConfig::default() }
        }
        _ => {
            lay_out_coracle(&root, source)?;
            RunConfig { entrypoint: entrypoint("web"), env: path(), ..RunConfig::default() }
        }
    };
    for folder in ["etc", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnobody:x:65534:\n")?;
    store.import_rootfs(name, &root, config)?;
    remove_folder(&root)
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// `/coracle`, without what only debuggers read, and the libraries that this process has loaded,
/// each where the loader looks for it.
fn lay_out_coracle(root: &Path, binary: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    let program = fs::read(binary)?;
    write_program(&root.join("coracle"), &elf::without_debug_information(&program)?)?;
    let Some(loader) = elf::interpreter(&program)? else { return Ok(()) };
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    write_program(&inside(&loader), &fs::read(&loader)?)?;
    for library in loaded_libraries()? {
        let content = fs::read(&library)?;
        for name in names_of(&library)? {
            write_program(&inside(&name), &content)?;
        }
    }
    Ok(())
}

fn write_program(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// The files of shared libraries in this process's memory.
fn loaded_libraries() -> Result<Vec<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.starts_with('/') && path.contains(".so"))
        .map(PathBuf::from)
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// A library's file, and the links beside it that lead to it (`libc.so.6` to `libc-2.31.so`).
fn names_of(library: &Path) -> Result<Vec<PathBuf>> {
    let mut names = vec![library.to_owned()];
    let folder = library.parent().unwrap_or(Path::new("/"));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_library = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
        if is_library && path.is_symlink() && fs::canonicalize(&path).is_ok_and(|it| it == *library) {
            names.push(path);
        }
    }
    Ok(names)
}

fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|program| elf::interpreter(&program).is_ok_and(|loader| loader.is_none()))
}

/// `/bin/busybox`, and a link for each of its programs.
fn lay_out_busybox(root: &Path, busybox: &Path) -> Result<()> {
    write_program(&root.join("bin/busybox"), &fs::read(busybox)?)?;
    let output = Command::new(busybox).arg("--list").output().context("asking busybox what it can do")?;
    for applet in String::from_utf8_lossy(&output.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(())
}
