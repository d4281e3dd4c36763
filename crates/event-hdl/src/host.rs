//! What the embedder supplies: where asynchronous handlers run. Whoever only publishes, calls back and reads queues
//! supplies nothing.

use std::future::Future;
use std::pin::Pin;

/// Runs the tasks of asynchronous handlers.
///
/// Each task ends by itself once its subscription's END has been handled. Dropping it earlier ends the subscription.
pub trait Spawn {
    /// Runs a task on the calling thread, always.
    fn spawn_here(&self, task: Pin<Box<dyn Future<Output = ()>>>);

    /// Runs a task on whichever thread wakes it, which is the publisher's, or on any.
    fn spawn_anywhere(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

const _: Option<&dyn Spawn> = None;
