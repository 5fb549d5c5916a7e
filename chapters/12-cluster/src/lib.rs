pub use cluster_solution as heart;
