//! Servers and how one is chosen, queued for and connected to.

pub mod lb;
pub mod pool;
pub mod proxy;
pub mod server;
