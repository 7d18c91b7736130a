//! A strict stand-in for the OpenMetadata API, for tests, benchmarks and the demo. It is not OpenMetadata.
//!
//! A request goes this way: [`listen`] takes the connection, [`wire`] reads it, [`serve`] leads it from head to answer,
//! [`route`] says what is asked for, [`auth`] by whom, [`faults`] whether it shall go wrong ([`answers`] carries that out),
//! [`latency`] how long it takes ([`link`]: on the way, [`waits`]: or until it is released), [`handle`] calls the handler: [`bulk`], [`singles`], [`listing`], [`patch`], [`deletion`], [`lineage`],
//! [`search`], [`system`] (with [`definitions`]). Create requests are read by [`row`] (with [`columns`]), resolved by [`mapping`],
//! put into the [`store`] by [`write`] (with [`merge`]), and shown by [`expand`]. [`kinds`], [`catalogue`] and [`properties`] say which
//! collections there are, [`seed`] what a fresh server has. [`log`], [`order`] and [`dump`] tell what happened; [`control`] serves them.

use std::net::SocketAddr;
use std::sync::Arc;

pub mod answers;
pub mod auth;
pub mod bulk;
pub mod call;
pub mod catalogue;
pub mod columns;
pub mod config;
pub mod control;
pub mod definitions;
pub mod deletion;
pub mod dump;
pub mod entity;
pub mod expand;
pub mod faults;
pub mod fqn;
pub mod handle;
pub mod kinds;
pub mod latency;
pub mod lineage;
pub mod link;
pub mod listen;
pub mod listing;
pub mod log;
pub mod mapping;
pub mod merge;
pub mod order;
pub mod patch;
pub mod properties;
pub mod reply;
pub mod route;
pub mod row;
pub mod search;
pub mod seed;
pub mod serve;
pub mod shared;
pub mod singles;
pub mod store;
pub mod system;
pub mod tls;
pub mod waits;
pub mod wire;
pub mod write;

pub use config::{Config, Profile, Switches, TlsFiles};
pub use latency::Latency;
pub use shared::Shared;

/// A running server; it stops when it is dropped.
pub struct Server {
    /// What goes into `hostPort`: ends with `/api`.
    pub url: String,
    /// The control API.
    pub control_url: String,
    /// The address of the API.
    pub address: SocketAddr,
    /// Its state, for tests in the same process.
    pub shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// Starts a server on a runtime of its own. Works inside and outside of other runtimes.
    pub fn start(config: &Config) -> Result<Server, String> {
        for address in [config.address, config.control_address] {
            if !address.ip().is_loopback() {
                return Err(format!(
                    "{address} is not a loopback address, and this server is for this machine only"
                ));
            }
        }
        config.latency.check()?;
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("reference-server")
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        let shared = Shared::new(config);
        let entered = runtime.enter();
        let bind = |address: SocketAddr| {
            let listener = listen::listen(address).map_err(|error| format!("cannot listen at {address}: {error}"))?;
            let bound = listener
                .local_addr()
                .map_err(|error| format!("cannot listen at {address}: {error}"))?;
            Ok::<_, String>((listener, bound))
        };
        let (listener, address) = bind(config.address)?;
        let (control_listener, control_address) = bind(config.control_address)?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        runtime.spawn(listen::run(shared.clone(), listener, acceptor));
        runtime.spawn(control::run(shared.clone(), control_listener));
        drop(entered);
        Ok(Server {
            url: format!("{scheme}://{address}/api"),
            control_url: format!("http://{control_address}"),
            address,
            shared,
            runtime: Some(runtime),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.signal.send_modify(|signal| signal.stopped = true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
