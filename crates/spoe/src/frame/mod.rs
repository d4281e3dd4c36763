//! Frames as values: bytes in, values out, and back; no state and no I/O.
//!
//! A file a noun, as the protocol has them: [`varint`], [`typed_data`], [`header`], [`hello`], [`notify`], [`ack`],
//! [`disconnect`]. Decoding borrows from the input and allocates nothing; encoding appends to a caller's `Vec<u8>`, which
//! keeps its capacity between frames. Every length is checked before it is used, so no input panics and no input makes us
//! reserve memory.
//!
//! Source: SPOE.txt §3.1 to §3.4.

pub mod ack;
pub mod disconnect;
mod error;
pub mod header;
pub mod hello;
pub mod notify;
mod reader;
mod status;
pub mod typed_data;
pub mod varint;

pub use ack::{AckWriter, Action, ActionReader, Scope};
pub use disconnect::Disconnect;
pub use error::{DecodeError, DecodeErrorKind};
pub use header::{Flags, Frame, FrameId, FrameType, Header, StreamId};
pub use hello::{AgentHello, Capabilities, HaproxyHello, Version};
pub use notify::{Argument, Message, MessageReader, NotifyWriter};
pub use reader::KvReader;
pub use status::Status;
pub use typed_data::TypedData;
