//! # The store on several machines

#[cfg(feature = "lab")]
pub use consensus_lab as heart;
#[cfg(not(feature = "lab"))]
pub use consensus_solution as heart;
