//! A set of fields: a tree of path elements, each of which may be a member, whether or not
//! something below it is (upstream: `structured-merge-diff/fieldpath/set.go`).

use super::path::{Element, Path};
use crate::schema::Shape;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// No node is without members: two sets with the same members are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    nodes: BTreeMap<Element, Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Node {
    member: bool,
    below: Set,
}

impl Set {
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Set {
        let mut set = Set::default();
        paths.into_iter().for_each(|path| set.insert(&path));
        set
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Make the field at `path` a member; what stands above it does not become one. Nobody owns
    /// the whole object, so the empty path adds nothing.
    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => self.nodes.entry(last.clone()).or_default().member = true,
            [first, rest @ ..] => self.nodes.entry(first.clone()).or_default().below.insert(rest),
        }
    }

    /// Set what is said of `element`: whether it is a member, and what below it is.
    pub fn put(&mut self, element: Element, member: bool, below: Set) {
        if member || !below.is_empty() {
            self.nodes.insert(element, Node { member, below });
        }
    }

    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self.below(first).is_some_and(|set| set.contains(rest)),
        }
    }

    /// Whether `element` itself is a member.
    pub fn has(&self, element: &Element) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// The members below `element`, if it has any.
    pub fn below(&self, element: &Element) -> Option<&Set> {
        self.nodes.get(element).map(|node| &node.below).filter(|set| !set.is_empty())
    }

    /// The members of either.
    pub fn union(&self, other: &Set) -> Set {
        self.combine(other, |a, b| a || b)
    }

    /// The members of both.
    pub fn intersection(&self, other: &Set) -> Set {
        self.combine(other, |a, b| a && b)
    }

    /// The members of this one that are none of the other. A member of the other says nothing of
    /// what is below it.
    pub fn difference(&self, other: &Set) -> Set {
        self.combine(other, |a, b| a && !b)
    }

    fn combine(&self, other: &Set, member: fn(bool, bool) -> bool) -> Set {
        let nothing = Node::default();
        let mut out = Set::default();
        let elements: BTreeSet<&Element> = self.nodes.keys().chain(other.nodes.keys()).collect();
        for element in elements {
            let a = self.nodes.get(element).unwrap_or(&nothing);
            let b = other.nodes.get(element).unwrap_or(&nothing);
            out.put(element.clone(), member(a.member, b.member), a.below.combine(&b.below, member));
        }
        out
    }

    /// As [`Set::difference`], and a member of the other takes with it all that is below.
    pub fn without_trees(&self, other: &Set) -> Set {
        let (mut out, nothing) = (Set::default(), Set::default());
        for (element, node) in self.nodes.iter().filter(|(element, _)| !other.has(element)) {
            let below = node.below.without_trees(other.below(element).unwrap_or(&nothing));
            out.put(element.clone(), node.member, below);
        }
        out
    }

    /// The members below which there are no others.
    pub fn leaves(&self) -> Set {
        let mut out = Set::default();
        for (element, node) in &self.nodes {
            out.put(element.clone(), node.member && node.below.is_empty(), node.below.leaves());
        }
        out
    }

    /// With the named fields above each member: who owns something of `.spec.strategy` has a say
    /// in whether there is a strategy. Items and the keys of maps are not added.
    pub fn with_named_fields(&self, shape: &Shape) -> Set {
        let mut out = Set::default();
        for (element, node) in &self.nodes {
            let (named, shape) = shape.child(element);
            let above = named && !node.below.is_empty();
            out.put(element.clone(), node.member || above, node.below.with_named_fields(&shape));
        }
        out
    }

    /// Every member, each before what is below it.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, above: &mut Path, out: &mut Vec<Path>) {
        for (element, node) in &self.nodes {
            above.push(element.clone());
            if node.member {
                out.push(above.clone());
            }
            node.below.collect(above, out);
            above.pop();
        }
    }

    /// The `fieldsV1` of an entry. A dot stands for a member that has others below it.
    pub fn to_fields(&self) -> Value {
        let fields = self.nodes.iter().map(|(element, node)| {
            let mut below = match node.below.to_fields() {
                Value::Object(map) => map,
                _ => Map::new(),
            };
            if node.member && !below.is_empty() {
                below.shift_insert(0, ".".into(), json!({}));
            }
            (element.to_text(), Value::Object(below))
        });
        Value::Object(fields.collect())
    }

    /// Read `fieldsV1`.
    pub fn from_fields(fields: &Value) -> Result<Set, String> {
        let mut out = Set::default();
        let Value::Object(map) = fields else { return Err("fieldsV1 is no object".into()) };
        for (text, value) in map.iter().filter(|(text, _)| *text != ".") {
            let below = Set::from_fields(value)?;
            if let Some(element) = Element::parse(text)? {
                let member = below.is_empty() || value.get(".").is_some();
                out.put(element, member, below);
            }
        }
        Ok(out)
    }
}
