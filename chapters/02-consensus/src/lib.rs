//! # The store on several machines
//!
//! One store is one machine away from being lost. Three that agree survive any one of them: that is
//! what consensus buys, and its price is a majority's disks and one round of messages for each write.
//! The core (solutions/02-consensus) decides what is agreed on. Around it this crate is a member: it
//! keeps time, writes the disk, speaks to the other members, and stands as a *journal* where chapter 01
//! has its log thread, so that everything that clients see is chapter 01's.
//!
//! ```text
//!  etcdctl, API server
//!        │ gRPC
//!  ┌─────▼───────────────┐  Ask    ┌───────────────┐ Action  ┌────────────┐
//!  │ chapter 01: services├────────►│ raft_loop.rs  ├────────►│ storage.rs │ log, snapshots, life
//!  │ loop, store, watches│◄────────┤ owns the core ├───┐     └────────────┘
//!  └─────┬───────────────┘ Journal └──────▲────────┘   │     ┌─────────────┐  batches, snapshots
//!        │ Peers            Event         │            └────►│ outgoing.rs ├─────────► members
//!  ┌─────▼──────┐  Change, Barrier, … ────┤                  └─────────────┘
//!  │ members.rs │                         │ Message, Arrived ┌─────────────┐
//!  └────────────┘                         └──────────────────┤ incoming.rs │◄───────── members
//!                                                            └─────────────┘
//! ```
//!
//! A member that follows serves watches and serializable reads by itself; for other reads it asks the
//! leader how far the log is committed, and its clients' writes it sends to the leader in consensus' own
//! messages. What keeps time, leases, is the leader's alone: members forward it (`members.rs`).
//!
//! ## Invariants
//!
//! 1. Nothing that rests on a vote or an entry is sent or said before it is on this disk. One action
//!    list of the core is done in its order, by one thread, and a failed write ends the process.
//! 2. Each start has a number greater than all before (`identity.rs`), so what an earlier life proposed
//!    is never taken for this one's.
//! 3. A snapshot from the leader is checked whole before the core hears of it, and replaces the
//!    member's own as one step: its file first, then the record that makes the older log void.
//! 4. A message of another cluster, or to another member, is refused. One that is lost, doubled or late
//!    does no harm. Whatever comes over the network, nothing panics, and what waits has a bound.
//! 5. A client is answered once, and if nobody can tell whether its write was done, it is told so.
//! 6. A member that was removed stops.
//!
//! ## What is left out
//!
//! Discovery, `--auto-tls`, a revocation list, etcd's own protocol between members: a real etcd cannot
//! be one of ours. Versions are not negotiated. Changes of members go one at a time (Raft thesis, section
//! 4.1). In etcd: `server/etcdserver/raft.go` (the ready loop), `server/etcdserver/api/rafthttp` (streams,
//! snapshots), `server/etcdserver/api/membership`, `server/embed` (flags).

#[cfg(feature = "lab")]
pub use consensus_lab as heart;
#[cfg(not(feature = "lab"))]
pub use consensus_solution as heart;

mod args;
mod dial;
#[cfg(test)]
mod hostile;
mod identity;
mod ids;
mod incoming;
mod members;
mod outgoing;
mod raft_loop;
/// What a disk write holds, and what is kept in a snapshot: the simulator writes the same.
pub mod record;
mod restore;
mod start;
mod storage;
#[cfg(test)]
mod storage_tests;
mod view;
mod wire;

pub use args::{Args, ClusterState};
pub use restore::{RestoreArgs, restore};
pub use start::{run, serve};
pub use storage::{decode_meta, encode_meta};
