//! HTTP messages and HTTP/1 on the wire.

pub mod message;

pub use message::Message;
