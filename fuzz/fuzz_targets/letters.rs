#![no_main]

#[path = "../../tests/hostile/letters.rs"]
mod letters;

libfuzzer_sys::fuzz_target!(init: fuzz::prepare(), |input: &[u8]| letters::check(input));
