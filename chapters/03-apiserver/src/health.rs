//! Whether the server lives, and whether it is ready to answer (upstream:
//! `apiserver/pkg/server/healthz`).

use crate::answer::{self, Body};
use crate::app::App;
use crate::heart::query::Query;
use http::{Response, StatusCode};
use std::sync::atomic::Ordering;

const ALIVE: &[&str] = &["ping"];
const READY: &[&str] = &["ping", "etcd", "shutdown"];

/// Every path with an answer.
pub fn paths() -> impl Iterator<Item = String> {
    [("livez", ALIVE), ("healthz", ALIVE), ("readyz", READY)].into_iter().flat_map(|(name, checks)| {
        let one = checks.iter().map(move |check| format!("/{name}/{check}"));
        std::iter::once(format!("/{name}")).chain(one)
    })
}

/// `/livez`, `/readyz` and their older sibling, one check of theirs, or all with `?verbose`.
pub fn answer(app: &App, path: &str, query: &Query) -> Option<Response<Body>> {
    let (name, one) = match path.strip_prefix('/')?.split_once('/') {
        Some((name, check)) => (name, Some(check)),
        None => (path.strip_prefix('/')?, None),
    };
    let checks = match name {
        "livez" | "healthz" => ALIVE,
        "readyz" => READY,
        _ => return None,
    };
    if one.is_some_and(|one| !checks.contains(&one)) {
        return None;
    }
    let passes = |check: &str| match check {
        // The store has been read once, so that every list and watch can be answered.
        "etcd" => app.ready.load(Ordering::Acquire),
        "shutdown" => !*app.stopping.borrow(),
        _ => true,
    };
    let excluded = query.get("exclude").unwrap_or_default();
    let mut text = String::new();
    let mut all = true;
    for check in checks.iter().filter(|check| one.is_none_or(|one| one == **check)) {
        if *check == excluded {
            text += &format!("[+]{check} excluded: ok\n");
        } else if passes(check) {
            text += &format!("[+]{check} ok\n");
        } else {
            all = false;
            text += &format!("[-]{check} failed: reason withheld\n");
        }
    }
    let status = if all { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let text = match (all, query.get("verbose")) {
        (true, None) => "ok".to_owned(),
        (true, Some(_)) => format!("{text}{name} check passed\n"),
        (false, _) => format!("{text}{name} check failed\n"),
    };
    Some(answer::bytes(status, "text/plain; charset=utf-8", text))
}
