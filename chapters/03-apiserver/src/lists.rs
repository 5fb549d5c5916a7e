//! Reads: one object, or a collection in pages.

use crate::app::App;
use crate::etcd::StoreError;
use crate::heart::keys;
use crate::heart::kind::Kind;
use crate::heart::paging::{self, Page, Token};
use crate::heart::query::{ListOptions, VersionMatch};
use crate::heart::render::ListMeta;
use crate::heart::selection::Selection;
use crate::heart::status::ApiError;
use crate::heart::stored::Stored;
use crate::heart::watch_cache::Interest;
use crate::writing::Target;
use objects::resources::Resource;
use std::sync::Arc;

/// What is asked of the store at once when a page has to be filled through selectors.
const SCAN: usize = 500;

impl App {
    /// One object at least as new as `version` asks.
    pub async fn get_at(&self, target: Target<'_>, version: VersionMatch) -> Result<Arc<Stored>, ApiError> {
        match version {
            VersionMatch::Newest | VersionMatch::Exact(_) => return self.get(target).await,
            VersionMatch::Any => self.caches.wait_for(0).await?,
            VersionMatch::NotOlderThan(revision) => self.caches.wait_for(revision).await?,
        }
        self.cached(target).ok_or_else(|| target.not_found())
    }

    pub async fn list(
        &self,
        kind: &Kind,
        interest: &Interest,
        options: &ListOptions,
    ) -> Result<(Vec<Arc<Stored>>, ListMeta), ApiError> {
        let page = match (&options.continue_token, options.version) {
            (Some(token), _) => {
                let token = paging::read_token(token)?;
                match token.revision {
                    -1 => self.newest_page(kind, interest, options.limit, &token.start).await?,
                    _ => self.page_at(kind, interest, options.limit, &token).await?,
                }
            }
            (None, VersionMatch::Exact(revision)) => {
                self.caches.wait_for(revision).await?;
                let token = Token::new(revision, "");
                self.page_at(kind, interest, options.limit, &token).await?
            }
            (None, VersionMatch::Newest) => self.newest_page(kind, interest, options.limit, "").await?,
            (None, VersionMatch::Any) => {
                self.caches.wait_for(0).await?;
                self.cached_page(kind, interest, options.limit, "")?
            }
            (None, VersionMatch::NotOlderThan(revision)) => {
                self.caches.wait_for(revision).await?;
                self.cached_page(kind, interest, options.limit, "")?
            }
        };
        let (revision, page) = page;
        let meta = ListMeta {
            revision,
            continue_token: page.next.as_ref().map(Token::encode),
            remaining: page.remaining.filter(|_| interest.selection.is_everything()),
        };
        Ok((page.items, meta))
    }

    /// A page of the state that the store has now: the cache's, once it has caught up.
    async fn newest_page(
        &self,
        kind: &Kind,
        interest: &Interest,
        limit: usize,
        start: &str,
    ) -> Result<(i64, Page<Arc<Stored>>), ApiError> {
        self.caches.wait_for(self.store.revision().await?).await?;
        self.cached_page(kind, interest, limit, start)
    }

    fn cached_page(
        &self,
        kind: &Kind,
        interest: &Interest,
        limit: usize,
        start: &str,
    ) -> Result<(i64, Page<Arc<Stored>>), ApiError> {
        let cache = self.caches.of(kind.resource).ok_or_else(ApiError::no_route)?;
        let reached = self.caches.revision();
        let first = format!("{}{start}", interest.prefix);
        Ok(cache.read(|cache| {
            let revision = cache.revision().max(reached);
            let items = cache
                .list(&interest.prefix)
                .filter(|object| object.key >= first && interest.wants(object))
                .map(|object| (object.key[interest.prefix.len()..].to_string(), object.clone()));
            (revision, paging::first_page(items, limit, revision, interest.selection.is_everything()))
        }))
    }

    /// A page of the state at an earlier revision, from the store.
    async fn page_at(
        &self,
        kind: &Kind,
        interest: &Interest,
        limit: usize,
        token: &Token,
    ) -> Result<(i64, Page<Arc<Stored>>), ApiError> {
        let hub = kind.hub();
        let mut found: Vec<(String, Arc<Stored>)> = Vec::new();
        let mut start = token.start.clone();
        let rest = loop {
            let asked = self.store.list(&interest.prefix, &start, SCAN, token.revision).await;
            let range = match asked {
                Err(StoreError::Compacted) if token.start.is_empty() => {
                    return Err(paging::expired_version());
                }
                Err(StoreError::Compacted) => return Err(paging::expired(token)),
                other => other?,
            };
            let mut next = None;
            for item in &range.items {
                let key = String::from_utf8_lossy(&item.key).into_owned();
                let short = key[interest.prefix.len().min(key.len())..].to_string();
                next = Some(format!("{short}\0"));
                let stored = Stored::read(&hub, &key, item.revision, &item.value).map(Arc::new);
                found.extend(stored.filter(|s| interest.wants(s)).map(|s| (short, s)));
            }
            let rest = (range.count - range.items.len() as i64).max(0) as usize;
            match next.filter(|_| range.more && (limit == 0 || found.len() <= limit)) {
                Some(next) => start = next,
                None => break rest,
            }
        };
        let mut page = paging::first_page(found.into_iter(), limit, token.revision, true);
        page.remaining = page.remaining.map(|n| n + rest);
        Ok((token.revision, page))
    }
}

/// The collection that a path names, through the query's selectors.
pub fn interest(
    resource: &Resource,
    namespace: Option<&str>,
    selection: Selection,
) -> Result<Interest, ApiError> {
    Ok(Interest { prefix: keys::list_prefix(resource, namespace)?, selection })
}
