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
//!  request ──► access ──► keys ──► patches ──► typed ──► admission ──► write ──► admission ──► the store
//!  which verb,  may      where     the object  unknown   may change    lock,      may            │
//!  which kind?  they?    is it?    as wanted   fields?               defaults,   refuse          │ changes
//!                                  managed                          validation                   ▼
//!  render ◄── selection, paging ◄──────────────────────────────────────────────────────── watch_cache
//!  JSON, Table, metadata; a page; a line of a watch
//! ```
//!
//! Objects are dynamic (`serde_json::Value`): what a client sent is kept as it was sent. Each goes
//! once through its type on the way in ([`typed`], or a definition's schema in [`custom`]), so that
//! everything after it may rely on its shape; still nothing here panics on any value whatever
//! (tests feed it garbage). What built-in and custom kinds differ in is asked of [`kind::Kind`].
//!
//! ## The steps
//! 1. [`request`]: from a method and a URL to what is asked.
//! 2. [`keys`]: where an object lives, and what a collection's keys begin with.
//! 3. [`write`](mod@write), [`delete`]: optimistic concurrency, the status apart from the rest, generations.
//! 4. [`patches`]: four media types, four engines.
//! 5. [`selection`], [`paging`]: which objects, and how many at a time.
//! 6. [`watch_cache`]: the newest state, the last changes, and any number of watchers.
//! 7. [`tables`]: what `kubectl get` prints.
//! 8. [`managed`]: who wants which field, and server-side apply.
//! 9. [`custom`]: kinds that users define.
//!
//! ## The rest, by what it is asked
//! * What is there? [`catalog`], [`kinds`], [`discovery`], [`openapi`](mod@openapi), [`schema`].
//! * What does it say? [`bodies`], [`protobuf`], [`reading`], [`strict`], [`negotiation`].
//! * Is it complete and right? [`gates`], [`defaults`], [`validation`], [`warnings`], [`convert`].
//! * Who asks, and who else is asked? [`access`], [`remote`], [`tokens`], [`impersonation`],
//!   [`reviews`], [`admission`], [`cel`].
//! * May it go? [`delete`], [`eviction`].
//!
//! What the server says of itself is read off the same tables: [`schema`] knows the form of every
//! type, [`discovery`] and [`openapi`] tell it to clients, [`documents`] keeps what was told.
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
//! 9. A field is written over only by one of its owners, by an update, or by force; and it is
//!    removed by an apply only when the last who wanted it has left it out.
//!
//! ## What is left out, and where to read it
//! RBAC (`plugin/pkg/auth/authorizer`), priority and fairness (`apiserver/pkg/util/flowcontrol`),
//! audit (`apiserver/pkg/audit`), encryption at rest, alpha and beta kinds (so no
//! MutatingAdmissionPolicy), answers in protobuf or CBOR, and what validation knows of cloud
//! providers' volumes beyond their required fields (`pkg/apis/core/validation`).

pub mod access;
pub mod admission;
pub mod aggregation;
pub mod alloc;
pub mod bodies;
pub mod catalog;
pub mod cel;
pub mod certificates;
pub mod connect;
pub mod convert;
pub mod custom;
pub mod defaults;
pub mod delete;
pub mod delete_options;
pub mod discovery;
pub mod documents;
pub mod eviction;
pub mod fields;
pub mod gates;
pub mod impersonation;
pub mod keys;
pub mod kind;
pub mod kinds;
pub mod logs;
pub mod managed;
pub mod meant;
pub mod meta;
pub mod names;
pub mod negotiation;
pub mod openapi;
pub mod paging;
pub mod patches;
pub mod protobuf;
pub mod query;
pub mod reading;
pub mod remote;
pub mod render;
pub mod request;
pub mod reviews;
pub mod schema;
pub mod selection;
pub mod status;
pub mod stored;
pub mod strict;
pub mod subresources;
pub mod tables;
pub mod tokens;
pub mod typed;
pub mod types;
pub mod validation;
pub mod warnings;
pub mod watch_cache;
pub mod write;
mod yaml;
