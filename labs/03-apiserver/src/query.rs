//! Query strings, and the options of lists, watches and writes that they carry.

use crate::status::ApiError;

/// The parameters of a request in the order they came, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Read `a=b&c=d`. Broken escapes stay as they are: a query never fails by itself.
    pub fn parse(text: &str) -> Query {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            Query::decode_segment(&spaced).unwrap_or(spaced)
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Query { pairs: pairs.collect() }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// `?watch`, `?watch=1` and `?watch=true` are all yes.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value, "" | "1" | "t" | "true" | "True" | "TRUE"))
    }

    pub fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax for {key}"))
            }),
        }
    }

    /// Undo percent-encoding; `None` when an escape is broken or the bytes are not UTF-8.
    pub fn decode_segment(text: &str) -> Option<String> {
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16));
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push((high * 16 + low) as u8);
        }
        String::from_utf8(out).ok()
    }

    /// Percent-encode everything that has a meaning in a path or a query.
    pub fn encode(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(byte as char);
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

/// How a list relates to the `resourceVersion` it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// No version: the newest state, as if read from the store.
    Newest,
    /// `0`: whatever the cache has.
    Any,
    NotOlderThan(i64),
    Exact(i64),
}

/// Options of list and watch (meta/v1 `ListOptions`), checked as upstream checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions {
    pub version: VersionMatch,
    /// 0 means no limit.
    pub limit: usize,
    pub continue_token: Option<String>,
    pub timeout_seconds: Option<u64>,
    pub allow_bookmarks: bool,
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    pub fn parse(query: &Query, watch: bool) -> Result<ListOptions, ApiError> {
        let text = query.get("resourceVersion").unwrap_or("");
        let revision = match text {
            "" => None,
            _ => Some(text.parse::<i64>().ok().filter(|r| *r >= 0).ok_or_else(|| {
                ApiError::bad_request(format!("resourceVersion: Invalid value: {text:?}: must be an integer"))
            })?),
        };
        let continue_token = query.get("continue").filter(|t| !t.is_empty()).map(str::to_string);
        let wanted_match = query.get("resourceVersionMatch").unwrap_or("");
        let initial = query.get("sendInitialEvents").map(|v| matches!(v, "1" | "true" | "True" | ""));
        let invalid = |field: &str, why: &str| {
            let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: Forbidden: {why}");
            Err(ApiError::new(crate::status::Reason::Invalid, message).cause(
                "FieldValueForbidden",
                why,
                field,
            ))
        };
        if initial.is_some() && !watch {
            return invalid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if initial.is_some() && wanted_match != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            return invalid("resourceVersionMatch", why);
        }
        if !wanted_match.is_empty() && initial.is_none() {
            if watch {
                return invalid("resourceVersionMatch", "resourceVersionMatch is forbidden for watch");
            }
            if revision.is_none() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                return invalid("resourceVersionMatch", why);
            }
            if continue_token.is_some() {
                return invalid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                );
            }
        }
        if continue_token.is_some() && revision.is_some_and(|r| r > 0) {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let version = match (revision, wanted_match) {
            (Some(0), "Exact") => {
                return invalid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
                );
            }
            (Some(r), "Exact") => VersionMatch::Exact(r),
            (None, _) => VersionMatch::Newest,
            (Some(0), _) => VersionMatch::Any,
            (Some(r), _) => VersionMatch::NotOlderThan(r),
        };
        Ok(ListOptions {
            version,
            limit: query.number("limit")?.unwrap_or(0).max(0) as usize,
            continue_token,
            timeout_seconds: query.number("timeoutSeconds")?.map(|s| s.max(0) as u64).filter(|s| *s > 0),
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: initial,
        })
    }
}

/// Options that every write carries in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
}

/// What happens to fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// 400, and nothing is stored.
    Strict,
    /// Dropped, with a `Warning` header each: the default.
    Warn,
    /// Dropped in silence.
    Ignore,
}

impl WriteOptions {
    pub fn parse(query: &Query) -> Result<WriteOptions, ApiError> {
        let field_validation = match query.get("fieldValidation").unwrap_or("") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            other => {
                return Err(ApiError::bad_request(format!(
                    "fieldValidation: Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                )));
            }
        };
        let mut dry_run = false;
        for value in query.all("dryRun") {
            match value {
                "All" => dry_run = true,
                "" => {}
                other => {
                    return Err(ApiError::bad_request(format!(
                        "dryRun: Unsupported value: {other:?}: supported values: \"All\""
                    )));
                }
            }
        }
        Ok(WriteOptions { dry_run, field_validation })
    }
}
