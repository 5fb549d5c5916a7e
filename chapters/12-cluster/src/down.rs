//! `coracle down` and `coracle reset`.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::control::{Client, Request};
use crate::home::Home;
use crate::{ids, up};

/// How long an orderly end may take. (Each tier of components has 5 seconds until it is killed.)
const ORDERLY: Duration = Duration::from_secs(20);
/// How long the kernel may take to end a killed PID 1 and everything below it.
const KILLED: Duration = Duration::from_secs(10);

/// What a cluster makes in its home, and so what `reset` removes.
const CONTENT: [&str; 10] =
    ["bin", "images", "kubeconfig", "kubeconfigs", "logs", "nodes", "pki", "run", "state.json", "store"];

/// Ends the sandbox and waits until nothing of it is left. Whether it was up.
pub fn down(home: &Home) -> Result<bool> {
    let _lock = home.lock()?;
    let Some(running) = home.running() else {
        up::clear_up(home)?;
        return Ok(false);
    };
    let asked = Client::connect(home).and_then(|mut client| client.ask(&Request::ShutDown));
    if asked.is_err() {
        // It does not answer; perhaps it listens to its signals.
        running.sandbox.signal(Signal::SIGTERM);
    }
    if !running.sandbox.wait(ORDERLY)? {
        eprintln!("It does not end by itself, so it is killed.");
        running.sandbox.signal(Signal::SIGKILL);
        if !running.sandbox.wait(KILLED)? {
            bail!("the sandbox (process {}) does not end", running.sandbox.pid);
        }
    }
    // The guard sees the end too; what it leaves, when it was killed, is swept here.
    let _ = running.guard.wait(KILLED)?;
    up::clear_up(home)?;
    Ok(true)
}

/// `down`, and then everything that the cluster made is deleted.
pub fn reset(home: &Home) -> Result<()> {
    down(home)?;
    let targets: Vec<PathBuf> =
        CONTENT.iter().map(|name| home.join(name)).filter(|path| path.symlink_metadata().is_ok()).collect();
    let direct = targets.iter().try_for_each(|path| remove(path));
    if let Err(error) = direct {
        if nix::unistd::geteuid().is_root() {
            return Err(error).context("deleting the cluster's files");
        }
        // What containers made as other users belongs to ids that exist only inside.
        let mut program = vec![
            CString::new(std::env::current_exe()?.as_os_str().as_encoded_bytes())?,
            CString::new("remove")?,
        ];
        for path in targets {
            program.push(CString::new(path.as_os_str().as_encoded_bytes())?);
        }
        ids::run_as_root_inside(&program).context("deleting the cluster's files")?;
    }
    // Somebody else's files may lie beside them.
    let _ = fs::remove_dir(home.path());
    Ok(())
}

/// Removes a file or a folder with everything in it, also where a folder forbids it to its owner
/// (as overlay's work folders do).
pub fn remove(path: &Path) -> io::Result<()> {
    let kind = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !kind.is_dir() {
        return fs::remove_file(path);
    }
    if kind.permissions().mode() & 0o700 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    fs::remove_dir(path)
}
