//! A write against what others write: decide on a state, put the result down if the state is
//! still the newest, and else decide again on what came in between.

use crate::app::App;
use crate::etcd::Written;
use crate::heart::meta;
use crate::heart::status::ApiError;
use crate::heart::stored::{Stored, encode};
use crate::writing::{Change, Outcome, Target};
use std::sync::Arc;

/// How often a write that is not bound to a version is tried.
const MAX_TRIES: usize = 10;

pub struct Attempts<'a> {
    app: &'a App,
    target: Target<'a>,
    key: String,
    dry_run: bool,
    stored: Arc<Stored>,
    /// `stored` came from the store. The cache's state is a first guess, and is never the reason
    /// for a refusal.
    fresh: bool,
    left: usize,
}

impl<'a> Attempts<'a> {
    pub async fn begin(app: &'a App, target: Target<'a>, dry_run: bool) -> Result<Attempts<'a>, ApiError> {
        let key = target.key()?;
        let (stored, fresh) = match app.cached(target) {
            Some(stored) => (stored, false),
            None => (app.get(target).await?, true),
        };
        Ok(Attempts { app, target, key, dry_run, stored, fresh, left: MAX_TRIES })
    }

    /// The state to decide on next; `None` when it was tried often enough.
    pub fn next(&mut self) -> Option<Arc<Stored>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.stored.clone())
    }

    /// Carry out a decision about the state that `next` gave. `None` means: decide again.
    pub async fn settle(&mut self, decision: Result<Change, ApiError>) -> Result<Option<Outcome>, ApiError> {
        let change = match decision {
            Err(_) | Ok(Change::Same) if !self.fresh => return self.look_again().await,
            decision => decision?,
        };
        let written = match change {
            Change::Same => return Ok(Some(Outcome::Now(self.stored.clone()))),
            Change::Put(new) => {
                let kind = self.target.kind.hub();
                let mut compare = new.clone();
                meta::set_resource_version(&mut compare, self.stored.revision);
                if compare == self.stored.value() {
                    // Nothing changed: no write, no new version, nobody is woken.
                    return match self.fresh {
                        true => Ok(Some(Outcome::Now(self.stored.clone()))),
                        false => self.look_again().await,
                    };
                }
                let put = |revision, new| Arc::new(Stored::new(&kind, &self.key, revision, new));
                if self.dry_run {
                    return Ok(Some(Outcome::Now(put(self.stored.revision, new))));
                }
                let lease = if kind.resource.kind == "Event" { self.app.event_lease().await? } else { 0 };
                match self.app.store.put(&self.key, self.stored.revision, encode(&new), lease).await? {
                    Written::Done(revision) => {
                        self.app.caches.catch_up(revision).await;
                        return Ok(Some(Outcome::Now(put(revision, new))));
                    }
                    changed => changed,
                }
            }
            Change::Remove if self.dry_run => return Ok(Some(Outcome::Gone(self.stored.clone()))),
            Change::Remove => match self.app.store.delete(&self.key, self.stored.revision).await? {
                Written::Done(revision) => {
                    self.app.caches.catch_up(revision).await;
                    return Ok(Some(Outcome::Gone(Arc::new(self.stored.at_revision(revision)))));
                }
                changed => changed,
            },
        };
        if let Written::Changed(now) = written {
            self.stored = self.app.read(self.target, &self.key, now)?;
            self.fresh = true;
        }
        Ok(None)
    }

    async fn look_again(&mut self) -> Result<Option<Outcome>, ApiError> {
        self.stored = self.app.get(self.target).await?;
        self.fresh = true;
        Ok(None)
    }
}
