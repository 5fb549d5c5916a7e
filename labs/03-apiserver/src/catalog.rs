//! All that is served at the moment: the table of kinds, and what definitions have added to it.

use crate::aggregation::Aggregated;
use crate::kind::Kind;
use objects::resources;

/// A value: the shell makes a new one when a definition comes, changes or goes.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Custom kinds, one entry a served version, ordered by group, version and plural.
    pub custom: Vec<Kind>,
    /// What other servers answer (APIService objects).
    pub aggregated: Vec<Aggregated>,
}

impl Catalog {
    /// Every kind, the built-in ones first.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        resources::all().iter().map(Kind::builtin).chain(self.custom.iter().cloned())
    }

    /// The kind of a path.
    pub fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<Kind> {
        let custom = || {
            let found = self.custom.iter().find(|kind| {
                let r = kind.resource;
                (r.group, r.version, r.plural) == (group, version, plural)
            });
            found.cloned()
        };
        resources::by_plural(group, version, plural).map(Kind::builtin).or_else(custom)
    }

    /// The kind of an object.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Kind> {
        self.kinds().find(|k| {
            let r = k.resource;
            (r.group, r.version, r.kind) == (group, version, kind)
        })
    }
}
