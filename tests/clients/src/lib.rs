//! Clients that were not made for Coracle, unmodified, against a whole cluster. They take long to
//! compile or to fetch, so `cargo kit test` runs them only with `--all`.
