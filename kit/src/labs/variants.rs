//! Another answer as one more switch, so that it needs no build of its own.
//!
//! Most patches change the bodies of a few functions and nothing else. Both bodies then fit into one
//! program:
//!
//! ```text
//!   fn fits(…) -> bool { if crate::hole_is_open("wrong/off-by-one") { return { …the patch's body… }; }
//!       … the solution's body …
//!   }
//! ```

use std::collections::BTreeMap;

use proc_macro2::TokenStream;

use super::functions::{self, Function};

/// What a patch does to one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub file: String,
    /// The line of the solution, from 1, on which the function's body opens.
    pub line: usize,
    /// The column behind its brace, in bytes.
    pub column: usize,
    /// The patch's body in braces, on one line unless a text in it has more.
    pub text: String,
}

/// The functions that a patch changes; none if it changes anything else as well, or what a switch cannot
/// stand in.
pub fn bodies(solution: &BTreeMap<String, String>, patched: &BTreeMap<String, String>) -> Option<Vec<Body>> {
    if !solution.keys().eq(patched.keys()) {
        return None;
    }
    let mut bodies = Vec::new();
    for (file, text) in solution {
        let other = &patched[file];
        if text != other {
            bodies.extend(of_file(file, text, other)?);
        }
    }
    Some(bodies)
}

fn of_file(file: &str, solution: &str, patched: &str) -> Option<Vec<Body>> {
    let (old, new) = (Parts::of(solution)?, Parts::of(patched)?);
    if old.outline != new.outline {
        return None;
    }
    let changed = old.functions.iter().zip(&new.functions).filter(|((_, old), (_, new))| old != new);
    changed
        .map(|((function, _), (_, body))| {
            let fixed = function.signature.constness.is_some();
            let line = solution.lines().nth(function.open - 1)?;
            (!fixed && !functions::returns_something_opaque(&function.signature)).then_some(())?;
            Some(Body {
                file: file.to_owned(),
                line: function.open,
                column: line.char_indices().nth(function.open_column)?.0 + 1,
                text: body.parse::<TokenStream>().ok()?.to_string(),
            })
        })
        .collect()
}

/// A file as what stands in its functions, and what stands around them.
struct Parts {
    outline: String,
    functions: Vec<(Function, String)>,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let mut outline = String::new();
        let mut done = 0;
        let mut parts = Vec::new();
        for function in functions::all(&syn::parse_file(text).ok()?) {
            let (from, to) = (function.body_from(text), function.body_to(text));
            // A function in a function is part of its body.
            if from < done {
                continue;
            }
            outline.push_str(&text[done..from]);
            parts.push((function, text[from..to].to_owned()));
            done = to;
        }
        outline.push_str(&text[done..]);
        Some(Self { outline, functions: parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(solution: &str, patched: &str) -> Option<Vec<Body>> {
        let files = |text: &str| BTreeMap::from([("src/a.rs".to_owned(), text.to_owned())]);
        bodies(&files(solution), &files(patched))
    }

    #[test]
    fn a_patch_of_bodies_is_a_switch() {
        let solution = "struct Ü;\nimpl Ü { /* ü */ fn f() -> u8 {\n    // why\n    1\n}\nfn g() {} }\n";
        let patched = solution.replace("    1\n", "    fn inner() -> u8 { 2 }\n    inner()\n");
        let bodies = of(solution, &patched).unwrap();
        let text = "{ fn inner () -> u8 { 2 } inner () }";
        let line = solution.lines().nth(1).unwrap();
        let column = line.find("u8 {").unwrap() + "u8 {".len();
        assert_eq!(bodies, [Body { file: "src/a.rs".into(), line: 2, column, text: text.into() }]);
        assert_eq!(of(solution, solution), Some(vec![]));
    }

    #[test]
    fn a_patch_of_anything_else_is_not() {
        let solution = "const A: u8 = 1;\nfn f() -> u8 {\n    A\n}\nconst fn g() -> u8 { 1 }\n";
        assert_eq!(of(solution, &solution.replace("= 1", "= 2")), None);
        assert_eq!(of(solution, &solution.replace("fn f", "fn h() {}\nfn f")), None);
        assert_eq!(of(solution, &solution.replace("{ 1 }", "{ 2 }")), None);
    }
}
