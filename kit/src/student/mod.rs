//! # A student's loop
//!
//! One command a file.

pub mod check;
pub mod hint;
pub mod lab;
pub mod overview;
pub mod reset_step;
pub mod solution;
pub mod watch;
