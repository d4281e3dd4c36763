//! HAProxy's SPOE and SPOP: codec, sans-IO connection, the proxy's engine, and a library to write agents with.

pub mod action;
pub mod agent;
pub mod config;
pub mod connection;
mod drive;
pub mod engine;
pub mod error;
pub mod frame;
pub mod host;
pub mod message;

pub use action::Actions;
pub use config::SpoeConfig;
pub use connection::EngineId;
pub use engine::{Engine, EngineConfig, EngineStats, Exchange};
pub use error::{Error, StreamError, Violation};
pub use frame::{Action, FrameId, NotifyWriter, Scope, Status, StreamId, TypedData};
pub use message::Event;
