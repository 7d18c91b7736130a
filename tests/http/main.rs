//! Attempts against real sockets: each server here is a few lines that do exactly what the test's name says.
//!
//! | file | what it shows |
//! |---|---|
//! | `peer.rs` | the servers' common part: accept, read a request, answer, reset |
//! | `requests.rs` | what goes out on the wire, and when a connection is used again |
//! | `faults.rs` | connections that fail, and what is said about them |
//! | `bounds.rs` | servers that are slow, endless or too large |
//! | `authority.rs` | a CA of the tests' own, and servers that speak TLS |
//! | `certificates.rs` | TLS: whom we trust, who we are |
//! | `proxies.rs` | proxies, with and without password, forwarding and tunnelling |
//! | `settings.rs` | settings that are refused, and secrets that stay secret |

// In a test a panic is how a failure is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authority;
mod bounds;
mod certificates;
mod faults;
mod peer;
mod proxies;
mod requests;
mod settings;
