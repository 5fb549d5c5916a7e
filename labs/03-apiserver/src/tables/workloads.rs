//! Deployments and the other kinds that make pods.

use super::{AGE, NAME, Printer, age, count, items, joined, name, number, or_none, str_of, text, time, wide};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use serde::Deserialize;
use serde_json::{Value, json};

pub const DEPLOYMENT: Printer = Printer {
    columns: &[
        NAME,
        text("Ready"),
        text("Up-to-date"),
        text("Available"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |d, now| {
        let status = &d["status"];
        let ready = format!("{}/{}", count(&status["readyReplicas"]), count(&d["spec"]["replicas"]));
        let mut cells = vec![
            name(d),
            json!(ready),
            json!(count(&status["updatedReplicas"])),
            json!(count(&status["availableReplicas"])),
            age(d, now),
        ];
        cells.extend(template(d));
        cells.push(selector(d));
        cells
    },
};

pub const REPLICA_SET: Printer = Printer {
    columns: &[
        NAME,
        number("Desired"),
        number("Current"),
        number("Ready"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |r, now| {
        let mut cells = vec![
            name(r),
            json!(count(&r["spec"]["replicas"])),
            json!(count(&r["status"]["replicas"])),
            json!(count(&r["status"]["readyReplicas"])),
            age(r, now),
        ];
        cells.extend(template(r));
        cells.push(selector(r));
        cells
    },
};

pub const DAEMON_SET: Printer = Printer {
    columns: &[
        NAME,
        number("Desired"),
        number("Current"),
        number("Ready"),
        number("Up-to-date"),
        number("Available"),
        text("Node Selector"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |d, now| {
        let status = &d["status"];
        let keys = [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        ];
        let mut cells = vec![name(d)];
        cells.extend(keys.iter().map(|key| json!(count(&status[*key]))));
        cells.push(or_none(labels(&d["spec"]["template"]["spec"]["nodeSelector"])));
        cells.push(age(d, now));
        cells.extend(template(d));
        cells.push(selector(d));
        cells
    },
};

pub const STATEFUL_SET: Printer = Printer {
    columns: &[NAME, text("Ready"), AGE, wide("Containers"), wide("Images")],
    cells: |s, now| {
        let ready = format!("{}/{}", count(&s["status"]["readyReplicas"]), count(&s["spec"]["replicas"]));
        let mut cells = vec![name(s), json!(ready), age(s, now)];
        cells.extend(template(s));
        cells
    },
};

pub const CONTROLLER_REVISION: Printer = Printer {
    columns: &[NAME, text("Controller"), number("Revision"), AGE],
    cells: |r, now| {
        let owner = items(&r["metadata"], "ownerReferences").find(|o| o["controller"] == true);
        let text = owner.map(|o| {
            let group = str_of(o, "apiVersion").split_once('/').map(|(group, _)| format!(".{group}"));
            format!("{}{}/{}", str_of(o, "kind").to_lowercase(), group.unwrap_or_default(), str_of(o, "name"))
        });
        vec![name(r), or_none(text.unwrap_or_default()), json!(count(&r["revision"])), age(r, now)]
    },
};

pub const JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Status"),
        text("Completions"),
        text("Duration"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |j, now| {
        let (spec, status) = (&j["spec"], &j["status"]);
        let done = count(&status["succeeded"]);
        let completions = match (spec["completions"].as_i64(), count(&spec["parallelism"])) {
            (Some(wanted), _) => format!("{done}/{wanted}"),
            (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
            (None, _) => format!("{done}/1"),
        };
        let duration = match (&status["startTime"], &status["completionTime"]) {
            (Value::Null, _) => String::new(),
            (start, Value::Null) => time::since(start, now),
            (start, end) => time::between(start, end).unwrap_or_default(),
        };
        let is = |kind: &str| items(status, "conditions").any(|c| c["type"] == kind && c["status"] == "True");
        let word = match () {
            () if is("Complete") => "Complete",
            () if is("Failed") => "Failed",
            () if super::meta::is_deleting(j) => "Terminating",
            () if is("Suspended") => "Suspended",
            () if is("FailureTarget") => "FailureTarget",
            () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
            () => "Running",
        };
        let mut cells = vec![name(j), json!(word), json!(completions), json!(duration), age(j, now)];
        cells.extend(template(j));
        cells.push(selector(j));
        cells
    },
};

pub const CRON_JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Schedule"),
        text("Timezone"),
        text("Suspend"),
        number("Active"),
        text("Last Schedule"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |c, now| {
        let spec = &c["spec"];
        let last = match &c["status"]["lastScheduleTime"] {
            Value::Null => "<none>".to_string(),
            last => time::since(last, now),
        };
        let suspend = if spec["suspend"] == true { "True" } else { "False" };
        let mut cells = vec![
            name(c),
            spec["schedule"].clone(),
            or_none(str_of(spec, "timeZone")),
            json!(suspend),
            json!(items(&c["status"], "active").len()),
            json!(last),
            age(c, now),
        ];
        cells.extend(template(&spec["jobTemplate"]));
        cells.push(selector(&spec["jobTemplate"]));
        cells
    },
};

pub const PDB: Printer = Printer {
    columns: &[NAME, text("Min Available"), text("Max Unavailable"), number("Allowed Disruptions"), AGE],
    cells: |p, now| {
        let bound = |v: &Value| match v {
            Value::Null => json!("N/A"),
            Value::String(text) => json!(text),
            other => json!(other.to_string()),
        };
        let spec = &p["spec"];
        let allowed = json!(count(&p["status"]["disruptionsAllowed"]));
        vec![name(p), bound(&spec["minAvailable"]), bound(&spec["maxUnavailable"]), allowed, age(p, now)]
    },
};

pub const HPA: Printer = Printer {
    columns: &[
        NAME,
        text("Reference"),
        text("Targets"),
        text("MinPods"),
        text("MaxPods"),
        number("Replicas"),
        AGE,
    ],
    cells: |h, now| {
        let (spec, status) = (&h["spec"], &h["status"]);
        let reference = &spec["scaleTargetRef"];
        let current = |i: usize| {
            match status["currentMetrics"][i]["resource"]["current"]["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}%"),
                None => "<unknown>".into(),
            }
        };
        let target = |(i, metric): (usize, &Value)| {
            let resource = &metric["resource"];
            let wanted = match resource["target"]["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}%"),
                None => str_of(&resource["target"], "averageValue").to_string(),
            };
            format!("{}: {}/{wanted}", str_of(resource, "name"), current(i))
        };
        let targets: Vec<String> = items(spec, "metrics").enumerate().map(target).collect();
        vec![
            name(h),
            json!(format!("{}/{}", str_of(reference, "kind"), str_of(reference, "name"))),
            or_none(targets.join(", ")),
            spec["minReplicas"].as_i64().map_or(json!("<unset>"), |n| json!(n.to_string())),
            json!(count(&spec["maxReplicas"]).to_string()),
            json!(count(&status["currentReplicas"])),
            age(h, now),
        ]
    },
};

/// Names and images of the containers.
fn template(workload: &Value) -> [Value; 2] {
    let spec = &workload["spec"]["template"]["spec"];
    let list = |key: &str| json!(joined(items(spec, "containers").map(|c| str_of(c, key))));
    [list("name"), list("image")]
}

fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

fn selector(workload: &Value) -> Value {
    let selector = &workload["spec"]["selector"];
    let parsed =
        LabelSelector::deserialize(selector).ok().and_then(|s| Selector::from_label_selector(&s).ok());
    let text = match parsed {
        Some(s) if !s.is_everything() => s.to_string(),
        _ => labels(selector),
    };
    or_none(text)
}
