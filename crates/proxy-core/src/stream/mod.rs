//! A stream: one exchange between a client and a server.
//!
//! ```text
//!  session::serve ─► http  (keep-alive loop: wait for a head, run an exchange, log it)
//!                 │    └─► exchange ─► analyse (filters, rules, backend) ─► service
//!                 │                                                     └─► upstream ─► transfer
//!                 └► tcp   (inspect, then relay)                  (assign, connect)    (both ways)
//! ```
//!
//! One task per client connection does both sides. What an exchange needs lives as long as the
//! exchange; an idle connection keeps its socket, its timer and its session only.

mod analyse;
mod conn;
mod counted;
pub(crate) mod deadline;
mod exchange;
mod fault;
mod filtered;
mod filters;
pub(crate) mod http;
mod monitor;
mod relay;
mod reply;
mod service;
pub(crate) mod side;
pub(crate) mod tcp;
mod transfer;
mod upstream;

pub(crate) use conn::Conn;
