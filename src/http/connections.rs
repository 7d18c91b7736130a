//! Which connections have answered before, so that a keep-alive race can be told from a server that breaks on a request: the server
//! closes a connection that was idle just when the next request goes out on it.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper_util::client::legacy::connect::HttpInfo;

use super::fault::causes;

/// Local ports, one bit each.
const WORDS: usize = (u16::MAX as usize + 1) / 64;

/// Connections by their local port: they all lead to one place. A port that a later connection was given again counts as used before;
/// that costs a wrong word for a fault, and no more.
#[derive(Debug)]
pub(super) struct Connections(Box<[AtomicU64]>);

impl Default for Connections {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Connections {
    /// This answer came on one.
    pub(super) fn answered(&self, response: &reqwest::Response) {
        if let Some(info) = response.extensions().get::<HttpInfo>() {
            self.note(info.local_addr().port());
        }
    }

    /// Whether the connection that failed has answered before.
    pub(super) fn was_used_before(&self, error: &(dyn Error + 'static)) -> bool {
        causes(error).any(|cause| {
            let failed = cause.downcast_ref::<hyper_util::client::legacy::Error>();
            let Some(connection) = failed.and_then(hyper_util::client::legacy::Error::connect_info) else {
                return false;
            };
            let mut extras = Default::default();
            connection.get_extras(&mut extras);
            extras
                .get::<HttpInfo>()
                .is_some_and(|info| self.is_noted(info.local_addr().port()))
        })
    }

    fn note(&self, port: u16) {
        if let Some(word) = self.0.get(usize::from(port) / 64) {
            word.fetch_or(1 << (port % 64), Ordering::Relaxed);
        }
    }

    fn is_noted(&self, port: u16) -> bool {
        let word = self.0.get(usize::from(port) / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (port % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_apart() {
        let connections = Connections::default();
        for port in [0, 63, 64, u16::MAX] {
            assert!(!connections.is_noted(port));
            connections.note(port);
            assert!(connections.is_noted(port));
        }
        assert!(!connections.is_noted(1) && !connections.is_noted(u16::MAX - 1));
    }
}
