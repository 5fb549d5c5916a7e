pub use informer_solution as heart;
