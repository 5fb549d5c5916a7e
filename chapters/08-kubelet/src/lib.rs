pub use kubelet_solution as heart;
