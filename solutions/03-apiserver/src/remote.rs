//! For whom a proxy in front of this server speaks: another API server, when this one answers for one of
//! its groups (upstream: `apiserver/pkg/authentication/request/headerrequest`).

use crate::access::User;
use crate::query::Query;

/// The user in the headers of a proxy that is believed; none if it names nobody. Names of headers are in
/// lower case.
pub fn user<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Option<User> {
    let mut user = User::default();
    for (header, value) in headers {
        match header {
            "x-remote-user" if user.name.is_empty() => user.name = value.trim().to_string(),
            "x-remote-group" => user.groups.push(value.to_string()),
            _ => {
                if let Some(key) = header.strip_prefix("x-remote-extra-") {
                    let key = Query::decode_segment(key).unwrap_or_else(|| key.to_string());
                    user.extra.entry(key).or_default().push(value.to_string());
                }
            }
        }
    }
    if user.name.is_empty() {
        return None;
    }
    let known = ["system:authenticated", "system:unauthenticated"];
    if !user.is_anonymous() && !user.groups.iter().any(|group| known.contains(&group.as_str())) {
        user.groups.push("system:authenticated".into());
    }
    Some(user)
}
