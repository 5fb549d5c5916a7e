pub use store_solution as heart;
