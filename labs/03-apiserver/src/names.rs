//! What may be a name, a label, a port's name (upstream: `apimachinery/pkg/util/validation`).

use std::net::IpAddr;

pub const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const WILDCARD_RULE: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const HEADER_RULE: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const PERCENT_RULE: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const IP_RULE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR_RULE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const PORT_NAME_RULE: &str = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";

pub type Rule = fn(&str) -> Vec<String>;

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} bytes"))
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match (text.as_bytes().first(), text.as_bytes().last()) {
        (Some(a), Some(z)) => inner(*a) && inner(*z) && text.bytes().all(|b| inner(b) || b == b'-'),
        _ => false,
    }
}

/// RFC 1123 subdomain: what most objects are called.
pub fn subdomain(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 253).into_iter().collect();
    if !text.split('.').all(is_label) {
        wrong.push(SUBDOMAIN_RULE.into());
    }
    wrong
}

/// RFC 1123 label: namespaces, containers, volumes.
pub fn label(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) {
        let is_subdomain = text.split('.').all(is_label);
        wrong.push(if is_subdomain { "must not contain dots".into() } else { LABEL_RULE.into() });
    }
    wrong
}

/// RFC 1035 label: services, whose names become DNS names and variables.
pub fn label_1035(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        wrong.push(LABEL_1035_RULE.into());
    }
    wrong
}

/// The least: it must fit into a path.
pub fn path_segment(text: &str) -> Vec<String> {
    match text {
        "." => vec!["may not be '.'".into()],
        ".." => vec!["may not be '..'".into()],
        t if t.contains('/') => vec!["may not contain '/'".into()],
        t if t.contains('%') => vec!["may not contain '%'".into()],
        _ => Vec::new(),
    }
}

fn is_qualified_part(text: &str) -> bool {
    let ends = |b: u8| b.is_ascii_alphanumeric();
    match (text.as_bytes().first(), text.as_bytes().last()) {
        (Some(a), Some(z)) => ends(*a) && ends(*z) && text.bytes().all(|b| ends(b) || b"-_.".contains(&b)),
        _ => false,
    }
}

/// The key of a label, a taint, an annotation: `[prefix/]name`.
pub fn qualified(text: &str) -> Vec<String> {
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".into()),
        Some(prefix) => wrong.extend(subdomain(prefix).into_iter().map(|w| format!("prefix part {w}"))),
        None => {}
    }
    match name {
        "" => wrong.push("name part must be non-empty".into()),
        name => wrong.extend(too_long(name, 63).map(|w| format!("name part {w}"))),
    }
    if !is_qualified_part(name) {
        wrong.push(format!("name part {QUALIFIED_RULE}"));
    }
    wrong
}

pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 63).into_iter().collect();
    if !text.is_empty() && !is_qualified_part(text) {
        wrong.push(VALUE_RULE.into());
    }
    wrong
}

/// A key of a ConfigMap or a Secret: it becomes a file's name.
pub fn config_key(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 253).into_iter().collect();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        wrong.push(CONFIG_KEY_RULE.into());
    }
    match text {
        "." | ".." => wrong.push(format!("must not be '{text}'")),
        text if text.starts_with("..") => wrong.push("must not start with '..'".into()),
        _ => {}
    }
    wrong
}

/// The name of a container's port (IANA service name).
pub fn port_name(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 15).into_iter().collect();
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        wrong.push(PORT_NAME_RULE.into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

/// The name of an environment variable.
pub fn env_var(text: &str) -> Vec<String> {
    let bad = text.is_empty() || text.bytes().any(|b| b == b'=' || !(0x20..0x7f).contains(&b));
    if bad {
        vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".into()]
    } else {
        Vec::new()
    }
}

/// A subdomain that may begin with `*.` (the host of an Ingress).
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 253).into_iter().collect();
    if !text.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_label)) {
        wrong.push(WILDCARD_RULE.into());
    }
    wrong
}

/// The name of an HTTP header.
pub fn http_header(text: &str) -> Vec<String> {
    let ok = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if ok { Vec::new() } else { vec![HEADER_RULE.into()] }
}

/// `93%`.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    let ok = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if ok { Vec::new() } else { vec![PERCENT_RULE.into()] }
}

/// `1.2.3.4`, `::1`.
pub fn ip(text: &str) -> Vec<String> {
    if text.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![IP_RULE.into()] }
}

/// The network of a CIDR: its address and how many bits of it count.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
    Some((address, bits))
}

pub fn cidr(text: &str) -> Vec<String> {
    if parse_cidr(text).is_some() { Vec::new() } else { vec![CIDR_RULE.into()] }
}

/// As `rule`, for names that may be written in any case.
pub fn lower(rule: Rule, text: &str) -> Vec<String> {
    rule(&text.to_lowercase())
}

/// What a generated name begins with: it may end with a hyphen, for more comes after it.
pub fn prefix(rule: Rule, text: &str) -> Vec<String> {
    match text.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => rule(&format!("{stem}a")),
        _ => rule(text),
    }
}

pub fn port(number: i64) -> Option<&'static str> {
    (!(1..=65535).contains(&number)).then_some("must be between 1 and 65535, inclusive")
}
