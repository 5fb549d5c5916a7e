//! The rules that a suite judges by, as its sources tell them: where a test stands, and its doc comment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::student::progress::collect;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Why Kubernetes wants it so, where the test says it.
    pub doc: Option<String>,
    pub file: PathBuf,
    pub line: usize,
}

/// The rules of a suite by the full names of their tests: `step_1_queue::the_highest_priority_…`.
///
/// A file that cannot be read as Rust has no rules: they are an extra, and the suite compiles anyhow.
pub fn of_suite(folder: &Path) -> BTreeMap<String, Rule> {
    let mut files = Vec::new();
    collect(&folder.join("tests"), &mut files);
    let mut rules = BTreeMap::new();
    for file in files {
        let module = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for (name, doc, line) in functions(&text) {
            rules.insert(format!("{module}::{name}"), Rule { doc, file: file.clone(), line });
        }
    }
    rules
}

/// Name, doc comment and line of every function, also of those inside a macro such as `proptest!`.
fn functions(text: &str) -> Vec<(String, Option<String>, usize)> {
    let mut found = Vec::new();
    if let Ok(tokens) = text.parse::<TokenStream>() {
        walk(tokens, &mut found);
    }
    found
}

fn walk(tokens: TokenStream, found: &mut Vec<(String, Option<String>, usize)>) {
    let mut docs: Vec<String> = Vec::new();
    let mut after_fn = false;
    let mut after_hash = false;
    for token in tokens {
        let was_hash = std::mem::take(&mut after_hash);
        match token {
            TokenTree::Punct(punct) => {
                after_hash = punct.as_char() == '#';
                if punct.as_char() == ';' {
                    docs.clear();
                }
            }
            TokenTree::Ident(name) if std::mem::take(&mut after_fn) => {
                let doc = (!docs.is_empty()).then(|| docs.join("\n"));
                docs.clear();
                found.push((name.to_string(), doc, name.span().start().line));
            }
            TokenTree::Ident(word) => after_fn = word == "fn",
            TokenTree::Group(group) if was_hash && group.delimiter() == Delimiter::Bracket => {
                docs.extend(doc_line(group.stream()));
            }
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace {
                    docs.clear();
                    walk(group.stream(), found);
                }
            }
            TokenTree::Literal(_) => {}
        }
    }
}

/// `doc = "words"`, which is what `/// words` becomes.
fn doc_line(attribute: TokenStream) -> Option<String> {
    let mut tokens = attribute.into_iter();
    match (tokens.next()?, tokens.next()?, tokens.next()?) {
        (TokenTree::Ident(doc), TokenTree::Punct(_), TokenTree::Literal(words)) if doc == "doc" => {
            let words: syn::LitStr = syn::parse2(TokenTree::Literal(words).into()).ok()?;
            Some(words.value().trim().to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_in_and_outside_of_macros() {
        let text = r##"
//! The module's own words.
use graded::graded;

/// A constant, and no rule.
const A: &str = "fn not_this";

/// The first line,
/// and the second.
#[graded]
fn one() {
    fn inner() {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// A law.
    #[graded]
    fn two(a in 0..8) { }

    #[graded]
    fn three(a in 0..8) { }
}
"##;
        let found = functions(text);
        let told: Vec<_> =
            found.iter().map(|(name, doc, line)| (name.as_str(), doc.as_deref(), *line)).collect();
        assert_eq!(
            told,
            [
                ("one", Some("The first line,\nand the second."), 11),
                ("inner", None, 12),
                ("two", Some("A law."), 20),
                ("three", None, 23),
            ]
        );
        assert!(functions("fn half( {").is_empty());
    }
}
