//! CEL as Kubernetes has it: the rules of custom resources and of admission policies.
//!
//! The crate `cel` reads expressions; they are evaluated here. Two things that Kubernetes promises
//! need that. Evaluation has a price: every step and every character that is looked at is paid for
//! from a [`Budget`], and whoever runs out is stopped, since anyone who may write a policy would
//! otherwise hold the server up. And an object is not copied for every rule that looks at it.
//!
//! ```text
//!  text ──► depth ──► crate cel ──► check ──► Program ──► eval(Scope, Budget) ──► Value
//!           bounded   the parser   names,                  functions, strings, lists,
//!                                  types                   quantity, url, ip, formats
//! ```
//!
//! ## Invariants
//! 1. No expression and no object makes this panic, or use more stack than [`MAX_DEPTH`] levels.
//! 2. Evaluation ends: nothing loops but comprehensions, and each turn of one is paid for.
//! 3. `a && b` is false when either side is, even if the other side fails.
//!
//! ## What is left out, and where to read it
//! * Costs estimated before an expression is accepted (`apiserver/pkg/cel/library/cost.go`); the
//!   price here counts steps and characters, and is not upstream's to the unit.
//! * Full type checking (`cel-go/checker`): names, arguments of fixed types and listed fields are
//!   checked; what is dynamic is found out when it is evaluated.
//! * `semver`, and time zones by name: hours and days are told in UTC or at a fixed offset.

mod authorizer;
mod check;
mod eval;
mod formats;
mod functions;
mod lists;
mod net;
mod parse;
mod quantity;
mod schema;
mod signatures;
mod strings;
mod time;
mod url;
mod value;

pub use authorizer::{Question, Stage};
pub use check::{Composed, Type};
pub use eval::Scope;
pub use quantity::Quantity;
pub use schema::Schema;
pub use value::Value;

use cel::common::ast::IdedExpr;
use regex::Regex;
use serde_json::Value as Json;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// The longest expression that is read (cel-go's limit, in bytes here).
pub const MAX_LENGTH: usize = 100_000;
/// How deep an expression may go: parentheses, fields of fields, terms of one sum.
pub const MAX_DEPTH: usize = 200;
/// What one evaluation may cost (upstream: `PerCallLimit`).
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// What all expressions of one request may cost together (upstream: `RuntimeCELCostBudget`).
pub const REQUEST_BUDGET: u64 = 10_000_000;

/// Why an expression was not accepted. The text is as upstream prints it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("compilation failed: {message}")]
pub struct CompileError {
    /// `ERROR: <input>:1:6: ...`, with the line and a mark under the place.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("{0}")]
    Failed(String),
    /// The evaluation cost more than it may.
    #[error("operation cancelled: actual cost limit exceeded")]
    Budget,
}

impl EvalError {
    pub fn failed(message: impl Into<String>) -> EvalError {
        EvalError::Failed(message.into())
    }

    /// Say where it failed.
    fn within(self, place: String) -> EvalError {
        match self {
            EvalError::Failed(why) => EvalError::Failed(format!("{place}: {why}")),
            EvalError::Budget => EvalError::Budget,
        }
    }
}

/// What may still be spent.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    /// Building a regular expression is dear: each is paid for once.
    regexes: RefCell<HashMap<String, Regex>>,
}

impl Budget {
    pub fn new(steps: u64) -> Budget {
        Budget { steps: Cell::new(steps), regexes: RefCell::default() }
    }

    /// For one call.
    pub fn per_call() -> Budget {
        Budget::new(PER_CALL_LIMIT)
    }

    pub fn left(&self) -> u64 {
        self.steps.get()
    }

    fn spend(&self, steps: usize) -> Result<(), EvalError> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => {
                self.steps.set(0);
                Err(EvalError::Budget)
            }
        }
    }
}

/// An expression that was accepted.
#[derive(Debug, Clone)]
pub struct Program {
    ast: IdedExpr,
    result: Type,
}

impl Program {
    /// `variables` are the names that the expression may use.
    pub fn compile(expression: &str, variables: &[&str]) -> Result<Program, CompileError> {
        let variables: Vec<(&str, Type)> = variables.iter().map(|name| (*name, Type::Dyn)).collect();
        Program::compile_typed(expression, &variables)
    }

    /// The same, with what is known of the variables. See [`Type::of_schema`].
    pub fn compile_typed(expression: &str, variables: &[(&str, Type)]) -> Result<Program, CompileError> {
        let ast = parse::parse(expression)?;
        let result = check::check(expression, &ast, variables)?;
        Ok(Program { ast, result })
    }

    /// What evaluates; [`Type::Dyn`] if that is seen only when it does.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Whether it may evaluate to a value of this type.
    pub fn may_be(&self, wanted: &Type) -> bool {
        self.result == Type::Dyn || self.result == *wanted
    }

    /// Evaluate with these variables, for the price of one call.
    pub fn eval(&self, variables: &[(&str, &Json)]) -> Result<Json, EvalError> {
        let budget = Budget::per_call();
        let scope = variables.iter().fold(Scope::new(&budget), |s, (name, value)| s.with(name, value, None));
        let value = scope.eval(self)?;
        functions::paid(&budget, &[&value])?;
        Ok(value.to_json())
    }
}
