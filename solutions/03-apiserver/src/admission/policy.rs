//! ValidatingAdmissionPolicies: rules in CEL that this server evaluates itself (KEP-3488;
//! upstream: `pkg/admission/plugin/policy/validating`).

use super::Attributes;
use super::rules::Matcher;
use super::webhook::{VARIABLES, all_hold, scope};
use crate::catalog::Catalog;
use crate::cel::{Budget, EvalError, Program, Scope, Type};
use crate::meta;
use crate::status::{ApiError, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::labels::Selector;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// A policy, compiled.
#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    /// apiVersion and kind of its parameters, if it takes any.
    pub param_kind: Option<(String, String)>,
    fails_closed: bool,
    matcher: Result<Matcher, String>,
    compiled: Result<Compiled, String>,
}

#[derive(Debug, Clone)]
struct Compiled {
    conditions: Vec<(String, Program)>,
    variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
}

#[derive(Debug, Clone)]
struct Validation {
    text: String,
    program: Program,
    message: String,
    message_program: Option<Program>,
    reason: String,
}

/// One use of a policy.
#[derive(Debug, Clone)]
pub struct Binding {
    pub name: String,
    pub policy: String,
    /// The name of its parameters, or a selector of several; none if it takes none.
    pub params: Option<ParamRef>,
    matcher: Result<Matcher, String>,
    denies: bool,
    warns: bool,
}

#[derive(Debug, Clone)]
pub struct ParamRef {
    pub name: String,
    /// The namespace to look in; empty is that of the object.
    pub namespace: String,
    pub selector: Selector,
    denies_without: bool,
}

impl Policy {
    pub fn read(policy: &Value) -> Policy {
        let spec = &policy["spec"];
        let param_kind = &spec["paramKind"];
        let param_kind = param_kind.is_object().then(|| {
            (
                meta::text(param_kind, &["apiVersion"]).to_string(),
                meta::text(param_kind, &["kind"]).to_string(),
            )
        });
        Policy {
            name: meta::name(policy).to_string(),
            fails_closed: spec["failurePolicy"] != "Ignore",
            matcher: Matcher::read(&spec["matchConstraints"]),
            compiled: compile(spec, param_kind.is_some()).map_err(|wrong| wrong.why),
            param_kind,
        }
    }
}

/// An expression that does not compile: where it stands, itself, and the compiler's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub field: String,
    pub expression: String,
    pub why: String,
}

/// The first expression of a policy that does not compile.
pub fn check(policy: &Value) -> Result<(), Wrong> {
    compile(&policy["spec"], policy["spec"]["paramKind"].is_object()).map(drop)
}

/// The policy with a status that says up to which generation it was looked at, and what is wrong.
pub fn settle(policy: &Value) -> Value {
    let generation = &policy["metadata"]["generation"];
    if policy["status"]["observedGeneration"] == *generation && !policy["status"]["typeChecking"].is_null() {
        return policy.clone();
    }
    let checked = match check(policy) {
        Ok(()) => json!({}),
        Err(wrong) => json!({ "expressionWarnings": [{ "fieldRef": wrong.field, "warning": wrong.why }] }),
    };
    let mut settled = policy.clone();
    let status = meta::map_at(&mut settled, "status");
    status.insert("observedGeneration".into(), generation.clone());
    status.insert("typeChecking".into(), checked);
    settled
}

fn compile(spec: &Value, has_params: bool) -> Result<Compiled, Wrong> {
    let mut known = VARIABLES.to_vec();
    known.push(("namespaceObject", Type::Dyn));
    if has_params {
        known.push(("params", Type::Dyn));
    }
    let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().trim().to_string();
    let wrong =
        |field: String, expression: &str, why: String| Wrong { field, expression: expression.into(), why };
    let read = |field: String, expression: &str, known: &[(&str, Type)], types: &[Type], rule: &str| {
        let program = Program::compile_typed(expression, known);
        let program = program.map_err(|error| wrong(field.clone(), expression, error.to_string()))?;
        match types.iter().any(|wanted| program.may_be(wanted)) {
            true => Ok(program),
            false => Err(wrong(field, expression, format!("must evaluate to {rule}"))),
        }
    };
    let mut conditions = Vec::new();
    for (index, condition) in list("matchConditions").iter().enumerate() {
        let field = format!("spec.matchConditions[{index}].expression");
        let program = read(field, &text(condition, "expression"), &known, &[Type::Bool], "bool")?;
        conditions.push((text(condition, "name"), program));
    }
    let named: Vec<(String, String)> =
        list("variables").iter().map(|v| (text(v, "name"), text(v, "expression"))).collect();
    let composed = Program::compile_composed(&named, &known).map_err(|(index, error)| {
        wrong(format!("spec.variables[{index}].expression"), &named[index].1, error.to_string())
    })?;
    known.push(("variables", composed.fields));
    let mut validations = Vec::new();
    for (index, validation) in list("validations").iter().enumerate() {
        let at = |key: &str| format!("spec.validations[{index}].{key}");
        let expression = text(validation, "expression");
        let program = read(at("expression"), &expression, &known, &[Type::Bool], "bool")?;
        let message_program = match text(validation, "messageExpression").as_str() {
            "" => None,
            message => Some(read(at("messageExpression"), message, &known, &[Type::String], "string")?),
        };
        validations.push(Validation {
            text: expression,
            program,
            message: text(validation, "message"),
            message_program,
            reason: text(validation, "reason"),
        });
    }
    for (index, annotation) in list("auditAnnotations").iter().enumerate() {
        let field = format!("spec.auditAnnotations[{index}].valueExpression");
        let value = text(annotation, "valueExpression");
        read(field, &value, &known, &[Type::String, Type::Null], "one of [string null_type]")?;
    }
    Ok(Compiled { conditions, variables: composed.programs, validations })
}

impl Binding {
    pub fn read(binding: &Value) -> Binding {
        let spec = &binding["spec"];
        let actions: Vec<&str> =
            spec["validationActions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let params = &spec["paramRef"];
        Binding {
            name: meta::name(binding).to_string(),
            policy: meta::text(spec, &["policyName"]).to_string(),
            params: params.is_object().then(|| ParamRef {
                name: meta::text(params, &["name"]).to_string(),
                namespace: meta::text(params, &["namespace"]).to_string(),
                selector: LabelSelector::deserialize(&params["selector"])
                    .ok()
                    .and_then(|s| Selector::from_label_selector(&s).ok())
                    .unwrap_or_else(Selector::everything),
                denies_without: params["parameterNotFoundAction"] != "Allow",
            }),
            matcher: Matcher::read(&spec["matchResources"]),
            denies: actions.contains(&"Deny"),
            warns: actions.contains(&"Warn"),
        }
    }
}

/// What a policy looks at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub attributes: &'a Attributes,
    pub object: Option<&'a Value>,
    pub old: Option<&'a Value>,
    /// The Namespace that the object is in.
    pub namespace: Option<&'a Value>,
}

/// Whether a policy, as a binding uses it, is about this write.
pub fn concerns(policy: &Policy, binding: &Binding, catalog: &Catalog, subject: &Subject<'_>) -> bool {
    let Subject { attributes, object, old, namespace } = *subject;
    if attributes.is_exempt() {
        return false;
    }
    let of_policy = match &policy.matcher {
        Ok(matcher) => matcher.find(catalog, attributes, object, old, namespace).is_some(),
        Err(_) => false,
    };
    of_policy
        && match &binding.matcher {
            Ok(matcher) if matcher.says_nothing_of_kinds() => {
                matcher.narrows(attributes, object, old, namespace)
            }
            Ok(matcher) => matcher.find(catalog, attributes, object, old, namespace).is_some(),
            Err(_) => false,
        }
}

/// Evaluate one policy for one binding. `params` are the objects that the binding refers to, or
/// why they could not be looked for.
pub fn evaluate(
    policy: &Policy,
    binding: &Binding,
    subject: &Subject<'_>,
    params: Result<&[Value], &str>,
    budget: &Budget,
    warnings: &mut Vec<String>,
) -> Result<(), ApiError> {
    let mut verdict = Verdicts { policy, binding, subject, warnings };
    let compiled = match &policy.compiled {
        Ok(compiled) => compiled,
        Err(why) => return verdict.failed(&format!("failed to configure policy: {why}")),
    };
    let params = match params {
        Ok(params) => params,
        Err(why) => return verdict.failed(why),
    };
    let takes = policy.param_kind.is_some() && binding.params.is_some();
    if takes && params.is_empty() {
        return match &binding.params {
            Some(reference) if reference.denies_without => verdict.failed(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
            ),
            _ => Ok(()),
        };
    }
    let request = subject.attributes.request(&subject.attributes.kind);
    let nothing = [Value::Null];
    for params in if takes { params } else { &nothing } {
        let user = &subject.attributes.user;
        let mut scope = scope(budget, user, subject.object, subject.old, &request);
        scope = scope.with_composed(&compiled.variables);
        scope = scope.with("params", params, None);
        scope = scope.with("namespaceObject", subject.namespace.unwrap_or(&Value::Null), None);
        match all_hold(&compiled.conditions, &scope) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                verdict.failed(&why)?;
                continue;
            }
        }
        for validation in &compiled.validations {
            verdict.validate(validation, &scope)?;
        }
    }
    Ok(())
}

/// What becomes of a validation's result.
struct Verdicts<'a> {
    policy: &'a Policy,
    binding: &'a Binding,
    subject: &'a Subject<'a>,
    warnings: &'a mut Vec<String>,
}

impl Verdicts<'_> {
    fn validate<'a>(&mut self, validation: &'a Validation, scope: &Scope<'a>) -> Result<(), ApiError> {
        match scope.eval(&validation.program).map(|value| value.to_json()) {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(_) => {
                let message = self.message(validation, scope);
                self.act(&message, &validation.reason)
            }
            Err(EvalError::Budget) => {
                self.failed("validation failed due to running out of cost budget, no further validation rules will be run")
            }
            Err(error) => self.failed(&format!("expression '{}' resulted in error: {error}", validation.text)),
        }
    }

    /// A message that cannot be made is not missed: there are two others.
    fn message<'a>(&self, validation: &'a Validation, scope: &Scope<'a>) -> String {
        let made = validation.message_program.as_ref().and_then(|program| scope.eval(program).ok());
        let made = made.and_then(|value| value.to_json().as_str().map(|text| text.trim().to_string()));
        let usable = |text: &String| !text.is_empty() && !text.contains('\n') && text.len() <= 5 * 1024;
        match made.filter(usable) {
            Some(made) => made,
            None if !validation.message.is_empty() => validation.message.clone(),
            None => format!("failed expression: {}", validation.text),
        }
    }

    /// The policy itself could not be asked.
    fn failed(&mut self, why: &str) -> Result<(), ApiError> {
        if self.policy.fails_closed { self.act(why, "") } else { Ok(()) }
    }

    fn act(&mut self, message: &str, reason: &str) -> Result<(), ApiError> {
        let (policy, binding) = (&self.policy.name, &self.binding.name);
        if self.binding.warns {
            self.warnings.push(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
            ));
        }
        if !self.binding.denies {
            return Ok(());
        }
        let told = format!(
            "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}"
        );
        let object = self.subject.object.or(self.subject.old);
        let mut error = self.subject.attributes.forbidden(object, &told).cause("", &told, "");
        error.reason = Reason::named(reason).unwrap_or(Reason::Invalid);
        Err(error)
    }
}
