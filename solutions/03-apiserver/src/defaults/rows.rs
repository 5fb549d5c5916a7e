//! Defaults that can be said about one field: a table a kind. What depends on other fields is
//! code in the same table.

use crate::meta::{as_map, default_text, default_to};
use serde_json::{Map, Value, json};

/// Where, from the map that the table is about, and what is there if nothing else is. The maps on
/// the way are made.
pub struct Row(pub &'static str, pub Fill);

pub enum Fill {
    /// An empty text counts as nothing.
    Text(&'static str),
    Number(i64),
    Flag(bool),
    /// A map with nothing inside.
    Empty,
    Texts(&'static [&'static str]),
    /// If there is a map, these hold inside.
    Within(&'static [Row]),
    /// For every map of the list.
    Each(&'static [Row]),
    Code(fn(&mut Map<String, Value>)),
}

pub fn fill(map: &mut Map<String, Value>, rows: &[Row]) {
    for Row(path, what) in rows {
        let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
        // Tables inside are for what is there; only a value makes its own place.
        let makes = !matches!(what, Fill::Within(_) | Fill::Each(_));
        if let Some(parent) = step_down(map, parents, makes) {
            set(parent, key, what);
        }
    }
}

fn step_down<'m>(
    map: &'m mut Map<String, Value>,
    parents: &str,
    makes: bool,
) -> Option<&'m mut Map<String, Value>> {
    let mut steps = parents.split('.').filter(|step| !step.is_empty());
    steps.try_fold(map, |at, step| match at.entry(step) {
        serde_json::map::Entry::Vacant(_) if !makes => None,
        entry => Some(as_map(entry.or_insert_with(|| json!({})))),
    })
}

fn set(map: &mut Map<String, Value>, key: &str, what: &Fill) {
    match what {
        Fill::Text(text) => default_text(map, key, text),
        Fill::Number(number) => default_to(map, key, *number),
        Fill::Flag(flag) => default_to(map, key, *flag),
        Fill::Empty => default_to(map, key, json!({})),
        Fill::Texts(list) => default_to(map, key, json!(list)),
        Fill::Within(rows) => super::inside(map, key, |inner| fill(inner, rows)),
        Fill::Each(rows) => super::each(map, key, |item| fill(item, rows)),
        // What is written beside other fields is written into their map.
        Fill::Code(code) => code(map),
    }
}
