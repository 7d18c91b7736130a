//! Attempts against real sockets: each server here is a few lines that do exactly what the test's name says.
//!
//! | file | what it shows |
//! |---|---|
//! | `peer.rs` | the servers' common part: accept, read a request, answer, reset |
//! | `requests.rs` | what goes out on the wire, and when a connection is used again |
//! | `faults.rs` | connections that fail, and what is said about them |
//! | `bounds.rs` | servers that are slow, endless or too large |
//! | `certificates.rs` | TLS: whom we trust, who we are |
//! | `proxies.rs` | proxies, with and without password, forwarding and tunnelling |
//! | `settings.rs` | settings that are refused, and secrets that stay secret |

mod bounds;
mod certificates;
mod faults;
mod peer;
mod proxies;
mod requests;
mod settings;
