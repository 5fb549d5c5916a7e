//! `kubectl logs`: reads a container's log file from where it was asked for, and follows it.
//!
//! Following waits for inotify, and for the container to end; nothing is asked twice.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use nix::sys::inotify::AddWatchFlags;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use crate::ctx::Ctx;
use crate::heart::ephemeral;
use crate::heart::logs::{LogReader, Options, tail_start};
use crate::heart::names;
use crate::heart::types::{RunState, SignedDuration, Timestamp, Uid};
use crate::notify::Bell;
use crate::registry::Registry;
use crate::server::{Answer, flag, query, text};

const PIECE_BYTES: usize = 32 << 10;

/// Full: reading waits for the reader at the other end.
const PIECES_AHEAD: usize = 8;

struct Wanted {
    follow: bool,
    tail: Option<usize>,
    options: Options,
}

fn wanted(query: &[(String, String)]) -> Result<Wanted, String> {
    let get = |name: &str| query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
    let number = |name: &str| -> Result<Option<u64>, String> {
        let parsed = get(name).map(|v| v.parse::<u64>().map_err(|_| format!("invalid {name}: {v:?}")));
        parsed.transpose()
    };
    let since_time: Option<Timestamp> =
        get("sinceTime").map(|v| v.parse().map_err(|_| format!("invalid sinceTime: {v:?}"))).transpose()?;
    let since_seconds = number("sinceSeconds")?
        .and_then(|s| Timestamp::now().checked_sub(SignedDuration::from_secs(i64::try_from(s).ok()?)).ok());
    Ok(Wanted {
        follow: flag(query, &["follow"]),
        tail: number("tailLines")?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        options: Options {
            since: since_time.or(since_seconds),
            timestamps: flag(query, &["timestamps"]),
            limit_bytes: number("limitBytes")?,
        },
    })
}

pub async fn serve(ctx: &Ctx, namespace: &str, pod: &str, container: &str, raw_query: &str) -> Answer {
    let query = query(raw_query);
    let wanted = match wanted(&query) {
        Ok(wanted) => wanted,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let (uid, id, path) = match locate(ctx, namespace, pod, container, flag(&query, &["previous"])) {
        Ok(found) => found,
        Err((status, message)) => return text(status, message),
    };
    let file = match File::open(&path).await {
        Ok(file) => file,
        Err(e) => {
            let message = format!("failed to open the log of container {container:?}: {e}");
            return text(StatusCode::NOT_FOUND, message);
        }
    };
    let (pieces, reader) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let changes = ctx.registry.changes();
    let follower = Follower { registry: ctx.registry.clone(), changes, uid, id };
    tokio::spawn(async move {
        if let Err(e) = copy(file, &path, wanted, follower, &pieces).await {
            debug!(path = %path.display(), error = %e, "reading a log ended early");
        }
    });
    let pieces = stream::unfold(reader, |mut reader| async {
        let piece = reader.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), reader))
    });
    let mut answer = Response::new(StreamBody::new(pieces).boxed_unsync());
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    answer
}

/// The run whose log is meant, and where it is.
fn locate(
    ctx: &Ctx,
    namespace: &str,
    pod: &str,
    container: &str,
    previous: bool,
) -> Result<(Uid, String, PathBuf), (StatusCode, String)> {
    let (uid, view) = ctx
        .registry
        .find(namespace, pod)
        .ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod {pod:?} does not exist")))?;
    if ephemeral::find_any(&view.pod, container).is_none() {
        return Err((StatusCode::NOT_FOUND, format!("container {container:?} not found in pod {pod:?}")));
    }
    let status = ctx.statuses.latest(&view.pod);
    let lists =
        [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    let status = lists.into_iter().flatten().flatten().find(|s| s.name == container);
    let state = status.and_then(|s| s.state.clone()).unwrap_or_default();
    let runs: Vec<_> = view.runtime.containers.iter().filter(|c| c.name == container).collect();
    // While a container waits for its next run, the ended one is both the last and the previous.
    let run = match (previous, state.waiting.is_some()) {
        (false, _) | (true, true) => runs.first(),
        (true, false) => runs.get(1),
    };
    let run = run.filter(|r| !previous || r.state == RunState::Exited);
    let Some(run) = run else {
        let message = match previous {
            true => format!("previous terminated container {container:?} in pod {pod:?} not found"),
            false => {
                let reason = state.waiting.and_then(|w| w.reason).unwrap_or("ContainerCreating".into());
                format!("container {container:?} in pod {pod:?} is waiting to start: {reason}")
            }
        };
        return Err((StatusCode::BAD_REQUEST, message));
    };
    let directory = names::log_directory(namespace, pod, &uid);
    let path = ctx.dirs.logs.join(directory).join(names::log_file(container, run.restart_count));
    Ok((uid, run.id.clone(), path))
}

/// Knows when the run whose log is followed has ended.
struct Follower {
    registry: std::sync::Arc<Registry>,
    changes: watch::Receiver<u64>,
    uid: Uid,
    id: String,
}

impl Follower {
    fn ended(&mut self) -> bool {
        self.changes.mark_unchanged();
        let view = self.registry.get(&self.uid);
        !view.is_some_and(|v| v.runtime.running().any(|c| c.id == self.id))
    }
}

async fn copy(
    mut file: File,
    path: &Path,
    wanted: Wanted,
    mut follower: Follower,
    pieces: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    // The watch begins before the first read, so that nothing is written unseen between them.
    let bell = match wanted.follow {
        true => Some(Bell::new(path, AddWatchFlags::IN_MODIFY)?),
        false => None,
    };
    let start = match wanted.tail {
        Some(lines) => find_tail(&mut file, lines).await?,
        None => 0,
    };
    file.seek(SeekFrom::Start(start)).await?;
    let mut reader = LogReader::new(wanted.options);
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        // Whoever has ended before the file was read to its end wrote nothing after it.
        let ended = follower.ended();
        loop {
            let length = file.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            let piece = reader.push(&buffer[..length]);
            if !piece.is_empty() && pieces.send(piece.into()).await.is_err() {
                return Ok(());
            }
            if reader.is_full() {
                return Ok(());
            }
        }
        let Some(bell) = &bell else {
            return Ok(());
        };
        if ended {
            return Ok(());
        }
        tokio::select! {
            rung = bell.rung() => { rung?; }
            changed = follower.changes.changed() => if changed.is_err() { return Ok(()) },
            () = pieces.closed() => return Ok(()),
        }
    }
}

/// Where the last `lines` lines begin, read from the end in pieces.
async fn find_tail(file: &mut File, lines: usize) -> std::io::Result<u64> {
    let mut end = file.metadata().await?.len();
    let mut left = lines;
    let mut last = true;
    while end > 0 {
        let start = end.saturating_sub(PIECE_BYTES as u64);
        file.seek(SeekFrom::Start(start)).await?;
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or(PIECE_BYTES)];
        file.read_exact(&mut piece).await?;
        // A newline at the very end closes the last line; one at the end of an earlier piece
        // begins a line that was counted in the piece after it.
        if !last {
            piece.push(b'.');
        }
        match tail_start(&piece, left) {
            Ok(offset) => return Ok(start + offset as u64),
            Err(seen) => left -= seen,
        }
        last = false;
        end = start;
    }
    Ok(0)
}
