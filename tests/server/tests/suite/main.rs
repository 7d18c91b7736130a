//! The reference server over HTTP. `cases_*` follow the real server's own integration tests, one test a case that a sink
//! depends on, named by its number in the project's notes on them; the other modules are about what is ours: contract details,
//! faults, latency, log, order, TLS, and size.
//!
//! One binary, so that it is linked once.

mod api;
mod cases_access;
mod cases_assets;
mod cases_bulk;
mod cases_delete;
mod cases_entities;
mod cases_hash;
mod cases_patch;
mod contract;
mod control;
mod faults;
mod latency;
mod link;
mod memory;
mod order;
mod program;
mod tls;
