//! The form of a core in which every hole is behind a switch.
//!
//! ```text
//!   fn fits(…) -> bool {
//!       if crate::hole_is_open("05.2/fits") { todo!("lab 05.2: …") } // lab:begin 05.2 …
//!       … the answer …
//!       // lab:end
//!   }
//! ```
//!
//! The guard stands on the mark's own line, so that every line keeps its number. Other answers, which
//! proofs try as well, stand behind switches of the same kind (see [`super::variants`]). Which holes are open is
//! read once, when the program starts to run: a test's process sees one state of the core from end to end.

use std::collections::BTreeMap;

use super::room::{File, Room};
use super::skeleton;
use super::variants::Body;

/// Names the open holes, separated by commas.
pub const OPEN: &str = "CORACLE_OPEN_HOLES";

/// Stands at the end of the core's lib.rs.
const SWITCH: &str = r#"
#[doc(hidden)]
pub fn hole_is_open(id: &str) -> bool {
    static OPEN: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("CORACLE_OPEN_HOLES").unwrap_or_default());
    OPEN.split(',').any(|open| open == id)
}
"#;

/// Every file of the core, by its path. `variants` are other bodies for its functions, by the name of
/// their switch.
pub fn write(room: &Room, variants: &[(String, Vec<Body>)]) -> BTreeMap<String, String> {
    let written = room.files.iter().map(|file| {
        let mut text = guarded(file, variants);
        if file.source.file == "src/lib.rs" {
            text.push_str(SWITCH);
        }
        (file.source.file.clone(), text)
    });
    written.collect()
}

fn guarded(file: &File, variants: &[(String, Vec<Body>)]) -> String {
    let mut lines: Vec<String> = file.source.text.lines().map(str::to_owned).collect();
    let mut bodies: Vec<(&String, &Body)> =
        variants.iter().flat_map(|(name, bodies)| bodies.iter().map(move |body| (name, body))).collect();
    bodies.retain(|(_, body)| body.file == file.source.file);
    // From the right, where two functions open on one line.
    bodies.sort_by_key(|(_, body)| std::cmp::Reverse((body.line, body.column)));
    for (name, body) in bodies {
        let other = format!(" if crate::hole_is_open({name:?}) {{ return {}; }}", body.text);
        lines[body.line - 1].insert_str(body.column, &other);
    }
    for (id, cut) in file.cuts() {
        let mark = &mut lines[cut.span.begin - 1];
        *mark = format!("{} {}", guard(id, &skeleton::todo("", cut)), mark.trim_start());
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn guard(id: &str, todo: &str) -> String {
    let todo: Vec<&str> = todo.lines().map(str::trim).collect();
    format!("if crate::hole_is_open({id:?}) {{ {} }}", todo.concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_guard_stands_on_the_line_of_the_mark() {
        let text = "fn f() -> u8 {\n    // lab:begin 05.1 say one\n    1\n    // lab:end\n}\n".to_owned();
        let files = BTreeMap::from([("src/lib.rs".to_owned(), text.clone())]);
        let room = Room::of(&files, &BTreeSet::from(["05.1"])).ok().unwrap();
        let written = &write(&room, &[])["src/lib.rs"];
        let guard = "if crate::hole_is_open(\"05.1/f\") { todo!(\"lab 05.1: say one\") } ";
        assert!(written.contains(&format!("\n{guard}// lab:begin 05.1 say one\n    1\n")), "{written}");
        // With the holes closed it is the solution.
        let closed = written.replace(guard, "    ");
        assert_eq!(closed.strip_suffix(SWITCH), Some(text.as_str()));
    }

    #[test]
    fn another_body_stands_in_front_of_the_solutions() {
        let text = "fn f() -> u8 {\n    // lab:begin 05.1 say one\n    1\n    // lab:end\n}\n".to_owned();
        let files = BTreeMap::from([("src/a.rs".to_owned(), text)]);
        let room = Room::of(&files, &BTreeSet::from(["05.1"])).ok().unwrap();
        let body = Body { file: "src/a.rs".into(), line: 1, column: 14, text: "{ 2 }".into() };
        let written = &write(&room, &[("wrong/two".into(), vec![body])])["src/a.rs"];
        let first = "fn f() -> u8 { if crate::hole_is_open(\"wrong/two\") { return { 2 }; }\n";
        assert!(written.starts_with(first), "{written}");
    }
}
