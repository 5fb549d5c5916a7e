//! What only pods have: they are bound and evicted.

use crate::answer;
use crate::app::App;
use crate::handler::{Answer, Asked};
use crate::heart::admission::Operation;
use crate::heart::delete::DeleteOptions;
use crate::heart::eviction::{self, Verdict};
use crate::heart::kind::Kind;
use crate::heart::meta;
use crate::heart::query::{ListOptions, Query};
use crate::heart::reading;
use crate::heart::request::ResourcePath;
use crate::heart::selection::Selection;
use crate::heart::status::{ApiError, Reason};
use crate::heart::subresources;
use crate::lists;
use crate::writing::{Change, Target};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

fn success() -> Answer {
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(answer::value(StatusCode::CREATED, &status))
}

/// `POST pods/NAME/binding`, or `POST bindings` with the pod's name in the body.
pub async fn bind(mut asked: Asked, path: &ResourcePath, name: Option<&str>) -> Answer {
    let kind = Kind::named("", "v1", "Pod").ok_or_else(ApiError::no_route)?;
    let body_kind = reading::kind_of_body(kind.resource, "binding");
    let mut binding = asked.small_body(&body_kind, &mut Vec::new()).await?;
    let name = name.unwrap_or_else(|| meta::name(&binding)).to_string();
    let target = Target { kind: &kind, namespace: path.namespace.as_deref(), name: &name };
    let attributes = asked.writing(Operation::Create, target, "binding")?.attributes;
    asked.app.admit_mutating(&attributes, &mut binding, None, &mut Vec::new()).await?;
    subresources::check_binding(&binding, &name)?;
    asked.app.admit_validating(&attributes, Some(&binding), None, &mut Vec::new()).await?;
    let now = Timestamp::now();
    asked
        .app
        .change(target, attributes.dry_run, |pod, _| {
            let mut bound = subresources::bind(kind.resource, pod, &binding, now)?;
            meta::map_at(&mut bound, "metadata").shift_remove("resourceVersion");
            Ok(Change::Put(bound))
        })
        .await?;
    success()
}

/// How often an eviction is tried when others evict by the same budget.
const MAX_EVICTIONS: usize = 20;

/// An eviction is a polite delete, which a disruption budget pays for, or refuses.
pub async fn evict(mut asked: Asked, target: Target<'_>) -> Answer {
    let mut warnings = Vec::new();
    // The query is a create's, and is checked as one.
    let dry_run = asked.writing(Operation::Create, target, "eviction")?.attributes.dry_run;
    let kind = reading::kind_of_body(target.kind.resource, "eviction");
    let eviction = asked.small_body(&kind, &mut warnings).await?;
    let options = DeleteOptions::parse(&eviction["deleteOptions"], &asked.info.query)?;
    let pods_name = meta::text(&eviction, &["metadata", "name"]);
    if !pods_name.is_empty() && pods_name != target.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let dry_run = options.dry_run || dry_run;
    let options = DeleteOptions { dry_run, ..options };
    let mut writing = asked.deleting(target, &options)?;
    writing.attributes.operation = Operation::Create;
    writing.attributes.subresource = "eviction".into();
    asked.app.admit_validating(&writing.attributes, Some(&eviction), None, &mut warnings).await?;
    pay_for(&asked.app, target, dry_run).await?;
    writing.attributes = asked.deleting(target, &options)?.attributes;
    asked.app.delete(&writing, &options, &mut warnings).await?;
    success()
}

/// Let the pod's budget pay for its eviction. Whoever is faster takes the last disruption.
async fn pay_for(app: &App, target: Target<'_>, dry_run: bool) -> Result<(), ApiError> {
    let Some(budgets) = Kind::named("policy", "v1", "PodDisruptionBudget") else { return Ok(()) };
    for _ in 0..MAX_EVICTIONS {
        let pod = app.get(target).await?.value();
        let interest = lists::interest(budgets.resource, target.namespace, Selection::everything())?;
        let options = ListOptions::parse(&Query::default(), false)?;
        let (items, _) = app.list(&budgets, &interest, &options).await?;
        let found: Vec<Value> = items.iter().map(|item| item.value()).collect();
        let paid = match eviction::judge(&pod, &found, Timestamp::now())? {
            Verdict::Free => return Ok(()),
            Verdict::Paid(_) if dry_run => return Ok(()),
            Verdict::Paid(budget) => budget,
        };
        let name = meta::name(&paid).to_string();
        let budget = Target { kind: &budgets, namespace: target.namespace, name: &name };
        let version = meta::resource_version(&paid).to_string();
        let written = app.change(budget, false, |old, _| {
            if meta::resource_version(old) != version {
                return Err(ApiError::modified(budgets.resource, &name));
            }
            let mut new = paid.clone();
            meta::map_at(&mut new, "metadata").shift_remove("resourceVersion");
            Ok(Change::Put(new))
        });
        match written.await {
            Err(error) if error.reason == Reason::Conflict => {}
            written => return written.map(drop),
        }
    }
    Err(ApiError::too_many_requests())
}
