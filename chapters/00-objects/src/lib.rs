pub use objects_solution as heart;
