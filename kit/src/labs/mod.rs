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
pub mod patches;
mod readme;
mod room;
mod skeleton;
mod source;
mod switches;
pub mod sync;
mod variants;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::chapters::{Chapter, Step};
use crate::labs::patches::Patch;
use crate::labs::room::Room;
use crate::place::Place;

pub use switches::OPEN;

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
/// `skeleton` is what [`skeleton()`] gives for the same file. Fails with a sentence for the student where
/// the text cannot be read as Rust, or lacks a function of the step.
pub fn reset_step(student: &str, skeleton: &str, step: &str) -> Result<String> {
    answers::reset_step(student, skeleton, step)
}

/// The reference's answer to each hole of a step.
pub fn solution_of(place: &Place, chapter: &Chapter, step: &Step) -> Result<Vec<Answer>> {
    let room = Room::read(place, chapter)?;
    let code = room.files.iter().flat_map(|file| file.cuts().map(|(_, cut)| file.source.answer(&cut.span)));
    let answers = room.holes().into_iter().zip(code).map(|(hole, code)| Answer { hole, code });
    Ok(answers.filter(|answer| answer.hole.step == step.id).collect())
}

/// What no page, hint or skeleton may show of a chapter: each answer, and each helper that vanishes, under
/// a name for whoever has to look it up.
pub fn secrets(place: &Place, chapter: &Chapter) -> Result<Vec<(String, String)>> {
    let room = Room::read(place, chapter)?;
    let mut secrets = Vec::new();
    for file in &room.files {
        let source = &file.source;
        secrets.extend(file.cuts().map(|(id, cut)| (id.to_owned(), source.answer(&cut.span))));
        for span in &source.vanishing {
            let name = format!("{} of {}:{}", span.step, source.file, span.begin);
            secrets.push((name, source.answer(span)));
        }
    }
    Ok(secrets)
}

/// A sentence for each hole that is not of an evening's size.
pub fn odd_sizes(place: &Place, chapter: &Chapter) -> Result<Vec<String>> {
    let room = Room::read(place, chapter)?;
    let odd = room.files.iter().flat_map(|file| file.source.odd_sizes());
    Ok(odd.map(|odd| format!("solutions/{}/{odd}", chapter.name)).collect())
}

/// A core in which each hole is behind a switch, and other answers too where they fit in.
pub struct Switched {
    /// `src/filters.rs`, … and their texts.
    pub files: BTreeMap<String, String>,
    /// The patches that have a switch, under their name.
    pub patches: Vec<Patch>,
    /// Those that change more than the bodies of functions: each needs a build of its own.
    pub apart: Vec<Patch>,
}

/// The switched form of a chapter's core. The environment variable [`OPEN`] names what is switched on:
/// ids of holes, names of patches, separated by commas.
pub fn switched(place: &Place, chapter: &Chapter) -> Result<Switched> {
    let room = Room::read(place, chapter)?;
    let solution: BTreeMap<String, String> =
        room.files.iter().map(|file| (file.source.file.clone(), file.source.text.clone())).collect();
    let (mut variants, mut patches, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    for patch in patches::all(place, chapter)? {
        match variants::bodies(&solution, &patches::laid_on(place, chapter, &patch)?) {
            Some(bodies) => {
                variants.push((patch.name.clone(), bodies));
                patches.push(patch);
            }
            None => apart.push(patch),
        }
    }
    Ok(Switched { files: switches::write(&room, &variants), patches, apart })
}

/// The files of the switched form, for a stage.
pub fn switches(place: &Place, chapter: &Chapter) -> Result<BTreeMap<String, String>> {
    Ok(switched(place, chapter)?.files)
}

#[cfg(test)]
mod tests;
