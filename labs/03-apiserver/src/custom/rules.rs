//! `x-kubernetes-validations`: rules in CEL, each about one value of an object (KEP-2876; upstream:
//! `apiextensions-apiserver/pkg/apiserver/schema/cel`).
//!
//! A rule that speaks of `oldSelf` is asked only where there is an old value. Any other rule is
//! asked about what changed: an object that broke it before may go on doing so in that place.

use super::pruning::child;
use super::ratchet::Old;
use super::schema::{Rule, Schema};
use crate::cel::{self, Budget, EvalError, Program, Scope, Type};
use crate::fields::Errors;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest message that a rule may make up (upstream: `MaxEvaluatedMessageExpressionSizeBytes`).
const LONGEST_MESSAGE: usize = 5 * 1024;

/// A program, or why the text is none.
type Attempt = Result<Program, String>;

/// The rules of one node, compiled once, each with what makes its message up; and what is known of
/// the value that they are about.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    rules: Arc<[(Attempt, Option<Attempt>)]>,
    /// The node as its definition states it: it tells texts from times.
    stated: Arc<Value>,
}

impl PartialEq for Compiled {
    /// Rules are compared where they are stated.
    fn eq(&self, _: &Compiled) -> bool {
        true
    }
}

impl Compiled {
    /// Compile the rules of a node. Of a resource `apiVersion`, `kind` and `metadata` are known too.
    pub fn new(rules: &[Rule], stated: &Value, is_resource: bool) -> Compiled {
        if rules.is_empty() {
            return Compiled::default();
        }
        let mut stated = stated.clone();
        if is_resource {
            crate::meta::as_map(&mut stated).insert("x-kubernetes-embedded-resource".into(), json!(true));
        }
        let own = Type::of_schema(&stated);
        let compile = |rule: &Rule, text: &str| {
            let old = match rule.optional_old_self {
                true => Type::Optional(Arc::new(own.clone())),
                false => own.clone(),
            };
            let variables = [("self", own.clone()), ("oldSelf", old)];
            Program::compile_typed(text, &variables).map_err(|error| error.to_string())
        };
        let one = |rule: &Rule| {
            let condition = compile(rule, &rule.rule).and_then(|program| match program.may_be(&Type::Bool) {
                true => Ok(program),
                false => Err("cel expression must evaluate to a bool".into()),
            });
            let message = Some(&rule.message_expression).filter(|text| !text.is_empty());
            let message = message.map(|text| {
                compile(rule, text).and_then(|program| match program.may_be(&Type::String) {
                    true => Ok(program),
                    false => Err("must evaluate to a string".into()),
                })
            });
            (condition, message)
        };
        Compiled { rules: rules.iter().map(one).collect(), stated: Arc::new(stated) }
    }
}

pub fn has_rules(schema: &Schema) -> bool {
    !schema.rules.is_empty()
        || schema.properties.values().any(has_rules)
        || schema.additional_schema().is_some_and(has_rules)
        || schema.items.as_deref().is_some_and(has_rules)
}

/// Ask every rule about an object; `old` is what it was, for an update.
pub fn check(object: &Value, old: Option<&Value>, schema: &Schema, errors: &mut Errors) {
    let mut asking = Asking { left: cel::REQUEST_BUDGET, errors };
    let old = old.map_or(Old::Nothing, Old::At);
    asking.node(object, old, false, schema, "");
}

struct Asking<'e> {
    /// What all rules together may still cost.
    left: u64,
    errors: &'e mut Errors,
}

impl Asking<'_> {
    /// `unchanged`: a value around this one is as it was.
    fn node(&mut self, value: &Value, old: Old<'_>, unchanged: bool, schema: &Schema, path: &str) {
        if value.is_null() {
            return;
        }
        // What cannot be compared itself goes by what is around it.
        let unchanged = if old.value().is_some() { old.is_same(value) } else { unchanged };
        self.rules(value, old, unchanged, schema, path);
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let Some(inner) = schema.child(key) else { continue };
                    let before = if schema.map_type == "atomic" { Old::Nothing } else { old.key(key) };
                    let here = match schema.properties.contains_key(key) {
                        true => child(path, key),
                        false => format!("{path}[{key}]"),
                    };
                    self.node(value, before, unchanged, inner, &here);
                }
            }
            Value::Array(items) => {
                let Some(inner) = schema.items.as_deref() else { return };
                for (i, item) in items.iter().enumerate() {
                    self.node(item, old.item(schema, item), unchanged, inner, &format!("{path}[{i}]"));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, value: &Value, old: Old<'_>, unchanged: bool, schema: &Schema, path: &str) {
        for (rule, (condition, message)) in schema.rules.iter().zip(schema.compiled.rules.iter()) {
            let needs_old = rule.rule.contains("oldSelf");
            if needs_old && old.value().is_none() && !rule.optional_old_self {
                continue;
            }
            let is = if schema.kind.is_empty() { "" } else { schema.kind.as_str() };
            let at = if path.is_empty() { "<nil>" } else { path };
            let refuse = |errors: &mut Errors, why: String| errors.invalid(at, &json!(is), why);
            let program = match condition {
                Ok(program) => program,
                Err(why) => {
                    refuse(self.errors, format!("rule compile error: {why}"));
                    continue;
                }
            };
            if self.left == 0 {
                let why = "validation failed due to running out of cost budget, no further validation rules will be run";
                return refuse(self.errors, why.into());
            }
            let budget = Budget::new(self.left.min(cel::PER_CALL_LIMIT));
            let before = budget.left();
            let answer = scope(&budget, value, old, rule, schema).eval(program).map(|value| value.to_json());
            self.left -= before - budget.left();
            match answer {
                Ok(Value::Bool(true)) => {}
                Ok(_) if unchanged && !needs_old => {}
                Ok(_) => {
                    let message = message.as_ref().and_then(|program| program.as_ref().ok());
                    let made = message.and_then(|program| self.message(program, value, old, rule, schema));
                    self.failed(rule, is, path, made);
                }
                Err(EvalError::Budget) => {
                    let why = format!(
                        "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                        EvalError::Budget,
                        named(rule)
                    );
                    self.left = 0;
                    return refuse(self.errors, why);
                }
                Err(error) if error.to_string().starts_with("no such overload") => {
                    let why = format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                        named(rule)
                    );
                    refuse(self.errors, why);
                }
                Err(error) => refuse(self.errors, format!("{error} evaluating rule: {}", named(rule))),
            }
        }
    }

    /// The message that the rule makes up, if it makes a good one.
    fn message(
        &mut self,
        program: &Program,
        value: &Value,
        old: Old<'_>,
        rule: &Rule,
        schema: &Schema,
    ) -> Option<String> {
        let budget = Budget::new(self.left.min(cel::PER_CALL_LIMIT));
        let before = budget.left();
        let answer = scope(&budget, value, old, rule, schema).eval(program).map(|value| value.to_json());
        self.left -= before - budget.left();
        let text = answer.ok()?.as_str()?.trim().to_string();
        (!text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n')).then_some(text)
    }

    fn failed(&mut self, rule: &Rule, is: &str, path: &str, made: Option<String>) {
        let why = made.unwrap_or_else(|| match rule.message.trim() {
            "" => format!("failed rule: {}", rule.rule.trim()),
            message => message.to_string(),
        });
        let field = rule.field_path.trim_start_matches('.').replace("['", ".").replace("']", "");
        let at = match (path.is_empty(), field.is_empty()) {
            (true, true) => "<nil>".to_string(),
            (_, true) => path.to_string(),
            _ => child(path, &field),
        };
        match rule.reason.as_str() {
            "FieldValueForbidden" => self.errors.forbidden(&at, &why),
            "FieldValueRequired" => self.errors.required(&at, &why),
            "FieldValueDuplicate" => self.errors.duplicate(&at, &json!(is)),
            _ => self.errors.invalid(&at, &json!(is), why),
        }
    }
}

fn scope<'a>(
    budget: &'a Budget,
    value: &'a Value,
    old: Old<'a>,
    rule: &Rule,
    schema: &'a Schema,
) -> Scope<'a> {
    let stated = Some(cel::Schema(&schema.compiled.stated));
    let scope = Scope::new(budget).with("self", value, stated);
    match (rule.optional_old_self, old.value()) {
        (true, old) => scope.with_optional("oldSelf", old, stated),
        (false, Some(old)) => scope.with("oldSelf", old, stated),
        (false, None) => scope,
    }
}

fn named(rule: &Rule) -> &str {
    match rule.message.trim() {
        "" => rule.rule.trim(),
        message => message,
    }
}

/// Check the rules of a schema: that they compile, and say what can be said.
pub fn check_rules(schema: &Schema, at: &str, errors: &mut Errors) {
    for (i, (rule, (condition, message))) in schema.rules.iter().zip(schema.compiled.rules.iter()).enumerate()
    {
        let at = format!("{at}.x-kubernetes-validations[{i}]");
        if rule.rule.trim().is_empty() {
            errors.required(&format!("{at}.rule"), "rule is not specified");
        } else if let Err(why) = condition {
            errors.invalid(&format!("{at}.rule"), &json!(rule.rule), why);
        }
        if let Some(Err(why)) = message {
            let why = format!("messageExpression {why}");
            errors.invalid(&format!("{at}.messageExpression"), &json!(rule.message_expression), why);
        }
        if rule.message.contains('\n') {
            let why = "message must not contain line breaks";
            errors.invalid(&format!("{at}.message"), &json!(rule.message), why);
        }
        if rule.rule.contains('\n') && rule.message.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            errors.required(&format!("{at}.message"), why);
        }
        const REASONS: [&str; 4] =
            ["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"];
        if !rule.reason.is_empty() && !REASONS.contains(&rule.reason.as_str()) {
            errors.unsupported(&format!("{at}.reason"), &json!(rule.reason), &REASONS);
        }
        if rule.optional_old_self && !rule.rule.contains("oldSelf") {
            let why = "option is set to true but rule does not use oldSelf";
            errors.invalid(&format!("{at}.optionalOldSelf"), &json!(true), why);
        }
        if !rule.field_path.is_empty() && !is_field(schema, &rule.field_path) {
            let why = "fieldPath must be a valid path: does not refer to a valid field";
            errors.invalid(&format!("{at}.fieldPath"), &json!(rule.field_path), why);
        }
    }
    for (key, inner) in &schema.properties {
        check_rules(inner, &format!("{at}.properties[{key}]"), errors);
    }
    if let Some(inner) = schema.additional_schema() {
        check_rules(inner, &format!("{at}.additionalProperties"), errors);
    }
    if let Some(inner) = schema.items.as_deref() {
        check_rules(inner, &format!("{at}.items"), errors);
    }
}

fn is_field(schema: &Schema, path: &str) -> bool {
    let plain = path.replace("['", ".").replace("']", "");
    let steps = plain.strip_prefix('.').map(|rest| rest.split('.'));
    steps.is_some_and(|mut steps| steps.try_fold(schema, |schema, key| schema.child(key)).is_some())
}
