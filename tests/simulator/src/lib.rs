//! # A seeded world in one thread
//!
//! A cluster is wrong in moments that no test with real machines meets twice: the power fails between
//! two writes, a leader stands still and goes on, a message overtakes another. Here the machines, their
//! disks and clocks, the network and the time are values in one thread, and whatever happens by chance
//! is drawn from one seed. So a thousand clusters can be watched in a minute, and the one that fails
//! fails again, as often as one likes, and in ever smaller worlds.
//!
//! ```text
//!   seed ─► Plan: faults and requests with their times
//!             │
//!             ▼                       ┌── machine: Process ◄─► Disk, clock
//!   clients ─► World ◄─ Network ─────►├── machine
//!      │     (one queue of events)    └── machine
//!      ▼
//!   History ─► judges ─► a violation ─► Plan::shrink ─► Trace
//! ```
//!
//! | what | where |
//! |---|---|
//! | chance, time | [`random`], [`queue`] |
//! | a disk that forgets, a network that loses | [`disk`], [`network`] |
//! | what runs on a machine | [`process`] |
//! | what goes wrong, and a run as a value | [`faults`], [`plan`] |
//! | all of it in motion | [`world`], [`trace`] |
//! | what clients saw, and whether it can be | [`history`], [`judge`] |
//!
//! It knows no chapter: what a machine runs is a [`process::Process`], clients are whoever drives the
//! [`world::World`]. The idea is FoundationDB's (Zhou and others, SIGMOD 2021, section 4); the judges'
//! sources stand in their files.
//!
//! ## Invariants
//!
//! 1. The same plan gives the same run, step by step: no clock, no thread, no map without an order.
//! 2. A crash comes between any two outputs of a process, and a process has no way to do two things in
//!    one output.
//! 3. What was synced is there after any crash. Of the rest any sectors may be there; of names, the
//!    first few changes.
//! 4. Judges see only what clients saw and what the store says has happened.

pub mod disk;
pub mod faults;
pub mod history;
pub mod judge;
mod machine;
pub mod network;
pub mod plan;
pub mod process;
pub mod queue;
pub mod random;
pub mod trace;
pub mod world;
