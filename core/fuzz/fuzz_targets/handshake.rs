//! See `taimat_testkit::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taimat_testkit::fuzz::handshake(bytes));
