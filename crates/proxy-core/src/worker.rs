//! What all tasks of one worker thread share.
//!
//! A `Worker` lives in an `Rc`; sessions, streams, checks and extensions hold it. What the
//! threads share among each other is in [`Shared`].

use std::{
    any::Any,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use crate::{
    backend::pool::Pools,
    channel::BufferPool,
    config::Config,
    host::{Host, ServerObserver},
};

/// The context of one worker thread. `!Send`.
pub struct Worker {
    /// The thread's number, from 0.
    pub thread: usize,
    /// Clock, timers, connections, tasks, log of this thread.
    pub host: Box<dyn Host>,
    /// What the threads share.
    pub shared: Arc<Shared>,
    /// Recycled buffers of `tune.bufsize` bytes.
    pub buffers: BufferPool,
    /// Idle connections to servers, kept by this thread.
    pub pools: Pools,
    /// What the embedder's extensions keep per thread; see [`Worker::extension`].
    pub extension: Rc<dyn Any>,
}

impl Worker {
    /// The embedder's per-thread value, if it is of this type.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<&T> {
        self.extension.downcast_ref()
    }
}

/// What all threads share.
pub struct Shared {
    /// The running configuration with its proxies and servers.
    pub config: Arc<Config>,
    /// Is told of server transitions.
    pub observer: Arc<dyn ServerObserver>,
    /// Set once a soft stop began: keep-alive connections close after their answer.
    pub stopping: AtomicBool,
    /// The next stream id.
    pub next_stream: AtomicU64,
    /// Process-wide counters.
    pub counters: crate::log::ProcessCounters,
    /// Counts up when sessions should look at what was changed about them: each worker then wakes its own.
    pub roll_call: crate::watch::Watch,
    /// Variables of scope `proc`.
    pub proc_vars: parking_lot::RwLock<crate::vars::Vars>,
}
