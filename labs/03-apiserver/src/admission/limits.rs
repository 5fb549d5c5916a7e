//! LimitRanges: what containers get when they ask for nothing, and how little and how much they
//! may ask for (upstream: `plugin/pkg/admission/limitranger`).

use crate::cel::Quantity;
use crate::meta::{self, map_at};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// The entries of all ranges that are about things of this type.
fn entries<'r>(ranges: &'r [Value], kind: &'r str) -> impl Iterator<Item = &'r Value> {
    let all = ranges.iter().flat_map(|range| range["spec"]["limits"].as_array().into_iter().flatten());
    all.filter(move |entry| entry["type"] == kind)
}

fn amounts(of: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of.as_object().into_iter().flatten()
}

/// Fill in what a new pod's containers did not ask for. Twice is once.
pub fn fill(pod: &mut Value, ranges: &[Value]) {
    let mut defaults: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in entries(ranges, "Container") {
        for (field, from) in [("requests", "defaultRequest"), ("limits", "default")] {
            for (resource, amount) in amounts(&entry[from]) {
                defaults.entry(field).or_default().entry(resource.clone()).or_insert(amount.clone());
            }
        }
    }
    let mut done = Vec::new();
    for list in CONTAINERS {
        let what = if list == "containers" { "container" } else { "init container" };
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = meta::text(container, &["name"]).to_string();
            for (field, word) in [("requests", "request"), ("limits", "limit")] {
                let Some(wanted) = defaults.get(field) else { continue };
                let missing: Vec<(&String, &Value)> = wanted
                    .iter()
                    .filter(|(resource, _)| container["resources"][field][resource.as_str()].is_null())
                    .collect();
                if missing.is_empty() {
                    continue;
                }
                let resources = map_at(container, "resources");
                let own = meta::as_map(resources.entry(field).or_insert_with(|| json!({})));
                let mut names: Vec<&str> = missing.iter().map(|(resource, _)| resource.as_str()).collect();
                names.sort_unstable();
                done.push(format!("{} {word} for {what} {name}", names.join(", ")));
                own.extend(missing.into_iter().map(|(resource, amount)| (resource.clone(), amount.clone())));
            }
        }
    }
    if !done.is_empty() {
        let metadata = map_at(pod, "metadata");
        let annotations = meta::as_map(metadata.entry("annotations").or_insert_with(|| json!({})));
        annotations.insert(ANNOTATION.into(), json!(format!("LimitRanger plugin set: {}", done.join("; "))));
    }
}

/// What is asked for, or what it may be at most.
type Amounts = BTreeMap<String, Quantity>;

fn read(of: &Value) -> Amounts {
    let read = |(resource, amount): (&String, &Value)| Some((resource.clone(), quantity(amount)?));
    amounts(of).filter_map(read).collect()
}

fn quantity(amount: &Value) -> Option<Quantity> {
    match amount {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let sum = total.get(resource).map_or(Some(*amount), |have| have.checked_add(*amount));
        total.extend(sum.map(|sum| (resource.clone(), sum)));
    }
}

/// Whether a new pod stays within the ranges of its namespace.
pub fn check_pod(pod: &Value, ranges: &[Value]) -> Result<(), String> {
    let mut wrong = Vec::new();
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    for list in CONTAINERS {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        let (mut most_requests, mut most_limits) = (Amounts::new(), Amounts::new());
        for container in containers {
            let (wants, may) =
                (read(&container["resources"]["requests"]), read(&container["resources"]["limits"]));
            for entry in entries(ranges, "Container") {
                check("Container", entry, &wants, &may, &mut wrong);
            }
            match list {
                "containers" => {
                    add(&mut requests, &wants);
                    add(&mut limits, &may);
                }
                // One runs after the other: the largest counts.
                _ => {
                    raise(&mut most_requests, &wants);
                    raise(&mut most_limits, &may);
                }
            }
        }
        raise(&mut requests, &most_requests);
        raise(&mut limits, &most_limits);
    }
    for entry in entries(ranges, "Pod") {
        check("Pod", entry, &requests, &limits, &mut wrong);
    }
    all_of(wrong)
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (resource, amount) in other {
        let larger = total.get(resource).map_or(*amount, |have| (*have).max(*amount));
        total.insert(resource.clone(), larger);
    }
}

/// Whether a claim stays within the ranges of its namespace.
pub fn check_claim(claim: &Value, ranges: &[Value]) -> Result<(), String> {
    let wants = read(&claim["spec"]["resources"]["requests"]);
    let mut wrong = Vec::new();
    for entry in entries(ranges, "PersistentVolumeClaim") {
        // Nobody says how much a claim may be at most.
        check("PersistentVolumeClaim", entry, &wants, &wants, &mut wrong);
    }
    all_of(wrong)
}

/// Several complaints as Go's aggregate prints them.
fn all_of(wrong: Vec<String>) -> Result<(), String> {
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

fn check(kind: &str, entry: &Value, requests: &Amounts, limits: &Amounts, wrong: &mut Vec<String>) {
    let shown = |amount: &Value| amount.as_str().map_or_else(|| amount.to_string(), str::to_string);
    for (resource, least) in amounts(&entry["min"]) {
        let Some(bound) = quantity(least) else { continue };
        let must = format!("minimum {resource} usage per {kind} is {}", shown(least));
        match (requests.get(resource), limits.get(resource)) {
            (None, _) => wrong.push(format!("{must}.  No request is specified")),
            (Some(request), _) if *request < bound => wrong.push(format!("{must}, but request is {request}")),
            (_, Some(limit)) if *limit < bound => wrong.push(format!("{must}, but limit is {limit}")),
            _ => {}
        }
    }
    for (resource, most) in amounts(&entry["max"]) {
        let Some(bound) = quantity(most) else { continue };
        let must = format!("maximum {resource} usage per {kind} is {}", shown(most));
        match (requests.get(resource), limits.get(resource)) {
            (_, None) => wrong.push(format!("{must}.  No limit is specified")),
            (_, Some(limit)) if *limit > bound => wrong.push(format!("{must}, but limit is {limit}")),
            (Some(request), _) if *request > bound => wrong.push(format!("{must}, but request is {request}")),
            _ => {}
        }
    }
    for (resource, ratio) in amounts(&entry["maxLimitRequestRatio"]) {
        let Some(bound) = quantity(ratio) else { continue };
        let must = format!("{resource} max limit to request ratio per {kind} is {}", shown(ratio));
        let given = |amounts: &Amounts| amounts.get(resource).map(|a| a.as_f64()).filter(|a| *a > 0.0);
        match (given(requests), given(limits)) {
            (None, _) => wrong.push(format!("{must}, but no request is specified or request is 0")),
            (_, None) => wrong.push(format!("{must}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) if limit / request > bound.as_f64() => {
                wrong.push(format!("{must}, but provided ratio is {:.6}", limit / request));
            }
            _ => {}
        }
    }
}
