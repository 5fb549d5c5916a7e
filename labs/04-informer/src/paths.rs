//! Where things are in the API: `/apis/apps/v1/namespaces/default/deployments/web/scale`.

use crate::dynamic::ApiResource;

/// The path of one object, or of a subresource of it.
pub fn object(resource: &ApiResource, namespace: &str, name: &str, subresource: Option<&str>) -> String {
    let collection = resource.path(namespace);
    let name = escape(name);
    match subresource {
        Some(subresource) => format!("{collection}/{name}/{subresource}"),
        None => format!("{collection}/{name}"),
    }
}

/// The path with its query.
pub fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut whole = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        whole.push(if index == 0 { '?' } else { '&' });
        whole.push_str(name);
        whole.push('=');
        whole.push_str(&escape(value));
    }
    whole
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(byte.into());
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
