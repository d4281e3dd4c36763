//! HTTP/1 on the wire, sans-IO: heads are parsed into a [`Message`](super::Message), bodies are
//! decoded and encoded piece by piece, and what follows from two heads is decided in
//! [`connection`]. Nothing here reads, writes or waits.

pub mod connection;
pub mod decode;
pub mod encode;
mod lines;
pub mod parse;
