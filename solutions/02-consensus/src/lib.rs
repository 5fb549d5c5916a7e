//! # Consensus: one store on several machines
//!
//! A store on one machine is as reliable as that machine. On three it should outlive any one of them, and
//! still be *one* store: whoever asks any member is told the same. The store of chapter 01 makes that
//! simple to say: the same commands in the same order make the same store. So all that the members have to
//! agree on is a list of commands, a *log*. Raft (Ongaro and Ousterhout, 2014) is how they do: they elect a
//! leader, the leader appends, and what a majority has on disk is *committed* and never taken back.
//!
//! ```text
//!        clients                    Member 1 (leads)                    Members 2, 3
//!           │ put a=1
//!           ▼
//!   handle_propose ───────────▶ log  …  6  7                             log  …  6
//!                                        │  └── Send ─────append 7─────────▶ 7
//!                               Persist ◀┘                                   │ Persist, then
//!                                  │    ◀───────────── 7 is on disk ─────────┘ Send
//!                                  ▼
//!                  two of three have 7: committed ─────append, commit 7───▶ Apply 7
//!                                  │
//!   "done" ◀─────────────────── Apply 7
//! ```
//!
//! The `raft` crate knows the protocol: elections, appending, counting. It has no disk, no network and no
//! clock, and neither has this core. What is left between the two is where stores have lost data: in
//! which order to write, send and apply; how to apply once what was proposed twice; when a read may be
//! answered; what a snapshot must remember beside the data; and whom to count while members come and go.
//!
//! ## Where things are
//!
//! | step | what you write | file |
//! |---|---|---|
//! | 1 | raft storage | [`log`] |
//! | 2 | the ready loop in the right order | `ready` |
//! | 3 | propose, apply once, answer | [`propose`], [`sessions`] |
//! | 4 | linearizable reads | [`read`] |
//! | 5 | snapshot and truncation | [`log`], [`snapshot`], `ready` |
//! | 6 | membership change | [`membership`], `change` |
//!
//! A [`Member`] is told what happens by its `handle_*` methods and says by [`Member::poll_actions`] what is
//! to be done. `member` has these; `ask` gives proposals and reads to the leader, `apply` gives
//! committed entries their turn, `start` makes a member of what the disk held, `wire` looks at each message
//! before the `raft` crate does, `storage` shows it the log, `timeout` throws its dice. The shell
//! (chapters/02-consensus) has the disk, the connections and the clock. No type of the `raft` crate leaves
//! this one.
//!
//! ## Invariants
//!
//! 1. A vote, a term, an entry or a snapshot is on disk before any message that rests on it is sent. Only a
//!    leader's appends may go before, and not in a term that its disk does not know.
//! 2. Only what is committed is applied, in order, by index, and never taken back.
//! 3. The same entries make the same state on all members: members, sessions, and what is left out.
//! 4. A proposal is applied once, however often it was proposed, by whomever it was led. One that was
//!    refused is never applied, unless the reason is [`Error::TimedOut`].
//! 5. A read sees every write that was answered before the read was asked for, wherever it was.
//! 6. A snapshot and the state beside it are of the same entry. No entry leaves the log that is neither in
//!    the last snapshot nor applied.
//! 7. One voter at most comes or goes at a time, and only what has the log counts: a learner never does.
//!    A commit index is on disk no later than the entries that came after it.
//! 8. Nothing that the network sends can stop the program; what no honest member says is refused with a
//!    reason.
//! 9. The same calls make the same actions: no clock, and no randomness but from a seed.
//! 10. What waits is bounded: proposals and reads by what the shell puts in and by time, entries that are
//!     not committed by bytes, those behind a snapshot by number and bytes, sessions by members.
//!
//! ## What is left out
//!
//! Leases that let a leader read without asking (etcd has none either: clocks differ); pipelined disk
//! writes (etcd 3.6 and `raft` can have several under way); joint consensus (this chapter changes one member
//! at a time, as etcd's API does); witnesses; `request_snapshot`. A leader's proposals are not weighed
//! against each other. A member that was removed while it was down is not told: it asks for votes that
//! nobody gives, until its shell hears that it is none.
//!
//! To read on: the Raft paper, its figure 2 first, then Ongaro's thesis (2014), chapters 4 (members), 6
//! (clients: sessions and reads) and 10 (what may be done in parallel); etcd's `server/etcdserver/raft.go`,
//! which is this ready loop, and `server.go` with `processInternalRaftRequestOnce` and
//! `linearizableReadLoop`; the `raft` crate's `raft.rs`, a translation of etcd's. Lamport's "The Part-Time
//! Parliament" (1998) and Liskov's Viewstamped Replication (2012) for the same idea in other clothes; Jepsen's
//! analyses for what happens when one of these sentences is not kept.

mod apply;
mod ask;
mod change;
mod encoding;
pub mod error;
pub mod log;
pub mod member;
pub mod membership;
pub mod propose;
pub mod read;
mod ready;
pub mod sessions;
pub mod snapshot;
mod start;
mod storage;
mod timeout;
pub mod types;
mod wire;

pub use error::Error;
pub use member::{Action, Config, Member, Persist, Persisted};
