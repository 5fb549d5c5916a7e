//! The attribute of [`graded`](../graded/index.html), which a macro crate must hold apart.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// A `#[test]` whose body an examiner watches to its end.
///
/// ```text
/// #[graded]                          #[::core::prelude::v1::test]
/// fn a_rule_holds() { body }   ──>   fn a_rule_holds() { ::graded::sit(|| { body }) }
/// ```
///
/// The function takes nothing and returns nothing, as a rule is held or panics.
#[proc_macro_attribute]
pub fn graded(arguments: TokenStream, function: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return complaint("#[graded] takes no arguments");
    }
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    let returns = tokens.windows(2).any(|two| matches!(two, [TokenTree::Punct(a), TokenTree::Punct(b)] if a.as_char() == '-' && b.as_char() == '>'));
    let Some(TokenTree::Group(body)) = tokens.pop() else {
        return complaint("#[graded] stands before a function");
    };
    if body.delimiter() != Delimiter::Brace || returns {
        return complaint("a #[graded] function has a body and returns nothing");
    }
    let watched = parse("::graded::sit");
    let closure = parse("move ||").into_iter().chain([TokenTree::Group(body)]).collect();
    let call =
        watched.into_iter().chain([TokenTree::Group(Group::new(Delimiter::Parenthesis, closure))]).collect();
    let wrapped = TokenTree::Group(Group::new(Delimiter::Brace, call));
    parse("#[::core::prelude::v1::test]").into_iter().chain(tokens).chain([wrapped]).collect()
}

fn parse(text: &str) -> TokenStream {
    text.parse().expect("the text is Rust")
}

fn complaint(text: &str) -> TokenStream {
    parse(&format!("::core::compile_error!({text:?});"))
}
