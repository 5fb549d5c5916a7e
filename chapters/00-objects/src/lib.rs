pub use heart::{fields, labels, patch, quantity};
pub use objects_solution as heart;

pub mod duration;
pub mod meta;
pub mod resources;
pub mod yaml;
