#![no_main]

#[path = "../../tests/hostile/answers.rs"]
mod answers;

libfuzzer_sys::fuzz_target!(init: fuzz::prepare(), |input: &[u8]| answers::check(input));
