pub use apiserver_solution as heart;
