//! # Labs from solutions
//!
//! An answer stands once in this tree, in `solutions/`, where it compiles, is tested and runs in every
//! cluster. What a student gets is made from it, so the two cannot drift apart:
//!
//! ```text
//!   solutions/05-scheduler/src/filters.rs          // lab:begin 05.2 refuse what does not fit
//!          │                                       …
//!          │  marks, functions, holes: read        // lab:end
//!          ▼
//!       [`Room`] ──┬─▶ skeleton   labs/05-scheduler: the hole is a `todo!`
//!                  ├─▶ switches   the solution, each hole behind a switch: one build for all proofs
//!                  └─▶ answers    hint, reset-step and solution ask for one step's holes
//! ```
//!
//! ## What a solution says
//! 1. `// lab:begin 05.2 words` … `// lab:end` in a function is a **hole**: the whole tail of its body.
//!    The words are what the student reads in its place.
//! 2. The same lines around whole items (imports, helpers, constants) that only answers use make them
//!    vanish. They have no switch: who lacks them cannot compile an answer, so nothing could be proved.
//! 3. `// lab:given` above a private item that only answers use, but which the student is given, becomes
//!    an `#[allow(dead_code)]` with its reason, on this item and nothing wider.
//! 4. `// ANCHOR: x` lines are for the book and vanish. All else is copied byte for byte.
//!
//! ## Invariants
//! - A skeleton compiles without a warning. Arguments and locals that only the answer would read are
//!   consumed by a `let _ = (&a, &b);`, which is why a hole must be a tail: what stood behind it could
//!   read what the answer alone makes.
//! - The switched form with no switch on is the solution; with every switch on it behaves as the
//!   skeleton does. So one program shows both, and everything in between.
//! - What the generator did not write it never overwrites (see [`sync`]): it may be an evening's work.

mod answers;
mod functions;
mod manifest;
mod marks;
mod readme;
mod room;
mod skeleton;
mod source;
mod switches;
pub mod sync;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::chapters::{Chapter, Step};
use crate::labs::room::Room;
use crate::place::Place;

/// A function whose body the student writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// `05.2/NodeResources::filter`; a number is appended where that names two.
    pub id: String,
    /// `05.2`
    pub step: String,
    /// What to do, in the mark's words.
    pub text: String,
    /// In the lab's folder: `src/filters.rs`.
    pub file: String,
    /// Of the `todo!` in the skeleton, from 1.
    pub line: usize,
    /// `NodeResources::filter`
    pub function: String,
}

/// The reference's way to fill a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub hole: Hole,
    /// The lines between the marks, moved to the left margin.
    pub code: String,
}

/// The holes of a chapter, file by file, from the top down.
pub fn holes(place: &Place, chapter: &Chapter) -> Result<Vec<Hole>> {
    Ok(Room::read(place, chapter)?.holes())
}

/// The text that the generator gives for one file of the lab (`src/filters.rs`).
pub fn skeleton(place: &Place, chapter: &Chapter, file: &str) -> Result<String> {
    Ok(skeleton::write(&Room::read(place, chapter)?.file(file)?.source).0)
}

/// The student's text of a file with the holes of one step (`05.2`) put back, and all else left alone.
/// `skeleton` is [`skeleton`] of the same file. Fails with a sentence for the student where the text
/// cannot be read as Rust, or lacks a function of the step.
pub fn reset_step(student: &str, skeleton: &str, step: &str) -> Result<String> {
    answers::reset_step(student, skeleton, step)
}

/// The reference's answer to each hole of a step.
pub fn solution_of(place: &Place, chapter: &Chapter, step: &Step) -> Result<Vec<Answer>> {
    let room = Room::read(place, chapter)?;
    let answers =
        room.files.iter().flat_map(|file| file.cuts().map(|(_, cut)| file.source.answer(&cut.span)));
    let filled = room.holes().into_iter().zip(answers).map(|(hole, code)| Answer { hole, code });
    Ok(filled.filter(|answer| answer.hole.step == step.id).collect())
}

/// Every file of a core (`src/filters.rs`, …) in the form where each hole is behind a switch: the
/// environment variable `CORACLE_OPEN_HOLES` names the open ones by their ids, separated by commas.
pub fn switches(place: &Place, chapter: &Chapter) -> Result<BTreeMap<String, String>> {
    Ok(switches::write(&Room::read(place, chapter)?))
}
