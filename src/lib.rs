//! A native bulk sink for OpenMetadata ingestion.
//!
//! | module | what it holds | what it must not hold |
//! |---|---|---|
//! | [`engine`] | policy, as a pure state machine | I/O, clocks, threads, Python |

pub mod engine;
