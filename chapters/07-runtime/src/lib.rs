pub use runtime_solution as heart;
