//! Judges the core of chapter 02. Each step has a module.

#[cfg(feature = "lab")]
use consensus_lab as _;
#[cfg(not(feature = "lab"))]
use consensus_solution as _;
