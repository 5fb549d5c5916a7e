//! Lists in pages. A continue token holds the revision at which the first page was read and the
//! key at which the next one starts, so that all pages together are one consistent list, and no
//! server has to remember anything between them.

use crate::bodies;
use crate::status::{ApiError, Reason};
use crate::typed;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a token says. `start` is the part of the key after the collection's prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    #[serde(rename = "v")]
    version: String,
    /// The revision all pages are read at; -1 means "whatever is newest" (an inconsistent rest).
    #[serde(rename = "rv")]
    pub revision: i64,
    #[serde(rename = "start")]
    pub start: String,
}

impl Token {
    pub fn new(revision: i64, start: &str) -> Token {
        Token { version: "meta.k8s.io/v1".into(), revision, start: start.into() }
    }

    pub fn encode(&self) -> String {
        // Three plain fields always encode.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Read a token back. It comes from the client, so it may be anything: the version must be
    /// ours, the revision positive or -1, and `start` a part of a key that cannot leave the
    /// collection. Everything else is a bad request.
    pub fn decode(text: &str) -> Result<Token, ApiError> {
        // lab:begin 03.5 undo encode, and believe nothing
        let bad = |why: &str| {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| bad(&e.to_string()))?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        if token.version != "meta.k8s.io/v1" {
            return Err(bad("server does not recognize this encoded version"));
        }
        if token.revision == 0 || token.revision < -1 {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let inside = !token.start.split('/').any(|part| part == "..") && !token.start.starts_with('/');
        if token.start.is_empty() || !inside {
            return Err(bad("encoded start key is not inside the collection"));
        }
        Ok(token)
        // lab:end
    }
}

/// Read the token of a request. [`Token::decode`] judges it; these are upstream's words for what is wrong
/// with one that was refused (`apiserver/pkg/storage/continue.go`).
pub fn read_token(text: &str) -> Result<Token, ApiError> {
    Token::decode(text).map_err(|error| match what_is_wrong(text) {
        Some(why) => {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        }
        None => error,
    })
}

fn what_is_wrong(text: &str) -> Option<String> {
    let bytes = match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) => bytes,
        Err(error) => return Some(typed::go_base64_error(text, &error)),
    };
    let json = String::from_utf8_lossy(&bytes);
    let token: Value = match serde_json::from_str(&json) {
        Ok(token) => token,
        Err(error) => return Some(bodies::go_json_error(&json, &error)),
    };
    let (version, start) =
        (token["v"].as_str().unwrap_or_default(), token["start"].as_str().unwrap_or_default());
    if version != "meta.k8s.io/v1" {
        return Some(format!("server does not recognize this encoded version {version}"));
    }
    match token["rv"].as_i64() {
        Some(revision) if revision >= -1 && revision != 0 => {}
        _ => return Some("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into()),
    }
    match start {
        "" => Some("encoded start key empty (version meta.k8s.io/v1)".into()),
        start if start.starts_with('/') || start.split('/').any(|part| part == "..") => Some(start.into()),
        _ => None,
    }
}

/// One page and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The token of the next page; none when this is the last.
    pub next: Option<Token>,
    /// How many items follow, when that is known: not with selectors, as upstream.
    pub remaining: Option<usize>,
}

/// Cut the first page from `items`, which are in key order and come with their keys
/// (without the collection's prefix). `limit` 0 means all. The token begins at the first item that
/// was left out.
pub fn first_page<T>(
    items: impl Iterator<Item = (String, T)>,
    limit: usize,
    revision: i64,
    count_rest: bool,
) -> Page<T> {
    // lab:begin 03.5 the first `limit` items, and if there is one more, the token that begins with it
    let mut items = items;
    let mut page = Page { items: Vec::new(), next: None, remaining: None };
    while limit == 0 || page.items.len() < limit {
        match items.next() {
            Some((_, item)) => page.items.push(item),
            None => return page,
        }
    }
    if let Some((key, _)) = items.next() {
        page.next = Some(Token::new(revision, &key));
        page.remaining = count_rest.then(|| items.count() + 1);
    }
    page
    // lab:end
}

/// The token's revision was compacted away: 410, with a token to go on without consistency.
pub fn expired(token: &Token) -> ApiError {
    let message = "The provided continue parameter is too old to display a consistent list result. \
         You can start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token results \
         in an inconsistent list - objects that were created, modified, or deleted between the time the \
         first chunk was returned and now may show up in the list.";
    let mut error = ApiError::new(Reason::Expired, message);
    error.continue_token = Some(Token::new(-1, &token.start).encode());
    error
}

/// The revision that a list named was compacted away, and there is no rest to go on with.
pub fn expired_version() -> ApiError {
    ApiError::new(Reason::Expired, "The resourceVersion for the provided list is too old.")
}
