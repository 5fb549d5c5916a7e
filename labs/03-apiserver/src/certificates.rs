//! CertificateSigningRequests: who asks is written down by the server, and approval and signature
//! have doors of their own, so that whoever may sign cannot approve
//! (upstream: `pkg/registry/certificates/certificates/strategy.go`).

use crate::access::User;
use crate::meta::{self, as_map, map_at};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Write into a new request who made it, whatever it says itself. It begins without a status.
pub fn stamp(user: &User, request: &mut Value) {
    as_map(request).shift_remove("status");
    let spec = map_at(request, "spec");
    for key in ["username", "uid", "groups", "extra"] {
        spec.shift_remove(key);
    }
    if let Value::Object(mut who) = user.to_value() {
        spec.append(&mut who);
    }
}

fn is_decision(condition: &Value) -> bool {
    ["Approved", "Denied"].contains(&condition["type"].as_str().unwrap_or_default())
}

fn conditions(request: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let list = request["status"]["conditions"].as_array().into_iter().flatten();
    list.filter(|condition| wanted(condition)).cloned().collect()
}

/// What was asked for stays as it was asked: whoever approves must know what is signed.
pub fn main_part(old: &Value, mut new: Value) -> Value {
    as_map(&mut new).insert("spec".into(), old["spec"].clone());
    new
}

/// A write to `/approval` changes the decision and nothing else.
pub fn approval_part(old: &Value, new: Value, now: Timestamp) -> Value {
    let mut out = old.clone();
    let mut decided = conditions(old, |condition| !is_decision(condition));
    decided.extend(conditions(&new, is_decision));
    set_conditions(old, &mut out, decided, now);
    out
}

/// A write to `/status` leaves the decision as it was.
pub fn status_part(old: &Value, mut new: Value) -> Value {
    let mut kept = conditions(old, is_decision);
    kept.extend(conditions(&new, |condition| !is_decision(condition)));
    if kept.is_empty() {
        map_at(&mut new, "status").shift_remove("conditions");
    } else {
        map_at(&mut new, "status").insert("conditions".into(), Value::Array(kept));
    }
    new
}

/// Conditions that are new are of this moment.
fn set_conditions(old: &Value, out: &mut Value, mut list: Vec<Value>, now: Timestamp) {
    let before = conditions(old, |_| true);
    for condition in &mut list {
        let known = before.iter().find(|c| c["type"] == condition["type"]);
        let map = as_map(condition);
        if map.get("lastUpdateTime").is_none_or(Value::is_null) {
            map.insert("lastUpdateTime".into(), json!(meta::time(now)));
        }
        if map.get("lastTransitionTime").is_none_or(Value::is_null) {
            let same = known.filter(|c| c["status"] == map["status"]);
            let since = same.map_or(json!(meta::time(now)), |c| c["lastTransitionTime"].clone());
            map.insert("lastTransitionTime".into(), since);
        }
    }
    map_at(out, "status").insert("conditions".into(), Value::Array(list));
}
