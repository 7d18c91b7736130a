//! A native bulk sink for OpenMetadata ingestion: writing overlaps extraction, parents go before children, nothing is lost.
//!
//! Policy, I/O and Python stay in three places:
//!
//! | module | what it holds | what it must not hold |
//! |---|---|---|
//! | [`engine`] | policy, as a pure state machine | I/O, clocks, threads, Python |
//! | [`http`] | one attempt of one request | retry, decisions |
//! | [`driver`] | engine, clock, network and callers, brought together | decisions |
//! | [`dead_letters`] | the file of lost records | why they were lost |
//! | [`panics`] | panics on demand, for tests (feature `panics`) | anything else |
//! | [`python`] | conversion, the GIL, waiting (feature `python`) | policy |
//!
//! `docs/architecture.md` follows one record through them.

pub mod dead_letters;
pub mod driver;
pub mod engine;
pub mod http;
#[cfg(feature = "panics")]
pub mod panics;
#[cfg(feature = "python")]
pub mod python;
