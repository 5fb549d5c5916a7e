//! # A staged tree: one chapter's suite with the core of one's choice
//!
//! ```text
//!   STAGE/Cargo.toml      a workspace of exactly what the suite needs, with our Cargo.lock
//!   STAGE/solutions/NN    the core that is judged takes the reference's place, or an empty package does
//!   STAGE/labs/NN         the submission, if there is one
//!   STAGE/tests/NN        the suite, as it stands here
//!   STAGE/…               chapter 00 and whatever else the suite names
//! ```

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::chapters::Chapter;
use crate::exam::Suite;
use crate::place::Place;

/// The core that a staged suite judges.
pub enum Core<'a> {
    /// The solution with every hole behind a switch (`labs::switches`).
    Holes,
    /// The solution with patches laid on, each as `git apply` reads it.
    Patched(&'a [PathBuf]),
    /// Somebody's `src` folder as the lab; the solution is an empty package.
    Submission(&'a Path),
}

pub struct Stage {
    pub root: PathBuf,
    /// Shared by every stage of the workspace, so that dependencies are built once.
    pub target: PathBuf,
}

/// A suite that compiled, or what the compiler said.
pub enum Built {
    Suite(Suite),
    Refused(String),
}

impl Stage {
    /// Lays the tree for a chapter, in a folder named after `purpose`.
    pub fn lay(place: &Place, chapter: &Chapter, purpose: &str, core: &Core<'_>) -> Result<Stage> {
        let _ = (place, chapter, purpose, core);
        todo!()
    }

    /// Compiles the suite, offline.
    pub fn build(&self, chapter: &Chapter) -> Result<Built> {
        let _ = chapter;
        todo!()
    }
}
