//! The agent's side: an async library in which an agent is a handler from messages to variables.
//!
//! [`serve_connection`] runs one connection over any stream that has tokio's I/O traits; `listen` (feature `tokio-net`)
//! accepts and serves them. A [`Handler`] gets each NOTIFY as a [`Request`] and answers with a [`Reply`]; several run at once
//! on a connection, up to a bound beyond which no more is read from the proxy.
//!
//! Source: SPOE.txt §3.

mod handler;
#[cfg(feature = "tokio-net")]
mod listen;
mod serve;

pub use handler::{Handler, Reply, Request};
#[cfg(feature = "tokio-net")]
pub use listen::{Listener, TokioClock, listen};
pub use serve::{Options, serve_connection};
