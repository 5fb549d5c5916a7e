//! Whether a webhook or a policy is about a write (upstream: `pkg/admission/plugin/webhook/predicates`).

use super::Attributes;
use crate::catalog::Catalog;
use crate::kind::Kind;
use crate::selection;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// Operations, groups, versions and resources; `*` is all of them.
#[derive(Debug, Clone)]
pub struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    scope: String,
    /// Policies may name objects; empty is all.
    names: Vec<String>,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
}

fn holds(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

impl Rule {
    pub fn read_all(rules: &Value) -> Vec<Rule> {
        rules.as_array().into_iter().flatten().map(Rule::read).collect()
    }

    fn read(rule: &Value) -> Rule {
        Rule {
            operations: texts(&rule["operations"]),
            groups: texts(&rule["apiGroups"]),
            versions: texts(&rule["apiVersions"]),
            resources: texts(&rule["resources"]),
            scope: rule["scope"].as_str().unwrap_or("*").to_string(),
            names: texts(&rule["resourceNames"]),
        }
    }

    /// Whether the rule is about this write, taken as one of the kind `kind`.
    fn matches(&self, attributes: &Attributes, kind: &Kind) -> bool {
        let resource = kind.resource;
        // A Namespace is cluster-wide, whatever its path says.
        let in_scope = match self.scope.as_str() {
            "Namespaced" => resource.namespaced,
            "Cluster" => !resource.namespaced,
            _ => true,
        };
        in_scope
            && holds(&self.operations, attributes.operation.as_str())
            && holds(&self.groups, resource.group)
            && holds(&self.versions, resource.version)
            && (self.names.is_empty() || self.names.contains(&attributes.name))
            && self.resources.iter().any(|entry| {
                let (name, sub) = entry.split_once('/').unwrap_or((entry, ""));
                (name == "*" || name == resource.plural) && (sub == "*" || sub == attributes.subresource)
            })
    }
}

/// What a webhook or a policy is about.
#[derive(Debug, Clone)]
pub struct Matcher {
    rules: Vec<Rule>,
    /// What is not to be asked about, though the rules say so.
    excluded: Vec<Rule>,
    /// Only the named versions: else a write of another version of the same objects counts too.
    exact: bool,
    namespaces: Selector,
    objects: Selector,
}

impl Matcher {
    /// Of a webhook, or of a policy's `matchConstraints` or a binding's `matchResources`.
    pub fn read(of: &Value) -> Result<Matcher, String> {
        let selector = |value: &Value| match value {
            Value::Null => Ok(Selector::everything()),
            value => LabelSelector::deserialize(value)
                .map_err(|error| error.to_string())
                .and_then(|s| Selector::from_label_selector(&s).map_err(|error| error.to_string())),
        };
        let rules = if of["resourceRules"].is_null() { &of["rules"] } else { &of["resourceRules"] };
        Ok(Matcher {
            rules: Rule::read_all(rules),
            excluded: Rule::read_all(&of["excludeResourceRules"]),
            exact: of["matchPolicy"] == "Exact",
            namespaces: selector(&of["namespaceSelector"])?,
            objects: selector(&of["objectSelector"])?,
        })
    }

    /// As which kind the write is to be shown; none when this is not about it. `namespace` is the
    /// Namespace that the object is in.
    pub fn find(
        &self,
        catalog: &Catalog,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        namespace: Option<&Value>,
    ) -> Option<Kind> {
        if !self.selects_namespace(attributes, object, old, namespace) || !self.selects_object(object, old) {
            return None;
        }
        let kind = self.kind(&self.rules, catalog, attributes)?;
        match self.kind(&self.excluded, catalog, attributes) {
            Some(_) => None,
            None => Some(kind),
        }
    }

    /// Without rules of its own a binding is about all that its policy is about.
    pub fn says_nothing_of_kinds(&self) -> bool {
        self.rules.is_empty()
    }

    /// As `find`, for a binding that only narrows by namespaces and objects.
    pub fn narrows(
        &self,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        namespace: Option<&Value>,
    ) -> bool {
        self.selects_namespace(attributes, object, old, namespace) && self.selects_object(object, old)
    }

    fn kind(&self, rules: &[Rule], catalog: &Catalog, attributes: &Attributes) -> Option<Kind> {
        let own = &attributes.kind;
        if rules.iter().any(|rule| rule.matches(attributes, own)) {
            return Some(own.clone());
        }
        if self.exact {
            return None;
        }
        let same = |kind: &Kind| {
            let (a, b) = (kind.resource, own.resource);
            match (&kind.custom, &own.custom) {
                (None, None) => !a.storage_prefix.is_empty() && a.storage_prefix == b.storage_prefix,
                (Some(_), Some(_)) => (a.group, a.plural) == (b.group, b.plural),
                _ => false,
            }
        };
        catalog.kinds().filter(same).find(|kind| rules.iter().any(|rule| rule.matches(attributes, kind)))
    }

    fn selects_namespace(
        &self,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        namespace: Option<&Value>,
    ) -> bool {
        if self.namespaces.is_everything() {
            return true;
        }
        let resource = attributes.kind.resource;
        if (resource.group, resource.kind) == ("", "Namespace") {
            // It is judged by its own labels, also while it is being made.
            let labels = object.or(old).map(selection::labels_of).unwrap_or_default();
            return self.namespaces.matches(&labels);
        }
        if !resource.namespaced {
            return true;
        }
        let labels: BTreeMap<String, String> = namespace.map(selection::labels_of).unwrap_or_default();
        self.namespaces.matches(&labels)
    }

    fn selects_object(&self, object: Option<&Value>, old: Option<&Value>) -> bool {
        if self.objects.is_everything() {
            return true;
        }
        // What either state was or will be: nobody leaves by taking a label off.
        [object, old].into_iter().flatten().any(|o| self.objects.matches(&selection::labels_of(o)))
    }
}
