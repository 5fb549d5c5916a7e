//! The eight verbs on objects and collections.

use crate::answer;
use crate::body;
use crate::handler::{Answer, Asked, header};
use crate::heart;
use crate::heart::admission::Operation;
use crate::heart::bodies::{self, Body};
use crate::heart::delete::DeleteOptions;
use crate::heart::patches::{self, PatchType};
use crate::heart::query::{ListOptions, VersionMatch};
use crate::heart::reading;
use crate::heart::render::{self, View};
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::watch_cache::Interest;
use crate::heart::write::Part;
use crate::heart::{certificates, keys, kinds, managed, meant, meta, strict};
use crate::writing::{Outcome, Target, Writing};
use crate::{lists, watching};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

pub async fn get(asked: &Asked, target: Target<'_>) -> Answer {
    let version = VersionMatch::of_get(&asked.info.query)?;
    let stored = asked.app.get_at(target, version).await?;
    asked.object(asked.view()?, target, StatusCode::OK, stored, &[]).await
}

impl Asked {
    /// Answer with an object, in the form and the view that were asked for.
    pub async fn object(
        &self,
        view: View,
        target: Target<'_>,
        status: StatusCode,
        stored: Arc<Stored>,
        warnings: &[String],
    ) -> Answer {
        let kind = target.kind;
        let shown = self.app.shown(kind, stored).await?;
        let mut response = answer::json(status, render::object(kind, view, &shown, Timestamp::now()));
        answer::warn(&mut response, warnings);
        Ok(response)
    }

    fn interest(&self, target: Target<'_>) -> Result<Interest, ApiError> {
        let mut selection = target.kind.selection(&self.info.query)?;
        if !target.name.is_empty() {
            selection = selection.of_name(target.name)?;
        }
        lists::interest(target.kind.resource, target.namespace, selection)
    }
}

pub async fn list(asked: &Asked, target: Target<'_>) -> Answer {
    let (view, kind) = (asked.view()?, target.kind);
    let options = ListOptions::parse(&asked.info.query, false)?;
    let interest = asked.interest(target)?;
    let (items, meta) = asked.app.list(kind, &interest, &options).await?;
    let items = asked.app.all_shown(kind, items).await?;
    let items = items.iter().map(|s| s.as_ref());
    Ok(answer::json(StatusCode::OK, render::list(kind, view, &meta, items, Timestamp::now())))
}

pub async fn watch(asked: &Asked, target: Target<'_>, permit: OwnedSemaphorePermit) -> Answer {
    let accept = header(asked.request.headers(), ACCEPT.as_str());
    let view = View::negotiate_stream(accept, &asked.info.query)?;
    let options = ListOptions::parse(&asked.info.query, true)?;
    let interest = asked.interest(target)?;
    let body = watching::start(&asked.app, target.kind, view, interest, &options, permit).await?;
    Ok(answer::stream(body))
}

pub async fn create(mut asked: Asked, target: Target<'_>) -> Answer {
    if !target.name.is_empty() || (target.kind.resource.namespaced && target.namespace.is_none()) {
        return Err(ApiError::method_not_allowed(""));
    }
    if asked.app.is_going(target.kind) {
        let message = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::new(Reason::MethodNotAllowed, message).with(|_| {}));
    }
    let view = asked.view()?;
    let mut writing = asked.writing(Operation::Create, target, "")?;
    let (mut warnings, sent) = (Vec::new(), body::read(&mut asked.request, target.kind.resource.kind).await?);
    let mut object = writing.decode_sent(sent, &mut warnings)?;
    if target.kind.resource.kind == "CertificateSigningRequest" {
        certificates::stamp(&asked.user, &mut object);
    }
    writing.attributes.name = meta::name(&object).to_string();
    let stored = asked.app.create(&writing, object, &mut warnings).await?;
    asked.object(view, target, StatusCode::CREATED, stored, &warnings).await
}

pub async fn update(mut asked: Asked, target: Target<'_>, part: Part) -> Answer {
    let view = asked.view()?;
    let writing = asked.writing(Operation::Update, target, part.subresource())?;
    let sent = body::read(&mut asked.request, target.kind.resource.kind).await?;
    let mut noted = Vec::new();
    let decoded = writing.decode_sent(sent, &mut noted)?;
    meant::check_name(&decoded, target.namespace, target.name)?;
    let mut warnings = Vec::new();
    let make = |_: &_, warnings: &mut Vec<String>| {
        warnings.clone_from(&noted);
        Ok(decoded.clone())
    };
    let result = asked.app.update(&writing, part, &mut warnings, make).await;
    let (status, stored) = match result {
        // Whoever means one object of this name, and no other, is told that it is not this one.
        Err(error) if error.reason == Reason::NotFound && !meta::uid(&decoded).is_empty() => {
            let (resource, uid) = (target.kind.resource, meta::uid(&decoded));
            return Err(ApiError::not_meant(resource, &target.key()?, target.name, uid, ""));
        }
        Err(error)
            if error.reason == Reason::NotFound
                && part == Part::Main
                && kinds::facts(target.kind.resource).create_on_update
                && meta::resource_version(&decoded).is_empty() =>
        {
            let writing = asked.writing(Operation::Create, target, "")?;
            warnings = noted;
            (StatusCode::CREATED, asked.app.create(&writing, decoded, &mut warnings).await?)
        }
        result => (StatusCode::OK, result?.stored().clone()),
    };
    asked.object(view, target, status, stored, &warnings).await
}

pub async fn patch(mut asked: Asked, target: Target<'_>, part: Part) -> Answer {
    let view = asked.view()?;
    let writing = asked.writing(Operation::Update, target, part.subresource())?;
    let kind = PatchType::parse(header(asked.request.headers(), CONTENT_TYPE.as_str()))?;
    if kind == PatchType::Strategic && target.kind.custom.is_some() {
        return Err(patches::strategic_is_for_built_in_kinds());
    }
    let bytes = body::read_bytes(&mut asked.request).await?;
    if kind == PatchType::Apply {
        let applied = body::read_applied(&bytes)?;
        return apply(asked, target, part, applied).await;
    }
    // Whether there is an object at all is answered first.
    let sent = patches::Sent::read(kind, &bytes);
    let mut warnings = Vec::new();
    let make = |old: &Value, warnings: &mut Vec<String>| {
        let sent = sent.as_ref().map_err(ApiError::clone)?;
        let read = |object, reader| target.kind.read(object, reader);
        let patched = || patches::apply(target.kind.resource, kind, old, &sent.value);
        let (object, remarks) =
            reading::decode_patched(target.kind.resource, read, sent, writing.fields, patched)?;
        meant::check_patched(target.kind.resource, target.namespace, old, &object)?;
        warnings.extend(bodies::warnings(&remarks));
        Ok(object)
    };
    let outcome = asked.app.update(&writing, part, &mut warnings, make).await?;
    asked.object(view, target, StatusCode::OK, outcome.stored().clone(), &warnings).await
}

/// How often an object may come and go while somebody applies it.
const MAX_TURNS: usize = 5;

/// Server-side apply: what is not there is created, by the same words.
async fn apply(asked: Asked, target: Target<'_>, part: Part, applied: Body) -> Answer {
    let view = asked.view()?;
    let writing = asked.writing(Operation::Update, target, part.subresource())?;
    let creating = asked.writing(Operation::Create, target, part.subresource())?;
    let force = writing.force;
    for _ in 0..MAX_TURNS {
        let mut warnings = Vec::new();
        let make = |live: &Value, warnings: &mut Vec<String>| {
            let made = managed::apply(&writing.writer(), force, Some(live), &applied.value)?;
            strict::judge_applied(writing.fields, &applied.duplicates, warnings)?;
            meant::check_patched(target.kind.resource, target.namespace, live, &made)?;
            Ok(made)
        };
        match asked.app.update(&writing, part, &mut warnings, make).await {
            Err(error) if error.reason == Reason::NotFound && part == Part::Main => {}
            outcome => {
                let stored = outcome?.stored().clone();
                return asked.object(view, target, StatusCode::OK, stored, &warnings).await;
            }
        }
        let new = managed::apply(&creating.writer(), force, None, &applied.value)?;
        strict::judge_applied(writing.fields, &applied.duplicates, &mut warnings)?;
        meant::check_name(&new, target.namespace, target.name)?;
        match asked.app.create(&creating, new, &mut warnings).await {
            Err(error) if error.reason == Reason::AlreadyExists => {}
            stored => return asked.object(view, target, StatusCode::CREATED, stored?, &warnings).await,
        }
    }
    Err(ApiError::modified(target.kind.resource, target.name))
}

pub async fn delete(mut asked: Asked, target: Target<'_>) -> Answer {
    let options = asked.delete_options().await?;
    let writing = asked.deleting(target, &options)?;
    let mut warnings = Vec::new();
    let outcome = asked.app.delete(&writing, &options, &mut warnings).await?;
    warnings.extend(heart::delete::warning(target.kind.resource, &options).map(str::to_string));
    // Only this one way of asking is told that it is not done yet.
    let status = match &outcome {
        Outcome::Now(_) if options.cascades => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    let mut response = answer::json(status, asked.app.delete_answer(target, &outcome).await?);
    answer::warn(&mut response, &warnings);
    Ok(response)
}

pub async fn delete_collection(mut asked: Asked, target: Target<'_>) -> Answer {
    let options = asked.delete_options().await?;
    let list = ListOptions::parse(&asked.info.query, false)?;
    let interest = asked.interest(target)?;
    let kind = target.kind;
    let (items, meta) = asked.app.list(kind, &interest, &list).await?;
    for item in &items {
        let Some((namespace, name)) = keys::split_key(kind.resource, &item.key) else { continue };
        let writing = asked.deleting(Target { kind, namespace, name }, &options)?;
        match asked.app.delete(&writing, &options, &mut Vec::new()).await {
            Err(error) if error.reason == Reason::NotFound => {}
            other => drop(other?),
        }
    }
    let items = asked.app.all_shown(kind, items).await?;
    let items = items.iter().map(|s| s.as_ref());
    Ok(answer::json(StatusCode::OK, render::list(kind, View::Object, &meta, items, Timestamp::now())))
}

impl Asked {
    pub async fn delete_options(&mut self) -> Result<DeleteOptions, ApiError> {
        let sent = body::read_optional(&mut self.request, "DeleteOptions").await?;
        DeleteOptions::parse(&sent, &self.info.query)
    }

    pub fn deleting(&self, target: Target<'_>, options: &DeleteOptions) -> Result<Writing, ApiError> {
        let mut writing = self.writing(Operation::Delete, target, "")?;
        writing.attributes.dry_run = options.dry_run;
        writing.attributes.options = options.to_value();
        Ok(writing)
    }
}
