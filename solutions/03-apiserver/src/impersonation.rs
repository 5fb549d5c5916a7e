//! Speaking for somebody else (`kubectl --as`; upstream:
//! `apiserver/pkg/endpoints/filters/impersonation.go`).

use crate::access::User;
use crate::query::Query;
use crate::status::ApiError;
use crate::tokens;
use std::collections::BTreeMap;

/// The user for whom `headers` speak, if they speak for anybody. Names of headers are in lower case.
pub fn user<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Result<Option<User>, ApiError> {
    let (mut name, mut uid, mut groups) = (String::new(), String::new(), Vec::new());
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        match header {
            "impersonate-user" => name = value.to_string(),
            "impersonate-uid" => uid = value.to_string(),
            "impersonate-group" => groups.push(value.to_string()),
            _ => {
                if let Some(key) = header.strip_prefix("impersonate-extra-") {
                    let key = Query::decode_segment(key).unwrap_or_else(|| key.to_string());
                    extra.entry(key).or_default().push(value.to_string());
                }
            }
        }
    }
    if name.is_empty() {
        return match groups.is_empty() && uid.is_empty() && extra.is_empty() {
            true => Ok(None),
            false => Err(ApiError::internal("requested parts of a user without impersonating a user")),
        };
    }
    let mut user = match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, account)) if groups.is_empty() => tokens::account_user(namespace, account),
        _ => User { name, groups, ..User::default() },
    };
    let group = if user.is_anonymous() { "system:unauthenticated" } else { "system:authenticated" };
    if !user.groups.iter().any(|g| g == group) {
        user.groups.push(group.into());
    }
    (user.uid, user.extra) = (uid, extra);
    Ok(Some(user))
}
