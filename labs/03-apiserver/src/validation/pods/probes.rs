//! Probes and lifecycle hooks: what is run against a container.

use super::Pod;
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;

/// The hooks and the probes of a container that may have them.
pub fn all(pod: &Pod<'_, '_>, container: &At<'_>, errors: &mut Errors) {
    for hook in ["postStart", "preStop"] {
        let hook = container.get("lifecycle").get(hook);
        if hook.is_set() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], pod.grace, errors);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let at = container.get(name);
        if at.is_set() {
            probe(&at, name, pod.grace, errors);
        }
    }
}

fn probe(at: &At<'_>, name: &str, grace: Option<i64>, errors: &mut Errors) {
    handler(at, &["exec", "httpGet", "tcpSocket", "grpc"], grace, errors);
    for key in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        at.get(key).not_negative(errors);
    }
    let its_grace = at.get("terminationGracePeriodSeconds");
    if its_grace.int().is_some_and(|seconds| seconds <= 0) {
        its_grace.invalid("must be greater than 0", errors);
    }
    if name == "readinessProbe" {
        if its_grace.is_set() {
            its_grace.invalid("must not be set for readinessProbes", errors);
        }
    } else if at.get("successThreshold").int() != Some(1) {
        at.get("successThreshold").invalid_number("must be 1", errors);
    }
}

/// Exactly one way to do it.
fn handler(at: &At<'_>, kinds: &[&str], grace: Option<i64>, errors: &mut Errors) {
    let mut handlers = 0;
    for kind in kinds {
        let handler = at.get(kind);
        if !handler.is_set() {
            continue;
        }
        handlers += 1;
        if handlers > 1 {
            handler.forbidden("may not specify more than 1 handler type", errors);
            continue;
        }
        match *kind {
            "exec" => {
                handler.get("command").require(errors);
            }
            "httpGet" => http_get(&handler, errors),
            "sleep" => sleep(&handler, grace, errors),
            _ => handler.get("port").port_or_name(errors),
        }
    }
    if handlers == 0 {
        at.required("must specify a handler type", errors);
    }
}

fn http_get(at: &At<'_>, errors: &mut Errors) {
    at.get("path").require(errors);
    at.get("port").port_or_name(errors);
    at.get("scheme").unsupported(&["HTTP", "HTTPS"], errors);
    for header in at.get("httpHeaders").items() {
        let name = header.get("name").text();
        for why in names::http_header(name) {
            errors.invalid(&at.child("httpHeaders"), &name.into(), why);
        }
    }
}

/// A container may not sleep longer than its pod has to end. (Zero needs a feature of 1.33.)
fn sleep(at: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    let seconds = at.get("seconds").int().unwrap_or(0);
    if let Some(grace) = grace.filter(|grace| seconds <= 0 || seconds > *grace) {
        let why = format!(
            "must be greater than 0 and less than terminationGracePeriodSeconds ({grace}). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep."
        );
        errors.invalid(&at.path, &seconds.into(), why);
    }
}
