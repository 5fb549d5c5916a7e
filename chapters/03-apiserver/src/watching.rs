//! A watch: a response body that follows the cache. Its state is a cursor, so an idle watch costs
//! a few hundred bytes, and one that is not read holds nobody up.

use crate::answer::{Body, BoxError};
use crate::app::App;
use crate::caches::KindCache;
use crate::heart::query::{ListOptions, VersionMatch};
use crate::heart::render::{self, View};
use crate::heart::status::ApiError;
use crate::heart::watch_cache::{Cursor, Interest, line};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use objects::resources::Resource;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How often a watcher that wants bookmarks is told how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Without `timeoutSeconds` a watch ends after 30 to 60 minutes, so that watchers spread out.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Events in one chunk of the body.
const BATCH: usize = 100;

struct Watching {
    app: Arc<App>,
    resource: &'static Resource,
    view: View,
    kind: Arc<KindCache>,
    epoch: u64,
    cursor: Cursor,
    changed: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    /// Chunks that are ready: what was there at the start.
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Nothing follows the chunks that are ready.
    finished: bool,
    _permit: OwnedSemaphorePermit,
}

/// Start a watch of `interest` as `options` ask.
pub async fn start(
    app: &Arc<App>,
    resource: &'static Resource,
    view: View,
    interest: Interest,
    options: &ListOptions,
    permit: OwnedSemaphorePermit,
) -> Result<Body, ApiError> {
    let kind = app.caches.of(resource).cloned().ok_or_else(ApiError::no_route)?;
    match options.version {
        VersionMatch::Newest => app.caches.wait_for(app.store.revision().await?).await?,
        VersionMatch::NotOlderThan(revision) if options.send_initial_events == Some(true) => {
            app.caches.wait_for(revision).await?;
        }
        _ => app.caches.wait_for(0).await?,
    }
    let now = Timestamp::now();
    let random = Duration::from_secs(crate::app::random_u64() % LONGEST.as_secs());
    let length = options.timeout_seconds.map_or(LONGEST + random, Duration::from_secs);
    let mut state = Watching {
        app: app.clone(),
        resource,
        view,
        epoch: kind.epoch(),
        changed: kind.changed.subscribe(),
        stopping: app.stopping.subscribe(),
        cursor: Cursor { interest, revision: 0 },
        kind,
        ready: VecDeque::new(),
        bookmarks: options.allow_bookmarks,
        next_bookmark: Instant::now() + BOOKMARK_EVERY,
        end: Instant::now() + length,
        finished: false,
        _permit: permit,
    };
    let initial = match (options.send_initial_events, options.version) {
        (Some(wanted), _) => wanted,
        (None, VersionMatch::Newest | VersionMatch::Any) => true,
        (None, _) => false,
    };
    let revision = match options.version {
        VersionMatch::NotOlderThan(revision) | VersionMatch::Exact(revision) if !initial => revision,
        _ => state.initial(initial, now),
    };
    state.cursor.revision = revision;
    if options.send_initial_events == Some(true) && options.allow_bookmarks {
        state.ready.push_back(render::bookmark(resource, view, revision, true));
    }
    // A start that is already forgotten is known before the answer's first byte.
    Ok(body(state))
}

fn body(state: Watching) -> Body {
    let stream = futures_util::stream::unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Some((Ok::<_, BoxError>(Frame::data(chunk)), state))
    });
    StreamBody::new(stream).boxed_unsync()
}

impl Watching {
    /// Queue what is there now, each as ADDED; the revision at which it is so.
    fn initial(&mut self, send: bool, now: Timestamp) -> i64 {
        let reached = self.app.caches.revision();
        let (revision, objects) = self.kind.read(|cache| {
            let wanted = cache.list(&self.cursor.interest.prefix).filter(|o| self.cursor.interest.wants(o));
            let objects: Vec<_> = if send { wanted.cloned().collect() } else { Vec::new() };
            (cache.revision().max(reached), objects)
        });
        for batch in objects.chunks(BATCH) {
            let mut chunk = BytesMut::new();
            for object in batch {
                chunk.extend_from_slice(&line(
                    "ADDED",
                    &render::object(self.resource, self.view, object, now),
                ));
            }
            self.ready.push_back(chunk.freeze());
        }
        revision
    }

    /// The next chunk; `None` ends the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            if self.finished || *self.stopping.borrow() || Instant::now() >= self.end {
                return None;
            }
            // Seen before looking: a change while we look wakes us again.
            self.changed.borrow_and_update();
            match self.look() {
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => {}
                Err(error) => {
                    self.finished = true;
                    return Some(render::error_line(&error));
                }
            }
            let bookmark = if self.bookmarks { self.next_bookmark } else { self.end };
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.stopping.changed() => {}
                _ = tokio::time::sleep_until(self.end) => {}
                _ = tokio::time::sleep_until(bookmark), if self.bookmarks => return Some(self.bookmark()),
            }
        }
    }

    fn look(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.kind.epoch() != self.epoch {
            return Err(ApiError::too_old(self.cursor.revision, self.app.caches.revision()));
        }
        let events = self.kind.read(|cache| self.cursor.poll(cache, BATCH))?;
        let now = Timestamp::now();
        let lines = events
            .iter()
            .map(|(kind, event)| render::watch_line(self.resource, self.view, *kind, event, now));
        let lines: Vec<Bytes> = lines.collect();
        Ok(match lines.as_slice() {
            [] => None,
            // The common case passes the shared bytes on.
            [one] => Some(one.clone()),
            many => Some(Bytes::from(many.concat())),
        })
    }

    fn bookmark(&mut self) -> Bytes {
        self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
        // Everything up to the common progress is in the cache, and what the cache has of
        // interest was sent: so this revision is where the watcher is.
        let reached = self.app.caches.revision();
        if let Ok(Some(chunk)) = self.look() {
            return chunk;
        }
        self.cursor.revision = self.cursor.revision.max(reached);
        render::bookmark(self.resource, self.view, self.cursor.revision, false)
    }
}
