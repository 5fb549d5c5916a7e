//! Parts of an object with a path of their own.

use crate::answer;
use crate::body;
use crate::connect;
use crate::handler::{Answer, Asked, header};
use crate::heart::admission::Operation;
use crate::heart::managed;
use crate::heart::meant;
use crate::heart::patches::{self, PatchType};
use crate::heart::reading;
use crate::heart::render::{self, View};
use crate::heart::request::{ResourcePath, Verb};
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::write::Part;
use crate::heart::{bodies, strict, subresources, typed};
use crate::identity;
use crate::pods;
use crate::verbs;
use crate::writing::Target;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

pub async fn answer(asked: Asked, path: &ResourcePath, target: Target<'_>, subresource: &str) -> Answer {
    match (subresource, asked.info.verb) {
        ("status", Verb::Get) => verbs::get(&asked, target).await,
        ("status", Verb::Update) => verbs::update(asked, target, Part::Status).await,
        ("status", Verb::Patch) => verbs::patch(asked, target, Part::Status).await,
        ("finalize", Verb::Update) => verbs::update(asked, target, Part::Finalize).await,
        ("approval", Verb::Get) => verbs::get(&asked, target).await,
        ("approval", Verb::Update) => verbs::update(asked, target, Part::Approval).await,
        ("approval", Verb::Patch) => verbs::patch(asked, target, Part::Approval).await,
        ("ephemeralcontainers", Verb::Get) => verbs::get(&asked, target).await,
        ("ephemeralcontainers", Verb::Update) => {
            verbs::update(asked, target, Part::EphemeralContainers).await
        }
        ("ephemeralcontainers", Verb::Patch) => verbs::patch(asked, target, Part::EphemeralContainers).await,
        ("scale", _) => scale(asked, target).await,
        ("binding", Verb::Create) => pods::bind(asked, path, Some(target.name)).await,
        ("token", Verb::Create) => identity::token(asked, target).await,
        ("eviction", Verb::Create) => pods::evict(asked, target).await,
        ("log", _) => connect::log(asked, target).await,
        ("exec" | "attach" | "portforward", _) => connect::stream(asked, target, subresource).await,
        ("proxy", _) => connect::pass(asked, target).await,
        _ => Err(ApiError::method_not_allowed("")),
    }
}

async fn scale(mut asked: Asked, target: Target<'_>) -> Answer {
    let (own, mut warnings) = (reading::kind_of_body(target.kind.resource, "scale"), Vec::new());
    let view = asked.view()?;
    let stored = match asked.info.verb {
        Verb::Get => asked.app.get(target).await.map_err(|error| match error.reason {
            Reason::NotFound => subresources::no_scale(target.kind, target.name),
            _ => error,
        })?,
        Verb::Update => {
            let writing = asked.writing(Operation::Update, target, "scale")?;
            let mut noted = Vec::new();
            let scale = asked.small_body(&own, &mut noted).await?;
            meant::check_name(&scale, target.namespace, target.name)?;
            let make = |old: &Value, warnings: &mut Vec<String>| {
                warnings.clone_from(&noted);
                meant::check_meant(target.kind.resource, old, &scale)?;
                target.kind.apply_scale(old, &scale)
            };
            asked.app.update(&writing, Part::Main, &mut warnings, make).await?.stored().clone()
        }
        Verb::Patch => {
            let writing = asked.writing(Operation::Update, target, "scale")?;
            let how = PatchType::parse(header(asked.request.headers(), CONTENT_TYPE.as_str()))?;
            let bytes = body::read_bytes(&mut asked.request).await?;
            if how == PatchType::Apply {
                let applied = body::read_applied(&bytes)?;
                let claim = subresources::scale_claim(target.kind, &applied.value)?;
                let make = |live: &Value, warnings: &mut Vec<String>| {
                    strict::judge_applied(writing.fields, &applied.duplicates, warnings)?;
                    managed::apply(&writing.writer(), writing.force, Some(live), &claim)
                };
                let outcome = asked.app.update(&writing, Part::Main, &mut warnings, make).await?;
                return shown_scale(&asked, target, view, outcome.stored().clone(), &warnings).await;
            }
            let sent = patches::Sent::read(how, &bytes);
            let make = |old: &Value, warnings: &mut Vec<String>| {
                let sent = sent.as_ref().map_err(ApiError::clone)?;
                let before = target.kind.scale_of(old);
                let patched = || patches::apply(&own, how, &before, &sent.value);
                let read = |scale, reader| typed::decode(&own, scale, reader);
                let (scale, remarks) = reading::decode_patched(&own, read, sent, writing.fields, patched)?;
                meant::check_name(&scale, target.namespace, target.name)?;
                warnings.extend(bodies::warnings(&remarks));
                target.kind.apply_scale(old, &scale)
            };
            asked.app.update(&writing, Part::Main, &mut warnings, make).await?.stored().clone()
        }
        _ => return Err(ApiError::method_not_allowed("")),
    };
    shown_scale(&asked, target, view, stored, &warnings).await
}

async fn shown_scale(
    asked: &Asked,
    target: Target<'_>,
    view: View,
    stored: Arc<Stored>,
    warnings: &[String],
) -> Answer {
    let shown = asked.app.shown(target.kind, stored).await?;
    let (own, scale) =
        (reading::kind_of_body(target.kind.resource, "scale"), target.kind.scale_of(&shown.value()));
    let mut response = answer::json(StatusCode::OK, render::unstored(&own, view, &scale, Timestamp::now()));
    answer::warn(&mut response, warnings);
    Ok(response)
}
