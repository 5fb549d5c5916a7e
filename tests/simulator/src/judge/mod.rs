//! Whether what clients saw is what one store, asked one request at a time, could have shown.
//!
//! Two judges look at the same history, for each sees what the other cannot. [`revisions`] is exact and
//! fast, and judges all of it, but believes the revisions that answers name. [`linear`] believes
//! nothing but values, and searches for an order; it looks at one key at a time, and at short
//! histories. [`watch`] judges what watchers were told.

pub mod linear;
pub mod revisions;
pub mod watch;
