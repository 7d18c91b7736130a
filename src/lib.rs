//! A native bulk sink for OpenMetadata ingestion.
//!
//! | module | what it holds | what it must not hold |
//! |---|---|---|
//! | [`engine`] | policy, as a pure state machine | I/O, clocks, threads, Python |
//! | [`http`] | one attempt of one request: a call becomes an answer | retry, policy, state between attempts |

pub mod engine;
pub mod http;
