//! Passwords are hashed and compared beside the loop, and beside the threads that serve: bcrypt takes
//! tens of milliseconds, and is meant to.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;

use crate::local::stopped;

/// Hashes at once. Whoever else comes with a password waits, so that guessing cannot keep every core
/// busy.
const AT_ONCE: usize = 2;

#[derive(Debug, Clone)]
pub struct Passwords {
    cost: u32,
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub fn new(cost: u32) -> Self {
        Passwords { cost, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub async fn hash(&self, password: String) -> Result<Arc<str>, Status> {
        let cost = self.cost;
        let hashed = self.work(move || bcrypt::hash(password, cost)).await?;
        hashed.map(Arc::from).map_err(|e| Status::invalid_argument(format!("etcdserver: {e}")))
    }

    /// What is no hash matches nothing.
    pub async fn matches(&self, password: String, hash: Arc<str>) -> Result<bool, Status> {
        self.work(move || bcrypt::verify(password, &hash).unwrap_or(false)).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        let turn = self.turns.clone().acquire_owned().await.map_err(stopped)?;
        let worked = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, even if the client has gone.
            let _turn = turn;
            work()
        });
        worked.await.map_err(stopped)
    }
}
