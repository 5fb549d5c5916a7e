//! The end-to-end suite: see `tests/`.
