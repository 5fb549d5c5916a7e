//! Values as YAML, for clients that ask for it. Readers differ in what a bare word means (`yes` is a
//! truth for some), so a text goes without quotes only where all agree.

use serde_json::Value;

/// A document. The members of a map are in the order of their keys, as upstream prints them.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    node(&mut out, value, 0);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Write a value whose own lines, if it needs any, begin `depth` steps from the left.
fn node(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            for (i, (key, value)) in members.into_iter().enumerate() {
                begin_line(out, depth, i == 0);
                out.push_str(&text(key));
                out.push(':');
                below(out, value, depth);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (i, value) in list.iter().enumerate() {
                begin_line(out, depth, i == 0);
                out.push('-');
                match value {
                    // The first member stands beside the dash.
                    Value::Object(map) if !map.is_empty() => {
                        out.push(' ');
                        node(out, value, depth + 1);
                    }
                    value => below(out, value, depth + 1),
                }
            }
        }
        Value::String(string) => out.push_str(&text(string)),
        // The rest is the same in JSON, and JSON is YAML.
        other => out.push_str(&other.to_string()),
    }
}

fn begin_line(out: &mut String, depth: usize, first: bool) {
    if !first || out.ends_with('\n') {
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&"  ".repeat(depth));
    }
}

/// A value behind a key or a dash: on the same line if it fits there.
fn below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            node(out, value, depth + 1);
        }
        // A list stands under its key, no further to the right.
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            node(out, value, depth);
        }
        value => {
            out.push(' ');
            node(out, value, depth);
        }
    }
}

/// Bare if nobody could take it for something else, and otherwise as in JSON.
fn text(string: &str) -> String {
    const WORDS: [&str; 11] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let begins = string.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let bare = begins && string.chars().all(plain) && !WORDS.contains(&string.to_ascii_lowercase().as_str());
    if bare { string.to_string() } else { Value::from(string).to_string() }
}
