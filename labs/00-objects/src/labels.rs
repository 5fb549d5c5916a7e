//! Label selectors: questions about an object's labels, as `kubectl get -l` and Services,
//! ReplicaSets and Deployments ask them (k8s.io/apimachinery/pkg/labels).
//!
//! ```text
//!   env in (prod,qa), tier!=db, canary, !legacy, replicas>3
//!   |               | |       | |     | |      |
//!   In                NotEquals Exists  DoesNotExist   GreaterThan     all must hold
//! ```

use crate::tokens::{Token, Tokens, unexpected};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A conjunction of requirements, kept in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `None` matches no object at all: the meaning of an absent selector.
    requirements: Option<Vec<Requirement>>,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// How a requirement compares. `Equals` and `In` with one value mean the same, and are
/// kept apart so that a selector prints as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// Why a text or a LabelSelector is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("unable to parse requirement: found '{found}', expected: {expected}")]
    Unexpected { found: String, expected: &'static str },
    #[error("unable to parse requirement: key: Invalid value: {key:?}: {reason}")]
    Key { key: String, reason: String },
    #[error("unable to parse requirement: values: Invalid value: {value:?}: {reason}")]
    Value { value: String, reason: String },
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
}

impl Requirement {
    /// Checks the key, the values, and that there are as many values as the operator takes.
    pub fn new(
        key: &str,
        operator: Operator,
        values: impl IntoIterator<Item = String>,
    ) -> Result<Requirement, SelectorError> {
        let bad_value = |value: &str, reason: &str| SelectorError::Value {
            value: value.to_owned(),
            reason: reason.to_owned(),
        };
        qualified_name(key).map_err(|reason| SelectorError::Key { key: key.to_owned(), reason })?;
        let values: BTreeSet<String> = values.into_iter().collect();
        for value in &values {
            label_value(value).map_err(|reason| bad_value(value, &reason))?;
        }
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Err(bad_value("", "for 'in', 'notin' operators, values set can't be empty"))
            }
            Operator::Equals | Operator::NotEquals if values.len() != 1 => {
                Err(bad_value("", "exact-match compatibility requires one single value"))
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Err(bad_value("", "values set must be empty for exists and does not exist"))
            }
            Operator::GreaterThan | Operator::LessThan
                if values.len() != 1 || values.iter().any(|v| v.parse::<i64>().is_err()) =>
            {
                Err(bad_value("", "for 'Gt', 'Lt' operators, the value must be one integer"))
            }
            _ => Ok(Requirement { key: key.to_owned(), operator, values }),
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn values(&self) -> &BTreeSet<String> {
        &self.values
    }

    /// Whether labels satisfy this one condition. An object without the label satisfies
    /// `!=` and `notin`, but neither `>` nor `<`.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let _ = &labels;
        todo!("lab 00.3: compare the label, if there is one, in the operator's way")
    }
}

impl Default for Selector {
    fn default() -> Selector {
        Selector::everything()
    }
}

impl Selector {
    /// No requirement: every object matches.
    pub fn everything() -> Selector {
        Selector { requirements: Some(Vec::new()) }
    }

    /// No object matches.
    pub fn nothing() -> Selector {
        Selector { requirements: None }
    }

    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements: Some(requirements) }
    }

    /// Reads kubectl's notation: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1,j<9`.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        let mut tokens = Tokens::of(text);
        let mut requirements = Vec::new();
        if tokens.peek() == &Token::End {
            return Ok(Selector::everything());
        }
        loop {
            requirements.push(requirement(&mut tokens)?);
            match tokens.take() {
                Token::End => return Ok(Selector::new(requirements)),
                Token::Comma if tokens.peek() != &Token::End => {}
                Token::Comma => {
                    return Err(unexpected(&Token::End, "identifier after ','"));
                }
                token => return Err(unexpected(&token, "',' or 'end of string'")),
            }
        }
    }

    /// The selector of an object's `spec.selector`: all of matchLabels and all of
    /// matchExpressions. An empty one matches everything.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Selector, SelectorError> {
        let _ = &selector;
        todo!("lab 00.4: turn matchLabels and matchExpressions into requirements")
    }

    /// The selector of a Service or a nodeSelector: a plain map, every pair must match.
    /// An empty map matches everything; that an empty Service selector selects nothing is
    /// the Service's rule, not the selector's.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Result<Selector, SelectorError> {
        let pairs = labels.iter();
        pairs
            .map(|(key, value)| Requirement::new(key, Operator::Equals, [value.clone()]))
            .collect::<Result<_, _>>()
            .map(Selector::new)
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.as_ref().is_some_and(|all| all.iter().all(|one| one.matches(labels)))
    }

    /// Whether every object matches, so that nobody need look at labels.
    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or(&[])
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { key, operator, values } = self;
        let values = values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// `!key`, `key`, `key = value`, `key in (values)` and their kin.
fn requirement(tokens: &mut Tokens) -> Result<Requirement, SelectorError> {
    let _ = &tokens;
    todo!("lab 00.4: read one requirement from the tokens")
}

/// Checks a label's or an annotation's key: `[dns.subdomain/]name`.
pub fn qualified_name(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        let label = |label: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            label.bytes().all(|b| inner(b) || b == b'-')
                && label.bytes().next().is_some_and(inner)
                && label.bytes().last().is_some_and(inner)
        };
        if prefix.len() > 253 || !prefix.split('.').all(label) {
            return Err("prefix part must be a lower case DNS subdomain".to_owned());
        }
    }
    if name.is_empty() {
        return Err("name part must be non-empty".to_owned());
    }
    label_value(name).map_err(|reason| format!("name part {reason}"))
}

/// Checks a label's value: empty, or up to 63 letters, digits, `-`, `_` and `.`, the first
/// and the last of which is a letter or a digit.
pub fn label_value(value: &str) -> Result<(), String> {
    if value.len() > 63 {
        return Err("must be no more than 63 characters".to_owned());
    }
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !edge(value.bytes().next()) || !edge(value.bytes().last()) || !value.bytes().all(inner) {
        return Err("must consist of alphanumeric characters, '-', '_' or '.', and must start \
                    and end with an alphanumeric character"
            .to_owned());
    }
    Ok(())
}
