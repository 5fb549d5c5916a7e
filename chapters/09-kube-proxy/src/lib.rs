pub use kube_proxy_solution as heart;
