//! Subscriptions: `core.event_sub`, `Server:event_sub`, `Patref:event_sub`.

use std::task::{Context, Poll};

use super::{HostResult, ServerEvent};

/// The event bus, for `core.event_sub`, `Server:event_sub` and `Patref:event_sub`.
pub trait Events {
    /// Whether an event of this name exists; scripts get an error for one that does not.
    fn is_known(&self, name: &str) -> bool;
    /// Subscribes. The stream's queue is bounded: above 100 waiting the host pauses the subscription until it
    /// is drained, and tells through [`EventStream::take_overflow`].
    fn subscribe(&self, scope: Scope, names: &[String]) -> HostResult<Subscribed>;
}
const _: Option<&dyn Events> = None;

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The global list.
    Global,
    /// One server's own list.
    Server {
        /// [`Proxy::uuid`](super::Proxy::uuid)
        proxy_uuid: i64,
        /// [`Server::puid`](super::Server::puid)
        puid: i64,
        /// [`Server::rid`](super::Server::rid)
        rid: i64,
    },
    /// One pattern reference's own list.
    Pattern {
        /// [`PatternRef::id`](super::PatternRef::id)
        id: i64,
    },
}

/// Both ends of a new subscription.
pub struct Subscribed {
    /// What the handler's task reads.
    pub events: Box<dyn EventStream>,
    /// What `sub:unsub()` uses.
    pub handle: Box<dyn EventHandle>,
}

/// The queue of one subscription.
pub trait EventStream {
    /// The next event in order; `Ready(None)` after the last, once unsubscribed or torn down.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>>;
    /// Called before each event: if the queue overflowed and paused since the last call, how many were waiting.
    fn take_overflow(&mut self) -> Option<usize> {
        None
    }
}
const _: Option<&dyn EventStream> = None;

/// The way to end one subscription, from any thread (the shared VM's scripts may run on another worker than the
/// one that subscribed). Dropping it changes nothing.
pub trait EventHandle: Send + Sync {
    /// Ends it: what is already queued is still delivered, then the stream ends. May be repeated.
    fn unsubscribe(&self);
}
const _: Option<&dyn EventHandle> = None;

/// An event as a handler gets it: `(name, data, sub, when)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `SERVER_UP`, …
    pub name: &'static str,
    /// Seconds since the epoch.
    pub when: i64,
    /// The table handed to the handler; None gives nil.
    pub data: Option<ServerEvent>,
}
