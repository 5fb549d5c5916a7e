//! Who loses what when an object changes (upstream: `structured-merge-diff/merge/update.go`).

use super::compare::Comparison;
use super::managers::{Conflict, Manager, Managers};

/// Take from every manager but `writer` (from all, if there is none) what was written over and what is gone; managers that
/// have nothing left go. `change` is what happened to the object, in the words of a version of
/// its kind; none for a version that is no longer known, whose entries are dropped.
///
/// Without `force` nobody loses a field to another: then each such field is a conflict, and
/// `managers` is left as it was.
pub fn settle(
    managers: &mut Managers,
    writer: Option<&Manager>,
    change: &dyn Fn(&str) -> Option<Comparison>,
    force: bool,
) -> Result<(), Vec<Conflict>> {
    let _ = (&managers, &writer, &change, &force);
    todo!(
        "lab 03.8: note for each other manager what was written over and what he keeps; refuse, or let him have that"
    )
}
