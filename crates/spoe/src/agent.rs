//! The agent's side: an async library in which an agent is a handler from messages to variables.
//!
//! [`serve_connection`] runs one connection over any stream that has tokio's I/O traits; `listen` (feature `tokio-net`)
//! accepts and serves them. A [`Handler`] gets each NOTIFY as a [`Request`], reads its messages one by one or as
//! [structs](crate::message!), and answers with a [`Reply`]; several run at once on a connection, up to a bound beyond which no
//! more is read from the proxy. [`Options`] set limits and deadlines, an [`Observer`] is told what happens. Without any
//! runtime there is [`AgentEnd`](crate::connection::AgentEnd).
//!
//! Source: SPOE.txt §3.

mod handler;
#[cfg(feature = "tokio-net")]
mod listen;
mod observer;
mod options;
mod running;
mod serve;
mod siblings;
mod typed;

pub use handler::{Handler, Reply, Request};
#[cfg(feature = "tokio-net")]
pub use listen::{Listener, TokioClock, listen};
pub use observer::{Observer, Seen};
pub use options::Options;
pub use serve::serve_connection;
pub use siblings::Siblings;
#[doc(hidden)]
pub use typed::field;
pub use typed::{FromArgument, FromMessage, MessageError};
