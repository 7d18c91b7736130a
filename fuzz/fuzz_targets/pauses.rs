#![no_main]

#[path = "../../tests/hostile/pauses.rs"]
mod pauses;

libfuzzer_sys::fuzz_target!(init: fuzz::prepare(), |input: &[u8]| pauses::check(input));
