//! What every controller has in common: take a key, reconcile it, and see to the next time.

use std::sync::Arc;
use std::time::Duration;

use informer::{Error, RateLimit, WorkQueue};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::heart::expectations::ECHO_TIMEOUT;

/// When a key wants to be looked at again, if nothing happens before.
pub type Again = Option<Duration>;

/// A controller's work on one key.
pub trait Reconcile: Send + Sync + 'static {
    type Key: Ord + Clone + Send + Sync + std::fmt::Debug + 'static;
    const NAME: &'static str;

    fn reconcile(
        &self,
        context: &Context,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Again, Error>> + Send;
}

pub fn queue<T: Ord + Clone + Send + 'static>() -> WorkQueue<T> {
    WorkQueue::new(RateLimit::default_controller())
}

/// Starts so many workers on a queue.
pub fn start<R: Reconcile>(
    tasks: &mut JoinSet<()>,
    context: &Arc<Context>,
    controller: R,
    queue: &WorkQueue<R::Key>,
    workers: usize,
) {
    let controller = Arc::new(controller);
    for _ in 0..workers {
        let (context, controller) = (Arc::clone(context), Arc::clone(&controller));
        tasks.spawn(work(context, controller, queue.clone()));
    }
}

async fn work<R: Reconcile>(context: Arc<Context>, controller: Arc<R>, queue: WorkQueue<R::Key>) {
    while let Some(key) = queue.get().await {
        let id = format!("{}/{key:?}", R::NAME);
        if !context.caught_up(&id) {
            // The watch that shows what this key wrote will queue it again; this is the net.
            queue.add_after(key.clone(), ECHO_TIMEOUT);
            queue.done(&key);
            continue;
        }
        match controller.reconcile(&context, &key).await {
            Ok(again) => {
                queue.forget(&key);
                if let Some(wait) = again {
                    queue.add_after(key.clone(), wait);
                }
            }
            Err(error) => {
                if error.is_conflict() || error.is_retriable() {
                    tracing::debug!(controller = R::NAME, ?key, %error, "once more");
                } else {
                    tracing::warn!(controller = R::NAME, ?key, %error, "once more");
                }
                queue.add_rate_limited(key.clone());
            }
        }
        queue.done(&key);
    }
}
