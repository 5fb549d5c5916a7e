pub use controllers_solution as heart;
