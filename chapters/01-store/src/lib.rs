pub use store_solution as heart;

pub mod etcd;
