#![no_main]

#[path = "../../tests/hostile/names.rs"]
mod names;

libfuzzer_sys::fuzz_target!(init: fuzz::prepare(), |input: &[u8]| names::check(input));
