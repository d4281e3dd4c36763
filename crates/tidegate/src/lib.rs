//! The composition root: joins the crates into one proxy.

pub mod accept;
pub mod adapters;
pub mod cli;
pub mod clock;
pub mod fd;
pub mod net;
pub mod services;
pub mod worker;
