//! Roles and who has them (upstream: `pkg/apis/rbac/validation`).

use super::at::At;
use super::meta;
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, go_strings, quote};
use crate::names;

const GROUP: &str = "rbac.authorization.k8s.io";

pub static ROLE: &[Row] =
    &[Row("rules", Rule::Each(&[Row("", Rule::Code(|at, errors| rule(at, true, errors)))]))];
pub static CLUSTER_ROLE: &[Row] = &[
    Row("rules", Rule::Each(&[Row("", Rule::Code(|at, errors| rule(at, false, errors)))])),
    Row("aggregationRule", Rule::Code(aggregation)),
];
pub static ROLE_BINDING: &[Row] = &[
    Row("roleRef", Rule::Code(|at, errors| role_ref(at, &["Role", "ClusterRole"], errors))),
    Row("subjects", Rule::Each(&[Row("", Rule::Code(|at, errors| subject(at, true, errors)))])),
];
pub static CLUSTER_ROLE_BINDING: &[Row] = &[
    Row("roleRef", Rule::Code(|at, errors| role_ref(at, &["ClusterRole"], errors))),
    Row("subjects", Rule::Each(&[Row("", Rule::Code(|at, errors| subject(at, false, errors)))])),
];

/// A binding that gave its subjects another role would be another binding.
pub static BINDING_CHANGES: &[Change] = &[Change::Code(|old, new, errors| {
    let (before, now) = (old.get("roleRef"), new.get("roleRef"));
    if before.value != now.value {
        let field = |key: &str| quote(now.get(key).text());
        let (group, kind, name) = (field("apiGroup"), field("kind"), field("name"));
        let printed = format!("rbac.RoleRef{{APIGroup:{group}, Kind:{kind}, Name:{name}}}");
        errors.invalid_text(&now.path, &printed, "cannot change roleRef");
    }
})];

fn rule(at: &At<'_>, namespaced: bool, errors: &mut Errors) {
    if at.get("verbs").is_empty() {
        at.get("verbs").required("verbs must contain at least one value", errors);
    }
    let (urls, groups, resources) = (at.get("nonResourceURLs"), at.get("apiGroups"), at.get("resources"));
    if urls.is_empty() {
        if groups.is_empty() {
            groups.required("resource rules must supply at least one api group", errors);
        }
        if resources.is_empty() {
            resources.required("resource rules must supply at least one resource", errors);
        }
        return;
    }
    let printed = go_strings("string", urls.value);
    if namespaced {
        let why = "namespaced rules cannot apply to non-resource URLs";
        errors.invalid_text(&urls.path, &printed, why);
    }
    if [groups, resources, at.get("resourceNames")].iter().any(|list| !list.is_empty()) {
        let why = "rules cannot apply to both regular resources and non-resource URLs";
        errors.invalid_text(&urls.path, &printed, why);
    }
}

fn aggregation(at: &At<'_>, errors: &mut Errors) {
    let selectors = at.get("clusterRoleSelectors");
    if at.is_set() && selectors.is_empty() {
        selectors.required("at least one clusterRoleSelector required if aggregationRule is non-nil", errors);
    }
    selectors.items().for_each(|selector| meta::selector(&selector, errors));
}

fn role_ref(at: &At<'_>, kinds: &[&str], errors: &mut Errors) {
    at.get("apiGroup").unsupported(&[GROUP], errors);
    at.get("kind").unsupported(kinds, errors);
    if at.get("name").require(errors) {
        at.get("name").obey(names::path_segment, errors);
    }
}

fn subject(at: &At<'_>, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (at.get("name"), at.get("apiGroup"));
    name.require(errors);
    match at.get("kind").text() {
        "ServiceAccount" => {
            name.name(names::subdomain, errors);
            if !group.is_empty() {
                group.one_of(&[""], errors);
            }
            if !namespaced {
                at.get("namespace").require(errors);
            }
        }
        "User" | "Group" => group.unsupported(&[GROUP], errors),
        _ => at.get("kind").unsupported(&["ServiceAccount", "User", "Group"], errors),
    }
}
