//! The order of versions: `v2`, `v1`, `v1beta2`, `v1beta1`, `v1alpha1`, then all other names
//! (upstream: `apimachinery/pkg/version/helpers.go`).

use std::cmp::Ordering;

/// The version that clients should prefer comes first.
pub fn by_priority(a: &str, b: &str) -> Ordering {
    match (read(a), read(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability (alpha 0, beta 1, stable 2), the number of the version, the number after the word.
fn read(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let major = number(&rest[..end])?;
    if rest[end..].is_empty() {
        return Some((2, major, 0));
    }
    for (word, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some(minor) = rest[end..].strip_prefix(word) {
            return Some((stability, major, number(minor)?));
        }
    }
    None
}

fn number(text: &str) -> Option<u64> {
    if text.starts_with('0') { None } else { text.parse().ok() }
}
