//! SPOP without I/O: what each end of one connection says and expects, as five verbs.
//!
//! [`HaproxyEnd`] greets, sends NOTIFYs and takes ACKs; [`AgentEnd`] is its mirror. Feed bytes with `handle_input`, then drain
//! `poll_event`, then `poll_transmit`; call `handle_timeout` when the instant that `poll_timeout` gave has come. Neither end
//! reads a clock, opens a socket or wakes anybody.
//!
//! **Invariant:** no end emits a frame above the negotiated size, and each says DISCONNECT at most once.
//!
//! Source: SPOE.txt §3.2.3.

mod agent_end;
mod fragment;
mod haproxy_end;
pub mod health_check;
mod state;

pub use agent_end::{AgentEnd, AgentEndConfig, AgentEvent};
pub(crate) use haproxy_end::Open;
pub use haproxy_end::{HaproxyEnd, HaproxyEndConfig, HaproxyEvent, NotifyError};
pub use state::{EngineId, Traffic, Transmit};
