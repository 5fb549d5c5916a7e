//! What others have to say about a write, asked in the middle of it. Who is to be asked, and what
//! an answer means, is decided in `heart::admission`; here the questions are sent.

mod builtin;
mod hooks;
pub mod status;

use crate::app::{self, App};
use crate::forms;
use crate::heart::admission::policy::{self, Subject};
use crate::heart::admission::review;
use crate::heart::admission::webhook::{self, Call, Webhook};
use crate::heart::admission::{Attributes, Operation};
use crate::heart::cel::{Budget, REQUEST_BUDGET};
use crate::heart::kind::Kind;
use crate::heart::managed;
use crate::heart::status::{ApiError, Reason};
use crate::webhooks;
use crate::writing::Target;
pub use builtin::Plugin;
use futures_util::future::join_all;
pub use hooks::Hooks;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

impl App {
    /// Let others change what is about to be written. All in the form that was asked for.
    pub async fn admit_mutating(
        &self,
        attributes: &Attributes,
        object: &mut Value,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        self.built_in(attributes, object).await?;
        let hooks = self.hooks.mutating(&self.caches);
        if hooks.is_empty() {
            return Ok(());
        }
        let (mut body, old_body) = (body_of(attributes, object), old.map(|old| body_of(attributes, old)));
        // Who is asked sees the object complete.
        let whole = is_whole(attributes);
        if whole {
            attributes.kind.apply_defaults(&mut body);
        }
        let namespace = self.namespace_of_write(attributes, Some(&body)).await?;
        let asked = Asking { app: self, attributes, old: old_body.as_ref(), namespace: namespace.as_ref() };
        let changed = asked.mutate(&hooks, Some(&mut body), warnings).await?;
        if changed {
            if whole {
                warnings.extend(managed::keep_readable(&object["metadata"]["managedFields"], &mut body));
                body = attributes.kind.decode(body)?.object;
            }
            *object = match attributes.subresource.as_str() {
                "scale" => attributes.kind.apply_scale(object, &body)?,
                _ => body,
            };
            self.built_in(attributes, object).await?;
        }
        Ok(())
    }

    /// Let others refuse what is about to be written; `object` is none for a delete.
    pub async fn admit_validating(
        &self,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        if let Some(object) = object {
            self.within_limits(attributes, object)?;
            self.pod_security(attributes, object, old, warnings).await?;
            self.within_its_class(attributes, object)?;
        }
        self.ask_others(attributes, object, old, warnings).await?;
        match object {
            Some(object) => self.within_quotas(attributes, object, old).await,
            None => Ok(()),
        }
    }

    /// Policies and webhooks that may refuse.
    async fn ask_others(
        &self,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let (policies, hooks) = (self.hooks.policies(&self.caches), self.hooks.validating(&self.caches));
        // What has no object to be changed is shown to those who change things here.
        let mutating = match object {
            None => self.hooks.mutating(&self.caches),
            Some(_) => Arc::default(),
        };
        if policies.is_empty() && hooks.is_empty() && mutating.is_empty() {
            return Ok(());
        }
        let (object, old) = (object.map(|o| body_of(attributes, o)), old.map(|o| body_of(attributes, o)));
        let namespace = self.namespace_of_write(attributes, object.as_ref().or(old.as_ref())).await?;
        let asking = Asking { app: self, attributes, old: old.as_ref(), namespace: namespace.as_ref() };
        asking.mutate(&mutating, None, warnings).await?;
        self.ask_policies(&policies, attributes, object.as_ref(), old.as_ref(), namespace.as_ref(), warnings)
            .await?;
        asking.validate(&hooks, object.as_ref(), warnings).await
    }

    /// The Namespace that an object is in; none for what is in no namespace.
    async fn namespace_of_write(
        &self,
        attributes: &Attributes,
        object: Option<&Value>,
    ) -> Result<Option<Value>, ApiError> {
        let Some(name) = webhook::namespace_of(attributes, object) else { return Ok(None) };
        if let Some(known) = self.namespace_of(&name) {
            return Ok(Some(known));
        }
        let Some(kind) = Kind::named("", "v1", "Namespace") else { return Ok(None) };
        match self.get(Target { kind: &kind, namespace: None, name: &name }).await {
            Ok(stored) => Ok(Some(stored.value())),
            Err(error) if error.reason == Reason::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Policies are evaluated on a thread where nothing else waits for them.
    async fn ask_policies(
        &self,
        policies: &Arc<hooks::Policies>,
        attributes: &Attributes,
        object: Option<&Value>,
        old: Option<&Value>,
        namespace: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let catalog = self.catalog();
        let subject = Subject { attributes, object, old, namespace };
        let mut concerned = Vec::new();
        for (at, (policy, bindings)) in policies.iter().enumerate() {
            for (which, binding) in bindings.iter().enumerate() {
                if policy::concerns(policy, binding, &catalog, &subject) {
                    concerned.push((at, which, self.params_of(&catalog, policy, binding, attributes)));
                }
            }
        }
        if concerned.is_empty() {
            return Ok(());
        }
        let (policies, attributes) = (policies.clone(), attributes.clone());
        let (object, old, namespace) = (object.cloned(), old.cloned(), namespace.cloned());
        let judging = tokio::task::spawn_blocking(move || {
            let subject = Subject {
                attributes: &attributes,
                object: object.as_ref(),
                old: old.as_ref(),
                namespace: namespace.as_ref(),
            };
            let (budget, mut noted) = (Budget::new(REQUEST_BUDGET), Vec::new());
            let verdict = concerned.iter().try_for_each(|(at, which, params)| {
                let (policy, bindings) = &policies[*at];
                let params = params.as_deref().map_err(String::as_str);
                policy::evaluate(policy, &bindings[*which], &subject, params, &budget, &mut noted)
            });
            (verdict, noted)
        });
        let (verdict, noted) = judging.await.map_err(ApiError::internal)?;
        warnings.extend(noted);
        verdict
    }
}

/// Whether the body is the object itself, and not a small one about it.
fn is_whole(attributes: &Attributes) -> bool {
    matches!(attributes.subresource.as_str(), "" | "status" | "finalize" | "approval" | "ephemeralcontainers")
}

/// The body as others see it: of a change of scale, the Scale.
fn body_of(attributes: &Attributes, object: &Value) -> Value {
    match attributes.subresource.as_str() {
        "scale" => attributes.kind.scale_of(object),
        _ => object.clone(),
    }
}

/// An object in the form of another version of its kind.
async fn as_kind(app: &App, from: &Kind, to: &Kind, object: &Value) -> Result<Value, ApiError> {
    if (from.resource.group, from.resource.version) == (to.resource.group, to.resource.version) {
        return Ok(object.clone());
    }
    match to.custom {
        None => Ok(forms::served(to, forms::hub(from, object.clone()))),
        Some(_) => Ok(app.converted(to, vec![object.clone()]).await?.pop().unwrap_or_default()),
    }
}

/// What does not change while webhooks are asked about one write.
struct Asking<'a> {
    app: &'a App,
    attributes: &'a Attributes,
    old: Option<&'a Value>,
    namespace: Option<&'a Value>,
}

impl Asking<'_> {
    fn find<'w>(&self, webhook: &'w Webhook, object: Option<&Value>) -> Result<Option<Call<'w>>, ApiError> {
        webhook.find(&self.app.catalog(), self.attributes, object, self.old, self.namespace)
    }

    /// The object as the webhook wants to see it.
    async fn shown(&self, call: &Call<'_>, object: Option<&Value>) -> Result<Option<Value>, ApiError> {
        match object {
            Some(object) if is_whole(self.attributes) => {
                as_kind(self.app, &self.attributes.kind, &call.kind, object).await.map(Some)
            }
            other => Ok(other.cloned()),
        }
    }

    /// Ask one webhook. What it says of the object is in the kind that the write has.
    async fn ask(
        &self,
        call: &Call<'_>,
        mutating: bool,
        object: Option<&Value>,
    ) -> Result<(Option<Value>, Vec<String>), ApiError> {
        let (webhook, own) = (call.webhook, &self.attributes.kind);
        let (object, old) = (self.shown(call, object).await?, self.shown(call, self.old).await?);
        let uid = app::new_uid();
        let question = review::question(&uid, self.attributes, call, object.as_ref(), old.as_ref());
        let timeout = Duration::from_secs(webhook.timeout_seconds);
        let answered = webhooks::call(self.app, &webhook.client_config, &question, timeout).await;
        let verdict = answered
            .map_err(|why| format!("failed to call webhook: {why}"))
            .and_then(|answer| review::read_answer(&webhook.name, &uid, mutating, &answer));
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(why) if webhook.fails_closed => return Err(webhook.failed(&why)),
            Err(why) => {
                tracing::warn!(webhook = webhook.name, %why, "a webhook failed, and is done without");
                return Ok((None, Vec::new()));
            }
        };
        let changed = match (verdict.decision.map_err(|refused| *refused)?, &object) {
            (None, _) => None,
            (Some(patch), Some(object)) => {
                let patched = review::apply_patch(object, &patch)?;
                Some(match is_whole(self.attributes) {
                    true => as_kind(self.app, &call.kind, own, &patched).await?,
                    false => patched,
                })
            }
            (Some(_), None) => {
                return Err(ApiError::internal(format!(
                    "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                    webhook.name
                )));
            }
        };
        Ok((changed, verdict.warnings))
    }

    /// One after the other, each on what those before it have made. Who asks for it is asked once
    /// more if somebody behind it changed the object. Whether anybody changed it.
    async fn mutate(
        &self,
        hooks: &[Webhook],
        mut object: Option<&mut Value>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, ApiError> {
        let mut changes = 0usize;
        let mut seen = vec![None; hooks.len()];
        for again in [false, true] {
            for (at, hook) in hooks.iter().enumerate() {
                let due = match seen[at] {
                    _ if !again => true,
                    Some(seen) => hook.asks_again && changes > seen,
                    None => false,
                };
                if !due {
                    continue;
                }
                let Some(call) = self.find(hook, object.as_deref())? else { continue };
                let (changed, noted) = self.ask(&call, true, object.as_deref()).await?;
                warnings.extend(noted.into_iter().filter(|_| !again));
                if let (Some(changed), Some(object)) = (changed, object.as_deref_mut())
                    && *object != changed
                {
                    *object = changed;
                    if is_whole(self.attributes) {
                        self.attributes.kind.apply_defaults(object);
                    }
                    changes += 1;
                }
                // Its own change is none behind it.
                seen[at] = Some(changes);
            }
        }
        Ok(changes > 0)
    }

    /// All at once; of several refusals the first in order counts.
    async fn validate(
        &self,
        hooks: &[Webhook],
        object: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let calls: Vec<Call<'_>> = hooks
            .iter()
            .filter_map(|hook| self.find(hook, object).transpose())
            .collect::<Result<_, ApiError>>()?;
        for answer in join_all(calls.iter().map(|call| self.ask(call, false, object))).await {
            warnings.extend(answer?.1);
        }
        Ok(())
    }
}

/// `exec`, `attach`, `portforward` and `proxy`: what is asked for, as an object.
pub fn connect_options(kind: &str, query: &crate::heart::query::Query) -> Value {
    let mut options = serde_json::json!({ "kind": kind, "apiVersion": "v1" });
    let all = |key: &str| query.all(key).map(Value::from).collect::<Vec<Value>>();
    for key in ["stdin", "stdout", "stderr", "tty"] {
        if let Some(value) = query.get(key) {
            options[key] = Value::from(value == "true" || value == "1");
        }
    }
    for key in ["container", "path"] {
        if let Some(value) = query.get(key) {
            options[key] = Value::from(value);
        }
    }
    if !all("command").is_empty() {
        options["command"] = Value::from(all("command"));
    }
    let ports: Vec<Value> =
        query.all("ports").filter_map(|p| p.parse::<u16>().ok()).map(Value::from).collect();
    if !ports.is_empty() {
        options["ports"] = Value::from(ports);
    }
    options
}

impl crate::handler::Asked {
    /// A stream is about to be opened: whoever is asked about such may refuse it.
    pub async fn admit_connect(&self, target: Target<'_>, subresource: &str) -> Result<(), ApiError> {
        let writing = self.writing(Operation::Connect, target, subresource)?;
        let kind = target.kind.resource.subresource(subresource).map_or("", |own| own.kind);
        let options = connect_options(kind, &self.info.query);
        self.app.admit_validating(&writing.attributes, Some(&options), None, &mut Vec::new()).await
    }
}
