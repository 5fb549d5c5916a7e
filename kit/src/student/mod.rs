//! # A student's loop
//!
//! ```text
//!   overview ──▶ lab N ──▶ an editor ──▶ check N.S, or watch N ──▶ up --mine N
//!       ▲                     ▲              │        │
//!       │                  reset-step     hint, and   │ once it passes
//!   progress ◀───────────────────────────  book       └──▶ solution N.S
//! ```
//!
//! One command a file. [`judge`] builds and runs the tests, [`report`] tells what they said, [`progress`]
//! remembers it.

pub mod check;
pub mod hint;
pub mod lab;
pub mod overview;
pub mod reset_step;
pub mod solution;
pub mod watch;

mod holes;
mod judge;
mod keyboard;
mod page;
pub mod progress;
mod report;
mod rules;
mod standing;
