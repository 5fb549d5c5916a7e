//! What an update would change, for messages that say so (upstream prints `cmp.Diff` of its
//! internal types, in a form that it promises not to keep; this is the same in outline).

use super::rules::same;
use serde_json::Value;
use std::collections::BTreeSet;

/// Lines of what stays the same on the way to a difference, of what was, and of what would be.
pub fn diff(of: &str, before: &Value, after: &Value) -> String {
    let mut out = format!("  {of}{{\n");
    fields(before, after, 1, &mut out);
    out + "  }\n"
}

fn fields(before: &Value, after: &Value, depth: usize, out: &mut String) {
    let keys =
        |value: &Value| value.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect::<Vec<_>>();
    let all: BTreeSet<String> = keys(before).into_iter().chain(keys(after)).collect();
    for key in all {
        let mut name = key.clone();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        change(&format!("{name}: "), &before[&key], &after[&key], depth, out);
    }
}

fn change(name: &str, before: &Value, after: &Value, depth: usize, out: &mut String) {
    if same(before, after) {
        return;
    }
    let tabs = "\t".repeat(depth);
    match (before, after) {
        (Value::Object(_), Value::Object(_)) => {
            out.push_str(&format!("  {tabs}{name}{{\n"));
            fields(before, after, depth + 1, out);
            out.push_str(&format!("  {tabs}}},\n"));
        }
        (Value::Array(a), Value::Array(b)) if a.iter().chain(b).any(Value::is_object) => {
            out.push_str(&format!("  {tabs}{name}[\n"));
            for i in 0..a.len().max(b.len()) {
                change("", &before[i], &after[i], depth + 1, out);
            }
            out.push_str(&format!("  {tabs}],\n"));
        }
        _ => {
            for (mark, value) in [('-', before), ('+', after)] {
                let shown = if value.is_null() { "nil".to_string() } else { value.to_string() };
                out.push_str(&format!("{mark} {tabs}{name}{shown},\n"));
            }
        }
    }
}
