//! One attempt of one request: a [`Call`](crate::engine::Call) goes out, an [`Answer`](crate::engine::Answer) comes back.
//!
//! There is no policy here: nothing is tried twice, no redirect is followed, no status is judged, nothing is remembered from
//! one attempt to the next but the connections. Whatever happens becomes a value; nothing panics, and no text holds a secret.
//!
//! | file | what it holds |
//! |---|---|
//! | `settings.rs` | how to reach the server, each setting checked |
//! | `client.rs` | [`Settings`] -> [`Client`], which keeps the connections and the token |
//! | `calls.rs` | a call -> one HTTP request -> its answer, within bounds of time and memory; the probe of the server's version |
//! | `connections.rs` | which connections have answered before |
//! | `outgoing.rs` | the request body that tells how far it got |
//! | `fault.rs` | what an error means, and how to say it |
//! | `tls.rs` | whom to trust, and who we are |
//! | `secrets.rs` | secrets taken out of what a server sends back |
//! | `spelling.rs` | the ways in which a text can be written inside of another |
//! | `broken_up.rs` | a text broken up by what is not seen |
//! | `retry_after.rs` | how long a server asks to be left alone |

mod broken_up;
mod calls;
mod client;
mod connections;
mod fault;
mod outgoing;
mod retry_after;
mod secrets;
mod settings;
mod spelling;
mod tls;

pub use client::{Client, ProbeError};
pub use retry_after::retry_after;
pub use settings::{Settings, SettingsError, Trust};
