//! What one value has that the other has not (upstream: `structured-merge-diff/typed/compare.go`).

use super::parts::{Part, parts};
use super::path::{Element, Path};
use super::set::Set;
use crate::schema::Shape;
use serde_json::Value;
use std::collections::BTreeMap;

/// No field is in two of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Comparison {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What now has another value than before, or has one for the first time.
    pub fn written(&self) -> Set {
        self.added.union(&self.modified)
    }

    /// The same, of each set what `keep` leaves of it.
    pub fn keep(self, keep: impl Fn(&Set) -> Set) -> Comparison {
        Comparison { added: keep(&self.added), modified: keep(&self.modified), removed: keep(&self.removed) }
    }
}

/// From `old` to `new`: which fields came, changed and went.
pub fn compare(shape: &Shape, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut out = Comparison::default();
    walk(shape, old, new, &mut Vec::new(), &mut out);
    out
}

fn walk(shape: &Shape, old: Option<&Value>, new: Option<&Value>, at: &mut Path, out: &mut Comparison) {
    let (before, after) = (parts_of(shape, old), parts_of(shape, new));
    // Two values that have no parts are one field: so nothing and `{}` can be told apart.
    let no_parts = |parts: &Option<Vec<Part<'_>>>| parts.as_ref().is_none_or(Vec::is_empty);
    let whole = before.is_none() || after.is_none() || (no_parts(&before) && no_parts(&after));
    match (old, new) {
        (None, Some(_)) => out.added.insert(at),
        (Some(_), None) => out.removed.insert(at),
        (Some(old), Some(new)) if whole && old != new => out.modified.insert(at),
        _ => {}
    }
    let mut pairs: BTreeMap<Element, Pair<'_>> = BTreeMap::new();
    for part in before.into_iter().flatten() {
        pairs.entry(part.element).or_insert_with(|| Pair::of(part.shape)).old.push(part.value);
    }
    for part in after.into_iter().flatten() {
        pairs.entry(part.element).or_insert_with(|| Pair::of(part.shape)).new.push(part.value);
    }
    for (element, pair) in pairs {
        at.push(element);
        match (pair.old.as_slice(), pair.new.as_slice()) {
            ([] | [_], [] | [_]) => {
                walk(&pair.shape, pair.old.first().copied(), pair.new.first().copied(), at, out);
            }
            // Several items that cannot be told apart are one field.
            ([], _) => out.added.insert(at),
            (_, []) => out.removed.insert(at),
            (old, new) if old != new => out.modified.insert(at),
            _ => {}
        }
        at.pop();
    }
}

/// The parts; nothing has no parts, but a whole value has none to speak of.
fn parts_of<'v>(shape: &Shape, value: Option<&'v Value>) -> Option<Vec<Part<'v>>> {
    value.map_or(Some(Vec::new()), |value| parts(shape, value))
}

struct Pair<'v> {
    shape: Shape,
    old: Vec<&'v Value>,
    new: Vec<&'v Value>,
}

impl Pair<'_> {
    fn of(shape: Shape) -> Self {
        Pair { shape, old: Vec::new(), new: Vec::new() }
    }
}
