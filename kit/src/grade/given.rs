//! Whether the part that was given is still as it was.
//!
//! Answers stand in one crate with types that were given, and so do the `PartialEq` and `Debug` of these,
//! with which tests compare: who changes them can make anything equal to anything. To change what was
//! given is a student's good right, so it costs nothing; but it is pointed out to whoever grades.
//!
//! Texts are compared as the compiler reads them: comments, layout and added code do not count.

use std::iter::Peekable;

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream};

/// The first line of the skeleton's text that theirs lacks, in its place.
pub fn changed(skeleton: &str, theirs: &str) -> Option<String> {
    let (given, theirs) = (skeleton.parse::<TokenStream>().ok()?, theirs.parse::<TokenStream>().ok()?);
    let line = first_lacking(given, theirs)?.span().start().line;
    let text = skeleton.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    Some(format!("given code was changed, at or below `{text}` (line {line} of the skeleton)"))
}

/// The first part of what was given that is not to be found among theirs, in order.
fn first_lacking(given: TokenStream, theirs: TokenStream) -> Option<TokenTree> {
    let mut theirs = theirs.into_iter();
    let mut given = given.into_iter().peekable();
    while let Some(tree) = given.next() {
        let last_comma = is_punct(&tree, ',') && given.peek().is_none();
        if last_comma || (is_punct(&tree, '#') && skip_what_may_go(&mut given)) {
            continue;
        }
        if !theirs.any(|theirs| covers(&tree, &theirs)) {
            return Some(tree);
        }
    }
    None
}

/// Behind a `#`: documentation, and the attributes for code that waits for an answer.
fn skip_what_may_go(given: &mut Peekable<token_stream::IntoIter>) -> bool {
    let inner = given.next_if(|next| is_punct(next, '!')).is_some();
    let may_go = |next: &TokenTree| {
        let text = next.to_string();
        text.starts_with("[doc") || text.contains("used by your answer")
    };
    given.next_if(may_go).is_some() || inner
}

fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Whether `theirs` is what was given, with code added at most; an answer may be anything.
fn covers(given: &TokenTree, theirs: &TokenTree) -> bool {
    match (given, theirs) {
        (TokenTree::Group(given), TokenTree::Group(theirs)) if given.delimiter() == Delimiter::Brace => {
            theirs.delimiter() == Delimiter::Brace
                && (is_hole(given.stream()) || first_lacking(given.stream(), theirs.stream()).is_none())
        }
        _ => plain(given) == plain(theirs),
    }
}

/// Without what a formatter may change.
fn plain(tree: &TokenTree) -> String {
    let text: String = tree.to_string().split_whitespace().collect();
    text.replace(",)", ")").replace(",]", "]").replace(",}", "}")
}

/// A body that ends in `todo!("lab 05.2: …")`.
fn is_hole(body: TokenStream) -> bool {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    trees.windows(3).any(|three| {
        let todo = matches!(&three[0], TokenTree::Ident(ident) if ident == "todo");
        todo && is_punct(&three[1], '!') && plain(&three[2]).starts_with("(\"lab")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKELETON: &str = r#"
        //! A lab.
        use a::{B, C};
        #[derive(Debug, Clone, PartialEq)]
        pub struct Amount { nano: i128, #[allow(dead_code, reason = "used by your answer")] sign: bool }
        impl Amount {
            pub const ZERO: Amount = Amount { nano: 0, sign: false };
            /// Reads it.
            pub fn parse(text: &str) -> Amount { let given = 1; let _ = (&given, &text); todo!("lab 00.1: read it") }
            pub fn is_zero(&self) -> bool { self.nano == 0 }
        }
    "#;

    #[test]
    fn answers_helpers_and_another_layout_are_no_changes() {
        let answer = r#"
            use a::{ B, C, };
            use std::fmt;
            #[derive(Debug, Clone, PartialEq)]
            pub struct Amount { nano: i128, sign: bool, digits: u8 }
            fn helper() {}
            impl Amount {
                pub const ZERO: Amount = Amount { nano: 0, sign: false, };
                pub fn parse(text: &str) -> Amount { helper(); todo!("later") }
                fn more() {}
                pub fn is_zero(&self) -> bool { self.nano == 0 }
            }
        "#;
        assert_eq!(changed(SKELETON, answer), None);
    }

    #[test]
    fn what_was_given_and_is_gone_is_told_by_its_line() {
        let equal = SKELETON.replace("Clone, PartialEq", "Clone");
        let said = changed(SKELETON, &(equal + "impl PartialEq for Amount { }")).unwrap();
        let line = "`#[derive(Debug, Clone, PartialEq)]` (line 4 of the skeleton)";
        assert_eq!(said, format!("given code was changed, at or below {line}"));
        let zero = changed(SKELETON, &SKELETON.replace("self.nano == 0", "true")).unwrap();
        assert!(zero.contains("`impl Amount {`"), "{zero}");
    }

    #[test]
    fn the_reference_has_changed_nothing_of_what_students_are_given() {
        let place = crate::place::Place::find().unwrap();
        for chapter in crate::chapters::Chapter::all(&place).unwrap() {
            for (path, skeleton) in crate::labs::sync::generate(&place, &chapter).unwrap() {
                let Ok(theirs) = std::fs::read_to_string(chapter.solution(&place).join(&path)) else {
                    continue;
                };
                if path.ends_with(".rs") {
                    assert_eq!(changed(&skeleton, &theirs), None, "{} {path}", chapter.name);
                }
            }
        }
    }
}
