//! An HTTP/1 and TCP proxy as a library. The README first, then how it hangs together.
//!
#![doc = include_str!("../README.md")]
//!
//! # How it hangs together
//!
//! ```text
//!            cfgparse ──► config (Config, Proxy, Bind, Server)      host (Host, Io, Timer, ServerObserver)
//!                              │                                            ▲
//!  Io ──► session::serve ──► stream (one exchange) ──► rules ──► backend (lb, queue, pool) ──► Io
//!                              │            │            │
//!                           filter        txn        action / sample / applet   (extension points)
//! ```
//!
//! Nothing here opens a socket, reads a clock or starts a thread: [`host`] says what is needed.
//! What other languages and protocols add comes in through [`registry::Registry`] as values.

pub mod action;
pub mod admin;
pub mod applet;
pub mod backend;
pub mod cfgparse;
pub mod channel;
pub mod check;
pub mod client;
pub mod config;
pub mod error;
pub mod error_pages;
pub mod filter;
pub mod host;
pub mod http;
pub mod log;
pub mod pattern_ref;
pub mod registry;
pub mod rules;
pub mod sample;
pub mod session;
pub mod stick_table;
pub mod stream;
pub mod tls;
pub mod txn;
pub mod vars;
pub mod watch;
pub mod worker;
