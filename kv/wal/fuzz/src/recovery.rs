//! Recovery over arbitrary bytes: see `body.rs`.

#![no_main]

mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::recover_from(data));
