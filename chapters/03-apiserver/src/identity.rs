//! Who asks: a certificate (seen when the connection began), headers of a proxy that is believed, a
//! token, and perhaps somebody for whom they speak. And the questions about it: TokenRequest and the reviews.

use crate::answer;
use crate::app::{self, App};
use crate::body;
use crate::handler::{Answer, Asked};
use crate::heart::access::User;
use crate::heart::admission::Operation;
use crate::heart::kind::Kind;
use crate::heart::query::WriteOptions;
use crate::heart::reading;
use crate::heart::request::ResourcePath;
use crate::heart::reviews::TokenVerdict;
use crate::heart::status::{ApiError, Reason};
use crate::heart::stored::Stored;
use crate::heart::tokens::{self, Issuer, Request};
use crate::heart::{impersonation, remote, reviews};
use crate::signing::Signer;
use crate::tls::Caller;
use crate::writing::Target;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use objects::resources::Resource;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The tokens that this cluster gives out.
pub struct Tokens {
    pub issuer: Issuer,
    pub signer: Signer,
}

impl Tokens {
    pub fn new(key: Option<&Path>, issuer: &str, audiences: &[String]) -> anyhow::Result<Tokens> {
        if key.is_none() {
            tracing::info!("no --service-account-signing-key-file: tokens end with this process");
        }
        let audiences = if audiences.is_empty() { vec![issuer.to_string()] } else { audiences.to_vec() };
        Ok(Tokens { issuer: Issuer { name: issuer.into(), audiences }, signer: Signer::new(key)? })
    }
}

/// Who makes this request: whom the connection's certificate names, or somebody for whom that one speaks.
pub async fn who(app: &App, caller: Caller, headers: &HeaderMap) -> Result<User, ApiError> {
    let texts = || headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let remote = if caller.is_front { remote::user(texts()) } else { None };
    let mut user = remote.unwrap_or(caller.user);
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme = |value: &&str| value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    if user.is_anonymous()
        && let Some(value) = bearer.filter(scheme)
    {
        user = match app.authenticate(value[7..].trim(), &[]).await? {
            Ok((user, _)) => user,
            Err(why) => {
                tracing::debug!(why, "a token was not accepted");
                return Err(ApiError::unauthorized());
            }
        };
    }
    match impersonation::user(texts())? {
        Some(_) if user.is_anonymous() => Err(ApiError::unauthorized()),
        Some(other) => Ok(other),
        None => Ok(user),
    }
}

impl App {
    /// Whose token this is, if it is one: the outer failure is this server's, the inner one the
    /// token's.
    pub async fn authenticate(&self, token: &str, audiences: &[String]) -> Result<TokenVerdict, ApiError> {
        let now = Timestamp::now().as_second();
        let claims = match self.tokens.signer.open(token) {
            Ok(claims) => claims,
            Err(why) => {
                tracing::debug!(why, "a token was not signed here");
                return Ok(Err(tokens::JUNK.into()));
            }
        };
        let read = tokens::read(&self.tokens.issuer, &claims, audiences, now);
        let token = match read {
            Ok(token) => token,
            Err(why) => return Ok(Err(why)),
        };
        let account = self.find("ServiceAccount", Some(&token.namespace), &token.account).await?;
        let bound = match &token.bound {
            Some(bound) => {
                let namespace = (bound.kind != "Node").then_some(token.namespace.as_str());
                self.find(&bound.kind, namespace, &bound.name).await?
            }
            None => None,
        };
        let value = |stored: &Option<Arc<Stored>>| stored.as_ref().map(|stored| stored.value());
        let user = token.user(value(&account).as_ref(), value(&bound).as_ref(), now);
        Ok(user.map(|user| (user, token.audiences)))
    }

    /// An object of the core group, if there is one: the cache's, or else the store's.
    async fn find(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Stored>>, ApiError> {
        let kind = Kind::named("", "v1", kind).ok_or_else(ApiError::no_route)?;
        let target = Target { kind: &kind, namespace, name };
        match self.cached(target) {
            Some(stored) => Ok(Some(stored)),
            None => match self.get(target).await {
                Err(error) if matches!(error.reason, Reason::NotFound | Reason::BadRequest) => Ok(None),
                found => found.map(Some),
            },
        }
    }
}

impl Asked {
    /// Read a body of a kind that is never stored.
    pub async fn small_body(
        &mut self,
        kind: &Resource,
        warnings: &mut Vec<String>,
    ) -> Result<Value, ApiError> {
        let options = WriteOptions::parse("CreateOptions", &self.info.query)?;
        let sent = body::read(&mut self.request, kind.kind).await?;
        reading::decode_small(kind, sent, options.field_validation, warnings)
    }
}

/// `POST serviceaccounts/NAME/token`.
pub async fn token(mut asked: Asked, target: Target<'_>) -> Answer {
    let writing = asked.writing(Operation::Create, target, "token")?;
    let (app, mut warnings) = (asked.app.clone(), Vec::new());
    let kind = reading::kind_of_body(target.kind.resource, "token");
    let mut request = asked.small_body(&kind, &mut warnings).await?;
    app.admit_mutating(&writing.attributes, &mut request, None, &mut warnings).await?;
    let account = app.get(target).await?.value();
    let wanted = Request::parse(&app.tokens.issuer, &account, &request)?;
    let bound = match &wanted.bound {
        Some(bound) => {
            let namespace = target.namespace.filter(|_| bound.kind != "Node");
            let kind = Kind::named("", "v1", &bound.kind).ok_or_else(ApiError::no_route)?;
            let object = app.get(Target { kind: &kind, namespace, name: &bound.name }).await?.value();
            tokens::check_bound(bound, &object, target.name)?;
            Some(object)
        }
        None => None,
    };
    app.admit_validating(&writing.attributes, Some(&request), None, &mut warnings).await?;
    let now = Timestamp::now();
    let id = app::new_uid();
    let issuer = &app.tokens.issuer;
    let claims = tokens::claims(issuer, &wanted, &account, bound.as_ref(), now.as_second(), &id);
    let signed = app.tokens.signer.sign(&claims).map_err(ApiError::internal)?;
    let mut response =
        answer::value(StatusCode::CREATED, &tokens::answer(&account, &wanted, &request, &signed, now));
    answer::warn(&mut response, &warnings);
    Ok(response)
}

/// Kinds that are questions.
pub async fn review(mut asked: Asked, resource: &'static Resource, path: &ResourcePath) -> Answer {
    if resource.namespaced != path.namespace.is_some() || path.name.is_some() {
        return Err(ApiError::no_route());
    }
    let mut warnings = Vec::new();
    let question = asked.small_body(resource, &mut warnings).await?;
    // Only a TokenReview asks for it, and it needs objects: so it is looked up beforehand.
    let verdict = match question["spec"]["token"].as_str() {
        Some(token) if resource.kind == "TokenReview" => {
            let audiences = question["spec"]["audiences"].as_array().into_iter().flatten();
            let audiences: Vec<String> = audiences.filter_map(Value::as_str).map(str::to_string).collect();
            asked.app.authenticate(token, &audiences).await?
        }
        _ => Err(String::new()),
    };
    let namespace = path.namespace.as_deref();
    let answered = reviews::answer(&asked.user, resource, namespace, question, |_, _| verdict)?;
    let mut response = answer::value(StatusCode::CREATED, &answered);
    answer::warn(&mut response, &warnings);
    Ok(response)
}
