//! Feeds any bytes to the body `resp_reply`; see the library beside.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tinykv_proto_fuzz::resp_reply(data));
