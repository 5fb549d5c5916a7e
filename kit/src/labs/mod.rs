//! # Labs from solutions

pub mod sync;
