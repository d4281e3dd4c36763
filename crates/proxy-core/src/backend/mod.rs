//! Servers and how one is chosen, queued for and connected to.
//!
//! ```text
//!  assign ──► lb (who is next) ──► server (a free slot?) ──► Slot, held while the server works
//!                  │ all full             ▲
//!                  └────► queue ──────────┘ a slot came free, a server came back
//! ```

pub mod assign;
pub mod counters;
pub mod event;
pub mod lb;
pub mod listening;
pub mod notice;
pub mod pool;
pub mod proxy;
pub mod queue;
pub(crate) mod secure;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
