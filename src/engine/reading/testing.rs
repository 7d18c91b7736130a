//! Rows for the unit tests of these files.

use super::Carried;
use crate::engine::record::Fqn;

/// A row whose parent is what its name says.
pub(super) fn carried(fqn: &str, body: &str) -> Carried {
    let fqn = Fqn::canonical(fqn);
    Carried {
        sequence: 1,
        parent: fqn.parent().map(Fqn::canonical),
        fqn,
        needs: Vec::new(),
        body: body.to_owned().into(),
    }
}
