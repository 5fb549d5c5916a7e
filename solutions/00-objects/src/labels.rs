//! Label selectors: questions about an object's labels, as `kubectl get -l` and Services,
//! ReplicaSets and Deployments ask them (k8s.io/apimachinery/pkg/labels).
//!
//! ```text
//!   env in (prod,qa), tier!=db, canary, !legacy, replicas>3
//!   |               | |       | |     | |      |
//!   In                NotEquals Exists  DoesNotExist   GreaterThan     all must hold
//! ```

pub use crate::names::{label_value, qualified_name};
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

// ANCHOR: operator
/// How a requirement compares. `Equals`, `DoubleEquals` and `In` with one value mean the
/// same, and are kept apart so that a selector prints as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    /// `==`
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}
// ANCHOR_END: operator

/// Why a text or a LabelSelector is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("found '{found}', expected: {expected}")]
    Unexpected { found: String, expected: &'static str },
    /// `in` and `notin` want a list. Upstream's text has no comma here.
    #[error("found '{0}' expected: '('")]
    NoList(String),
    #[error("{}", aggregate(.0))]
    Invalid(Vec<String>),
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// What is wrong inside a requirement, with upstream's preface.
    #[error("unable to parse requirement: {0}")]
    InRequirement(Box<SelectorError>),
}

/// One message as it is, several in brackets: how upstream shows a list of errors.
fn aggregate(messages: &[String]) -> String {
    match messages {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// Checks a key that stands in a text; the path of such a key is empty, `<nil>` in Go's print.
// lab:given
fn check_key(key: &str) -> Result<(), SelectorError> {
    qualified_name(key)
        .map_err(|why| SelectorError::Invalid(vec![format!("<nil>: Invalid value: {key:?}: {why}")]))
}

impl Requirement {
    /// Checks the key, the values, and that there are as many values as the operator takes.
    pub fn new(
        key: &str,
        operator: Operator,
        values: impl IntoIterator<Item = String>,
    ) -> Result<Requirement, SelectorError> {
        let values: BTreeSet<String> = values.into_iter().collect();
        let wrong_number = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        let mut errors = Vec::new();
        errors.extend(qualified_name(key).err().map(|why| format!("key: Invalid value: {key:?}: {why}")));
        errors.extend(wrong_number.map(|why| format!("values: Invalid value: {}: {why}", go_list(&values))));
        let numbers = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        for (at, value) in values.iter().enumerate().filter(|(_, value)| numbers && integer(value).is_none())
        {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(format!("values[{at}]: Invalid value: {value:?}: {why}"));
        }
        for (at, value) in values.iter().enumerate() {
            let wrong = label_value(value).err();
            errors.extend(wrong.map(|why| format!("values[{at}][{key}]: Invalid value: {value:?}: {why}")));
        }
        if errors.is_empty() {
            Ok(Requirement { key: key.to_owned(), operator, values })
        } else {
            Err(SelectorError::Invalid(errors))
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
        // lab:begin 00.3 compare the label, if there is one, in the operator's way
        let label = labels.get(&self.key);
        let compare = |wanted: fn(&i64, &i64) -> bool| {
            let have = label.and_then(|text| integer(text));
            let bound = self.values.first().and_then(|text| integer(text));
            have.zip(bound).is_some_and(|(have, bound)| wanted(&have, &bound))
        };
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => {
                label.is_some_and(|v| self.values.contains(v))
            }
            Operator::NotEquals | Operator::NotIn => label.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => compare(i64::gt),
            Operator::LessThan => compare(i64::lt),
        }
        // lab:end
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
        loop {
            match tokens.peek() {
                Token::Word(_) | Token::Not => {
                    let one = requirement(&mut tokens);
                    requirements.push(one.map_err(|why| SelectorError::InRequirement(Box::new(why)))?);
                }
                Token::End => return Ok(Selector::new(requirements)),
                other => return Err(unexpected(other, "!, identifier, or 'end of string'")),
            }
            match (tokens.take(), tokens.peek()) {
                (Token::End, _) => return Ok(Selector::new(requirements)),
                (Token::Comma, Token::Word(_) | Token::Not) => {}
                (Token::Comma, other) => return Err(unexpected(other, "identifier after ','")),
                (other, _) => return Err(unexpected(&other, "',' or 'end of string'")),
            }
        }
    }

    /// The selector of an object's `spec.selector`: all of matchLabels and all of
    /// matchExpressions. An empty one matches everything.
    pub fn from_label_selector(selector: &LabelSelector) -> Result<Selector, SelectorError> {
        // lab:begin 00.4 turn matchLabels and matchExpressions into requirements
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, [value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError::Operator(other.to_owned())),
            };
            let values = expression.values.iter().flatten().cloned();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Selector::new(requirements))
        // lab:end
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

/// What [`Selector::parse`] reads back.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // lab:begin 00.4 print the requirement in kubectl's notation, its values in order
        let Requirement { key, operator, values } = self;
        let values = values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
        // lab:end
    }
}

/// A number as Go's `strconv.ParseInt` reads one.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A list of texts as Go prints one in an error.
fn go_list(values: &BTreeSet<String>) -> String {
    if values.is_empty() {
        return "[]string(nil)".to_owned();
    }
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

/// `!key`, `key`, `key = value`, `key in (values)` and their kin.
fn requirement(tokens: &mut Tokens) -> Result<Requirement, SelectorError> {
    // lab:begin 00.4 read one requirement from the tokens, and leave what follows it
    let negated = tokens.peek() == &Token::Not;
    if negated {
        tokens.take();
    }
    let key = match tokens.take() {
        Token::Word(key) => key,
        other => return Err(unexpected(&other, "identifier")),
    };
    check_key(&key)?;
    if negated {
        return Requirement::new(&key, Operator::DoesNotExist, []);
    }
    let operator = match tokens.peek() {
        Token::End | Token::Comma => return Requirement::new(&key, Operator::Exists, []),
        Token::Equals => Operator::Equals,
        Token::DoubleEquals => Operator::DoubleEquals,
        Token::NotEquals => Operator::NotEquals,
        Token::Greater => Operator::GreaterThan,
        Token::Less => Operator::LessThan,
        Token::Word(word) if word == "in" => Operator::In,
        Token::Word(word) if word == "notin" => Operator::NotIn,
        other => return Err(unexpected(other, "in, notin, =, ==, !=, gt, lt")),
    };
    tokens.take();
    let values = match operator {
        Operator::In | Operator::NotIn => tokens.values()?,
        _ => vec![tokens.value()?],
    };
    Requirement::new(&key, operator, values)
    // lab:end
}
