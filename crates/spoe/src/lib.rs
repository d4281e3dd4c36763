//! HAProxy's SPOE and SPOP: codec, sans-IO connection, the proxy's engine, and a library to write agents with.
//!
//! ```text
//!   proxy                                                                      agent
//!   config ─▶ engine ─▶ connection::HaproxyEnd ◀══ frames ══▶ connection::AgentEnd ─▶ agent::Handler
//!                └─ drive ── host::Io ─────────── bytes ────────── any tokio stream ─┘
//! ```
//!
//! NOTIFY frames carry messages one way, ACK frames carry variables to set the other way. Everything that decides is synchronous
//! and takes the time as an argument; the loops that touch sockets are thin, and the sockets are the host's.
//!
//! **Invariant:** the crate opens no socket, reads no clock and spawns nothing by itself, except in the feature `tokio-net`.
//! `frame` has no state; a connection emits no frame above the negotiated size.
#![cfg_attr(feature = "tokio-net", doc = "")]
#![cfg_attr(feature = "tokio-net", doc = include_str!("../README.md"))]

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
pub use engine::{Engine, EngineConfig, EngineStats, Exchange, Failures, Latency};
pub use error::{Error, StreamError, Violation};
pub use frame::{Action, FrameId, NotifyWriter, Scope, Status, StreamId, TypedData};
pub use message::Event;
