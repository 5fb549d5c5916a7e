//! # The heart of the API server
//!
//! An API server is a database with opinions. It stores objects under keys, lets many writers
//! change them without locks, and tells every reader what changes; and before it stores anything
//! it completes and checks it. All of that is here, as functions from values to values. Sockets,
//! the store and the clock are in chapter 03's shell.
//!
//! ```text
//!  PATCH /apis/apps/v1/namespaces/dev/deployments/web           (one request, left to right)
//!
//!  request ──► access ──► keys ──► patches ──► typed ──► write ──► validation ──► the store
//!  which verb,  may      where     the object  unknown   optimistic  upstream's      │
//!  which kind?  they?    is it?    as wanted   fields?   lock,       messages        │ changes
//!                                                        defaults                    ▼
//!  render ◄── selection, paging ◄───────────────────────────────────────────── watch_cache
//!  JSON, Table, metadata; a page; a line of a watch
//! ```
//!
//! Objects are dynamic (`serde_json::Value`): what a client sent is kept as it was sent. Each goes
//! once through its type on the way in ([`typed`]), so that everything after it may rely on its
//! shape; still nothing here panics on any value whatever (tests feed it garbage).
//!
//! ## The steps
//! 1. [`request`]: from a method and a URL to what is asked.
//! 2. [`keys`]: where an object lives, and what a collection's keys begin with.
//! 3. [`write`](mod@write), [`delete`]: optimistic concurrency, the status apart from the rest, generations.
//! 4. [`patches`]: four media types, three engines.
//! 5. [`selection`], [`paging`]: which objects, and how many at a time.
//! 6. [`watch_cache`]: the newest state, the last changes, and any number of watchers.
//! 7. [`tables`]: what `kubectl get` prints.
//!
//! ## Invariants
//! 1. `resourceVersion` is the store's `mod_revision` and is never stored: it is filled in when an
//!    object is read ([`stored::Stored`]).
//! 2. A write whose `resourceVersion` or uid is not that of the stored object is refused, and
//!    changes nothing.
//! 3. A write to `/status` changes nothing else that matters, and a write beside it leaves the
//!    status alone. `generation` counts the changes of what is wanted, and only those.
//! 4. A watcher's stream is the history filtered by its selector, in order, each change once. An
//!    object that begins to match is ADDED and one that stops is DELETED.
//! 5. A cursor that the ring cannot serve completely gets 410. There are no silent gaps.
//! 6. The pages of one list are one state: the token carries the revision.
//! 7. Applying defaults twice is applying them once.
//! 8. Every failure is a `Status` with the reason, and for an invalid object the field's path.
//!
//! ## What is left out, and where to read it
//! Field ownership (`apimachinery/pkg/util/managedfields`), RBAC (`plugin/pkg/auth/authorizer`),
//! custom resources (`apiextensions-apiserver`), versions of a kind that differ in more than words
//! (`pkg/apis/*/v1/conversion.go`), validation beyond what a first cluster needs
//! (`pkg/apis/core/validation` has ten thousand lines), disruption budgets, quotas, and service
//! account tokens: a pod's `serviceAccountName` is defaulted, but nothing is mounted for it.

pub mod access;
pub mod alloc;
pub mod convert;
pub mod defaults;
pub mod delete;
pub mod discovery;
pub mod fields;
pub mod keys;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod paging;
pub mod patches;
pub mod protobuf;
pub mod query;
pub mod render;
pub mod request;
pub mod selection;
pub mod status;
pub mod stored;
pub mod subresources;
pub mod tables;
pub mod typed;
pub mod validation;
pub mod watch_cache;
pub mod write;
