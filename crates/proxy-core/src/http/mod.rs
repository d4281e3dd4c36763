//! HTTP messages and HTTP/1 on the wire.

pub mod error_file;
pub mod error_page;
pub mod h1;
pub mod message;
pub mod status;
pub mod text;

pub use message::{InvalidText, Message, Version};
