//! Backslashes in field selectors: values may hold commas and equals signs.

use crate::fields::FieldSelectorError;

/// The positions of characters that no backslash stands before.
pub fn bare_positions(text: &str) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, c)| {
        let bare = !escaped;
        escaped = bare && c == '\\';
        bare.then_some(at)
    })
}

/// The parts between bare commas.
pub fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    for at in bare_positions(text).filter(|at| text[*at..].starts_with(',')) {
        terms.push(&text[start..at]);
        start = at + 1;
    }
    terms.push(&text[start..]);
    terms
}

/// The value as it stands in a selector.
pub fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The value that stands in a selector so.
pub fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                Some(next) => return Err(FieldSelectorError::Escape(format!("\\{next}"))),
                None => return Err(FieldSelectorError::Escape("\\".to_owned())),
            },
            '=' | ',' => return Err(FieldSelectorError::Unescaped(value.to_owned())),
            plain_char => plain.push(plain_char),
        }
    }
    Ok(plain)
}
