pub mod dynamic;
pub mod indexer;
pub mod keyed;
