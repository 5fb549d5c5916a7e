//! Webhook configurations and admission policies (upstream: `pkg/apis/admissionregistration`).

use super::at::At;
use super::cluster::wildcard_alone;
use super::meta;
use super::rules::{Row, Rule, unique};
use crate::admission::policy;
use crate::admission::webhook::VARIABLES;
use crate::cel::{Program, Type};
use crate::fields::{Errors, go_strings};
use crate::names;
use std::collections::BTreeSet;

pub static VALIDATING: &[Row] =
    &[Row("webhooks", Rule::Each(WEBHOOK)), Row("webhooks", Rule::Unique("name"))];
pub static MUTATING: &[Row] = &[
    Row("webhooks", Rule::Each(WEBHOOK)),
    Row("webhooks", Rule::Each(&[Row("reinvocationPolicy", Rule::OneOf(&["IfNeeded", "Never"]))])),
    Row("webhooks", Rule::Unique("name")),
];

const FAILURE_POLICY: Rule = Rule::OneOf(&["Fail", "Ignore"]);
const MATCH_POLICY: Rule = Rule::OneOf(&["Equivalent", "Exact"]);

static WEBHOOK: &[Row] = &[
    Row("name", Rule::Code(fully_qualified)),
    Row("rules", Rule::Each(&[Row("", Rule::Code(rule))])),
    Row("failurePolicy", FAILURE_POLICY),
    Row("matchPolicy", MATCH_POLICY),
    Row("sideEffects", Rule::Required("must specify one of None, NoneOnDryRun")),
    Row("sideEffects", Rule::OneOf(&["None", "NoneOnDryRun"])),
    Row("timeoutSeconds", Rule::Code(timeout)),
    Row("namespaceSelector", Rule::Selector),
    Row("objectSelector", Rule::Selector),
    Row("clientConfig", Rule::Code(client)),
    Row("matchConditions", Rule::Code(match_conditions)),
    Row("admissionReviewVersions", Rule::Code(review_versions)),
];

/// A domain of at least three parts.
fn fully_qualified(at: &At<'_>, errors: &mut Errors) {
    if !at.require(errors) {
        return;
    }
    let wrong = names::subdomain(at.text());
    if !wrong.is_empty() {
        at.invalid(wrong.join(","), errors);
    } else if at.text().split('.').count() < 3 {
        at.invalid("should be a domain with at least three segments separated by dots", errors);
    }
}

fn timeout(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        at.invalid("the timeout value must be between 1 and 30 seconds", errors);
    }
}

/// Which requests: operations, groups, versions, resources.
fn rule(at: &At<'_>, errors: &mut Errors) {
    let operations = at.get("operations");
    operations.require(errors);
    if operations.len() > 1 && operations.texts().contains(&"*") {
        let printed = go_strings("admissionregistration.OperationType", operations.value);
        errors.invalid_text(
            &operations.path,
            &printed,
            "if '*' is present, must not specify other operations",
        );
    }
    for operation in operations.items() {
        operation.unsupported(&["*", "CONNECT", "CREATE", "DELETE", "UPDATE"], errors);
    }
    at.get("apiGroups").require(errors);
    wildcard_alone(&at.get("apiGroups"), "API groups", errors);
    let versions = at.get("apiVersions");
    versions.require(errors);
    wildcard_alone(&versions, "API versions", errors);
    versions.items().for_each(|version| {
        version.require(errors);
    });
    resources(&at.get("resources"), errors);
    at.get("scope").one_of(&["*", "Cluster", "Namespaced"], errors);
}

/// `pods`, `pods/status`, `*`, `*/scale`, `*/*`: no entry may be covered by another.
fn resources(list: &At<'_>, errors: &mut Errors) {
    list.require(errors);
    let (mut all_of, mut of_all) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for item in list.items() {
        let text = item.text();
        if text.is_empty() {
            item.required("", errors);
        }
        let Some((resource, sub)) = text.split_once('/') else {
            plain |= text != "*" && !text.is_empty();
            continue;
        };
        if all_of.contains(resource) {
            item.invalid(format!("if '{resource}/*' is present, must not specify {text}"), errors);
        }
        if of_all.contains(sub) {
            item.invalid(format!("if '*/{sub}' is present, must not specify {text}"), errors);
        }
        if sub == "*" {
            all_of.insert(resource);
        }
        if resource == "*" {
            of_all.insert(sub);
        }
    }
    let printed = go_strings("string", list.value);
    let texts = list.texts();
    if texts.len() > 1 && texts.contains(&"*/*") {
        errors.invalid_text(&list.path, &printed, "if '*/*' is present, must not specify other resources");
    }
    if texts.contains(&"*") && plain {
        let why = "if '*' is present, must not specify other resources without subresources";
        errors.invalid_text(&list.path, &printed, why);
    }
}

/// Where a webhook is: a URL, or a service of the cluster.
fn client(at: &At<'_>, errors: &mut Errors) {
    let (url, service) = (at.get("url"), at.get("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => web_address(&url, errors),
        (false, true) => web_service(&service, errors),
        _ => at.required("exactly one of url or service is required", errors),
    }
}

fn web_address(at: &At<'_>, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let wrong = |part: &str, why: String, errors: &mut Errors| errors.invalid(&at.path, &part.into(), why);
    let (text, fragment) = at.text().split_once('#').unwrap_or((at.text(), ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme != "https" {
        wrong(scheme, format!("'https' is the only allowed URL scheme{FORM}"), errors);
    }
    if host.is_empty() {
        wrong(host, format!("host must be provided{FORM}"), errors);
    }
    let parts = [(user, "user information is"), (fragment, "fragments are"), (query, "query parameters are")];
    for (part, what) in parts {
        if !part.is_empty() {
            wrong(part, format!("{what} not permitted in the URL"), errors);
        }
    }
}

fn web_service(at: &At<'_>, errors: &mut Errors) {
    // Upstream takes one for the other, and says of each what is wrong with its neighbour.
    for (key, said) in [("namespace", "name"), ("name", "namespace")] {
        if at.get(key).is_empty() {
            at.get(said).required(&format!("service {said} is required"), errors);
        }
    }
    let port = at.get("port");
    if let Some(why) = port.int().and_then(names::port) {
        port.invalid(format!("port is not valid: {why}"), errors);
    }
    let path = at.get("path");
    let text = path.text();
    if text.is_empty() || text == "/" {
        return;
    }
    if text == "//" {
        return path.invalid("segment[0] may not be empty", errors);
    }
    if !text.starts_with('/') {
        path.invalid("must start with a '/'", errors);
    }
    // The first character is taken for the slash that it should be.
    let mut inner = text.chars();
    inner.next();
    let inner = inner.as_str();
    for (i, step) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
        if step.is_empty() {
            path.invalid(format!("segment[{i}] may not be empty"), errors);
        } else {
            for why in names::subdomain(step) {
                path.invalid(format!("segment[{i}]: {why}"), errors);
            }
        }
    }
}

fn match_conditions(list: &At<'_>, errors: &mut Errors) {
    if list.len() > 64 {
        errors.too_many(&list.path, list.len(), 64);
    }
    for condition in list.items() {
        let (name, expression) = (condition.get("name"), condition.get("expression"));
        let text = expression.text().trim();
        // Those of a policy are compiled with all that it has.
        if text.is_empty() {
            expression.required("", errors);
        } else if !list.path.starts_with("spec.") {
            match Program::compile_typed(text, &VARIABLES) {
                Ok(program) if program.may_be(&Type::Bool) => {}
                Ok(_) => expression.invalid("must evaluate to bool", errors),
                Err(wrong) => expression.invalid(wrong.to_string(), errors),
            }
        }
        if name.require(errors) {
            name.obey(names::qualified, errors);
        }
    }
    unique(list, "name", errors);
}

fn review_versions(list: &At<'_>, errors: &mut Errors) {
    if list.is_empty() {
        return list.required("must specify one of v1, v1beta1", errors);
    }
    let mut seen = BTreeSet::new();
    for version in list.items() {
        if !seen.insert(version.text()) {
            version.invalid("duplicate version", errors);
        } else {
            version.obey(names::label_1035, errors);
        }
    }
    if !seen.contains("v1") && !seen.contains("v1beta1") {
        let printed = go_strings("string", list.value);
        errors.invalid_text(&list.path, &printed, "must include at least one of v1, v1beta1");
    }
}

pub static POLICY: &[Row] = &[
    Row("spec.failurePolicy", Rule::Choice(&["Fail", "Ignore"])),
    Row("spec.paramKind", Rule::Within(&[Row("", Rule::Code(param_kind))])),
    Row("spec.matchConstraints", Rule::Code(constraints)),
    Row("spec.matchConditions", Rule::Code(match_conditions)),
    Row("spec.variables", Rule::Each(&[Row("", Rule::Code(variable))])),
    Row("spec", Rule::Code(validations)),
    Row("", Rule::Code(audit_annotations)),
    Row("", Rule::Code(expressions)),
];

/// What is no expression at all was reported before.
fn expressions(at: &At<'_>, errors: &mut Errors) {
    if let Err(wrong) = policy::check(at.value)
        && !wrong.expression.is_empty()
    {
        errors.invalid(&wrong.field, &wrong.expression.into(), wrong.why);
    }
}

fn param_kind(at: &At<'_>, errors: &mut Errors) {
    let (version, kind) = (at.get("apiVersion"), at.get("kind"));
    if version.require(errors) {
        let (group, number) = version.text().split_once('/').unwrap_or(("", version.text()));
        if number.contains('/') {
            version.invalid(format!("unexpected GroupVersion string: {}", version.text()), errors);
        } else {
            let mut part = |rule: names::Rule, text: &str| {
                let wrong = rule(text);
                if !wrong.is_empty() {
                    errors.invalid(&version.path, &text.into(), wrong.join(","));
                }
            };
            if !group.is_empty() {
                part(names::subdomain, group);
            }
            part(names::label_1035, number);
        }
    }
    if kind.require(errors) {
        let wrong = names::lower(names::label_1035, kind.text());
        if !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            kind.invalid(why, errors);
        }
    }
}

fn constraints(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return at.required("", errors);
    }
    match_resources(at, errors);
    at.get("resourceRules").require(errors);
}

fn match_resources(at: &At<'_>, errors: &mut Errors) {
    at.get("matchPolicy").choice(&["Equivalent", "Exact"], errors);
    for key in ["namespaceSelector", "objectSelector"] {
        let selector = at.get(key);
        if selector.is_set() {
            meta::selector(&selector, errors);
        } else {
            selector.required("", errors);
        }
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        for at in at.get(key).items() {
            let mut seen = BTreeSet::new();
            for name in at.get("resourceNames").items() {
                name.obey(names::path_segment, errors);
                if !seen.insert(name.text()) {
                    name.duplicate(errors);
                }
            }
            rule(&at, errors);
        }
    }
}

fn variable(at: &At<'_>, errors: &mut Errors) {
    let (name, expression) = (at.get("name"), at.get("expression"));
    if name.text().trim().is_empty() {
        name.required("name is not specified", errors);
    } else {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.text().bytes().all(word) || name.text().starts_with(|c: char| c.is_ascii_digit()) {
            name.invalid("name is not a valid CEL identifier", errors);
        }
    }
    if expression.text().trim().is_empty() {
        expression.required("expression is not specified", errors);
    }
}

fn validations(spec: &At<'_>, errors: &mut Errors) {
    let (validations, annotations) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        for list in [&validations, &annotations] {
            list.required("validations or auditAnnotations must contain at least one item", errors);
        }
    }
    for at in validations.items() {
        let (expression, message) = (at.get("expression"), at.get("message"));
        let dynamic = at.get("messageExpression");
        if expression.text().trim().is_empty() {
            expression.required("expression is not specified", errors);
        }
        if !dynamic.is_empty() && dynamic.text().trim().is_empty() {
            dynamic.invalid("must be non-empty if specified", errors);
        }
        if !message.is_empty() && message.text().trim().is_empty() {
            message.invalid("message must be non-empty if specified", errors);
        } else if message.text().trim().contains(['\n', '\r']) {
            message.invalid("message must not contain line breaks", errors);
        }
        at.get("reason").one_of(&["Forbidden", "Invalid", "RequestEntityTooLarge"], errors);
    }
}

fn audit_annotations(policy: &At<'_>, errors: &mut Errors) {
    let list = policy.at("spec.auditAnnotations");
    if list.len() > 20 {
        list.invalid("must not have more than 20 auditAnnotations", errors);
    }
    let name = policy.at("metadata.name").text();
    for at in list.items() {
        let (key, value) = (at.get("key"), at.get("valueExpression"));
        let full = format!("{name}/{}", key.text());
        for why in names::qualified(&full) {
            errors.invalid(&key.path, &full.as_str().into(), why);
        }
        match value.text().trim().len() {
            0 => value.required("valueExpression is not specified", errors),
            long if long > 5 * 1024 => value.required("must not exceed 5120 bytes in length", errors),
            _ => {}
        }
    }
    unique(&list, "key", errors);
}

pub static POLICY_BINDING: &[Row] = &[
    Row("spec.policyName", Rule::Named(names::subdomain)),
    Row("spec.paramRef", Rule::Within(&[Row("", Rule::Code(param_ref))])),
    Row("spec.matchResources", Rule::Within(&[Row("", Rule::Code(match_resources))])),
    Row("spec.validationActions", Rule::Code(actions)),
];

fn param_ref(at: &At<'_>, errors: &mut Errors) {
    let (name, selector, action) = (at.get("name"), at.get("selector"), at.get("parameterNotFoundAction"));
    name.name(names::subdomain, errors);
    meta::selector(&selector, errors);
    match (name.is_empty(), selector.is_set()) {
        (true, false) => at.required("one of name or selector must be specified", errors),
        (false, true) => {
            for field in [&name, &selector] {
                field.forbidden("name and selector are mutually exclusive", errors);
            }
        }
        _ => {}
    }
    action.choice(&["Allow", "Deny"], errors);
}

fn actions(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for action in list.items() {
        action.unsupported(&["Audit", "Deny", "Warn"], errors);
        if !seen.insert(action.text()) {
            action.duplicate(errors);
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let printed = go_strings("admissionregistration.ValidationAction", list.value);
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid_text(&list.path, &printed, why);
    }
    if list.is_empty() {
        list.required("at least one validation action is required", errors);
    }
}
