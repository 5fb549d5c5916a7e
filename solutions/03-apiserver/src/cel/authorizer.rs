//! Kubernetes' authorizer library: an expression asks whether somebody may do something
//! (upstream: `apiserver/pkg/cel/library/authz.go`).
//!
//! ```text
//!  authorizer ─┬─ path(P) ──────────────────────────────────────────► check(VERB) ──► decision
//!              ├─ group(G) ──► resource(R) ──► namespace(N), name(N), … ─┘  ▲            │
//!              ├─ requestResource ──────────────────────────────────────────┘      allowed(), reason()
//!              └─ serviceAccount(NAMESPACE, NAME) ──► the authorizer of that account
//! ```
//!
//! What is asked about is not kept: the one rule that there is looks only at who asks
//! ([`crate::access::may_do_all`]).

use super::check::Type;
use super::functions::{Answer, Target};
use super::value::Value;
use super::{Budget, EvalError};
use crate::access::{self, User};
use crate::{names, tokens};
use std::rc::Rc;

/// How far a question has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
    Decision,
}

impl Stage {
    pub const fn type_name(self) -> &'static str {
        match self {
            Stage::Authorizer => "kubernetes.authorization.Authorizer",
            Stage::Path => "kubernetes.authorization.PathCheck",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
            Stage::Decision => "kubernetes.authorization.Decision",
        }
    }

    pub const fn to_type(self) -> Type {
        Type::Other(self.type_name())
    }

    /// The one field that there is: `authorizer.requestResource`.
    pub fn field(self, name: &str) -> Option<Stage> {
        (self == Stage::Authorizer && name == "requestResource").then_some(Stage::Resource)
    }
}

/// Who asks, and how far they have come.
#[derive(Debug, Clone)]
pub struct Question {
    pub stage: Stage,
    pub user: Rc<User>,
}

impl Question {
    pub fn of(user: &User) -> Question {
        Question { stage: Stage::Authorizer, user: Rc::new(user.clone()) }
    }

    pub fn at(&self, stage: Stage) -> Question {
        Question { stage, user: Rc::clone(&self.user) }
    }
}

pub fn call<'a>(budget: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    let (Target::Receiver, [Value::Question(question), args @ ..]) = (target, args) else { return None };
    let next = |stage| Ok(Value::Question(question.at(stage)));
    let answer = match (question.stage, name, args) {
        (Stage::Authorizer, "path", [Value::String(path)]) if path.as_str().is_empty() => {
            Err(EvalError::failed("path must not be empty"))
        }
        (Stage::Authorizer, "path", [Value::String(_)]) => next(Stage::Path),
        (Stage::Authorizer, "group", [Value::String(_)]) => next(Stage::Group),
        (Stage::Authorizer, "serviceAccount", [Value::String(namespace), Value::String(account)]) => {
            of_account(namespace.as_str(), account.as_str())
        }
        (Stage::Group, "resource", [Value::String(resource)]) if resource.as_str().is_empty() => {
            Err(EvalError::failed("resource must not be empty"))
        }
        (Stage::Group, "resource", [Value::String(_)]) => next(Stage::Resource),
        (
            Stage::Resource,
            "subresource" | "namespace" | "name" | "fieldSelector" | "labelSelector",
            [Value::String(_)],
        ) => next(Stage::Resource),
        (Stage::Path | Stage::Resource, "check", [Value::String(_)]) => next(Stage::Decision),
        (Stage::Decision, "allowed", []) => Ok(Value::Bool(access::may_do_all(&question.user))),
        (Stage::Decision, "reason" | "error", []) => Ok(Value::text("")),
        (Stage::Decision, "errored", []) => Ok(Value::Bool(false)),
        _ => return None,
    };
    Some(budget.spend(1).and(answer))
}

fn of_account<'a>(namespace: &str, account: &str) -> Answer<'a> {
    if !names::subdomain(account).is_empty() {
        return Err(EvalError::failed(format!("Invalid service account name: {account:?}")));
    }
    if !names::label(namespace).is_empty() {
        return Err(EvalError::failed(format!("Invalid service account namespace: {namespace:?}")));
    }
    Ok(Value::Question(Question::of(&tokens::account_user(namespace, account))))
}
