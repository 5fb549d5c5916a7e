//! ConfigMaps and Secrets.

use super::at::At;
use super::rules::{Change, Row, Rule, same};
use crate::bodies;
use crate::fields::Errors;
use crate::names;
use base64::Engine;
use serde_json::Value;

const MAX_BYTES: i64 = 1024 * 1024;

pub static CONFIG_MAP: &[Row] = &[Row("", Rule::Code(config_map))];
pub static SECRET: &[Row] = &[Row("data", Rule::Code(secret_data)), Row("", Rule::Code(secret_type))];
pub static CONFIG_MAP_CHANGES: &[Change] = &[Change::Code(immutable)];
pub static SECRET_CHANGES: &[Change] = &[Change::Immutable("type"), Change::Code(immutable)];

fn config_map(object: &At<'_>, errors: &mut Errors) {
    let (data, binary) = (object.get("data"), object.get("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        config_key(key, &value, errors);
        if binary.value.get(key).is_some() {
            errors.invalid(&value.path, &Value::from(key), "duplicate of key present in binaryData");
        }
        size += value.text().len();
    }
    for (key, value) in binary.entries() {
        config_key(key, &value, errors);
        size += decoded(&value).map_or(value.text().len(), |bytes| bytes.len());
    }
    if size as i64 > MAX_BYTES {
        errors.too_long("", MAX_BYTES);
    }
}

fn config_key(key: &str, at: &At<'_>, errors: &mut Errors) {
    for why in names::config_key(key) {
        errors.invalid(&at.path, &Value::from(key), why);
    }
}

fn decoded(at: &At<'_>) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(at.text()).ok()
}

fn secret_data(data: &At<'_>, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in data.entries() {
        config_key(key, &value, errors);
        match decoded(&value) {
            Some(bytes) => size += bytes.len(),
            None => value.invalid("must be base64-encoded", errors),
        }
    }
    if size as i64 > MAX_BYTES {
        errors.too_long(&data.path, MAX_BYTES);
    }
}

/// What a secret of a known type must hold.
fn secret_type(secret: &At<'_>, errors: &mut Errors) {
    let data = secret.get("data");
    let entry = |key: &str| data.entry(key);
    match secret.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let name = secret.at("metadata.annotations").entry("kubernetes.io/service-account.name");
            name.require(errors);
        }
        "kubernetes.io/dockercfg" => json(&entry(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => json(&entry(".dockerconfigjson"), errors),
        "kubernetes.io/basic-auth" => {
            let fields = [entry("username"), entry("password")];
            if !fields.iter().any(At::is_set) {
                fields.iter().for_each(|field| field.required("", errors));
            }
        }
        "kubernetes.io/ssh-auth" => {
            entry("ssh-privatekey").require(errors);
        }
        "kubernetes.io/tls" => {
            for field in [entry("tls.crt"), entry("tls.key")] {
                if !field.is_set() {
                    field.required("", errors);
                }
            }
        }
        _ => {}
    }
}

fn json(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return at.required("", errors);
    }
    let Some(bytes) = decoded(at) else { return };
    let wrong =
        |of: &str| format!("json: cannot unmarshal {of} into Go value of type map[string]interface {{}}");
    let why = match bodies::json(&bytes).map(|body| body.value) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(Value::Array(_)) => wrong("array"),
        Ok(Value::Bool(_)) => wrong("bool"),
        Ok(Value::Number(_)) => wrong("number"),
        Ok(Value::String(_)) => wrong("string"),
        Err(why) => why,
    };
    errors.invalid(&at.path, &"<secret contents redacted>".into(), why);
}

/// `immutable: true` means it.
fn immutable(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    if !old.get("immutable").is_true() {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if !new.get("immutable").is_true() {
        new.get("immutable").forbidden(why, errors);
    }
    for list in ["data", "binaryData"] {
        if !same(old.get(list).value, new.get(list).value) {
            new.get(list).forbidden(why, errors);
        }
    }
}
