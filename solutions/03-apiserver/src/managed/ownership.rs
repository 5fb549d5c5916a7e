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
    // lab:begin 03.8 note for each other manager what was written over and what he keeps; refuse, or let him have that
    let mut after = Managers::new();
    let mut conflicts = Vec::new();
    for (id, entry) in managers.iter() {
        let mut entry = entry.clone();
        if Some(id) != writer {
            let Some(change) = change(&entry.api_version) else { continue };
            let lost = entry.fields.intersection(&change.written());
            let paths = lost.paths().into_iter();
            conflicts.extend(paths.map(|path| Conflict { manager: id.clone(), path }));
            entry.fields = entry.fields.difference(&lost).difference(&change.removed);
        }
        if !entry.fields.is_empty() {
            after.insert(id.clone(), entry);
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    *managers = after;
    Ok(())
    // lab:end
}
