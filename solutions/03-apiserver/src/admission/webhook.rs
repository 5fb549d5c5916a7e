//! Webhooks as their configurations describe them, and which of them a write concerns.

use super::rules::Matcher;
use super::{Attributes, Operation};
use crate::access::User;
use crate::catalog::Catalog;
use crate::cel::{Budget, Program, REQUEST_BUDGET, Scope, Stage, Type};
use crate::kind::Kind;
use crate::meta;
use crate::status::ApiError;
use serde_json::Value;

/// The longest that a webhook is waited for when it does not say.
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;

/// The names that match conditions and policies may use.
pub const VARIABLES: [(&str, Type); 4] = [
    ("object", Type::Dyn),
    ("oldObject", Type::Dyn),
    ("request", Type::Dyn),
    ("authorizer", Stage::Authorizer.to_type()),
];

/// One webhook of a configuration.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub name: String,
    pub client_config: Value,
    pub timeout_seconds: u64,
    /// `failurePolicy: Fail`: without its word nothing is written.
    pub fails_closed: bool,
    /// `reinvocationPolicy: IfNeeded`.
    pub asks_again: bool,
    /// Whether it may be asked about what is then not done.
    pub bears_dry_run: bool,
    matcher: Result<Matcher, String>,
    conditions: Result<Vec<(String, Program)>, String>,
}

/// A webhook that is to be asked, and the kind as which it wants to see the write.
#[derive(Debug, Clone)]
pub struct Call<'w> {
    pub webhook: &'w Webhook,
    pub kind: Kind,
}

impl Webhook {
    /// All of a MutatingWebhookConfiguration or a ValidatingWebhookConfiguration.
    pub fn read_all(configuration: &Value) -> Vec<Webhook> {
        configuration["webhooks"].as_array().into_iter().flatten().map(Webhook::read).collect()
    }

    fn read(webhook: &Value) -> Webhook {
        let text = |key: &str| webhook[key].as_str().unwrap_or_default();
        let timeout = webhook["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        Webhook {
            name: text("name").to_string(),
            client_config: webhook["clientConfig"].clone(),
            timeout_seconds: timeout.clamp(1, 30),
            fails_closed: text("failurePolicy") != "Ignore",
            asks_again: text("reinvocationPolicy") == "IfNeeded",
            bears_dry_run: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
            matcher: Matcher::read(webhook),
            conditions: read_conditions(&webhook["matchConditions"]),
        }
    }

    /// Whether it is to be asked about this write.
    pub fn find<'w>(
        &'w self,
        catalog: &Catalog,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        namespace: Option<&Value>,
    ) -> Result<Option<Call<'w>>, ApiError> {
        if attributes.is_exempt() {
            return Ok(None);
        }
        let matcher = self.matcher.as_ref().map_err(|why| self.failed(why))?;
        let Some(kind) = matcher.find(catalog, attributes, object, old, namespace) else { return Ok(None) };
        let wanted = match &self.conditions {
            Ok(conditions) if conditions.is_empty() => Ok(true),
            Ok(conditions) => {
                let request = attributes.request(&kind);
                let budget = Budget::new(REQUEST_BUDGET / 4);
                let scope = scope(&budget, &attributes.user, object, old, &request);
                all_hold(conditions, &scope)
            }
            Err(why) => Err(why.clone()),
        };
        match wanted {
            Ok(true) if attributes.dry_run && !self.bears_dry_run => Err(ApiError::bad_request(format!(
                "admission webhook {:?} does not support dry run",
                self.name
            ))),
            Ok(true) => Ok(Some(Call { webhook: self, kind })),
            Ok(false) => Ok(None),
            Err(why) if self.fails_closed => Err(attributes.forbidden(object.or(old), &why)),
            Err(_) => Ok(None),
        }
    }

    /// A webhook that could not be asked, for the client: why is `failed to call webhook: ...`.
    pub fn failed(&self, why: &str) -> ApiError {
        let message = format!("failed calling webhook {:?}: {why}", self.name);
        ApiError::internal(&message).cause("", &message, "")
    }
}

/// `matchConditions` of a webhook or a policy, compiled.
pub fn read_conditions(conditions: &Value) -> Result<Vec<(String, Program)>, String> {
    let list = conditions.as_array().into_iter().flatten();
    list.map(|condition| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default().to_string();
        let program = Program::compile_typed(text("expression").trim(), &VARIABLES);
        program.map(|program| (text("name"), program)).map_err(|error| error.to_string())
    })
    .collect()
}

static NULL: Value = Value::Null;

/// What the expressions of admission may look at.
pub fn scope<'a>(
    budget: &'a Budget,
    user: &User,
    object: Option<&'a Value>,
    old: Option<&'a Value>,
    request: &'a Value,
) -> Scope<'a> {
    Scope::new(budget)
        .with_authorizer(user)
        .with("object", object.unwrap_or(&NULL), None)
        .with("oldObject", old.unwrap_or(&NULL), None)
        .with("request", request, None)
}

/// Whether all hold. One that does not decides, even if another fails.
pub fn all_hold<'a>(conditions: &'a [(String, Program)], scope: &Scope<'a>) -> Result<bool, String> {
    let mut failed = Vec::new();
    for (name, program) in conditions {
        match scope.eval(program).map(|value| value.to_json()) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => return Ok(false),
            Ok(_) => failed.push(format!("condition {name:?} must evaluate to a bool")),
            Err(error) => failed.push(error.to_string()),
        }
    }
    match failed.is_empty() {
        true => Ok(true),
        false => Err(failed.join(", ")),
    }
}

/// The Namespace whose labels count for a write: none for what is in no namespace.
pub fn namespace_of(attributes: &Attributes, object: Option<&Value>) -> Option<String> {
    let resource = attributes.kind.resource;
    match (resource.group, resource.kind) {
        ("", "Namespace") if attributes.operation == Operation::Create => None,
        ("", "Namespace") => Some(attributes.name.clone()),
        _ if !resource.namespaced => None,
        _ => attributes
            .namespace
            .clone()
            .or_else(|| object.map(|o| meta::namespace(o).to_string()))
            .filter(|name| !name.is_empty()),
    }
}
