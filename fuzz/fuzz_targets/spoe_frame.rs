//! See [`tidegate_fuzz::oracles::spoe::frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::oracles::spoe::frame(bytes));
