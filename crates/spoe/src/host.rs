//! What the crate needs from outside: time, connections, a place to run, chance.
//!
//! [`Host`] serves the [`Engine`](crate::engine::Engine) and is used on one thread. [`Clock`] serves an agent's connections,
//! which may move between threads. Sockets are anything with tokio's two I/O traits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::frame::Status;

/// A stream socket.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin + ?Sized> Io for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>>>>;

/// What an engine needs. All calls come from the engine's thread, none while the engine's state is borrowed: an
/// implementation may call back.
pub trait Host {
    /// The present; never goes back.
    fn now(&self) -> Instant;

    /// Connects to one of the agent's servers. Which one, with what retries and connect timeout, is the host's matter; the
    /// engine drops the future when its greeting timeout passes or nobody waits any more.
    fn connect(&self) -> Connecting;

    /// Runs a task to its end on this thread.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>);

    /// A timer, unarmed.
    fn timer(&self) -> Box<dyn Timer>;

    /// 128 random bits, for the engine's name. Called once.
    fn random(&self) -> u128;

    /// Tells what an operator may want to log. Ignored by default.
    fn notice(&self, _notice: Notice) {}
}
const _: Option<&dyn Host> = None;

/// What an engine reports beside its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A connection was greeted and is in use.
    Connected,
    /// A connection could not be made, or its greeting failed; no other is tried for a moment.
    GreetingFailed(Status),
    /// A connection ended with this status, with exchanges waiting on it or for a fault.
    Disconnected(Status),
    /// A connection on which nothing waited was closed in good order, by either side. Nothing to worry about.
    IdleClosed,
}

/// A timer that can be set again and again.
pub trait Timer {
    /// Sets it to fire at that instant, whatever it was set to before.
    fn reset(&mut self, at: Instant);

    /// Ready once the instant last set has come; pending for ever if none was.
    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
const _: Option<&dyn Timer> = None;

/// Time for an agent's connections.
pub trait Clock {
    /// The timers it makes.
    type Timer: Timer;

    /// The present; never goes back.
    fn now(&self) -> Instant;

    /// A timer, unarmed.
    fn timer(&self) -> Self::Timer;
}
