//! A change of an object, told in every version of its kind: entries are in the words of the
//! version in which they were written (upstream: `internal/versionconverter.go`).

use super::Writer;
use super::compare::{Comparison, compare};
use super::scope::reachable;
use crate::defaults::zeros;
use crate::kind::Kind;
use crate::{convert, kinds};
use objects::resources::{self, Resource};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a writer does to an object: before and after, in the form of his kind.
pub struct Change<'c> {
    writer: &'c Writer<'c>,
    old: &'c Value,
    new: &'c Value,
    /// Most entries are in one version, so it is told once.
    told: RefCell<BTreeMap<String, Option<Comparison>>>,
}

impl<'c> Change<'c> {
    pub fn new(writer: &'c Writer<'c>, old: &'c Value, new: &'c Value) -> Change<'c> {
        Change { writer, old, new, told: RefCell::default() }
    }

    /// What changed that is in the writer's reach, in the words of `api_version`; `None` for a
    /// version that there is not.
    pub fn told_in(&self, api_version: &str) -> Option<Comparison> {
        let mut told = self.told.borrow_mut();
        if let Some(known) = told.get(api_version) {
            return known.clone();
        }
        let all = self.all_in(api_version);
        let mine = all.map(|change| change.keep(|fields| reachable(self.writer, fields)));
        told.insert(api_version.to_string(), mine.clone());
        mine
    }

    /// The versions of a definition have the same fields unless a webhook converts them; nobody
    /// can be asked here, so its entries are taken by their paths, whatever their version.
    fn all_in(&self, api_version: &str) -> Option<Comparison> {
        let kind = self.writer.kind;
        if kind.custom.is_some() || kinds::api_version(kind.resource) == api_version {
            return Some(self.in_form(kind, self.old.clone(), self.new.clone()));
        }
        let other = version_of(kind.resource, api_version)?;
        let converted =
            |object: &Value| convert::from_storage(other, convert::to_storage(kind.resource, object.clone()));
        Some(self.in_form(&Kind::builtin(other), converted(self.old), converted(self.new)))
    }

    fn in_form(&self, kind: &Kind, mut old: Value, mut new: Value) -> Comparison {
        if kind.hub().resource == kind.resource {
            // Who leaves something unsaid chooses the default. What did not exist has none.
            kind.apply_choices(&mut new);
            if old != json!({}) {
                kind.apply_choices(&mut old);
            }
        }
        if kind.custom.is_none() {
            // What these types always have, be it empty, nobody brings into being; unless he brings
            // into being what it is in.
            zeros::fill(kind.resource, &mut old);
            zeros::fill(kind.resource, &mut new);
        }
        compare(&kind.shape(), Some(&old), Some(&new))
    }
}

/// The row of the table that serves the same objects in this version.
fn version_of(resource: &Resource, api_version: &str) -> Option<&'static Resource> {
    let same = |other: &&Resource| {
        other.storage_prefix == resource.storage_prefix && kinds::api_version(other) == api_version
    };
    resources::all().iter().find(same)
}
