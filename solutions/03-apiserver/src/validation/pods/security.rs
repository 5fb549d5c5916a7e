//! Who a container is to the kernel: users, profiles, system calls, and which operating system.

use super::sources;
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use crate::validation::rules::{Row, Rule, check};
use std::collections::BTreeSet;

const ID: Rule = Rule::Between(0, i32::MAX as i64);

static COMMON: &[Row] = &[
    Row("seccompProfile", Rule::Code(seccomp)),
    Row("windowsOptions", Rule::Within(WINDOWS)),
    Row("appArmorProfile", Rule::Code(app_armor)),
];

static WINDOWS: &[Row] = &[
    Row("gmsaCredentialSpecName", Rule::Name(names::subdomain)),
    Row(
        "gmsaCredentialSpec",
        Rule::Code(|at, errors| {
            if *at.value == "" {
                at.invalid("gmsaCredentialSpec cannot be an empty string", errors);
            }
        }),
    ),
    Row(
        "runAsUserName",
        Rule::Code(|at, errors| {
            if *at.value == "" {
                at.invalid("runAsUserName cannot be an empty string", errors);
            }
        }),
    ),
];

static OF_POD: &[Row] = &[
    Row("fsGroup", ID),
    Row("runAsUser", ID),
    Row("runAsGroup", ID),
    Row("supplementalGroups", Rule::Each(&[Row("", ID)])),
];

static OF_POD_LATER: &[Row] = &[
    Row("fsGroupChangePolicy", Rule::OneOf(&["Always", "OnRootMismatch"])),
    Row("", Rule::Within(COMMON)),
    Row("supplementalGroupsPolicy", Rule::OneOf(&["Merge", "Strict"])),
    Row("seLinuxChangePolicy", Rule::OneOf(&["MountOption", "Recursive"])),
];

/// `securityContext` of a pod, together with what of it stands in the pod's spec.
pub fn pod(spec: &At<'_>, errors: &mut Errors) {
    let context = spec.get("securityContext");
    check(&context, OF_POD, errors);
    if spec.get("shareProcessNamespace").is_true() && spec.get("hostPID").is_true() {
        let share = spec.get("shareProcessNamespace").named(context.child("shareProcessNamespace"));
        share.invalid("ShareProcessNamespace and HostPID cannot both be enabled", errors);
    }
    sysctls(spec, &context.get("sysctls"), errors);
    check(&context, OF_POD_LATER, errors);
}

fn sysctls(spec: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for sysctl in list.items() {
        let name = sysctl.get("name");
        if name.require(errors) {
            if !is_sysctl(name.text()) {
                let why = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
                name.invalid(why, errors);
            } else if !seen.insert(name.text()) {
                name.duplicate(errors);
            }
        }
        let dotted = name.text().replace('/', ".");
        if dotted.starts_with("net.") && spec.get("hostNetwork").is_true() {
            name.invalid("may not be specified when 'hostNetwork' is true", errors);
        }
        let ipc =
            ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        if ipc && spec.get("hostIPC").is_true() {
            name.invalid("may not be specified when 'hostIPC' is true", errors);
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let part = |p: &str| end(p.as_bytes().first()) && end(p.as_bytes().last()) && p.bytes().all(inner);
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

/// `securityContext` of a container.
pub fn container(at: &At<'_>, host_users: bool, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    at.get("runAsUser").between(0, i64::from(i32::MAX), errors);
    at.get("runAsGroup").between(0, i64::from(i32::MAX), errors);
    let proc_mount = at.get("procMount");
    proc_mount.one_of(&["Default", "Unmasked"], errors);
    if host_users && proc_mount.text() == "Unmasked" {
        proc_mount.invalid("`hostUsers` must be false to use `Unmasked`", errors);
    }
    seccomp(&at.get("seccompProfile"), errors);
    if *at.get("allowPrivilegeEscalation").value == false {
        let print = |why: &str, errors: &mut Errors| errors.invalid(&at.path, at.value, why);
        if at.get("privileged").is_true() {
            print("cannot set `allowPrivilegeEscalation` to false and `privileged` to true", errors);
        }
        if at.at("capabilities.add").texts().contains(&"CAP_SYS_ADMIN") {
            print(
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
                errors,
            );
        }
    }
    check(at, &COMMON[1..], errors);
}

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (kind, file) = (at.get("type"), at.get("localhostProfile"));
    if kind.is_empty() {
        kind.required("type is required when seccompProfile is set", errors);
    } else {
        kind.one_of(&PROFILES, errors);
    }
    match (kind.text(), file.is_set()) {
        ("Localhost", false) => file.required("must be set when seccomp type is Localhost", errors),
        ("Localhost", true) => sources::descending(&file, errors),
        (_, true) => {
            errors.invalid(&file.path, at.value, "can only be set when seccomp type is Localhost");
        }
        _ => {}
    }
}

fn app_armor(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    let (kind, file) = (at.get("type"), at.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            if file.text().trim() != file.text() {
                file.invalid("must not be padded with whitespace", errors);
            } else if file.is_empty() {
                file.required("must be set when AppArmor type is Localhost", errors);
            }
            if file.text().len() > 4095 {
                errors.too_long(&file.path, 4095);
            }
        }
        "RuntimeDefault" | "Unconfined" if file.is_set() => {
            file.invalid("can only be set when AppArmor type is Localhost", errors);
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => kind.required("type is required when appArmorProfile is set", errors),
        _ => kind.one_of(&PROFILES, errors),
    }
}

/// A pod with users of its own cannot share the host's other namespaces.
pub fn host_users(spec: &At<'_>, errors: &mut Errors) {
    if *spec.get("hostUsers").value != false {
        return;
    }
    for (key, path) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(key).is_true() {
            errors.forbidden(&spec.child(path), "when `pod.Spec.HostUsers` is false");
        }
    }
}

const NOT_IN_WINDOWS: [&str; 4] = ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"];

const NOT_IN_WINDOWS_CONTEXT: [&str; 16] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
];

/// What a pod says of its operating system excludes what only the other one has.
pub fn operating_system(spec: &At<'_>, errors: &mut Errors) {
    let (os, name) = (spec.get("os"), spec.at("os.name"));
    if name.is_empty() {
        return;
    }
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|list| spec.get(list).items().collect::<Vec<_>>());
    let contexts = std::iter::once(spec.get("securityContext"))
        .chain(containers.map(|container| container.get("securityContext")));
    match name.text() {
        "linux" => {
            for options in contexts.map(|context| context.get("windowsOptions")).filter(At::is_set) {
                options.forbidden("windows options cannot be set for a linux pod", errors);
            }
        }
        "windows" => {
            let why = "cannot be set for a windows pod";
            for field in NOT_IN_WINDOWS.iter().map(|key| spec.get(key)) {
                // A flag that is off says nothing, except that a pod has users of its own.
                if field.is_set() && (field.is_true() || field.path.ends_with(".hostUsers")) {
                    field.forbidden(why, errors);
                }
            }
            for context in contexts {
                for field in NOT_IN_WINDOWS_CONTEXT.iter().map(|key| context.get(key)) {
                    if !field.is_empty() {
                        field.forbidden(why, errors);
                    }
                }
            }
        }
        _ => errors.unsupported(&os.path, name.value, &["linux", "windows"]),
    }
}
