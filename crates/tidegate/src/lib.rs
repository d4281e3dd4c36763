//! HAProxy's Lua and event subsystem in Rust: the program that joins the crates.
