//! Scripts that call everything with anything. A program of its own: what it reaches is not what is tested
//! (`cargo xtask lua-api`).

#[path = "../lua/bench.rs"]
#[allow(dead_code, reason = "shared with the tests of behaviour, which use the rest")]
mod bench;
mod fuzz;
mod kills;
mod torture;
