//! What a label's key and its value may look like, and upstream's words for what is wrong
//! (k8s.io/apimachinery/pkg/util/validation).

const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                         an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
                         for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                              '-' or '.', and must start and end with an alphanumeric character (e.g. \
                              'example.com', regex used for validation is \
                              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Checks a label's or an annotation's key: `[dns.subdomain/]name`.
pub fn qualified_name(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return Err(format!(
                "a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            ));
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            wrong.extend(too_long(prefix, 253).map(|why| format!("prefix part {why}")));
            if !prefix.split('.').all(is_dns_label) {
                wrong.push(format!("prefix part {SUBDOMAIN_RULE}"));
            }
        }
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    }
    wrong.extend(too_long(name, 63).map(|why| format!("name part {why}")));
    if name.is_empty() || !is_name(name) {
        wrong.push(format!("name part {NAME_RULE}"));
    }
    all_or_none(&wrong)
}

/// Checks a label's value: empty, or up to 63 letters, digits, `-`, `_` and `.`, the first
/// and the last of which is a letter or a digit.
pub fn label_value(value: &str) -> Result<(), String> {
    let mut wrong: Vec<String> = too_long(value, 63).into_iter().collect();
    if !is_name(value) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
             regex used for validation is '({NAME})?')"
        ));
    }
    all_or_none(&wrong)
}

fn all_or_none(wrong: &[String]) -> Result<(), String> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} characters"))
}

/// Empty, or what [`NAME`] says.
fn is_name(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}

fn is_dns_label(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().next().is_some_and(edge)
        && text.bytes().last().is_some_and(edge)
        && text.bytes().all(|b| edge(b) || b == b'-')
}
