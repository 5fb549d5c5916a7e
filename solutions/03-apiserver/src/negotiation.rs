//! Which form of an answer a client wants: its `Accept` header against what this server can write
//! (upstream: `apiserver/pkg/endpoints/handlers/negotiation`).
//!
//! Two questions have one header. *What* is shown (the object, a Table, the metadata alone) is the
//! [`View`]; *how* it is written (JSON, JSON for people, YAML) is the [`Writing`]. Protobuf is read
//! but not written: clients that prefer it accept JSON too.

use crate::query::Query;
use crate::status::{ApiError, Reason};
use crate::tables::Include;
use crate::yaml;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Object,
    Table(Include),
    PartialMetadata,
}

/// How JSON is put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// As it is.
    Compact,
    /// With line ends, for people.
    Pretty,
    Yaml,
}

/// One offer of an `Accept` header.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer<'h> {
    kind: &'h str,
    subtype: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
    quality: f64,
}

/// The offers of a header, the preferred ones first: by quality, then by how exact they are, then
/// in the header's order. An offer of quality 0 is none.
pub fn offers(accept: &str) -> Vec<Offer<'_>> {
    let mut list: Vec<Offer<'_>> =
        accept.split(',').filter_map(offer).filter(|offer| offer.quality > 0.0).collect();
    let rank = |offer: &Offer<'_>| u8::from(offer.kind == "*") + u8::from(offer.subtype == "*");
    list.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(rank(a).cmp(&rank(b))));
    list
}

fn offer(text: &str) -> Option<Offer<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = match parts.next()? {
        "*" => ("*", "*"),
        media => media.split_once('/')?,
    };
    let pairs = parts.filter_map(|part| part.split_once('='));
    let (quality, parameters): (Vec<_>, Vec<_>) =
        pairs.map(|(key, value)| (key.trim(), value.trim())).partition(|(key, _)| *key == "q");
    let quality = quality.first().map_or(Some(1.0), |(_, value)| value.parse().ok())?;
    Some(Offer { kind: kind.trim(), subtype: subtype.trim(), parameters, quality })
}

impl Offer<'_> {
    fn accepts(&self, subtype: &str) -> bool {
        match self.kind {
            "application" => self.subtype == subtype || self.subtype == "*",
            kind => kind == "*" && self.subtype == "*",
        }
    }

    fn get(&self, key: &str) -> &str {
        self.parameters.iter().find(|(k, _)| *k == key).map_or("", |(_, value)| value)
    }

    /// What it wants to see; none when there is no such view.
    fn view(&self, query: &Query) -> Option<Result<View, ApiError>> {
        if !matches!(self.get("stream"), "" | "watch") {
            return None;
        }
        match (self.get("as"), self.get("g"), self.get("v")) {
            ("", "", "") => Some(Ok(View::Object)),
            ("Table", "meta.k8s.io", "v1") => Some(include(query).map(View::Table)),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                Some(Ok(View::PartialMetadata))
            }
            _ => None,
        }
    }
}

/// How much of each object a Table carries.
fn include(query: &Query) -> Result<Include, ApiError> {
    match query.get("includeObject").unwrap_or("") {
        "None" => Ok(Include::Nothing),
        "Object" => Ok(Include::Object),
        "" | "Metadata" => Ok(Include::Metadata),
        other => {
            let why = "must be 'Metadata', 'Object', 'None', or empty";
            let message = format!("includeObject: Invalid value: {other:?}: {why}");
            Err(ApiError::bad_request(format!("Unable to convert to Table as requested: {message}")))
        }
    }
}

impl View {
    /// What one answer shows.
    pub fn negotiate(accept: &str, query: &Query) -> Result<View, ApiError> {
        let found = choose(accept, query, &["json", "yaml"]);
        found.map_or_else(|| Err(not_acceptable(&ACCEPTED)), |(view, _)| view)
    }

    /// What the events of a watch show: they are JSON, one a line.
    pub fn negotiate_stream(accept: &str, query: &Query) -> Result<View, ApiError> {
        let found = choose(accept, query, &["json"]);
        found.map_or_else(|| Err(not_acceptable(&ACCEPTED_STREAM)), |(view, _)| view)
    }
}

impl Writing {
    /// How an answer is written; what is wrong with the header is not said here. People are
    /// recognised by `?pretty` and by their programs.
    pub fn negotiate(accept: &str, query: &Query, user_agent: &str) -> Writing {
        let people = ["curl", "Wget", "Mozilla/5.0"].iter().any(|name| user_agent.starts_with(name));
        let asked = query.get("pretty").filter(|value| !value.is_empty());
        let pretty = asked.map_or(people, |v| matches!(v, "1" | "t" | "T" | "true" | "TRUE" | "True"));
        match choose(accept, query, &["json", "yaml"]) {
            Some((_, "yaml")) => Writing::Yaml,
            _ if pretty => Writing::Pretty,
            _ => Writing::Compact,
        }
    }
}

impl Writing {
    /// Our JSON as it goes out, with its content type; none when it is what it should be already.
    pub fn rewrite(self, json: &[u8]) -> Option<(&'static str, Vec<u8>)> {
        if self == Writing::Compact {
            return None;
        }
        let value: Value = serde_json::from_slice(json).ok()?;
        if self == Writing::Yaml {
            return Some(("application/yaml", yaml::print(&value).into_bytes()));
        }
        let mut text = serde_json::to_vec_pretty(&value).ok()?;
        text.push(b'\n');
        Some(("application/json", text))
    }
}

/// The first offer that can be met, and the format that meets it.
fn choose<'f>(accept: &str, query: &Query, formats: &[&'f str]) -> Option<(Result<View, ApiError>, &'f str)> {
    if accept.trim().is_empty() {
        return formats.first().map(|format| (Ok(View::Object), *format));
    }
    offers(accept).iter().find_map(|offer| {
        let format = formats.iter().find(|format| offer.accepts(format))?;
        Some((offer.view(query)?, *format))
    })
}

const ACCEPTED: [&str; 2] = ["application/json", "application/yaml"];
const ACCEPTED_STREAM: [&str; 1] = ["application/json;stream=watch"];

fn not_acceptable(accepted: &[&str]) -> ApiError {
    let message = format!("only the following media types are accepted: {}", accepted.join(", "));
    ApiError::new(Reason::NotAcceptable, message)
}
