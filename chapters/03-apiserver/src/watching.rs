//! A watch: a response body that follows the cache. Its state is a cursor, so an idle watch costs
//! a few hundred bytes, and one that is not read holds nobody up.

use crate::answer::{Body, BoxError};
use crate::app::App;
use crate::caches::KindCache;
use crate::heart::kind::Kind;
use crate::heart::query::{ListOptions, VersionMatch};
use crate::heart::render::{self, View};
use crate::heart::status::ApiError;
use crate::heart::stored::Stored;
use crate::heart::watch_cache::{CacheEvent, Cursor, EventType, Interest};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How often a watcher that wants bookmarks is told how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The last of these comes so long before the watch ends.
const BEFORE_END: Duration = Duration::from_secs(2);
/// Without `timeoutSeconds` a watch ends after 30 to 60 minutes, so that watchers spread out.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Events in one chunk of the body.
const BATCH: usize = 100;

struct Watching {
    app: Arc<App>,
    kind: Kind,
    view: View,
    cache: Arc<KindCache>,
    epoch: u64,
    cursor: Cursor,
    changed: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    /// What was there at the start, and is still to be sent.
    initial: VecDeque<Arc<Stored>>,
    /// The line that ends what was there at the start, if it was asked for.
    initial_done: Option<Bytes>,
    /// The columns of a Table were sent.
    begun: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// The last line was sent.
    finished: bool,
    _permit: OwnedSemaphorePermit,
}

/// Start a watch of `interest` as `options` ask.
pub async fn start(
    app: &Arc<App>,
    kind: &Kind,
    view: View,
    interest: Interest,
    options: &ListOptions,
    permit: OwnedSemaphorePermit,
) -> Result<Body, ApiError> {
    let cache = app.caches.of(kind.resource).ok_or_else(ApiError::no_route)?;
    match options.version {
        VersionMatch::Newest => app.caches.wait_for(app.store.revision().await?).await?,
        VersionMatch::NotOlderThan(revision) if options.send_initial_events == Some(true) => {
            app.caches.wait_for(revision).await?;
        }
        _ => app.caches.wait_for(0).await?,
    }
    let random = Duration::from_secs(crate::app::random_u64() % LONGEST.as_secs());
    let length = options.timeout_seconds.map_or(LONGEST + random, Duration::from_secs);
    let end = Instant::now() + length;
    let mut state = Watching {
        app: app.clone(),
        kind: kind.clone(),
        view,
        epoch: cache.epoch(),
        changed: cache.changed.subscribe(),
        stopping: app.stopping.subscribe(),
        cursor: Cursor { interest, revision: 0 },
        cache,
        initial: VecDeque::new(),
        initial_done: None,
        begun: false,
        bookmarks: options.allow_bookmarks,
        next_bookmark: next_bookmark(Instant::now(), end),
        end,
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
        _ => state.begin(initial),
    };
    state.cursor.revision = revision;
    if options.send_initial_events == Some(true) && options.allow_bookmarks {
        state.initial_done = Some(render::bookmark(kind.resource, view, revision, true));
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
    /// Note what is there now, if it shall be sent; the revision at which it is so.
    fn begin(&mut self, send: bool) -> i64 {
        let reached = self.app.caches.revision();
        let (revision, objects) = self.cache.read(|cache| {
            let wanted = cache.list(&self.cursor.interest.prefix).filter(|o| self.cursor.interest.wants(o));
            let objects: VecDeque<_> = if send { wanted.cloned().collect() } else { VecDeque::new() };
            (cache.revision().max(reached), objects)
        });
        self.initial = objects;
        revision
    }

    /// The next lines of what was there at the start.
    async fn initial(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.initial.is_empty() {
            return Ok(self.initial_done.take());
        }
        let batch: Vec<Arc<Stored>> = self.initial.drain(..BATCH.min(self.initial.len())).collect();
        let (mut chunk, now) = (BytesMut::new(), Timestamp::now());
        for object in self.app.all_shown(&self.kind, batch).await? {
            let columns = !std::mem::replace(&mut self.begun, true);
            let line = render::object_line(&self.kind, self.view, EventType::Added, &object, columns, now);
            chunk.extend_from_slice(&line);
        }
        Ok(Some(chunk.freeze()))
    }

    /// The next chunk; `None` ends the watch.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.finished || self.cache.is_gone() || *self.stopping.borrow() || Instant::now() >= self.end
            {
                return None;
            }
            match self.initial().await {
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => {}
                Err(error) => return Some(self.fail(&error)),
            }
            // Seen before looking: a change while we look wakes us again.
            self.changed.borrow_and_update();
            match self.look().await {
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => {}
                Err(error) => return Some(self.fail(&error)),
            }
            let bookmark = if self.bookmarks { self.next_bookmark } else { self.end };
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.stopping.changed() => {}
                _ = tokio::time::sleep_until(self.end) => {}
                _ = tokio::time::sleep_until(bookmark), if self.bookmarks => return Some(self.bookmark().await),
            }
        }
    }

    async fn look(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.cache.epoch() != self.epoch {
            return Err(ApiError::too_old(self.cursor.revision, self.app.caches.revision()));
        }
        let events = self.cache.read(|cache| self.cursor.poll(cache, BATCH))?;
        let now = Timestamp::now();
        let mut lines: Vec<Bytes> = Vec::with_capacity(events.len());
        for (what, event) in &events {
            lines.push(self.line(*what, event, now).await?);
        }
        Ok(match lines.as_slice() {
            [] => None,
            // The common case passes the shared bytes on.
            [one] => Some(one.clone()),
            many => Some(Bytes::from(many.concat())),
        })
    }

    async fn line(&mut self, what: EventType, event: &CacheEvent, now: Timestamp) -> Result<Bytes, ApiError> {
        let columns = !std::mem::replace(&mut self.begun, true);
        if let Some(stored) = event.shown(what).filter(|_| self.kind.custom.is_some()) {
            let shown = self.app.shown(&self.kind, stored.clone()).await?;
            if !Arc::ptr_eq(&shown, stored) {
                return Ok(render::object_line(&self.kind, self.view, what, &shown, columns, now));
            }
        }
        Ok(render::watch_line(&self.kind, self.view, what, event, columns, now))
    }

    async fn bookmark(&mut self) -> Bytes {
        // Everything up to the common progress is in the cache, and what the cache has of
        // interest was sent: so this revision is where the watcher is.
        let reached = self.app.caches.revision();
        match self.look().await {
            // The bookmark stays due.
            Ok(Some(chunk)) => return chunk,
            Ok(None) => {}
            Err(error) => return self.fail(&error),
        }
        self.next_bookmark = next_bookmark(Instant::now(), self.end);
        self.cursor.revision = self.cursor.revision.max(reached);
        render::bookmark(self.kind.resource, self.view, self.cursor.revision, false)
    }

    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.finished = true;
        render::error_line(error)
    }
}

/// Now and then, and once more before the end, so that the next watch starts from there.
fn next_bookmark(now: Instant, end: Instant) -> Instant {
    let last = end.checked_sub(BEFORE_END).filter(|last| *last > now);
    last.map_or(now + BOOKMARK_EVERY, |last| last.min(now + BOOKMARK_EVERY))
}
