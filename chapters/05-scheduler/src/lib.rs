pub use scheduler_solution as heart;
