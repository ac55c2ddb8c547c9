//! libFuzzer program of one target.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hygeia_fuzz::enter("audit_proof", bytes));
