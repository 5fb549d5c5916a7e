pub mod fields;
pub mod labels;
pub mod patch;
pub mod quantity;
