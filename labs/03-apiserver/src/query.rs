//! Query strings, and the options of lists, watches and writes that they carry.

use crate::status::{ApiError, Cause};

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

    /// A switch that is there is on, whatever its value, unless the value is `0` or `false`
    /// (upstream: `runtime.Convert_Slice_string_To_bool`).
    pub fn switch(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// `?watch`, `?watch=1` and `?watch=true` are all yes.
    pub fn flag(&self, key: &str) -> bool {
        self.switch(key).unwrap_or(false)
    }

    pub fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let parse = text.parse::<i64>();
        parse.map(Some).map_err(|error| ApiError::bad_request(not_a_number("ParseInt", text, &error)))
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

/// Go's words for a text that is no number.
fn not_a_number(function: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// A number without a sign, or Go's words for why it is none.
pub(crate) fn parse_uint(text: &str) -> Result<u64, String> {
    let signed = text.starts_with(['+', '-']);
    let parsed = if signed { "?".parse::<u64>() } else { text.parse() };
    parsed.map_err(|error| not_a_number("ParseUint", text, &error))
}

/// A `resourceVersion` of a request: none when it is not there or empty.
fn revision_of(query: &Query) -> Result<Option<i64>, ApiError> {
    let text = query.get("resourceVersion").unwrap_or("");
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = parse_uint(text).map_err(|why| {
        ApiError::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: {why}"
        ))
    })?;
    // What is beyond the store's numbers is as far in the future as one can ask.
    Ok(Some(i64::try_from(parsed).unwrap_or(i64::MAX)))
}

/// Which state of the collection, or of one object, a read is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// No version: the newest state, as if read from the store.
    Newest,
    /// `0`: whatever the cache has.
    Any,
    NotOlderThan(i64),
    Exact(i64),
}

impl VersionMatch {
    /// What a get asks for: a version is the least that the client accepts.
    pub fn of_get(query: &Query) -> Result<VersionMatch, ApiError> {
        Ok(VersionMatch::not_older_than(revision_of(query)?))
    }

    fn not_older_than(revision: Option<i64>) -> VersionMatch {
        match revision {
            None => VersionMatch::Newest,
            Some(0) => VersionMatch::Any,
            Some(revision) => VersionMatch::NotOlderThan(revision),
        }
    }
}

/// Options of list and watch (meta/v1 `ListOptions`), checked as upstream checks them
/// (`apimachinery/pkg/apis/meta/internalversion/validation`, `apiserver/pkg/storage/util.go`).
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
        let limit = query.number("limit")?.unwrap_or(0).max(0) as usize;
        let timeout_seconds = query.number("timeoutSeconds")?.map(|s| s.max(0) as u64).filter(|s| *s > 0);
        let causes = if watch { wrong_for_watch(query) } else { wrong_for_list(query) };
        if !causes.is_empty() {
            return Err(ApiError::invalid_options("ListOptions", causes));
        }
        let revision = revision_of(query)?;
        let continue_token = text(query, "continue").map(str::to_string);
        if !watch && continue_token.is_some() && revision.is_some_and(|r| r > 0) {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let version = match (revision, query.get("resourceVersionMatch").unwrap_or("")) {
            (Some(revision), "Exact") => VersionMatch::Exact(revision),
            // Before there was a resourceVersionMatch, a page of a named version was that version.
            (Some(revision), "") if !watch && limit > 0 && revision > 0 => VersionMatch::Exact(revision),
            _ => VersionMatch::not_older_than(revision),
        };
        Ok(ListOptions {
            version,
            limit,
            continue_token,
            timeout_seconds,
            allow_bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.switch("sendInitialEvents"),
        })
    }
}

fn text<'q>(query: &'q Query, key: &str) -> Option<&'q str> {
    query.get(key).filter(|text| !text.is_empty())
}

fn wrong_for_list(query: &Query) -> Vec<Cause> {
    let mut wrong = Vec::new();
    if let Some(wanted) = text(query, "resourceVersionMatch") {
        let mut forbid = |why| wrong.push(Cause::forbidden("resourceVersionMatch", why));
        if text(query, "resourceVersion").is_none() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if text(query, "continue").is_some() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if !["Exact", "NotOlderThan"].contains(&wanted) {
            let supported = ["Exact", "NotOlderThan", ""];
            wrong.push(Cause::unsupported("resourceVersionMatch", &format!("{wanted:?}"), &supported));
        }
        if wanted == "Exact" && text(query, "resourceVersion") == Some("0") {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            wrong.push(Cause::forbidden("resourceVersionMatch", why));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        wrong.push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    wrong
}

fn wrong_for_watch(query: &Query) -> Vec<Cause> {
    let mut wrong = Vec::new();
    let wanted = text(query, "resourceVersionMatch");
    let initial = query.get("sendInitialEvents").is_some();
    if initial && wanted != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        wrong.push(Cause::forbidden("resourceVersionMatch", why));
    }
    let Some(wanted) = wanted else { return wrong };
    if !initial {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        wrong.push(Cause::forbidden("resourceVersionMatch", why));
    }
    if wanted != "NotOlderThan" {
        wrong.push(Cause::unsupported("resourceVersionMatch", &format!("{wanted:?}"), &["NotOlderThan"]));
    }
    if text(query, "continue").is_some() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        wrong.push(Cause::forbidden("resourceVersionMatch", why));
    }
    wrong
}

/// The cause of a `dryRun` that is neither absent nor `All`.
pub(crate) fn wrong_dry_run(values: &[&str]) -> Option<Cause> {
    let wrong = values.iter().any(|value| *value != "All");
    let list: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    // Go prints the whole list.
    let printed = format!("[]string{{{}}}", list.join(", "));
    wrong.then(|| Cause::unsupported("dryRun", &printed, &["All"]))
}

/// Options that every write carries in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
}

/// What happens to fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// 400, and nothing is stored.
    Strict,
    /// Dropped, with a `Warning` header each: the default.
    #[default]
    Warn,
    /// Dropped in silence.
    Ignore,
}

impl WriteOptions {
    /// `kind` is the options' own kind: `CreateOptions`, `UpdateOptions` or `PatchOptions`. What is
    /// said of ownership is read in `managed`.
    pub fn parse(kind: &str, query: &Query) -> Result<WriteOptions, ApiError> {
        let mut wrong = Vec::new();
        // One that is there and empty is no wish either: to write then would be to write unasked.
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        wrong.extend(wrong_dry_run(&dry_run));
        let field_validation = match query.get("fieldValidation").unwrap_or("") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                wrong.push(Cause::unsupported("fieldValidation", &format!("{other:?}"), &supported));
                FieldValidation::Warn
            }
        };
        match wrong.is_empty() {
            true => Ok(WriteOptions { dry_run: !dry_run.is_empty(), field_validation }),
            false => Err(ApiError::invalid_options(kind, wrong)),
        }
    }
}
