//! See [`tidegate_fuzz::oracles::spoe::typed_data`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::oracles::spoe::typed_data(bytes));
