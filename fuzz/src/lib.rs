//! What must hold for any bytes: plain functions, run by libFuzzer (`fuzz_targets/`) and by the crates' own tests.

pub mod oracles;
