//! The refusal of an apply, in upstream's words (`internal/conflict.go`).

use super::managers::{Conflict, Manager, Operation};
use super::path;
use crate::status::{ApiError, Reason};
use std::collections::BTreeMap;

/// 409, with one cause for each field.
pub fn refusal(conflicts: &[Conflict]) -> ApiError {
    let mut error = ApiError::new(Reason::Conflict, message(conflicts));
    for conflict in conflicts {
        let why = format!("conflict with {}", called(&conflict.manager));
        error = error.cause("FieldManagerConflict", &why, &path::display(&conflict.path));
    }
    error
}

fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let (manager, path) = (called(&only.manager), path::display(&only.path));
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut by_manager: BTreeMap<&Manager, Vec<String>> = BTreeMap::new();
    for conflict in conflicts {
        let line = format!("- {}", path::display(&conflict.path));
        by_manager.entry(&conflict.manager).or_default().push(line);
    }
    let told = by_manager
        .into_iter()
        .map(|(manager, paths)| format!("conflicts with {}:\n{}", called(manager), paths.join("\n")));
    let told: Vec<String> = told.collect();
    format!("Apply failed with {} conflicts: {}", conflicts.len(), told.join("\n"))
}

fn called(manager: &Manager) -> String {
    let mut out = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        out += &format!(" with subresource {:?}", manager.subresource);
    }
    if manager.operation == Operation::Update {
        out += &format!(" using {}", manager.api_version);
    }
    out
}
