//! One file an edge, `<consumer>_<provider>`: what one crate's `host` asks for, made of another.
//!
//! They convert and delegate; a branch that decides something belongs in a library.

pub mod proxy_core_scheduler;
