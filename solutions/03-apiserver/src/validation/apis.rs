//! Kinds about the API itself: aggregated versions, priorities of requests, certificates.

use super::at::At;
use super::cluster::wildcard_alone;
use super::csr;
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, go_strings};
use crate::names;
use base64::Engine;
use std::collections::BTreeSet;

pub static API_SERVICE: &[Row] = &[Row("", Rule::Code(api_service))];

fn api_service(object: &At<'_>, errors: &mut Errors) {
    let (name, spec) = (object.at("metadata.name"), object.get("spec"));
    let (group, version) = (spec.get("group"), spec.get("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    if names::path_segment(name.text()).is_empty() && name.text() != wanted && !name.is_empty() {
        name.invalid(format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\""), errors);
    }
    if group.is_empty() && version.text() != "v1" {
        group.required("only v1 may have an empty group and it better be legacy kube", errors);
    }
    group.name(names::subdomain, errors);
    version.obey(names::label_1035, errors);
    for (key, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = spec.get(key);
        if !(1..=most).contains(&priority.int().unwrap_or(0)) {
            priority.invalid_number(format!("must be positive and less than {most}"), errors);
        }
    }
    let (service, bundle, insecure) =
        (spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify"));
    if !service.is_set() {
        if !bundle.is_empty() {
            let size = bytes(&bundle).map_or(0, |bytes| bytes.len());
            let why = "local APIServices may not have a caBundle";
            errors.invalid(&bundle.path, &format!("{size} bytes").into(), why);
        }
        if insecure.is_true() {
            insecure.invalid("local APIServices may not have insecureSkipTLSVerify", errors);
        }
        return;
    }
    service.get("namespace").require(errors);
    service.get("name").require(errors);
    let port = service.get("port");
    if let Some(why) = port.int().and_then(names::port) {
        port.invalid(format!("port is not valid: {why}"), errors);
    }
    if insecure.is_true() && !bundle.is_empty() {
        insecure.invalid("may not be true if caBundle is present", errors);
    }
}

fn bytes(at: &At<'_>) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(at.text()).ok()
}

pub static FLOW_SCHEMA: &[Row] = &[
    Row("", Rule::Code(precedence)),
    Row("spec.distinguisherMethod.type", Rule::OneOf(&["ByNamespace", "ByUser"])),
    Row("spec.priorityLevelConfiguration.name", Rule::Required("must reference a priority level")),
    Row("spec.priorityLevelConfiguration.name", Rule::Name(names::subdomain)),
    Row("spec.rules", Rule::Each(&[Row("", Rule::Code(flow_rule))])),
];

fn precedence(schema: &At<'_>, errors: &mut Errors) {
    let (at, name) = (schema.at("spec.matchingPrecedence"), schema.at("metadata.name").text());
    match at.int().unwrap_or(0) {
        number if number <= 0 => at.invalid_number("must be a positive value", errors),
        number if number > 10_000 => at.invalid("must not be greater than 10000", errors),
        1 if name != "exempt" => {
            at.invalid("only the schema named 'exempt' may have matchingPrecedence 1", errors);
        }
        _ => {}
    }
}

const VERBS: [&str; 10] =
    ["connect", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn flow_rule(at: &At<'_>, errors: &mut Errors) {
    let subjects = at.get("subjects");
    if subjects.is_empty() {
        subjects.required("subjects must contain at least one value", errors);
    }
    subjects.items().for_each(|at| subject(&at, errors));
    let (resources, urls) = (at.get("resourceRules"), at.get("nonResourceRules"));
    if resources.is_empty() && urls.is_empty() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        at.required(why, errors);
    }
    for rule in resources.items() {
        verbs(&rule.get("verbs"), errors);
        let lists = [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")];
        for (key, one, many) in lists {
            let list = rule.get(key);
            if list.is_empty() {
                list.required(&format!("resource rules must supply at least one {one}"), errors);
            }
            wildcard_alone(&list, many, errors);
        }
        let namespaces = rule.get("namespaces");
        if namespaces.is_empty() && !rule.get("clusterScope").is_true() {
            let why = "resource rules that are not cluster scoped must supply at least one namespace";
            namespaces.required(why, errors);
        }
        wildcard_alone(&namespaces, "namespaces", errors);
        for namespace in namespaces.items().filter(|namespace| namespace.text() != "*") {
            for why in names::label(namespace.text()) {
                namespace.invalid(
                    format!("each member of this list must be '*' or a DNS-1123 label; {why}"),
                    errors,
                );
            }
        }
    }
    for rule in urls.items() {
        verbs(&rule.get("verbs"), errors);
        let list = rule.get("nonResourceURLs");
        if list.is_empty() {
            list.required("nonResourceURLs must contain at least one value", errors);
        }
        wildcard_alone(&list, "non-resource URLs", errors);
        for url in list.items().filter(|url| url.text() != "*") {
            non_resource_url(&url, errors);
        }
    }
}

fn non_resource_url(at: &At<'_>, errors: &mut Errors) {
    let path = at.text();
    let why = if path.is_empty() {
        "must not be empty"
    } else if !path.starts_with('/') {
        "must start with slash"
    } else if path.contains(' ') {
        "must not contain white-space"
    } else if path.contains("//") {
        "must not contain double slash"
    } else if path.strip_suffix('*').is_some_and(|stem| stem.contains('*') || !stem.ends_with('/'))
        || path.contains('*') && !path.ends_with('*')
    {
        "wildcard can only do suffix matching"
    } else {
        return;
    };
    at.invalid(why, errors);
}

fn verbs(list: &At<'_>, errors: &mut Errors) {
    if list.is_empty() {
        return list.required("verbs must contain at least one value", errors);
    }
    let texts = list.texts();
    if texts.contains(&"*") {
        wildcard_alone(list, "verbs", errors);
    } else if texts.iter().any(|verb| !VERBS.contains(verb)) {
        errors.unsupported_text(&list.path, &go_strings("string", list.value), &VERBS);
    }
}

fn subject(at: &At<'_>, errors: &mut Errors) {
    let kinds = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];
    let Some((kind, key)) = kinds.iter().find(|(kind, _)| *kind == at.get("kind").text()) else {
        return at.get("kind").unsupported(&kinds.map(|(kind, _)| kind), errors);
    };
    let it = at.get(key);
    if it.is_set() {
        it.get("name").require(errors);
        if *kind == "ServiceAccount" {
            let namespace = it.get("namespace");
            if it.get("name").text() != "*" {
                it.get("name").name(names::subdomain, errors);
            }
            if namespace.is_empty() {
                namespace.required("must specify namespace for service account", errors);
            }
            namespace.name(names::label, errors);
        }
    } else {
        it.required(&format!("{key} is required when subject kind is '{kind}'"), errors);
    }
    for (other_kind, other) in kinds.iter().filter(|(other, _)| other != kind) {
        if at.get(other).is_set() {
            let why = format!("{other} is forbidden when subject kind is not '{other_kind}'");
            at.get(other).forbidden(&why, errors);
        }
    }
}

pub static PRIORITY_LEVEL: &[Row] = &[Row("", Rule::Code(priority_level))];

fn priority_level(object: &At<'_>, errors: &mut Errors) {
    let (name, spec) = (object.at("metadata.name").text(), object.get("spec"));
    let (kind, limited, exempt) = (spec.get("type"), spec.get("limited"), spec.get("exempt"));
    if (name == "exempt") != (kind.text() == "Exempt") {
        kind.invalid_text("type must be 'Exempt' if and only if name is 'exempt'", errors);
    }
    match kind.text() {
        "Exempt" => {
            if limited.is_set() {
                limited.forbidden("must be nil if the type is not Limited", errors);
            }
            for key in ["nominalConcurrencyShares", "lendablePercent"] {
                share(&exempt.get(key), key, errors);
            }
        }
        "Limited" if !limited.is_set() => {
            limited.required("must not be empty when type is Limited", errors);
        }
        "Limited" => {
            if exempt.is_set() {
                exempt.forbidden("must be nil if the type is Limited", errors);
            }
            share(&limited.get("nominalConcurrencyShares"), "nominalConcurrencyShares", errors);
            limit_response(&limited.get("limitResponse"), errors);
            share(&limited.get("lendablePercent"), "lendablePercent", errors);
            let borrow = limited.get("borrowingLimitPercent");
            if borrow.int().is_some_and(|percent| percent < 0) {
                borrow.invalid("if specified, must be a non-negative integer", errors);
            }
        }
        _ => kind.unsupported(&["Exempt", "Limited"], errors),
    }
}

fn share(at: &At<'_>, key: &str, errors: &mut Errors) {
    match key {
        "lendablePercent" if at.int().is_some_and(|percent| !(0..=100).contains(&percent)) => {
            at.invalid("must be between 0 and 100, inclusive", errors);
        }
        "nominalConcurrencyShares" if at.int().is_some_and(|shares| shares < 0) => {
            at.invalid("must be a non-negative integer", errors);
        }
        _ => {}
    }
}

fn limit_response(at: &At<'_>, errors: &mut Errors) {
    let (kind, queuing) = (at.get("type"), at.get("queuing"));
    match kind.text() {
        "Reject" => {
            if queuing.is_set() {
                queuing.forbidden("must be nil if limited.limitResponse.type is not Limited", errors);
            }
        }
        "Queue" if !queuing.is_set() => {
            queuing.required("must not be empty if limited.limitResponse.type is Limited", errors);
        }
        "Queue" => {
            for key in ["queueLengthLimit", "queues", "handSize"] {
                if queuing.get(key).int().unwrap_or(0) <= 0 {
                    queuing.get(key).invalid_number("must be positive", errors);
                }
            }
            let (queues, hand) = (queuing.get("queues").int().unwrap_or(0), queuing.get("handSize"));
            if queues > 10_000_000 {
                queuing.get("queues").invalid("must not be greater than 10000000", errors);
            }
            if hand.int().is_some_and(|hand| hand > queues) {
                let why = format!("should not be greater than queues ({queues})");
                hand.invalid(why, errors);
            }
        }
        _ => kind.unsupported(&["Queue", "Reject"], errors),
    }
}

pub static SIGNING_REQUEST: &[Row] = &[
    Row("spec.request", Rule::Code(request)),
    Row("spec.usages", Rule::Required("usages must be provided")),
    Row("spec.usages", Rule::Code(usages)),
    Row("spec.signerName", Rule::Code(signer)),
    Row("spec.expirationSeconds", Rule::Code(expiration)),
    Row("status.conditions", Rule::Code(conditions)),
];

pub static SIGNING_REQUEST_CHANGES: &[Change] = &[Change::Code(kept_conditions)];

/// What a certificate may be for.
pub const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn request(at: &At<'_>, errors: &mut Errors) {
    let content = bytes(at).unwrap_or_default();
    if let Some(why) = csr::fault(&content) {
        let list: Vec<String> = content.iter().map(|byte| format!("0x{byte:x}")).collect();
        let printed =
            if at.is_set() { format!("[]byte{{{}}}", list.join(", ")) } else { "[]byte(nil)".into() };
        errors.invalid_text(&at.path, &printed, &why);
    }
}

fn usages(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    list.items().for_each(|usage| usage.unsupported(&USAGES, errors));
    for usage in list.items() {
        if !seen.insert(usage.text()) {
            usage.duplicate(errors);
        }
    }
}

fn signer(at: &At<'_>, errors: &mut Errors) {
    if at.text() == "kubernetes.io/legacy-unknown" {
        return at.invalid("the legacy signerName is not allowed via this API version", errors);
    }
    if !at.require(errors) {
        return;
    }
    match at.text().split_once('/') {
        Some((domain, path)) if !path.contains('/') => {
            let wrong = names::subdomain(domain);
            if !wrong.is_empty() || !domain.contains('.') {
                let why = if wrong.is_empty() {
                    "should be a domain with at least two segments separated by dots".to_string()
                } else {
                    format!("validating label \"{domain}\": {}", wrong.join(", "))
                };
                errors.invalid(&at.path, &domain.into(), why);
            }
            for why in names::subdomain(path) {
                errors.invalid(&at.path, &path.into(), format!("validating label \"{path}\": {why}"));
            }
        }
        _ => at.invalid(
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            errors,
        ),
    }
}

fn expiration(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|seconds| seconds < 600) {
        at.invalid("may not specify a duration less than 600 seconds (10 minutes)", errors);
    }
}

fn conditions(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for condition in list.items() {
        let (kind, status) = (condition.get("type"), condition.get("status"));
        kind.require(errors);
        let only_true = ["Approved", "Denied", "Failed"].contains(&kind.text());
        status.choice(if only_true { &["True"] } else { &["False", "True", "Unknown"] }, errors);
        let opposite = if kind.text() == "Approved" { "Denied" } else { "Approved" };
        if matches!(kind.text(), "Approved" | "Denied") && seen.contains(opposite) {
            kind.invalid("Approved and Denied conditions are mutually exclusive", errors);
        }
        if !seen.insert(kind.text()) {
            kind.duplicate(errors);
        }
    }
}

/// A verdict is not taken back.
pub fn kept_conditions(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let has = |object: &At<'_>, kind: &str| {
        object.at("status.conditions").items().any(|condition| *condition.get("type").value == *kind)
    };
    for kind in ["Approved", "Denied", "Failed"] {
        if has(old, kind) && !has(new, kind) {
            let why = format!("updates may not remove a condition of type \"{kind}\"");
            new.at("status.conditions").forbidden(&why, errors);
        }
    }
}
