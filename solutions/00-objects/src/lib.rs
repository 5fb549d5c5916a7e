pub mod escaping;
pub mod fields;
pub mod labels;
pub mod notation;
pub mod patch;
pub mod quantity;
pub mod tokens;
