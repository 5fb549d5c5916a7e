//! Rows of the table of kinds for kinds that are not in it.
//!
//! A row lives as long as the process, so that the whole server can pass kinds around as it does
//! the built-in ones. Rows and texts are kept once each, by content: a definition that changes a
//! hundred times and back costs what its different states cost.

use super::definition::{Definition, Version};
use objects::resources::Resource;
use std::collections::BTreeSet;
use std::sync::Mutex;

static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
static LISTS: Mutex<BTreeSet<&'static [&'static str]>> = Mutex::new(BTreeSet::new());
static ROWS: Mutex<Vec<&'static Resource>> = Mutex::new(Vec::new());

const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// A text that lives as long as the process.
pub fn text(text: &str) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = texts.get(text) {
        return known;
    }
    let kept: &'static str = Box::leak(text.to_string().into_boxed_str());
    texts.insert(kept);
    kept
}

fn list(list: &[String]) -> &'static [&'static str] {
    let list: Vec<&'static str> = list.iter().map(|item| text(item)).collect();
    let mut lists = LISTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = lists.get(list.as_slice()) {
        return known;
    }
    let kept: &'static [&'static str] = Box::leak(list.into_boxed_slice());
    lists.insert(kept);
    kept
}

/// The row of one version of a definition.
pub fn resource(definition: &Definition, version: &Version) -> &'static Resource {
    let subresources: &[&str] = match (version.has_status, version.scale.is_some()) {
        (true, true) => &["status", "scale"],
        (true, false) => &["status"],
        (false, true) => &["scale"],
        (false, false) => &[],
    };
    let row = Resource {
        group: text(&definition.group),
        version: text(&version.name),
        kind: text(&definition.names.kind),
        plural: text(&definition.names.plural),
        singular: text(&definition.names.singular),
        short_names: list(&definition.names.short_names),
        namespaced: definition.namespaced,
        categories: list(&definition.names.categories),
        storage_prefix: text(&definition.storage_prefix()),
        verbs: VERBS,
        subresources,
    };
    let mut rows = ROWS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = rows.iter().find(|known| ***known == row) {
        return known;
    }
    let kept: &'static Resource = Box::leak(Box::new(row));
    rows.push(kept);
    kept
}
