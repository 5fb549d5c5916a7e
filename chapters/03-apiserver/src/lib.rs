//! The API server
pub use apiserver_solution as heart;

mod answer;
mod app;
mod caches;
mod etcd;
mod handler;
mod lists;
mod pods;
mod proxy;
mod registry;
mod seed;
mod server;
mod tls;
mod watching;

pub use server::{Args, run};
