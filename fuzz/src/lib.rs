//! What every target does first. The checks stand in `tests/hostile`, `make fuzz` runs them.

/// Plants a panic where this was asked for: a search must find it.
pub fn prepare() {
    #[cfg(feature = "planted")]
    openmetadata_bulksink::panics::plant();
}
