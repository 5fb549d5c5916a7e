//! Waking up when a file changes, without asking again and again.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::warn;

use crate::kubelet::Event;

struct Source(Inotify);

impl AsRawFd for Source {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// An inotify instance that a task can wait on.
pub struct Bell {
    inotify: AsyncFd<Source>,
}

impl Bell {
    pub fn new(path: &Path, flags: AddWatchFlags) -> std::io::Result<Bell> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(path, flags)?;
        // SAFETY: `Source` owns its descriptor, always names the same one, and is neither replaced
        // nor closed before the `AsyncFd` that owns it.
        let inotify = unsafe { AsyncFd::register(Source(inotify)) }?;
        Ok(Bell { inotify })
    }

    /// Waits until something happened; returns the names of the files concerned.
    pub async fn rung(&self) -> std::io::Result<Vec<String>> {
        loop {
            let mut guard = self.inotify.readable().await?;
            match guard.try_io(|fd| fd.get_ref().0.read_events().map_err(Into::into)) {
                Ok(events) => {
                    let names = events?.into_iter().filter_map(|e| e.name);
                    return Ok(names.map(|n| n.to_string_lossy().into_owned()).collect());
                }
                Err(_would_block) => continue,
            }
        }
    }
}

/// Reports every replacement of the image store's index.
pub async fn run(file: Option<PathBuf>, events: mpsc::Sender<Event>) {
    let Some(file) = file else {
        return;
    };
    // The directory is watched: the file itself is replaced, and may not be there yet.
    let (Some(dir), Some(name)) = (file.parent(), file.file_name().and_then(|n| n.to_str())) else {
        return;
    };
    let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
    let _ = crate::disk::make_dir(dir);
    let bell = match Bell::new(dir, flags) {
        Ok(bell) => bell,
        Err(e) => {
            warn!(file = %file.display(), error = %e, "cannot watch for images; pulls are tried again by the clock");
            return;
        }
    };
    while let Ok(names) = bell.rung().await {
        if names.iter().any(|n| n == name) && events.send(Event::Image).await.is_err() {
            return;
        }
    }
}
