//! Field selectors: `status.phase=Running,spec.nodeName!=node-1`
//! (k8s.io/apimachinery/pkg/fields). Which paths a kind offers is the API server's affair.

use crate::escaping::escape;
use std::fmt;

/// A conjunction of comparisons of one field each with a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `metadata.name`.
    pub path: String,
    pub operator: Operator,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
}

/// Why a text is no field selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term { selector: String, term: String },
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// Upstream shows the character as the number that it is in Unicode.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

impl FieldSelector {
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// The order of the terms means nothing, so it is that of their texts.
    pub fn new(mut requirements: Vec<Requirement>) -> FieldSelector {
        requirements.sort_by_cached_key(Requirement::to_string);
        FieldSelector { requirements }
    }

    /// Reads `path=value`, `path==value` and `path!=value`, joined by commas. In a value a
    /// comma, an equals sign and a backslash are written after a backslash.
    pub fn parse(text: &str) -> Result<FieldSelector, FieldSelectorError> {
        // lab:begin 00.5 cut the text at its bare commas, each term at its first operator
        use crate::escaping::{split_terms, unescape};
        let operators = [("!=", Operator::NotEquals), ("==", Operator::Equals), ("=", Operator::Equals)];
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let cut = term.char_indices().find_map(|(at, _)| {
                let (symbol, operator) =
                    operators.into_iter().find(|(symbol, _)| term[at..].starts_with(symbol))?;
                Some((&term[..at], operator, &term[at + symbol.len()..]))
            });
            let (path, operator, value) = cut.ok_or_else(|| FieldSelectorError::Term {
                selector: text.to_owned(),
                term: term.to_owned(),
            })?;
            requirements.push(Requirement { path: path.to_owned(), operator, value: unescape(value)? });
        }
        Ok(FieldSelector::new(requirements))
        // lab:end
    }

    /// Whether the object whose fields `field` reads matches. A field without a value
    /// counts as empty: `spec.nodeName=` finds the pods that have no node yet.
    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        // lab:begin 00.5 every requirement must hold
        for requirement in &self.requirements {
            let equal = field(&requirement.path).unwrap_or_default() == requirement.value;
            if equal != (requirement.operator == Operator::Equals) {
                return false;
            }
        }
        true
        // lab:end
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that `path` must have, if the selector names one: lets a list by
    /// `metadata.name` become a single read.
    pub fn exact(&self, path: &str) -> Option<&str> {
        let wanted = |r: &&Requirement| r.operator == Operator::Equals && r.path == path;
        self.requirements.iter().find(wanted).map(|requirement| requirement.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = match self.operator {
            Operator::Equals => "=",
            Operator::NotEquals => "!=",
        };
        write!(f, "{}{symbol}{}", self.path, escape(&self.value))
    }
}
