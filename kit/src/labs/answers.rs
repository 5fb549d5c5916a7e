//! One step's holes: put back in a student's file, or shown filled.
//!
//! A student's file is not ours any more: functions have moved, others have come. So a hole is found by
//! the path of its function, and only that function is replaced, from its visibility to its closing
//! brace. What the student wrote around it stays.

use anyhow::{Context, Result, bail};

use super::functions::{self, Function, offset};

/// See [`super::reset_step`].
pub fn reset_step(student: &str, skeleton: &str, step: &str) -> Result<String> {
    if !skeleton.contains(&format!("lab {step}: ")) {
        return Ok(student.to_owned());
    }
    let skeleton_functions = read(skeleton).context("the skeleton")?;
    let holes: Vec<(usize, &Function)> =
        skeleton_functions.iter().enumerate().filter(|(_, function)| is_hole_of(function, step)).collect();
    let own = read(student)?;
    let mut replacements = Vec::new();
    for (at, hole) in holes {
        // Two of one name, behind a cfg or in two impls, are told apart by their order.
        let nth = skeleton_functions[..at].iter().filter(|it| it.key() == hole.key()).count();
        let Some(function) = own.iter().filter(|it| it.key() == hole.key()).nth(nth) else {
            bail!(
                "there is no function `{}` any more: put it back, with the signature that it had",
                hole.path
            );
        };
        let (from, to) = (offset(student, function.start), offset(student, function.end));
        let text = &skeleton[offset(skeleton, hole.start)..offset(skeleton, hole.end)];
        replacements.push((from, to, text));
    }
    // From the end, so that what is in front keeps its place.
    replacements.sort_by_key(|(from, ..)| std::cmp::Reverse(*from));
    let mut text = student.to_owned();
    for (from, to, skeleton) in replacements {
        text.replace_range(from..to, skeleton);
    }
    Ok(text)
}

fn read(text: &str) -> Result<Vec<Function>> {
    match syn::parse_file(text) {
        Ok(file) => Ok(functions::all(&file)),
        Err(error) => {
            let line = error.span().start().line;
            bail!("line {line} cannot be read as Rust ({error}): mend it first, or take the whole file anew")
        }
    }
}

/// Whether a function of a skeleton ends in `todo!("lab 05.2: …")`.
fn is_hole_of(function: &Function, step: &str) -> bool {
    let todo = match function.statements.last() {
        Some(syn::Stmt::Macro(statement)) => &statement.mac,
        Some(syn::Stmt::Expr(syn::Expr::Macro(expression), _)) => &expression.mac,
        _ => return false,
    };
    let text = todo.parse_body::<syn::LitStr>().map(|text| text.value());
    todo.path.is_ident("todo") && text.is_ok_and(|text| text.starts_with(&format!("lab {step}: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKELETON: &str = "\
impl A {
    /// Doc.
    pub fn f(&self, a: u8) -> u8 {
        let _ = &a;
        todo!(\"lab 05.1: words\")
    }

    fn g(&self) {
        todo!(\"lab 05.2: words\")
    }
}
";

    #[test]
    fn only_the_functions_of_the_step_are_put_back() {
        let student = "\
use std::fmt;

// für später
fn helper() {}

impl A {
    /* ü */ pub fn f(&self, a: u16) -> u8 { a + helper() }

    fn g(&self) {
        println!(\"mine\");
    }
}
";
        let expected = "\
use std::fmt;

// für später
fn helper() {}

impl A {
    /* ü */ pub fn f(&self, a: u8) -> u8 {
        let _ = &a;
        todo!(\"lab 05.1: words\")
    }

    fn g(&self) {
        println!(\"mine\");
    }
}
";
        assert_eq!(reset_step(student, SKELETON, "05.1").unwrap(), expected);
        assert_eq!(reset_step(student, SKELETON, "05.3").unwrap(), student);
        assert_eq!(reset_step(SKELETON, SKELETON, "05.1").unwrap(), SKELETON);
    }

    #[test]
    fn what_cannot_be_put_back_is_told() {
        let gone = reset_step("impl A { fn f() {} }", SKELETON, "05.2").unwrap_err().to_string();
        assert_eq!(gone, "there is no function `A::g` any more: put it back, with the signature that it had");
        let broken = reset_step("\nfn f( {", SKELETON, "05.2").unwrap_err().to_string();
        assert!(broken.starts_with("line 2 cannot be read as Rust"), "{broken}");
    }
}
