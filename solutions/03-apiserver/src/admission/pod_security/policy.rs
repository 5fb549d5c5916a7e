//! What a namespace's labels say of its pods (upstream: `pod-security-admission/api/helpers.go`).

use crate::fields::Errors;
use serde_json::Value;
use std::fmt;

/// From the loosest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Result<Level, &'static str> {
        match text {
            "privileged" => Ok(Level::Privileged),
            "baseline" => Ok(Level::Baseline),
            "restricted" => Ok(Level::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

/// Of which Kubernetes the checks are meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Latest,
    /// `v1.N`.
    Minor(u32),
}

impl Version {
    fn parse(text: &str) -> Result<Version, &'static str> {
        let digits = text.strip_prefix("v1.").filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let minor = digits.filter(|d| *d == "0" || !d.starts_with('0')).and_then(|d| d.parse().ok());
        match (text, minor) {
            ("latest", _) => Ok(Version::Latest),
            (_, Some(minor)) => Ok(Version::Minor(minor)),
            _ => Err("must be \"latest\" or \"v1.x\""),
        }
    }
}

/// What pods are measured by. Printed as `restricted:latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::Latest => write!(f, "{level}:latest"),
            Version::Minor(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

/// What happens to a pod that does not measure up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// It is refused.
    pub enforce: Measure,
    /// It would be noted in the audit log.
    pub audit: Measure,
    /// Whoever writes it is warned.
    pub warn: Measure,
}

impl Policy {
    /// A policy can be read off any labels: one that cannot be understood refuses what it can, and
    /// neither notes nor warns.
    pub fn read(labels: &Value) -> (Policy, Errors) {
        let mut errors = Errors::default();
        let (enforce, named) = measure(labels, "enforce", Level::Restricted, &mut errors);
        let (audit, _) = measure(labels, "audit", Level::Privileged, &mut errors);
        let (mut warn, _) = measure(labels, "warn", Level::Privileged, &mut errors);
        // Who forbids and says nothing of warnings wants to be warned of the same.
        if named && labels["pod-security.kubernetes.io/warn"].is_null() {
            warn.level = enforce.level;
            if labels["pod-security.kubernetes.io/warn-version"].is_null() {
                warn.version = enforce.version;
            }
        }
        (Policy { enforce, audit, warn }, errors)
    }
}

/// The measure for one thing, and whether its label names a level that there is. `fallback` is for a
/// level that there is not.
fn measure(labels: &Value, what: &str, fallback: Level, errors: &mut Errors) -> (Measure, bool) {
    let mut measure = Measure { level: Level::Privileged, version: Version::Latest };
    let mut named = false;
    let mut complain = |key: &str, text: &str, why: &str| {
        errors.invalid(&format!("metadata.labels[{key}]"), &Value::from(text), why);
    };
    let key = format!("pod-security.kubernetes.io/{what}");
    if let Some(text) = labels[&key].as_str() {
        let level = Level::parse(text);
        named = level.is_ok();
        measure.level = level.unwrap_or_else(|why| {
            complain(&key, text, why);
            fallback
        });
    }
    let key = format!("{key}-version");
    if let Some(text) = labels[&key].as_str() {
        measure.version = Version::parse(text).unwrap_or_else(|why| {
            complain(&key, text, why);
            Version::Latest
        });
    }
    (measure, named)
}
